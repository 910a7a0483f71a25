// @ts-check
/** Who may do what, as far as the copy and the policy tell. The service decides; this is what the messenger offers. */
import { isChat } from "./words.js";

/**
 * @typedef {import("/client/messages.js").Conversation} Conversation
 * @typedef {import("/client/copy.js").Schemas["Member"]} Member
 * @typedef {import("/client/copy.js").Schemas["Restrictions"]} Restrictions
 *
 * What limits a user everywhere: what the application allows all its users, and until when it has suspended this one.
 * What is absent does not limit it.
 *
 * @typedef {Pick<Restrictions, "policy" | "suspendedUntil"> & { user: string }} Limits
 *
 * Why a user may not write, and until when if that ends by itself.
 *
 * @typedef {{ reason: string, until?: number }} Silence
 */

/** The roles, each of which may do what those before it may. */
const ROLES = ["reader", "member", "moderator", "owner"];

const rankOf = ({ role = "member" }) => ROLES.indexOf(role);
const atLeast = (role) => (one) => rankOf(one) >= ROLES.indexOf(role);

/** Whether somebody moderates a chat: its owner does, too. */
export const isModerator = atLeast("moderator");
export const isOwner = atLeast("owner");

/** Those who may add members, by the names of the policy. */
const ADDERS = { moderators: isModerator, owner: isOwner, application: () => false };

/** The reasons for which one may not react either. */
const MUTE_REASONS = ["suspended", "unaccepted", "frozen", "muted"];

/** What every application allows that has not set something else. */
const FREE = { personal: "anyone", createChats: "users", addMembers: "moderators" };

/** @param {Partial<Limits>} limits */
const policyOf = ({ policy }) => ({ ...FREE, ...policy });

/**
 * Until when a user is suspended; undefined if it is not at `now`. It reads then, and marks and sets what is its own.
 *
 * @param {Partial<Limits>} limits
 * @param {number} now
 */
export function suspensionOf({ suspendedUntil }, now) {
  const until = Date.parse(suspendedUntil ?? "");
  return until > now ? until : undefined;
}

/**
 * Whether something limits the user at `now`.
 *
 * @param {Partial<Limits>} limits
 * @param {number} now
 */
export function isLimited(limits, now) {
  const policy = policyOf(limits);
  return suspensionOf(limits, now) !== undefined || Object.keys(FREE).some((name) => policy[name] !== FREE[name]);
}

/**
 * What a user may begin at `now`: conversations with other users, chats, and chats with others in them.
 *
 * @param {Partial<Limits>} limits
 * @param {number} now
 */
export function beginningsOf(limits, now) {
  const { personal, createChats, addMembers } = policyOf(limits);
  const isFree = suspensionOf(limits, now) === undefined;
  const mayCreate = isFree && createChats === "users";
  return {
    conversation: isFree && personal === "anyone",
    chat: mayCreate,
    chatWithOthers: mayCreate && addMembers !== "application",
  };
}

/**
 * Why the user of a conversation may not write in it at `now`: a reason, and for a mute or a suspension `until` when.
 * Undefined if the user may.
 *
 * @param {Partial<Conversation>} conversation
 * @param {number} now
 * @param {Partial<Limits>} [limits]
 * @returns {Silence | undefined}
 */
export function silenceOf(conversation, now, limits = {}) {
  const until = suspensionOf(limits, now);
  if (until !== undefined) return { reason: "suspended", until };
  return isChat(conversation) ? silenceIn(conversation, now) : silenceWith(conversation, limits);
}

/**
 * The same for a personal conversation. Everybody writes to oneself.
 *
 * @param {Partial<Conversation>} conversation
 * @param {Partial<Limits>} limits
 * @returns {Silence | undefined}
 */
function silenceWith({ with: other, opened = false }, limits) {
  const { personal } = policyOf(limits);
  const isAccepted = personal === "anyone" || (personal === "opened" && opened) || other === limits.user;
  return isAccepted ? undefined : { reason: "unaccepted" };
}

/**
 * The same for a chat.
 *
 * @param {Partial<Conversation>} chat
 * @param {number} now
 * @returns {Silence | undefined}
 */
function silenceIn({ role, mutedUntil, posting, frozen }, now) {
  if (frozen) return { reason: "frozen" };
  if (role === "reader") return { reason: "reader" };
  if (posting === "moderators" && !isModerator({ role })) return { reason: "announcements" };
  const until = Date.parse(mutedUntil ?? "");
  if (!isOwner({ role }) && until > now) return { reason: "muted", until };
  return undefined;
}

/**
 * Whether nothing more is sent into a conversation at `now`, not even what was refused before.
 *
 * @param {Partial<Conversation>} conversation
 * @param {number} now
 * @param {Partial<Limits>} limits
 */
export function isClosed(conversation, now, limits) {
  return Boolean(conversation.isGone || silenceOf(conversation, now, limits));
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
 * @param {Partial<Limits>} [limits]
 */
export function rightsTo({ from, system }, user, conversation, now, limits = {}) {
  const isBlocked = Boolean(conversation.settings?.blocked);
  const silence = silenceOf(conversation, now, { ...limits, user });
  const isFree = silence?.reason !== "suspended";
  const [isMine, mayWrite] = [from === user, !isBlocked && !silence];
  // Those who only read react, too.
  const isMute = silence !== undefined && MUTE_REASONS.includes(silence.reason);
  return {
    react: !system && !isBlocked && !isMute && conversation.reactions !== false,
    unreact: isFree && !system,
    reply: mayWrite && !system,
    edit: mayWrite && isMine,
    remove: isFree && (isMine || !isChat(conversation) || isModerator(conversation)),
    pin: isFree && isChat(conversation) && isModerator(conversation) && !system,
    report: isFree && !isMine && !system,
  };
}

/**
 * What the user may do with a chat at `now`: change it, add members, act on those of a lower role, leave it.
 *
 * @param {Partial<Conversation>} chat
 * @param {number} now
 * @param {Partial<Limits>} limits
 */
export function rightsIn(chat, now, limits) {
  const isFree = suspensionOf(limits, now) === undefined;
  const mayAdd = ADDERS[policyOf(limits).addMembers];
  return {
    change: isFree && isOwner(chat),
    add: isFree && isModerator(chat) && mayAdd(chat),
    moderate: isFree && isModerator(chat),
    leave: isFree,
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
