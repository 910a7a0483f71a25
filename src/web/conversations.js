/** Conversations: fetches what the timeline only mentions, and the history that the copy does not have. */
import { pathOf, rethrowBug } from "./api.js";
import { isChat, NO_MEMBER } from "./words.js";

const PAGE = 50;

/** A personal conversation without a message. */
const NOTHING_READ = { timestamp: 0, read: 0, reads: [] };

/**
 * Fetches the chats, and the positions of the personal conversations, that the timeline has mentioned. The copy
 * stores which conversations are due, so none is forgotten when the page closes.
 */
export class Conversations {
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
      // They are fetched again when the copy is current again.
      rethrowBug(error);
    } finally {
      this.#isBusy = false;
    }
  }

  async #due() {
    return (await this.#store.conversations()).filter(({ due }) => due !== undefined);
  }

  async #fetch({ key, due }) {
    const found = await this.#find(key);
    if (!isChat(key)) await this.#store.putPositions(key, found ?? NOTHING_READ, due);
    else if (found) await this.#store.putChat(found, due);
    else await this.#store.removeChat(key, due, NO_MEMBER);
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

/**
 * The messages of a conversation before another one, the newest first, up to a page. Of a personal conversation the
 * copy has everything. Of a chat it has the messages since the user became a member. They are numbered without
 * gaps, so a missing one is detected, and fetched.
 */
export async function olderMessages(call, store, key, oldest) {
  const held = await store.messagesBefore(key, oldest?.number ?? Number.MAX_SAFE_INTEGER, PAGE);
  if (!isChat(key) || isWhole(held, oldest)) return held;
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
