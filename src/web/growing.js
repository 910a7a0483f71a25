// @ts-check
/** Messages that are being written before one's eyes: what the drafts of their senders say, until they are edited. */

/**
 * @typedef {import("/client/messages.js").Message} Message
 * @typedef {import("/client/messages.js").Signal} Signal
 *
 * @typedef {{ from: string, offset: number, text: string, end: ReturnType<typeof setTimeout>, of?: number }} Draft
 */

/** A draft may arrive this long after the edit that has ended it. */
const LATE_MS = 2000;

export class Growing {
  #onChange;
  /** By message; `of` is the version of it that goes on with the draft. @type {Map<number, Draft>} */
  #drafts = new Map();
  /** Until when drafts of messages that were just edited are too late. @type {Map<number, number>} */
  #lateUntil = new Map();

  /** @param {(key?: string) => void} onChange called when the text of a message has changed, with its conversation */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** @param {Signal} signal */
  receive({ key, kind, from, ttl, data }) {
    if (kind !== "draft") return;
    // The service checks drafts.
    const { message, offset, text } = /** @type {{ message: number, offset: number, text: string }} */ (/** @type {unknown} */ (data));
    if (Date.now() < (this.#lateUntil.get(message) ?? 0)) return;
    clearTimeout(this.#drafts.get(message)?.end);
    this.#drafts.set(message, { from, offset, text, end: setTimeout(() => this.#end(message), 1000 * ttl) });
    this.#onChange(key);
  }

  /**
   * The timeline has brought messages: they are as they are.
   *
   * @param {Message[]} messages
   */
  settle(messages) {
    const now = Date.now();
    for (const [id, until] of this.#lateUntil) if (until <= now) this.#lateUntil.delete(id);
    for (const { id, edited, deleted } of messages) {
      if (edited || deleted) this.#lateUntil.set(id, now + LATE_MS);
      this.#end(id);
    }
  }

  /**
   * The text of a message at the moment.
   *
   * @param {Message} message
   * @returns {string | undefined} undefined if nobody is writing it
   */
  textOf({ id, from, timestamp, text = "", deleted }) {
    const draft = this.#drafts.get(id);
    if (!draft || draft.from !== from || deleted) return undefined;
    draft.of ??= timestamp;
    if (draft.of !== timestamp) return undefined;
    return Array.from(text).slice(0, draft.offset).join("") + draft.text;
  }

  #end(id) {
    clearTimeout(this.#drafts.get(id)?.end);
    if (this.#drafts.delete(id)) this.#onChange();
  }
}
