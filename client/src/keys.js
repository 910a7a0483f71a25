// @ts-check
/** What names a conversation: `users/john` or `chats/3`, as in the paths of the service. */

/**
 * @typedef {string} ConversationKey
 *
 * @param {{ chat?: number, with?: string }} named
 * @returns {ConversationKey}
 */
export const keyOf = ({ chat, with: other }) => (chat === undefined ? `users/${other}` : `chats/${chat}`);

/** @param {ConversationKey} key */
export const isChat = (key) => key.startsWith("chats/");

/**
 * What a key names.
 *
 * @param {ConversationKey} key
 * @returns {{ chat?: number, with?: string }}
 */
export const namedBy = (key) => {
  const [kind, name] = key.split("/");
  return kind === "chats" ? { chat: Number(name) } : { with: name };
};

/** @param {ConversationKey} key */
export const pathOf = (key) => `/${key.split("/").map(encodeURIComponent).join("/")}`;

/**
 * A random key, for what is sent once. (`crypto.randomUUID` is missing on pages without TLS.)
 */
export function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
