/** @typedef {import("./client.js").Client} Client */
/**
 * The conversations, in the order of a list.
 *
 * @param {Client} client
 */
export function useConversations(client: Client): import("./copy.js").Conversation[];
/**
 * Whether the copy is current: "connecting", "current" or "offline".
 *
 * @param {Client} client
 */
export function useConnection(client: Client): import("./timeline.js").State;
/**
 * The messages of a conversation, from the first unread one on, and what waits to be sent. `older()` and `newer()`
 * show more.
 *
 * @param {Client} client
 * @param {string} key `users/john`, `chats/3`
 */
export function useMessages(client: Client, key: string): {
    conversation: import("./conversation.js").Conversation;
    messages: import("./copy.js").Message[];
    waiting: import("./copy.js").Item[];
    hasOlder: boolean;
    hasNewer: boolean;
    older: () => Promise<boolean>;
    newer: () => Promise<boolean>;
};
export type Client = import("./client.js").Client;
