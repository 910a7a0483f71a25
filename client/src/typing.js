// @ts-check
/** Who is typing where, as their signals say; and the signals of the user's own typing, no more than are needed. */

/** For how long the user's own typing holds at the others, in seconds. */
const TTL_SECONDS = 5;
/** It is signalled again after this time, before it ends there. */
const REPEAT_MS = 3000;
/** The same where it was refused, as in a large chat. */
const REFUSED_MS = 60_000;
/** A signal may arrive this long after the message that was sent after it. */
const LATE_MS = 1000;
/** The service takes one signal of a user a second. */
const PACE_MS = 1500;

/**
 * @typedef {import("./keys.js").ConversationKey} ConversationKey
 *
 * A user who is typing, or who has just sent a message: then a signal is late. `timer` ends either.
 * @typedef {{ isTyping: boolean, timer: ReturnType<typeof setTimeout> }} Typist
 */

export class Typing {
  #onChange;
  /** By conversation. @type {Map<ConversationKey, Map<string, Typist>>} */
  #typists = new Map();
  /** When the user's own typing may be signalled again. @type {Map<ConversationKey, number>} */
  #notBefore = new Map();
  /** The same for all conversations. */
  #notBeforeAnywhere = 0;

  /** @param {(key: ConversationKey) => void} onChange called when other users are typing in a conversation */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /**
   * Who is typing, the first one first.
   *
   * @param {ConversationKey} key
   */
  users(key) {
    return [...(this.#typists.get(key) ?? [])].filter(([, { isTyping }]) => isTyping).map(([user]) => user);
  }

  /**
   * A user has signalled to be typing for so many seconds from now.
   *
   * @param {ConversationKey} key
   * @param {string} user
   * @param {number} seconds
   */
  begin(key, user, seconds) {
    if (this.#typists.get(key)?.get(user)?.isTyping !== false) this.#set(key, user, true, 1000 * seconds);
  }

  /**
   * A user's message has come.
   *
   * @param {ConversationKey} key
   * @param {string} user
   */
  end(key, user) {
    this.#set(key, user, false, LATE_MS);
  }

  /** Nobody is typing, as far as can be said. */
  clear() {
    for (const [key, typists] of this.#typists) for (const user of [...typists.keys()]) this.#set(key, user, false, 0);
  }

  /**
   * @param {ConversationKey} key
   * @param {string} user
   * @param {boolean} isTyping
   * @param {number} ms for how long
   */
  #set(key, user, isTyping, ms) {
    const typists = this.#typists.get(key) ?? new Map();
    this.#typists.set(key, typists);
    const before = typists.get(user);
    clearTimeout(before?.timer);
    if (isTyping || ms) typists.set(user, { isTyping, timer: setTimeout(() => this.#set(key, user, false, 0), ms) });
    else typists.delete(user);
    if ((before?.isTyping ?? false) !== isTyping) this.#onChange(key);
  }

  /**
   * Signals that the user is typing, unless that was signalled a moment ago. Whether it succeeds does not matter.
   *
   * @param {ConversationKey} key
   * @param {(body: { kind: string, ttl: number }) => Promise<unknown>} post
   */
  async signal(key, post) {
    const now = Date.now();
    if (now < Math.max(this.#notBeforeAnywhere, this.#notBefore.get(key) ?? 0)) return;
    this.#notBeforeAnywhere = now + PACE_MS;
    this.#notBefore.set(key, now + REPEAT_MS);
    try {
      await post({ kind: "typing", ttl: TTL_SECONDS });
    } catch (/** @type {any} */ problem) {
      if (problem.status === 403) this.#notBefore.set(key, Date.now() + REFUSED_MS);
    }
  }

  /**
   * The user has sent a message: what is typed next is signalled as soon as nobody takes it for late.
   *
   * @param {ConversationKey} key
   */
  sent(key) {
    const refused = (this.#notBefore.get(key) ?? 0) > Date.now() + REPEAT_MS;
    if (!refused) this.#notBefore.set(key, Date.now() + LATE_MS);
  }
}
