// @ts-check
/**
 * The replies to a message, in a panel beside the conversation: the message, and what replies to it, by number. They are
 * messages of the conversation like all others, so what arrives and changes there is shown here, too.
 */
import { bubble, pendingBubble } from "./bubble.js";
import { $, element, reconcile } from "./dom.js";
import { isClosed, suspensionOf } from "./rights.js";
import { Roving } from "./roving.js";
import { countOf, isChat } from "./words.js";

/**
 * @typedef {import("/client/messages.js").ConversationHandle} ConversationHandle
 * @typedef {import("/client/messages.js").HistoryWindow} HistoryWindow
 * @typedef {import("/client/messages.js").Message} Message
 */

const PAGE = 50;

/** Where both the messages and the panel have room, as thread.css has it. */
const BESIDE = "(min-width: 1100px)";

const OFFLINE = "You are offline: there may be more replies than these.";

/** How many of these messages reply to each message, by its id. */
export function countReplies(messages) {
  const counts = new Map();
  for (const { replyTo } of messages) if (replyTo) counts.set(replyTo, (counts.get(replyTo) ?? 0) + 1);
  return counts;
}

export class Replies {
  #user; #limits; #on; #message; #onCover;
  #root = /** @type {Message | null} */ (null);
  #conversation = /** @type {ConversationHandle | null} */ (null); #window = /** @type {HistoryWindow | null} */ (null);
  /** The ids of the replies that were fetched, and the number from which there may be more; undefined at the end. */
  #fetched = /** @type {number[]} */ ([]); #next = /** @type {number | undefined} */ (0);
  #notice = ""; #turn = 0;
  #roving = new Roving($("replies-log"), "article");

  /**
   * `limits()` are those of the user, and `message(id)` is a message of the copy; `onCover` is called when the panel
   * covers the messages, or does so no more.
   *
   * @param {{ user: string, limits: () => import("./rights.js").Limits,
   *   message: (id: number) => Promise<Message | undefined>, onCover: () => void,
   *   on: import("./thread.js").Actions }} parts
   */
  constructor({ user, limits, message, onCover, on }) {
    this.#limits = limits;
    [this.#user, this.#message, this.#onCover, this.#on] = [user, message, onCover, on];
    new ResizeObserver(() => this.#cover()).observe($("replies"));
    $("close-replies").addEventListener("click", () => this.close());
    $("more-replies").addEventListener("click", () => this.#fetch());
    $("reply-to-root").addEventListener("click", () => this.#on.reply(this.#root));
    $("replies").addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing) return;
      event.stopPropagation();
      this.close();
    });
  }

  /**
   * Opens the replies to a message of the open conversation.
   *
   * @param {Message} root
   * @param {{ conversation: ConversationHandle, window: HistoryWindow }} place
   */
  async open(root, { conversation, window }) {
    [this.#root, this.#conversation, this.#window] = [root, conversation, window];
    [this.#fetched, this.#next, this.#notice] = [[], 0, ""];
    $("replies-log").replaceChildren();
    $("replies").hidden = false;
    this.#cover();
    $("close-replies").focus();
    await this.#fetch();
  }

  close() {
    if (!this.#root) return;
    const hadFocus = $("replies").contains(document.activeElement);
    const shown = $("log").querySelector(`[data-key="${this.#root.id}"] article`);
    [this.#root, this.#conversation, this.#window] = [null, null, null];
    $("replies").hidden = true;
    this.#cover();
    if (hadFocus) (/** @type {HTMLElement | null} */ (shown) ?? $("text")).focus({ preventScroll: true });
  }

  /** On a small screen the panel covers the messages: then nobody sees them, or can use them. */
  #cover() {
    const isCovered = !$("replies").hidden && !matchMedia(BESIDE).matches;
    if ($("messages").inert === isCovered) return;
    $("messages").inert = isCovered;
    this.#onCover();
  }

  /** The conversation has changed. */
  async update() {
    const turn = ++this.#turn;
    const root = this.#root && ((await this.#message(this.#root.id)) ?? this.#root);
    const fetched = await Promise.all(this.#fetched.map((id) => this.#message(id)));
    if (turn !== this.#turn || !root || root.id !== this.#root?.id) return;
    this.#root = root;
    this.#render(root, this.#merged(root, fetched));
  }

  /**
   * The replies that were fetched, and those that the conversation shows: up to the next page, so that none between
   * them is missing. Offline there is no next page, and all of them are shown.
   *
   * @param {Message} root
   * @param {(Message | undefined)[]} fetched
   */
  #merged({ id }, fetched) {
    const end = this.#next ?? Number.POSITIVE_INFINITY;
    const shown = this.#window?.messages.filter(({ number }) => this.#notice || number <= end) ?? [];
    const byId = new Map([...fetched, ...shown].flatMap((message) => (message?.replyTo === id ? [[message.id, message]] : [])));
    return [...byId.values()].sort((one, other) => one.number - other.number);
  }

  /**
   * @param {Message} root
   * @param {Message[]} replies
   */
  #render(root, replies) {
    const waiting = this.#window?.waiting.filter(({ body }) => body.replyTo === root.id) ?? [];
    const [conversation, limits, now] = [this.#window?.conversation ?? {}, this.#limits(), Date.now()];
    // Of what can be done with a message, only one's own reactions are taken back here.
    const can = { unreact: suspensionOf(limits, now) === undefined };
    const mayRepeat = !isClosed(conversation, now, limits);
    const look = {
      user: this.#user, inChat: isChat(conversation), isFirst: true, isLast: true, can, on: this.#on,
      receipt: undefined, quoted: undefined, replies: undefined,
    };
    const row = (message) => /** @type {import("./dom.js").Row} */ (
      [`${message.id}`, JSON.stringify([message.timestamp, message.waiting, message.reactions, can]), () => bubble(message, look)]);
    const rows = [root, ...replies].map(row);
    const pending = waiting.map((item) => /** @type {import("./dom.js").Row} */ ([
      `outbox ${item.order}`, `${mayRepeat} ${item.refused?.words ?? ""}`,
      () => pendingBubble(item, {
        isFirst: true, user: this.#user,
        onEdit: mayRepeat ? () => this.#on.editRefused(item) : undefined,
        onRetry: mayRepeat ? () => this.#on.retry(item) : undefined,
        onDiscard: () => this.#on.discard(item),
      }),
    ]));
    const count = replies.length + waiting.length;
    const divider = /** @type {import("./dom.js").Row} */ (
      ["count", `${count}`, () => element("li", { class: "day" }, element("span", {}, countOf(count, "reply", "replies")))]);
    reconcile($("replies-log"), [rows[0], ...(this.#next === undefined ? [divider] : []), ...rows.slice(1), ...pending]);
    this.#roving.keepStop($("replies-log").querySelector("article"));
    $("reply-to-root").hidden = Boolean(root.deleted) || $("composer").hidden;
    $("more-replies").hidden = this.#next === undefined;
    $("replies-notice").textContent = this.#notice;
  }

  /** Fetches a page more. */
  async #fetch() {
    const [root, conversation] = [this.#root, this.#conversation];
    if (!root || !conversation || this.#next === undefined) return;
    try {
      const { messages, next } = await conversation.replies(root.id, { after: this.#next, limit: PAGE });
      if (root.id !== this.#root?.id) return;
      this.#fetched.push(...messages.map(({ id }) => id));
      [this.#next, this.#notice] = [next, ""];
    } catch (problem) {
      if (root.id !== this.#root?.id) return;
      this.#notice = problem.status === 0 ? OFFLINE : (problem.words ?? problem.message);
    }
    await this.update();
  }
}
