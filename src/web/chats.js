/** Chats: fetches what the timeline only mentions, and the history that the copy does not have. */
import { pathOf, rethrowBug } from "./api.js";
import { NO_MEMBER } from "./words.js";

const PAGE = 50;

/**
 * Fetches the chats that the timeline has mentioned. The copy stores which chats are due, so none is forgotten
 * when the page closes.
 */
export class Chats {
  #call; #store; #isBusy = false;

  constructor(call, store) {
    this.#call = call;
    this.#store = store;
  }

  async refresh() {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      for (let due = await this.#due(); due.length; due = await this.#due()) {
        for (const conversation of due) await this.#fetch(conversation);
      }
    } catch (error) {
      // The chats are fetched again when the copy is current again.
      rethrowBug(error);
    } finally {
      this.#isBusy = false;
    }
  }

  async #due() {
    return (await this.#store.conversations()).filter(({ due }) => due !== undefined);
  }

  async #fetch({ key, due }) {
    try {
      await this.#store.putChat(await this.#call("GET", pathOf(key)));
    } catch (problem) {
      if (problem.status !== 404) throw problem;
      await this.#store.removeChat(key, due, NO_MEMBER);
    }
  }
}

/**
 * The messages of a conversation before an id, the newest first, up to a page. Of a personal conversation the
 * copy has everything. Of a chat it has the messages since the user became a member. They are numbered without
 * gaps, so a missing one is detected, and fetched.
 */
export async function olderMessages(call, store, key, oldest) {
  const held = await store.messagesBefore(key, oldest?.id ?? Number.MAX_SAFE_INTEGER, PAGE);
  if (!key.startsWith("chats/") || isWhole(held, oldest)) return held;
  const before = oldest?.number ? `&before=${oldest.number}` : "";
  const { messages } = await call("GET", `${pathOf(key)}/messages?limit=${PAGE}${before}`);
  await store.addHistory(key, messages);
  return messages;
}

/** Whether nothing is missing between `oldest` and the end of a page, or the beginning of the chat. */
function isWhole(page, oldest) {
  const next = oldest ? oldest.number - 1 : page[0]?.number;
  const isNext = ({ number }, position) => number === next - position;
  return page.every(isNext) && (page.length === PAGE || next - page.length === 0);
}
