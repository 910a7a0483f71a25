// @ts-check
/**
 * Where messages are written: the composer, or a line that says why the user does not write in this conversation. It
 * follows the conversation, and the clock: mutes and suspensions end, and so do the waits of slow chats.
 */
import { $ } from "./dom.js";
import { silenceOf } from "./rights.js";
import { endOf } from "./words.js";

/** @typedef {import("/client/messages.js").Conversation} Conversation */

const SECOND_MS = 1000;
/** The longest time that a browser's timer can wait. */
const TIMER_MAX_MS = 2 ** 31 - 1;

const WORDS = {
  suspended: (until) => `You are suspended${endOf(until) ? ` until ${endOf(until)}` : ""}. You can read, but not write.`,
  unaccepted: () => "Users cannot write to each other here.",
  frozen: () => "This chat is frozen. Nobody can write here.",
  reader: () => "You are a reader of this chat. You cannot write here.",
  announcements: () => "Only moderators can write in this chat.",
  muted: (until) => (endOf(until) ? `You are muted until ${endOf(until)}.` : "You are muted in this chat."),
};

export class Posting {
  #composer; #waits; #limits; #onEnd; #timer;

  /**
   * `limits()` are those of the user; `onEnd` is called when a mute of the open conversation, or a suspension, has
   * ended.
   *
   * @param {{ composer: import("./composer.js").Composer, waits: import("./waits.js").Waits,
   *   limits: () => import("./rights.js").Limits, onEnd: () => unknown }} parts
   */
  constructor({ composer, waits, limits, onEnd }) {
    this.#composer = composer;
    this.#waits = waits;
    this.#limits = limits;
    this.#onEnd = onEnd;
  }

  /**
   * Shows what belongs to the open conversation.
   *
   * @param {Conversation} conversation
   */
  show(conversation) {
    const { isGone, settings } = conversation;
    const silence = isGone ? undefined : silenceOf(conversation, Date.now(), this.#limits());
    $("blocked").hidden = !settings?.blocked;
    $("composer").hidden = Boolean(isGone || settings?.blocked || silence);
    $("silence").hidden = !silence;
    const words = silence ? WORDS[silence.reason](silence.until) : "";
    // A screen reader announces each change.
    if ($("silence").textContent !== words) $("silence").textContent = words;
    this.#follow(conversation, silence);
  }

  /**
   * @param {Conversation} conversation
   * @param {import("./rights.js").Silence} [silence]
   */
  #follow(conversation, silence) {
    clearTimeout(this.#timer);
    const left = this.#waits.left(conversation);
    this.#composer.wait(Math.ceil(left / SECOND_MS));
    if (silence?.until) {
      const silent = silence.until - Date.now();
      this.#timer = setTimeout(this.#onEnd, Math.min(silent, TIMER_MAX_MS));
    } else if (left > 0) {
      this.#timer = setTimeout(() => this.#follow(conversation), left % SECOND_MS || SECOND_MS);
    }
  }
}
