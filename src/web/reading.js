/** Read marks: whoever looks at a conversation has read it. */
import { isChat } from "./words.js";

export class Reading {
  #store; #changes; #isBusy = false;

  constructor(store, changes) {
    this.#store = store;
    this.#changes = changes;
  }

  /**
   * Marks what is unread in a conversation. For people the service keeps the mark, so that the other side
   * sees it; for chats it keeps none, and the copy does. What fails is tried again when the copy is current.
   */
  async look(key, isCurrent) {
    if (!key || document.hidden || this.#isBusy || (!isChat(key) && !isCurrent)) return;
    this.#isBusy = true;
    try {
      for (let unread = await this.#store.unread(key); unread.length; unread = await this.#store.unread(key)) {
        if (isChat(key)) await this.#store.see(key);
        else for (const message of unread) await this.#changes.markRead(message);
      }
    } catch {
      // Offline, or not the user's any more: the timeline tells.
    } finally {
      this.#isBusy = false;
    }
  }
}
