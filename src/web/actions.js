// @ts-check
/** What a user may do with a conversation as a whole. */
import { isChat, isMuted } from "./words.js";

const MUTE_MS = 8 * 60 * 60 * 1000;
const ALWAYS = "9999-12-31T00:00:00Z";

/**
 * The items of the menu of a conversation of `user`: [label, action]. `set(settings)`, `read()` and `unread()` carry
 * them out.
 *
 * @param {import("/client/messages.js").Conversation} conversation
 * @param {string} user
 * @param {{ set: (settings: Record<string, unknown>) => unknown, read: () => unknown, unread: () => unknown }} on
 */
export function actionsFor(conversation, user, { set, read, unread }) {
  const { settings = {}, messages = 0, unread: count = 0 } = conversation;
  const later = () => set({ mutedUntil: new Date(Date.now() + MUTE_MS).toISOString() });
  const mutes = [["Mute for 8 hours", later], ["Mute always", () => set({ mutedUntil: ALWAYS })]];
  const marks = count > 0 ? [["Mark as read", read]] : [["Mark as unread", unread]];
  const toggle = (name, label, undo) => [settings[name] ? undo : label, () => set({ [name]: !settings[name] })];
  return [
    ...(messages > 0 ? marks : []),
    toggle("pinned", "Pin", "Unpin"),
    ...(isMuted(conversation) ? [["Unmute", () => set({ mutedUntil: null })]] : mutes),
    toggle("archived", "Archive", "Unarchive"),
    ...(isChat(conversation) || conversation.with === user ? [] : [toggle("blocked", "Block", "Unblock")]),
  ];
}
