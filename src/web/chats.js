/** Chats: what the timeline only mentions is fetched here, and what a copy cannot know. */
import { pathOf } from "./api.js";
import { NO_MEMBER } from "./words.js";

const PAGE = 50;

/**
 * Fetches the chats that the timeline has mentioned. What is due stands in the copy, so that nothing is
 * forgotten when the page closes meanwhile.
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
    } catch {
      // The service is away. It is asked again when the copy is current again.
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
 * The messages of a conversation before an id, the newest first, as many as fit a page. Of conversations
 * with people the copy has everything. Of a chat it has what came since the user is a member: its messages
 * are numbered without gaps, so what is missing shows, and is fetched.
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
