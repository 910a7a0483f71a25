// @ts-check
/**
 * The messages of a conversation, page by page: from the copy if it has the whole page, else from the service. The
 * messages are numbered without gaps, so a missing one is detected.
 */
import { Problem } from "./calls.js";
import { pathOf } from "./keys.js";

const PAGE = 50;
/** The most that one call returns. */
const IDS_MAX = 100;

/** @typedef {import("./keys.js").ConversationKey} ConversationKey */

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
   * gap, `number` if there is none, and whether it is the first one that the user may read.
   *
   * @param {ConversationKey} key
   * @param {number} number
   */
  async before(key, number) {
    if (number <= 1) return { low: 1, isFirst: true };
    const first = Math.max(1, number - PAGE);
    const held = await this.#numbers(key, first, number - 1);
    const low = number - runLength(held.reverse(), number - 1, -1);
    if (low === first) return { low, isFirst: first === 1 };
    const page = await this.#fetch(key, `before=${number}`);
    return page ? { low: page.messages.at(-1)?.number ?? number, isFirst: !page.next } : { low, isFirst: false };
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
    const held = await this.#numbers(key, number + 1, end);
    const high = number + runLength(held, number + 1, 1);
    if (high === end) return high;
    const page = await this.#fetch(key, `after=${number}`);
    return page ? (page.messages.at(-1)?.number ?? number) : high;
  }

  /**
   * Brings messages of a conversation into the copy, by their ids.
   *
   * @param {ConversationKey} key
   * @param {number[]} ids
   */
  async fetch(key, ids) {
    try {
      const { messages } = await this.#calls.call("GET", `/messages?include=reactions&ids=${ids.slice(0, IDS_MAX)}`);
      await this.#copy.putMessages(messages.map(withReactions), key);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
    }
  }

  /**
   * The numbers of the messages that the copy has whole: with the reactions to them.
   *
   * @param {ConversationKey} key
   * @param {number} low
   * @param {number} high
   */
  async #numbers(key, low, high) {
    const held = await this.#copy.messages(key, low, high);
    return held.filter(({ reacted }) => reacted !== undefined).map(({ number }) => number);
  }

  /**
   * A page of the service's; null if it cannot be fetched now.
   *
   * @param {ConversationKey} key
   * @param {string} place
   */
  async #fetch(key, place) {
    try {
      const page = await this.#calls.call("GET", `${pathOf(key)}/messages?include=reactions&limit=${PAGE}&${place}`);
      await this.#copy.putMessages(page.messages.map(withReactions), key);
      return page;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return null;
    }
  }
}

/**
 * A message that was read with the reactions to it: where none are named, there are none.
 *
 * @param {any} message
 */
function withReactions(message) {
  return { reacted: 0, ...message };
}

/**
 * How many numbers follow each other, from `first` on.
 *
 * @param {number[]} numbers
 * @param {number} first
 * @param {1 | -1} step
 */
function runLength(numbers, first, step) {
  const end = numbers.findIndex((number, at) => number !== first + at * step);
  return end < 0 ? numbers.length : end;
}
