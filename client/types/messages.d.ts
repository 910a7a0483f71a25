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
export function connect(options: import("./client.js").ConnectOptions): Client;
export { Client } from "./client.js";
export { eventReader } from "./events.js";
export { indexedDBStore } from "./indexeddb.js";
export { memoryStore } from "./memory.js";
export type ConversationHandle = import("./conversation.js").Conversation;
export type Conversation = import("./copy.js").Conversation;
export type Item = import("./copy.js").Item;
export type Message = import("./copy.js").Message;
export type Signal = import("./client.js").Signal;
export type Store = import("./memory.js").Store;
export type HistoryWindow = import("./window.js").HistoryWindow;
import { Client } from "./client.js";
export { claimsOf, OtherUser, Problem } from "./calls.js";
export { isChat, keyOf, pathOf, randomKey } from "./keys.js";
