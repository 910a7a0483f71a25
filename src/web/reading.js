/** Read marks: an open conversation counts as read. */
import { rethrowBug } from "./api.js";
import { isChat } from "./words.js";

export class Reading {
  #store; #changes; #isBusy = false;

  constructor(store, changes) {
    this.#store = store;
    this.#changes = changes;
  }

  /**
   * Marks the unread messages of a conversation. The service stores the marks of personal messages, so that the
   * other user sees them. The marks of chats are in the copy alone. A failure is repeated when the copy is
   * current.
   */
  async look(key, isCurrent) {
    if (!key || document.hidden || this.#isBusy || (!isChat(key) && !isCurrent)) return;
    this.#isBusy = true;
    try {
      for (let unread = await this.#store.unread(key); unread.length; unread = await this.#store.unread(key)) {
        if (isChat(key)) await this.#store.see(key);
        else for (const message of unread) await this.#changes.markRead(message);
      }
    } catch (error) {
      // Offline, or the message is not the user's any more, which the timeline reports.
      rethrowBug(error);
    } finally {
      this.#isBusy = false;
    }
  }
}
