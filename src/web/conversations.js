/** Conversations: fetches those of which the timeline tells only that they have changed, and changes their settings. */
import { pathOf, rethrowBug } from "./api.js";
import { NO_MEMBER } from "./words.js";

export class Conversations {
  #call; #store; #isBusy = false;

  constructor(call, store) {
    this.#call = call;
    this.#store = store;
  }

  /** Fetches what is due. The copy stores that, so nothing is forgotten when the page closes. */
  async refresh() {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      for (let due = await this.#store.due(); due.length; due = await this.#store.due()) {
        for (const { key, due: since } of due) {
          await this.#store.fetched(key, await this.#find(key), since, NO_MEMBER);
        }
      }
    } catch (error) {
      // They are fetched again when the copy is current again.
      rethrowBug(error);
    } finally {
      this.#isBusy = false;
    }
  }

  /** Fetches a conversation that the timeline has perhaps not brought yet. */
  async add(key) {
    await this.#store.addConversation(await this.#call("GET", pathOf(key)));
  }

  /** Changes what the user has set for a conversation. The timeline brings it to all devices, this one too. */
  async set(key, settings) {
    await this.#call("PATCH", `${pathOf(key)}/settings`, { body: settings });
  }

  /** Marks a conversation as read up to a number. With `back`, everything after it is unread again. */
  async mark(key, number, { back } = {}) {
    await this.#call("PUT", `${pathOf(key)}/read`, { body: { number, ...(back && { back }) } });
  }

  /** A conversation as the service has it, or null. */
  async #find(key) {
    try {
      return await this.#call("GET", pathOf(key));
    } catch (problem) {
      if (problem.status !== 404) throw problem;
      return null;
    }
  }
}
