// @ts-check
/** How long the user still waits before the next message into a slow chat, by the clock of this browser. */
import { pauseOf } from "./rights.js";

/** @typedef {import("/client/messages.js").Conversation} Conversation */

export class Waits {
  /** By the key of a conversation. @type {Map<string, number>} */
  #until = new Map();

  /**
   * The user has sent something into a conversation.
   *
   * @param {Conversation} conversation
   */
  begin(conversation) {
    this.hold(conversation.key, pauseOf(conversation));
  }

  /** The service has said how many seconds are left. */
  hold(key, seconds) {
    this.#until.set(key, Date.now() + 1000 * seconds);
  }

  /**
   * What is left of the wait, in milliseconds. It is over at once where the chat is not slow any more.
   *
   * @param {Conversation} conversation
   */
  left(conversation) {
    if (pauseOf(conversation) === 0) return 0;
    return Math.max(0, (this.#until.get(conversation.key) ?? 0) - Date.now());
  }
}
