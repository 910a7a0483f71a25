// @ts-check
/** Who may do what in a chat, as far as the copy tells. The service decides; this is what the messenger offers. */
import { isChat } from "./words.js";

/**
 * @typedef {import("/client/messages.js").Conversation} Conversation
 * @typedef {import("/client/copy.js").Schemas["Member"]} Member
 */

/** The roles, each of which may do what those before it may. */
const ROLES = ["reader", "member", "moderator", "owner"];

const rankOf = ({ role = "member" }) => ROLES.indexOf(role);
const atLeast = (role) => (one) => rankOf(one) >= ROLES.indexOf(role);

/** Whether somebody moderates a chat: its owner does, too. */
export const isModerator = atLeast("moderator");
export const isOwner = atLeast("owner");

/**
 * Why the user of a conversation may not write in it at `now`: a reason, and for a mute `until` when. Undefined if
 * the user may.
 *
 * @param {Partial<Conversation>} conversation
 * @param {number} now
 */
export function silenceOf({ chat, role, mutedUntil, posting, frozen }, now) {
  if (!isChat({ chat })) return undefined;
  if (frozen) return { reason: "frozen" };
  if (role === "reader") return { reason: "reader" };
  if (posting === "moderators" && !isModerator({ role })) return { reason: "announcements" };
  const until = Date.parse(mutedUntil ?? "");
  if (!isOwner({ role }) && until > now) return { reason: "muted", until };
  return undefined;
}

/**
 * How many seconds the user waits in a conversation between two messages; 0 for none.
 *
 * @param {Partial<Conversation>} conversation
 */
export function pauseOf({ role, slowMode = 0 }) {
  return isModerator({ role }) ? 0 : slowMode;
}

/**
 * What the user may do with a message of a conversation at `now`.
 *
 * @param {import("/client/messages.js").Message} message
 * @param {string} user
 * @param {Partial<Conversation>} conversation
 * @param {number} now
 */
export function rightsTo({ from, system }, user, conversation, now) {
  const isBlocked = Boolean(conversation.settings?.blocked);
  const silence = silenceOf(conversation, now);
  const [isMine, mayWrite] = [from === user, !isBlocked && !silence];
  // Those who only read react, too.
  const isSilenced = silence?.reason === "muted" || silence?.reason === "frozen";
  return {
    react: !system && !isBlocked && !isSilenced && conversation.reactions !== false,
    reply: mayWrite && !system,
    edit: mayWrite && isMine,
    remove: isMine || !isChat(conversation) || isModerator(conversation),
    pin: isChat(conversation) && isModerator(conversation) && !system,
    report: !isMine && !system,
  };
}

/**
 * What a user with a role in a chat may do with another `member` of it at `now`, in the order of a menu. Those who
 * do not moderate may do nothing, and a moderator nothing with another one.
 *
 * @param {Member} member
 * @param {{ user: string, role?: Member["role"] }} mine
 * @param {number} now
 */
export function actsOn(member, { user, role }, now) {
  if (member.user === user || !isModerator({ role }) || rankOf(member) >= rankOf({ role })) return [];
  const isMuted = Date.parse(member.mutedUntil ?? "") > now;
  const isSilent = isMuted || member.role === "reader";
  return [
    isOwner({ role }) && member.role !== "moderator" && "appoint",
    member.role === "moderator" && "dismiss",
    member.role === "reader" ? "let-write" : "make-reader",
    !isSilent && "mute-hour",
    !isSilent && "mute-day",
    isMuted && "unmute",
    isOwner({ role }) && "hand-on",
    "remove",
    "ban",
  ].filter(Boolean);
}
