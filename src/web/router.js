// @ts-check
/** The address of the page names the open conversation, so links, the history and reloading work. */
import { keyOf } from "/client/messages.js";
import { isUserId } from "./words.js";

/**
 * The address of a conversation within the page.
 *
 * @param {{ chat?: number, with?: string }} conversation
 */
export const addressOf = ({ chat, with: other }) =>
  (chat === undefined ? `#/users/${encodeURIComponent(other ?? "")}` : `#/chats/${chat}`);

/** The key of the conversation that an address names, or null. */
export function keyAt(address) {
  const [, kind, encoded = ""] = /^#\/(users|chats)\/([^/]+)$/.exec(address) ?? [];
  const name = decoded(encoded);
  if (kind === "chats") return /^\d{1,15}$/.test(name) ? keyOf({ chat: Number(name) }) : null;
  return isUserId(name) ? keyOf({ with: name }) : null;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

export class Router {
  #onRoute;

  /**
   * `onRoute(key)` shows a conversation, or none for null.
   *
   * @param {(key: string | null) => Promise<void>} onRoute
   */
  constructor(onRoute) {
    this.#onRoute = onRoute;
    addEventListener("hashchange", () => this.follow());
  }

  /** Shows what the address names. */
  follow() {
    return this.#onRoute(keyAt(location.hash));
  }

  /**
   * Goes to a conversation.
   *
   * @param {{ chat?: number, with?: string }} conversation
   */
  go(conversation) {
    const address = addressOf(conversation);
    if (location.hash !== address) history.pushState(null, "", address);
    return this.follow();
  }

  /** Goes to the list, from where nothing leads back. */
  leave() {
    history.replaceState(null, "", "#/");
    return this.follow();
  }
}
