// @ts-check
/** Offers the members of a chat while `@` and the beginning of a name are typed. */
import { pathOf, Problem } from "/client/messages.js";
import { $, element } from "./dom.js";
import { ALL, namesIn } from "./text.js";

/**
 * @typedef {import("/client/messages.js").Client} Client
 * @typedef {import("/client/messages.js").ConversationHandle} Conversation
 */

const OFFERS_MAX = 6;
/** An `@` at the beginning of a word, up to the caret. */
const BEGUN = /(?<![\p{L}\p{N}_.@:|-])@([\w.@:|-]*)$/u;

export class Mentions {
  /** @type {Client["call"]} */ #call;
  #user; #conversation = /** @type {Conversation | null} */ (null); #members = /** @type {string[]} */ ([]);
  #loading = /** @type {Promise<void> | null} */ (null); #chosen = 0;

  /**
   * @param {Client["call"]} call
   * @param {string} user
   */
  constructor(call, user) {
    [this.#call, this.#user] = [call, user];
    $("text").addEventListener("input", () => this.#offer());
    $("text").addEventListener("blur", () => this.#close());
  }

  /**
   * Another conversation is open now. The members are needed if the draft may mention some.
   *
   * @param {Conversation} conversation
   * @param {string} draft
   */
  open(conversation, draft) {
    [this.#conversation, this.#members, this.#loading] = [conversation, [], null];
    this.#close();
    if (draft.includes("@")) this.#load();
  }

  /**
   * Whom a text mentions: the fields of a message.
   *
   * @param {string} text
   */
  of(text) {
    const names = namesIn(text, this.#names);
    const mentions = names.filter((name) => this.#members.includes(name));
    const isAll = names.includes(ALL) && !this.#members.includes(ALL);
    return { ...(mentions.length && { mentions }), ...(isAll && { mentionsAll: true }) };
  }

  /**
   * Handles a key while members are offered; returns whether it did.
   *
   * @param {KeyboardEvent} event
   */
  onKey(event) {
    if ($("mentions").hidden) return false;
    const count = $("mentions").childElementCount;
    const step = { ArrowUp: count - 1, ArrowDown: 1 }[event.key];
    if (step !== undefined) this.#mark((this.#chosen + step) % count);
    else if (event.key === "Enter" || event.key === "Tab") this.#choose($("mentions").children[this.#chosen].dataset.name);
    else if (event.key === "Escape") this.#close();
    else return false;
    event.preventDefault();
    return true;
  }

  get #names() {
    return this.#members.includes(ALL) ? this.#members : [...this.#members, ALL];
  }

  async #offer() {
    const begun = this.#begun();
    if (begun === undefined || !this.#conversation?.isChat) return this.#close();
    await this.#load();
    // Some more may have been typed meanwhile.
    const now = this.#begun()?.toLowerCase();
    const found = now === undefined || document.activeElement !== $("text") ? []
      : this.#names.filter((name) => name !== this.#user && name.toLowerCase().startsWith(now)).slice(0, OFFERS_MAX);
    if (!found.length || !this.#members.length) return this.#close();
    $("mentions").replaceChildren(...found.map((name) => this.#row(name)));
    $("mentions").hidden = false;
    this.#mark(0);
  }

  #row(name) {
    const isAll = name === ALL && !this.#members.includes(ALL);
    const onmousedown = (event) => {
      // The field keeps the focus.
      event.preventDefault();
      this.#choose(name);
    };
    return element("li", { role: "option", id: `mention-${name}`, "data-name": name, onmousedown },
      element("strong", {}, `@${name}`), isAll && element("span", {}, "everybody in this chat"));
  }

  #begun() {
    const { value, selectionStart, selectionEnd } = $("text");
    return selectionStart === selectionEnd ? BEGUN.exec(value.slice(0, selectionStart))?.[1] : undefined;
  }

  #mark(at) {
    this.#chosen = at;
    Array.from($("mentions").children).forEach((row, place) => { row.ariaSelected = `${place === at}`; });
    $("text").setAttribute("aria-activedescendant", $("mentions").children[at].id);
  }

  #choose(name) {
    const [typed, end] = [this.#begun(), $("text").selectionStart];
    this.#close();
    // The caret was moved away.
    if (typed === undefined) return;
    $("text").setRangeText(`${name} `, end - typed.length, end, "end");
    $("text").dispatchEvent(new Event("input"));
  }

  #close() {
    $("mentions").hidden = true;
    $("text").removeAttribute("aria-activedescendant");
  }

  #load() {
    if (!this.#conversation?.isChat) return;
    this.#loading ??= this.#fetch(this.#conversation);
    return this.#loading;
  }

  async #fetch(chat) {
    try {
      const members = await membersOf(this.#call, chat.key);
      if (this.#conversation === chat) this.#members = members.map(({ user }) => user);
    } catch (error) {
      // Offline: the next `@` tries again.
      if (!(error instanceof Problem)) throw error;
      if (this.#conversation === chat) this.#loading = null;
    }
  }
}

/**
 * All members of a chat, with their roles.
 *
 * @param {Client["call"]} call
 * @param {string} key
 * @returns {Promise<import("/client/copy.js").Schemas["Member"][]>}
 */
export async function membersOf(call, key) {
  const found = [];
  for (let after = ""; ;) {
    const page = await call("GET", `${pathOf(key)}/members?limit=100${after}`);
    found.push(...page.members);
    if (!page.next) return found;
    after = `&after=${encodeURIComponent(page.next)}`;
  }
}
