// @ts-check
/**
 * The messages of a conversation, page by page: from the copy if it has the whole page, else from the service. The
 * messages are numbered without gaps, so a missing one is detected.
 */
import { unlessRefused } from "./calls.js";
import { pathOf } from "./keys.js";

const PAGE = 50;
/** The most that one call returns. */
const IDS_MAX = 100;

/**
 * @typedef {import("./copy.js").Message} Message
 * @typedef {import("./keys.js").ConversationKey} ConversationKey
 */

export class History {
  #calls;
  #copy;

  /**
   * @param {import("./calls.js").Calls} calls
   * @param {import("./copy.js").Copy} copy
   */
  constructor(calls, copy) {
    this.#calls = calls;
    this.#copy = copy;
  }

  /**
   * Brings up to a page of messages before a number into the copy. Returns the lowest number that follows without a
   * gap, `number` if there is none, or 1 if the user may read nothing before it.
   *
   * @param {ConversationKey} key
   * @param {number} number
   * @returns {Promise<number>}
   */
  async before(key, number) {
    if (number <= 1) return 1;
    const first = Math.max(1, number - PAGE);
    const held = (await this.#copy.messages(key, first, number - 1)).reverse();
    const lowOf = (/** @type {Message[]} */ messages) => number - runLength(messages, number - 1, -1);
    const low = lowOf(held.filter(isWhole));
    if (low === first) return low;
    const page = await this.#page(key, `before=${number}`);
    if (!page) return lowOf(held);
    return page.next ? (page.messages.at(-1)?.number ?? number) : 1;
  }

  /**
   * The same after a number; `last` is the number of the newest message. Returns the highest number.
   *
   * @param {ConversationKey} key
   * @param {number} number
   * @param {number} last
   * @returns {Promise<number>}
   */
  async after(key, number, last) {
    const end = Math.min(last, number + PAGE);
    if (end <= number) return number;
    const held = await this.#copy.messages(key, number + 1, end);
    const highOf = (/** @type {Message[]} */ messages) => number + runLength(messages, number + 1, 1);
    const high = highOf(held.filter(isWhole));
    if (high === end) return high;
    const page = await this.#page(key, `after=${number}`);
    return page ? (page.messages.at(-1)?.number ?? number) : highOf(held);
  }

  /**
   * Brings messages of a conversation into the copy, by their ids.
   *
   * @param {ConversationKey} key
   * @param {number[]} ids
   */
  async fetch(key, ids) {
    await this.#fetch(key, "/messages", `ids=${ids.slice(0, IDS_MAX)}`);
  }

  /**
   * A page of the service's; null if it cannot be fetched now.
   *
   * @param {ConversationKey} key
   * @param {string} path
   * @param {string} query
   */
  async #fetch(key, path, query) {
    const page = await unlessRefused(this.#calls.call("GET", `${path}?include=reactions&${query}`));
    if (page) await this.#copy.putMessages(page.messages.map(withReactions), key);
    return page;
  }

  /**
   * A page of a conversation.
   *
   * @param {ConversationKey} key
   * @param {string} place
   */
  #page(key, place) {
    return this.#fetch(key, `${pathOf(key)}/messages`, `limit=${PAGE}&${place}`);
  }
}

/** Whether the copy has a message with the reactions to it. @param {Message} message */
const isWhole = ({ reacted }) => reacted !== undefined;

/**
 * A message that was read with the reactions to it: where none are named, there are none.
 *
 * @param {any} message
 */
export function withReactions(message) {
  return { reacted: 0, ...message };
}

/**
 * How many messages follow each other by their numbers, from `first` on.
 *
 * @param {Message[]} messages
 * @param {number} first
 * @param {1 | -1} step
 */
function runLength(messages, first, step) {
  const end = messages.findIndex(({ number }, at) => number !== first + at * step);
  return end < 0 ? messages.length : end;
}
