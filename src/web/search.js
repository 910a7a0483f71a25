// @ts-check
/**
 * Search: the results replace the list until the field is empty again, and no filter is set. First come the
 * conversations whose names match, which the copy has, then messages.
 */
import { $, element, highlighted, isolated } from "./dom.js";
import { Filters } from "./filters.js";
import { addressOf } from "./router.js";
import { row } from "./sidebar.js";
import { briefly, gist, isChat, isMuted, nameOf } from "./words.js";

const PATIENCE_MS = 250;

const NAMES_MAX = 5;

const OFFLINE = "You are offline: messages cannot be reached. The search goes on when the service is back.";

/**
 * @typedef {import("/client/messages.js").Client} Client
 * @typedef {import("/client/messages.js").Conversation} Conversation
 * @typedef {import("/client/messages.js").Message} Message
 */

/** `conversations()` returns all of them, `onOpen(conversation, message)` shows what was chosen. */
export class Search {
  #call; #user; #conversations; #onOpen; #timer; #latest = 0; #hasFailed = false;
  #filters = new Filters(() => this.#begin());

  /**
   * @param {{ call: Client["call"], user: string, conversations: () => Conversation[],
   *   onOpen: (conversation: Partial<Conversation>, message: Message) => unknown }} parts
   */
  constructor({ call, user, conversations, onOpen }) {
    this.#call = call;
    this.#user = user;
    this.#conversations = conversations;
    this.#onOpen = onOpen;
    $("search").addEventListener("input", () => {
      this.#findNames($("search").value.trim());
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#begin(), PATIENCE_MS);
    });
    for (const place of ["search", "filters"]) {
      $(place).addEventListener("keydown", (event) => {
        if (event.key !== "Escape" || event.isComposing) return;
        this.#end();
        $("search").focus();
      });
    }
  }

  /** Repeats a search that has failed: the service is back. */
  retry() {
    if (this.#hasFailed) this.#begin();
  }

  /** Searches for what the field and the filters say now. */
  #begin() {
    const query = $("search").value.trim();
    this.#search({ ...(query && { q: query }), ...this.#filters.parameters });
  }

  #findNames(query) {
    const words = query.toLocaleLowerCase();
    const found = query ? this.#conversations().filter((one) => nameOf(one).toLocaleLowerCase().includes(words)) : [];
    $("found-names").replaceChildren(...found.slice(0, NAMES_MAX).map((conversation) => {
      const look = { last: conversation.message, isMuted: isMuted(conversation), user: this.#user };
      const item = row(conversation, { ...look, onclick: () => this.#end() });
      item.querySelector("a")?.setAttribute("tabindex", "0");
      return item;
    }));
    if (query) this.#show(true);
  }

  #end() {
    $("search").value = "";
    this.#filters.clear();
    this.#findNames("");
    this.#begin();
  }

  /**
   * @param {Record<string, string>} criteria
   * @param {number} [before]
   */
  async #search(criteria, before) {
    // Only the answer to the latest search is shown.
    const turn = ++this.#latest;
    this.#hasFailed = false;
    if (Object.keys(criteria).length === 0) return this.#show(false);
    const words = new URLSearchParams({ ...criteria, limit: "20", ...(before && { before: `${before}` }) });
    try {
      const page = await this.#call("GET", `/messages/search?${words}`);
      if (turn === this.#latest) this.#fill(page, criteria, before);
    } catch (problem) {
      if (turn !== this.#latest) return;
      this.#hasFailed = problem.isTemporary;
      const isBlank = problem.status === 422 && Object.keys(this.#filters.parameters).length === 0;
      this.#tell(isBlank ? "Type a word to search for." : problem.status === 0 ? OFFLINE : problem.words);
    }
  }

  #fill({ hits, next }, criteria, before) {
    this.#show(true);
    if (!before) $("hits").replaceChildren();
    const first = $("hits").childElementCount;
    $("hits").append(...hits.map((hit) => this.#row(hit)));
    $("more-hits").hidden = !next;
    $("more-hits").onclick = () => this.#search(criteria, next);
    const count = $("hits").childElementCount;
    $("search-status").textContent = count ? `${count}${next ? " or more" : ""} found` : "No messages were found.";
    if (before) $("hits").children[first]?.querySelector("a")?.focus();
  }

  #nameOfChat(number) {
    return nameOf(this.#conversations().find(({ chat }) => chat === number) ?? { chat: number });
  }

  #tell(words) {
    this.#show(true);
    $("hits").replaceChildren();
    $("more-hits").hidden = true;
    $("search-status").textContent = words;
  }

  #row({ message, highlight }) {
    const { chat, from, to, created } = message;
    const isMine = from === this.#user;
    const conversation = isChat({ chat }) ? { chat } : { with: isMine ? to : from };
    const personal = isMine ? `You to ${to}` : from;
    const inChat = () => [isolated(this.#nameOfChat(chat)), element("span", {}, ` · ${isMine ? "You" : (from ?? "")}`)];
    const onclick = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.#onOpen(conversation, message);
    };
    const words = highlight === undefined ? [gist(message)] : around(highlighted(highlight));
    return element("li", {}, element("a", { class: "hit", href: addressOf(conversation), onclick },
      element("span", { class: "name" }, isChat(conversation) ? inChat() : isolated(personal)),
      element("time", { datetime: created }, briefly(created)),
      element("span", { class: "gist", dir: "auto" }, words)));
  }

  #show(isSearching) {
    $("results").hidden = !isSearching;
    $("inbox").hidden = isSearching;
    if (isSearching) return;
    $("search-status").textContent = "";
    $("hits").replaceChildren();
    $("more-hits").hidden = true;
  }
}

const LEAD = 40;
const characters = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/**
 * A long text before the first match would hide it: only its end is shown, from a whole character on.
 *
 * @param {(string | HTMLElement)[]} nodes
 */
function around([lead, ...rest]) {
  const isLong = typeof lead === "string" && lead.length > LEAD && rest.length > 0;
  if (!isLong) return [lead, ...rest];
  const index = characters.segment(lead).containing(lead.length - LEAD)?.index;
  return [`…${lead.slice(index)}`, ...rest];
}
