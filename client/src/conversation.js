// @ts-check
/** One conversation, to be written to, read, marked and set. */
import { LAST } from "./copy.js";
import { withReactions } from "./history.js";
import { isChat, namedBy, pathOf, randomKey } from "./keys.js";
import { HistoryWindow } from "./window.js";

/**
 * @typedef {import("./copy.js").Message} Message
 *
 * What is to be sent: at least one of text, files and attributes.
 *
 * @typedef {object} Draft
 * @property {string} [text]
 * @property {string[]} [files]
 * @property {Record<string, unknown>} [attributes] `key` is added, by which the timeline's message is recognised
 * @property {string[]} [mentions]
 * @property {boolean} [mentionsAll]
 * @property {number} [replyTo]
 */

export class Conversation {
  #parts;

  /**
   * @param {{ calls: import("./calls.js").Calls, copy: import("./copy.js").Copy,
   *   history: import("./history.js").History, typing: import("./typing.js").Typing,
   *   isCurrent: () => boolean, enqueue: (item: any) => Promise<void>,
   *   watch: (window: HistoryWindow) => void }} parts
   * @param {import("./keys.js").ConversationKey} key
   */
  constructor(parts, key) {
    this.#parts = parts;
    /** What names it: `users/john`, `chats/3`. */
    this.key = key;
    const { chat, with: other } = namedBy(key);
    /** The number of a chat. */
    this.chat = chat;
    /** The other user of a personal conversation. */
    this.with = other;
  }

  get isChat() {
    return isChat(this.key);
  }

  /** The conversation as the copy has it, with what waits; undefined if the user does not see it. */
  get state() {
    return this.#parts.copy.conversation(this.key);
  }

  /**
   * Sends a message. Once this has returned, not even a crash loses it: it is sent once, after what was written
   * before it in this conversation.
   *
   * @param {Draft} draft
   */
  send({ attributes, files, text, ...rest }) {
    const key = randomKey();
    this.#parts.typing.sent(this.key);
    const body = {
      ...rest, ...(text && { text }), ...(files?.length && { files }), attributes: { ...attributes, key },
    };
    return this.#enqueue("send", body, { key });
  }

  /**
   * Edits a message of this conversation: what is given is replaced. If somebody else has changed its text meanwhile,
   * the edit becomes a conflict.
   *
   * @param {Message} message as the user has seen it
   * @param {{ text?: string, attributes?: Record<string, unknown> | null, mentions?: string[],
   *   mentionsAll?: boolean }} edit
   */
  edit(message, edit) {
    const { text } = edit;
    return this.#change("edit", message, { ...edit, ...(text !== undefined && { text: text.trim() }) });
  }

  /**
   * Deletes a message of this conversation for everybody, for ever; the same counts for a conflict.
   *
   * @param {Message} message as the user has seen it
   */
  remove(message) {
    return this.#change("remove", message, {});
  }

  /**
   * Reacts to a message of this conversation, or takes that back. A user reacts with up to 20 keys.
   *
   * @param {Message} message
   * @param {string} key an emoji, or any other text of up to 64 characters
   * @param {boolean} [reacts]
   */
  react({ id, reacted = 0 }, key, reacts = true) {
    return this.#enqueue("react", { key, reacts }, { id, base: reacted });
  }

  /**
   * What is pinned in a chat, the newest pin first. It needs the service.
   *
   * @returns {Promise<import("./copy.js").Schemas["Pin"][]>}
   */
  async pins() {
    const found = [];
    for (let before = ""; ;) {
      const { pins, next } = await this.call("GET", `/pins?limit=100${before}`);
      found.push(...pins);
      if (!next) return found;
      before = `&before=${next}`;
    }
  }

  /**
   * Pins a message of a chat, or removes the pin. It needs the service.
   *
   * @param {{ id: number }} message
   * @param {boolean} [isPinned]
   */
  pin({ id }, isPinned = true) {
    return this.call(isPinned ? "PUT" : "DELETE", `/pins/${id}`);
  }

  /**
   * Marks everything up to a number as read.
   *
   * @param {number} [number] that of the newest message, if it is left out
   */
  markRead(number = this.state?.messages ?? 0) {
    return this.#enqueue("read", { number });
  }

  /**
   * Marks a message, and all that come after it, as unread.
   *
   * @param {number} number
   */
  markUnread(number) {
    return this.#enqueue("read", { number: Math.max(0, number - 1), back: true });
  }

  /**
   * Changes what the user has set for it: `pinned`, `mutedUntil`, `archived`, `blocked`, `attributes`.
   *
   * @param {Partial<import("./copy.js").Schemas["SettingsPatch"]>} settings
   */
  set(settings) {
    return this.#enqueue("set", settings);
  }

  /**
   * Signals to the others in the conversation that something is happening at the moment. It is no promise, and only
   * those receive it who follow a stream now. Rejects where the service does not accept it: a user may signal once a
   * second.
   *
   * @param {string} kind a name that the application chooses
   * @param {{ ttl?: number, data?: Record<string, unknown> }} [signal] `ttl`: for how many seconds it holds
   */
  async signal(kind, { ttl, data } = {}) {
    await this.call("POST", "/signals", { body: { kind, ttl, data } });
  }

  /** Signals that the user is typing. It may be called at every key: the service is called every few seconds. */
  typing() {
    if (!this.#parts.isCurrent()) return;
    this.#parts.typing.signal(this.key, (body) => this.call("POST", "/signals", { body }));
  }

  /** The other users who are typing. */
  get typists() {
    return this.#parts.typing.users(this.key);
  }

  /**
   * A part of its messages, which follows what arrives. Nothing is in it before it is opened.
   */
  window() {
    const window = new HistoryWindow(this.#parts.history, this.#parts.copy, this.key);
    this.#parts.watch(window);
    return window;
  }

  /**
   * The newest messages that the copy has, the newest first.
   *
   * @param {number} limit
   */
  newest(limit) {
    return this.#parts.copy.messages(this.key, 0, LAST, { limit, reverse: true });
  }

  /**
   * Fetches a page of the replies to a message of this conversation, which may be deleted: those after a number, the
   * oldest first, up to 100. The copy has them then. `replies` counts all of them, and `next` is the `after` of the
   * next page, if there is one.
   *
   * @param {number} id
   * @param {{ after?: number, limit?: number }} [page]
   * @returns {Promise<import("./copy.js").Schemas["ReplyList"]>}
   */
  async replies(id, { after = 0, limit = 50 } = {}) {
    const query = `include=reactions&after=${after}&limit=${limit}`;
    const page = await this.#parts.calls.call("GET", `/messages/${id}/replies?${query}`);
    await this.#parts.copy.putMessages(page.messages.map(withReactions), this.key);
    return page;
  }

  /**
   * Calls the service for something of the conversation, as `call("GET", "/members")`.
   *
   * @param {string} method
   * @param {string} path
   * @param {import("./calls.js").CallOptions} [options]
   */
  call(method, path, options) {
    return this.#parts.calls.call(method, pathOf(this.key) + path, options);
  }

  /**
   * @param {"edit" | "remove"} kind
   * @param {Message} message
   * @param {Record<string, unknown>} body
   */
  #change(kind, { id, timestamp, text }, body) {
    return this.#enqueue(kind, body, { id, base: timestamp, texts: [text ?? ""] });
  }

  /**
   * @param {import("./copy.js").Item["kind"]} kind
   * @param {Record<string, unknown>} body
   * @param {Partial<import("./copy.js").Item>} [rest]
   */
  #enqueue(kind, body, rest) {
    return this.#parts.enqueue({ kind, conversation: this.key, body, ...rest });
  }
}
