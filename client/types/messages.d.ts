/**
 * Begins to follow.
 *
 * @param {import("./client.js").ConnectOptions} options
 */
export function connect(options: import("./client.js").ConnectOptions): Client;
export { eventReader } from "./events.js";
export { indexedDBStore } from "./indexeddb.js";
export { memoryStore } from "./memory.js";
import { Client } from "./client.js";
export { claimsOf, Problem } from "./calls.js";
export { isChat, keyOf, pathOf, randomKey } from "./keys.js";
