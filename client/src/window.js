// @ts-check
/**
 * A part of a conversation, without gaps: what is shown of it. It grows in both directions, and with what arrives
 * when it reaches to the end.
 */
import { LAST } from "./copy.js";

/**
 * @typedef {import("./copy.js").Message} Message
 * @typedef {import("./copy.js").Item} Item
 * @typedef {{ low: number, high: number }} Range
 */

export class HistoryWindow {
  #history;
  #copy;
  /** The numbers of the first and the last message: `high` is `LAST` when the window reaches to the end. */
  #range = /** @type {Range | null} */ (null);
  /** Where it was opened, if that was said. @type {number | undefined} */
  #wanted;
  /** It was opened before the copy had the conversation. */
  #isBlind = false;
  /** It could not be fetched. */
  #hasFailed = false;
  #isClosed = false;
  #opened = 0;
  #asking = 0;
  #shown = 0;
  /** @type {Record<string, Promise<boolean> | null>} */
  #extending = {};
  #asked = /** @type {Set<number>} */ (new Set());
  #onChange = /** @type {Set<() => void>} */ (new Set());

  /** The messages, in order. @type {Message[]} */
  messages = [];
  /** What waits to be sent after them. @type {Item[]} */
  waiting = [];
  /** The messages to which these reply, by their ids, as far as the copy has them. @type {Map<number, Message>} */
  quoted = new Map();

  /**
   * @param {import("./history.js").History} history
   * @param {import("./copy.js").Copy} copy
   * @param {import("./keys.js").ConversationKey} key
   */
  constructor(history, copy, key) {
    this.#history = history;
    this.#copy = copy;
    this.key = key;
  }

  /** The conversation as the copy has it. */
  get conversation() {
    return this.#copy.conversation(this.key);
  }

  /** Whether there may be older messages than those that are there. */
  get hasOlder() {
    return this.#range !== null && this.#range.low > 1;
  }

  /** Whether there are newer messages than those that are there. */
  get hasNewer() {
    return this.#range !== null && this.#range.high !== LAST;
  }

  /** Whether anything could be shown yet. */
  get isOpen() {
    return this.#range !== null;
  }

  /**
   * Calls `listener` after each change. Returns a function that ends that.
   *
   * @param {() => void} listener
   */
  watch(listener) {
    this.#onChange.add(listener);
    return () => { this.#onChange.delete(listener); };
  }

  /**
   * Opens at a message, or else at the first unread one, or at the end. Returns whether it is there: not if it cannot
   * be fetched now, or the window was opened elsewhere meanwhile.
   *
   * @param {number} [number]
   */
  async open(number) {
    const turn = ++this.#opened;
    this.#isClosed = false;
    this.#wanted = number;
    const { timestamp, read = 0, unread = 0, messages = 0 } = this.conversation ?? {};
    this.#isBlind = !timestamp;
    const isThere = await this.#openAt(number ?? (unread ? read : messages), messages, turn);
    if (turn !== this.#opened) return false;
    this.#hasFailed = !isThere;
    if (isThere) await this.refresh();
    return isThere;
  }

  /** Opens it again if it could not be fetched. */
  async retry() {
    if (this.#hasFailed && !this.#isClosed) await this.open(this.#wanted);
  }

  /** The copy was made anew: what is there may have gaps. */
  async reset() {
    if (!this.isOpen) return;
    this.#range = null;
    if (!(await this.open())) await this.toEnd();
  }

  /** Goes to the end: what the copy has of it, if it cannot be fetched. Returns whether it has the newest message. */
  async toEnd() {
    if (this.#range?.high === LAST) return true;
    const turn = ++this.#opened;
    const { messages = 0 } = this.conversation ?? {};
    const isThere = await this.#openAt(messages, messages, turn);
    if (turn !== this.#opened) return false;
    if (!isThere) this.#range ??= { low: messages + 1, high: LAST };
    await this.refresh();
    return isThere;
  }

  /** Shows a page of older messages more; returns whether there was one. Offline there may be none. */
  older() {
    return this.#extend("older", this.hasOlder, async ({ low: from }) => {
      const low = await this.#history.before(this.key, from);
      return low < from && { low };
    });
  }

  /** The same for newer ones. */
  newer() {
    return this.#extend("newer", this.hasNewer, async ({ high: from }) => {
      const last = this.conversation?.messages ?? 0;
      const high = await this.#history.after(this.key, from, last);
      return (high > from || high >= last) && { high: endAt(high, last) };
    });
  }

  /** Reads again what the copy has. */
  async refresh() {
    const range = this.#range;
    if (!range) return;
    // Only now the copy can say where it begins.
    if (this.#isBlind && this.conversation?.timestamp) {
      await this.open(this.#wanted);
      return;
    }
    const turn = ++this.#asking;
    const messages = await this.#copy.messages(this.key, range.low, range.high);
    const quoted = await this.#quotedBy(messages);
    // A call that began later has read later.
    if (this.#range !== range || turn < this.#shown) return;
    this.#shown = turn;
    this.messages = messages;
    this.quoted = quoted;
    this.waiting = range.high === LAST ? this.#copy.waitingIn(this.key).filter(({ kind }) => kind === "send") : [];
    for (const listener of this.#onChange) listener();
  }

  /** Nothing is shown any more. */
  close() {
    this.#isClosed = true;
    this.#opened += 1;
    this.#range = null;
    this.#onChange.clear();
  }

  /**
   * @param {number} number
   * @param {number} last
   * @param {number} turn
   */
  async #openAt(number, last, turn) {
    const [low, high] = await Promise.all([
      this.#history.before(this.key, number + 1),
      this.#history.after(this.key, number, last),
    ]);
    // Whoever has joined late may read none of them.
    const isNone = low > high && last > 0 && low > 1;
    if (turn !== this.#opened || isNone || (high === number && number < last)) return false;
    this.#range = { low, high: endAt(high, last) };
    this.#extending = {};
    return true;
  }

  /**
   * Callers meanwhile wait for the same page.
   *
   * @param {"older" | "newer"} direction
   * @param {boolean} hasMore
   * @param {(range: Range) => Promise<Partial<Range> | false>} further to where it reaches then, if it does
   * @returns {Promise<boolean>}
   */
  async #extend(direction, hasMore, further) {
    const range = this.#range;
    if (!range || !hasMore || this.conversation?.isGone) return false;
    const turn = this.#opened;
    const extend = async () => {
      const reached = await further(range);
      if (turn !== this.#opened || !this.#range || !reached) return false;
      this.#range = { ...this.#range, ...reached };
      await this.refresh();
      return true;
    };
    const extending = this.#extending;
    extending[direction] ??= extend().finally(() => { extending[direction] = null; });
    return extending[direction];
  }

  /**
   * The messages to which these reply. Those that the copy lacks are fetched, once.
   *
   * @param {Message[]} messages
   */
  async #quotedBy(messages) {
    const shown = new Map(messages.map((message) => [message.id, message]));
    /** @type {Map<number, Message>} */
    const quoted = new Map();
    const missing = [];
    for (const { replyTo } of messages) {
      if (!replyTo || quoted.has(replyTo)) continue;
      const held = shown.get(replyTo) ?? (await this.#copy.message(replyTo));
      if (held) quoted.set(replyTo, held);
      else if (!this.#asked.has(replyTo)) missing.push(replyTo);
    }
    for (const id of missing) this.#asked.add(id);
    if (missing.length) this.#history.fetch(this.key, missing);
    return quoted;
  }
}

/** Where a range ends that reaches to `high`. @param {number} high @param {number} last the newest message */
const endAt = (high, last) => (high >= last ? LAST : high);
