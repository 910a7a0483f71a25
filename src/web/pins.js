// @ts-check
/** What is pinned in the open chat: a bar above its messages, which shows one after the other. */
import { $ } from "./dom.js";
import { gist } from "./words.js";

/**
 * @typedef {import("/client/messages.js").ConversationHandle} ConversationHandle
 * @typedef {import("/client/messages.js").Message} Message
 */

export class Pins {
  #on;
  /** The chat, and its state of which the pins are. */
  #open = /** @type {ConversationHandle | null} */ (null);
  #asOf = /** @type {number | undefined} */ (undefined);
  /** The newest pin first. */
  #messages = /** @type {Message[]} */ ([]);
  #at = 0;
  /** Of the fetches, the last one counts. */
  #turn = 0; #hasFailed = false;

  /**
   * @param {{ show: (message: Message) => unknown, changed: () => unknown, failed: (error: unknown) => unknown }} on
   */
  constructor(on) {
    this.#on = on;
    $("pinned").addEventListener("click", () => {
      const shown = this.#messages[this.#at];
      this.#at = (this.#at + 1) % this.#messages.length;
      this.#show();
      if (shown) on.show(shown);
    });
  }

  /** @param {number} id */
  has(id) {
    return this.#messages.some((message) => message.id === id);
  }

  /**
   * Shows what is pinned in a conversation. It is fetched when another one is open, or the chat has changed.
   *
   * @param {ConversationHandle | null} conversation
   */
  async show(conversation) {
    const timestamp = conversation?.isChat ? conversation.state?.timestamp : undefined;
    const isOther = conversation?.key !== this.#open?.key;
    if (!isOther && timestamp === this.#asOf) return;
    if (isOther) this.#take([]);
    [this.#open, this.#asOf] = [conversation, timestamp];
    await this.#fetch();
  }

  /** The service is back: what could not be fetched is fetched. */
  async retry() {
    if (this.#hasFailed) await this.#fetch();
  }

  async #fetch() {
    const [turn, conversation] = [++this.#turn, this.#open];
    this.#hasFailed = false;
    if (!conversation || this.#asOf === undefined) return;
    try {
      const pins = await conversation.pins();
      if (turn === this.#turn) this.#take(pins.map(({ message }) => ({ ...message, conversation: conversation.key })));
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#hasFailed = true;
      this.#on.failed(error);
    }
  }

  /**
   * Takes changes of the messages: a deleted one is not pinned any more.
   *
   * @param {Message[]} changed
   */
  update(changed) {
    const newer = new Map(changed.map((message) => [message.id, message]));
    if (!this.#messages.some(({ id }) => newer.has(id))) return;
    this.#take(this.#messages.map((message) => newer.get(message.id) ?? message).filter(({ deleted }) => !deleted));
  }

  /** @param {Message[]} messages */
  #take(messages) {
    [this.#messages, this.#at] = [messages, 0];
    this.#show();
    this.#on.changed();
  }

  #show() {
    const count = this.#messages.length;
    $("pinned").hidden = count === 0;
    const shown = this.#messages[this.#at];
    if (!shown) return;
    $("pinned-gist").textContent = gist(shown);
    $("pinned-count").textContent = count > 1 ? `${this.#at + 1} of ${count}` : "";
  }
}
