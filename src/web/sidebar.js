// @ts-check
/** The list of conversations: those that are archived are behind a row of their own. */
import { $, element, icon, reconcile } from "./dom.js";
import { addressOf } from "./router.js";
import { Roving } from "./roving.js";
import { briefly, gist, hue, initials, isChat, isMuted, nameOf, typingWords } from "./words.js";

/** @typedef {import("/client/messages.js").Conversation} Conversation */

/** So many rows are made at first, and again whenever the end of them is near. */
const PAGE = 100;
/** How near that is, in pixels. */
const NEAR = 600;

export class Sidebar {
  #user; #drafts; #typists; #shown = /** @type {Conversation[]} */ ([]); #open; #isArchive = false; #rows = PAGE;
  #roving = new Roving($("conversations"), "a");

  /**
   * `onMenu(key, place)` opens the menu of a conversation.
   *
   * @param {{ user: string, drafts: import("./drafts.js").Drafts, typists: (key: string) => string[] }} parts
   * @param {(key: string, place: { x: number, y: number }) => void} onMenu
   */
  constructor({ user, drafts, typists }, onMenu) {
    this.#user = user;
    this.#drafts = drafts;
    this.#typists = typists;
    $("archive").addEventListener("click", () => {
      [this.#isArchive, this.#rows] = [!this.#isArchive, PAGE];
      this.#render();
    });
    $("inbox").addEventListener("scroll", () => this.#onScroll(), { passive: true });
    $("conversations").addEventListener("contextmenu", (event) => {
      const row = /** @type {Element} */ (event.target).closest("a");
      if (!row) return;
      event.preventDefault();
      const { left, bottom } = row.getBoundingClientRect();
      // The key for the menu reports no place of its own.
      const place = event.clientX || event.clientY ? { x: event.clientX, y: event.clientY } : { x: left + 60, y: bottom };
      onMenu(row.parentElement?.dataset.key ?? "", place);
    });
  }

  /**
   * Shows the conversations, in their order; `open` is the key of the open one, `unread` the number in the
   * title.
   *
   * @param {Conversation[]} conversations
   * @param {string | undefined} open
   * @param {number} unread
   */
  show(conversations, open, unread) {
    [this.#shown, this.#open] = [conversations, open];
    this.#render();
    const icon = `/web/${unread ? "icon-unread" : "icon"}.svg`;
    if ($("icon").getAttribute("href") !== icon) $("icon").href = icon;
    document.title = `${unread ? `(${unread}) ` : ""}Messages · ${this.#user}`;
  }

  /**
   * Offers what the user may begin.
   *
   * @param {ReturnType<typeof import("./rights.js").beginningsOf>} may
   */
  offer({ conversation, chat }) {
    $("new-message").hidden = !conversation;
    $("new-chat").hidden = !chat;
    $("or-begin").hidden = !conversation && !chat;
    const ways = [conversation && "write to somebody", chat && "create a chat"].filter(Boolean).join(", or ");
    $("how-to-begin").textContent = ways && `${ways.charAt(0).toUpperCase()}${ways.slice(1)}.`;
  }

  #render() {
    const archived = this.#shown.filter(isArchived);
    this.#isArchive &&= archived.length > 0;
    $("archive").hidden = archived.length === 0;
    $("archive").setAttribute("aria-pressed", `${this.#isArchive}`);
    $("archive-icon").setAttribute("href", this.#isArchive ? "#icon-back" : "#icon-archive");
    $("archive-name").textContent = this.#isArchive ? "Back to all conversations" : "Archived";
    $("archive-count").textContent = this.#isArchive ? "" : `${archived.length}`;
    $("no-conversations").hidden = this.#shown.length > 0;
    const listed = this.#isArchive ? archived : this.#shown.filter((conversation) => !isArchived(conversation));
    reconcile($("conversations"), listed.slice(0, this.#rows).map((conversation) => this.#row(conversation)));
    this.#roving.keepStop($("conversations").querySelector("[aria-current]") ?? undefined);
  }

  #onScroll() {
    const { scrollHeight, scrollTop, clientHeight } = $("inbox");
    if (scrollHeight - scrollTop - clientHeight > NEAR || this.#rows >= this.#shown.length) return;
    this.#rows += PAGE;
    this.#render();
  }

  /**
   * @param {Conversation} conversation
   * @returns {import("./dom.js").Row}
   */
  #row(conversation) {
    const { key, unread, mentions, settings, waiting, isRefused, message, name } = conversation;
    const last = waiting ? { ...waiting.body, from: this.#user, created: waiting.created } : message;
    const isOpen = key === this.#open;
    // The draft of the open conversation is in the composer.
    const draft = isOpen ? "" : this.#drafts.get(key);
    const typing = typingWords(this.#typists(key));
    const look = { last, draft, typing, isOpen, isMuted: isMuted(conversation), user: this.#user };
    const state = [name, unread, mentions, settings, last, draft, typing, Boolean(waiting), isRefused, isOpen, look.isMuted];
    const signature = JSON.stringify([...state, last?.created && briefly(last.created)]);
    return [key, signature, () => row(conversation, look)];
  }
}

const isArchived = (/** @type {Conversation} */ { settings }) => Boolean(settings?.archived);

/**
 * A row of the list, also for a conversation that is found by its name.
 *
 * @param {Conversation} conversation
 * @param {{ last: any, draft?: string, typing?: string, isOpen?: boolean, isMuted: boolean, user: string,
 *   onclick?: () => void }} look
 */
export function row(conversation, { last, draft, typing, isOpen, isMuted, user, onclick }) {
  const { unread = 0, mentions = 0, settings, waiting, isRefused } = conversation;
  const name = nameOf(conversation);
  const classes = ["conversation", unread > 0 && "unread", isMuted && "muted"].filter(Boolean);
  const state = isRefused ? "refused" : waiting && "waiting";
  return element("li", {}, element("a", {
    href: addressOf(conversation), class: classes.join(" "), "aria-current": isOpen ? "page" : undefined, tabindex: "-1", onclick,
  },
    avatar(name, isChat(conversation)),
    element("span", { class: "name", dir: "auto" }, name),
    last?.created && element("time", { datetime: last.created }, briefly(last.created)),
    element("span", { class: "gist" }, typing ? element("span", { class: "preview typing", dir: "auto" }, typing)
      : draft && !state ? draftOf(draft) : preview(last, state, user, isChat(conversation))),
    element("span", { class: "marks" },
      isMuted && mark("mute", "muted"),
      settings?.pinned && mark("pin", "pinned"),
      mentions > 0 && element("span", { class: "badge named" },
        element("span", { "aria-hidden": "true" }, "@"), unseen(`${mentions} mentioning you`)),
      unread > 0 && element("span", { class: "badge count" },
        element("span", { "aria-hidden": "true" }, unread > 99 ? "99+" : `${unread}`), unseen(`${unread} unread`)))));
}

const unseen = (words) => element("span", { class: "unseen" }, words);
const mark = (name, words) => element("span", { class: "mark" }, icon(name), unseen(words));

function preview(last, state, user, inChat) {
  if (!last) return "No messages yet";
  const isMine = last.from === user;
  const who = isMine ? "You: " : inChat && last.from ? `${last.from}: ` : "";
  return [
    state === "refused" && notSent(),
    state === "waiting" && icon("clock"),
    who && !last.deleted && state !== "refused" && element("span", { class: "who" }, who),
    element("span", { class: "preview", dir: "auto" }, gist(last)),
  ];
}

const draftOf = (text) => [
  element("span", { class: "who draft" }, "Draft: "), element("span", { class: "preview", dir: "auto" }, text),
];
const notSent = () => element("span", { class: "who not-sent" }, icon("warning"), "Not sent: ");

export function avatar(name, ofChat = false) {
  const attributes = { class: ofChat ? "avatar group" : "avatar", "data-hue": hue(name), "aria-hidden": "true" };
  return element("span", attributes, ofChat ? icon("group") : initials(name));
}
