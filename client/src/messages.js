// @ts-check
/**
 * Keeps a copy of a user's conversations current, sends exactly once, and works offline.
 *
 *   const client = connect({ base: "https://messages.example", getToken, store: indexedDBStore("messages") });
 *   client.on("change", () => show(client.conversations));
 *   await client.with("john").send({ text: "Hello, John!" });
 */
import { Client } from "./client.js";

export { claimsOf, OtherUser, Problem } from "./calls.js";
export { Client } from "./client.js";
export { eventReader } from "./events.js";
export { indexedDBStore } from "./indexeddb.js";
export { isChat, keyOf, pathOf, randomKey } from "./keys.js";
export { memoryStore } from "./memory.js";

/**
 * @typedef {import("./conversation.js").Conversation} ConversationHandle
 * @typedef {import("./copy.js").Conversation} Conversation
 * @typedef {import("./copy.js").Item} Item
 * @typedef {import("./copy.js").Message} Message
 * @typedef {import("./client.js").Signal} Signal
 * @typedef {import("./memory.js").Store} Store
 * @typedef {import("./window.js").HistoryWindow} HistoryWindow
 */

/**
 * Begins to follow.
 *
 * @param {import("./client.js").ConnectOptions} options
 */
export function connect(options) {
  return new Client(options);
}
