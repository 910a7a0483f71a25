/** Read marks: an open conversation counts as read, up to its newest message. */
import { rethrowBug } from "./api.js";
import { isChat } from "./words.js";

export class Reading {
  #store; #changes; #isBusy = false;

  constructor(store, changes) {
    this.#store = store;
    this.#changes = changes;
  }

  /**
   * Marks a conversation as read. The service stores how far the users of a personal conversation have read, so
   * that the other user sees it. One mark, of the newest unread message, covers all before it. The marks of chats
   * are in the copy alone. A failure is repeated when the copy is current.
   */
  async look(key, isCurrent) {
    if (!key || document.hidden || this.#isBusy || (!isChat(key) && !isCurrent)) return;
    this.#isBusy = true;
    try {
      for (let unread = await this.#store.unread(key); unread.length; unread = await this.#store.unread(key)) {
        if (isChat(key)) await this.#store.see(key);
        else await this.#changes.markRead(unread.at(-1));
      }
    } catch (error) {
      // Offline, or the message is not the user's any more, which the timeline reports.
      rethrowBug(error);
    } finally {
      this.#isBusy = false;
    }
  }
}
