// @ts-check
/** Dates and names in the user's language. */

/**
 * @typedef {import("/client/messages.js").Conversation} Conversation
 * @typedef {import("/client/messages.js").Message} Message
 */

const time = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long" });
const dayOfYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const shortOfYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

const DAY_MS = 24 * 60 * 60 * 1000;

export const timeOf = (date) => time.format(new Date(date));
export const exactly = (date) => exact.format(new Date(date));

/** A date's day, as something to compare. */
export const dayKey = (date) => new Date(date).toDateString();

/** “Today”, “Yesterday”, “Monday”, “3 May”. */
export function dayOf(date) {
  const then = new Date(date);
  const days = daysAgo(then);
  if (days < 2) return capitalized(relative.format(-days, "day"));
  if (days < 7) return capitalized(weekday.format(then));
  return (then.getFullYear() === new Date().getFullYear() ? day : dayOfYear).format(then);
}

/** The same for a narrow column: the time if it is today. */
export function briefly(date) {
  const then = new Date(date);
  const days = daysAgo(then);
  if (days === 0) return timeOf(then);
  return days < 7 ? dayOf(then) : short.format(then);
}

/** A day that is written as `2026-11-30`: “30 Nov 2026”. */
export const dateOf = (date) => shortOfYear.format(new Date(`${date}T00:00`));

/** The day after it. */
export function nextDay(date) {
  const next = new Date(`${date}T00:00Z`);
  next.setUTCDate(next.getUTCDate() + 1);
  return next.toISOString().slice(0, 10);
}

/** “1 reply”, “3 replies”. */
export const countOf = (count, one, many) => `${count} ${count === 1 ? one : many}`;

/** When something ends: “14:05”, “3 May, 14:05”; null if that is more than a year away, which means never. */
export function endOf(date) {
  const then = new Date(date);
  if (then.getTime() - Date.now() > 365 * DAY_MS) return null;
  return dayKey(then) === dayKey(Date.now()) ? timeOf(then) : `${short.format(then)}, ${timeOf(then)}`;
}

const seconds = (count) => (count === 1 ? "1 second" : `${count} seconds`);

/** “30 seconds”, “5 minutes”, “1 hour”. */
export function lasting(count) {
  if (count < 60 || count % 60) return seconds(count);
  const [unit, times] = count % 3600 ? ["minute", count / 60] : ["hour", count / 3600];
  return `${times} ${unit}${times === 1 ? "" : "s"}`;
}

/** A number of seconds as a clock counts them down: “9”, “1:05”. */
export const countdown = (count) =>
  (count < 60 ? `${count}` : `${Math.floor(count / 60)}:${String(count % 60).padStart(2, "0")}`);

function daysAgo(date) {
  const midnight = (of) => new Date(of).setHours(0, 0, 0, 0);
  return Math.max(0, Math.round((midnight(Date.now()) - midnight(date)) / DAY_MS));
}

const capitalized = (text) => text.charAt(0).toLocaleUpperCase() + text.slice(1);

/** @param {Partial<Conversation>} conversation */
export const isChat = ({ chat }) => chat !== undefined;

/**
 * The name of a conversation.
 *
 * @param {Partial<Conversation>} conversation
 */
export const nameOf = ({ chat, with: other, name }) => other ?? name ?? `Chat ${chat}`;

/** So many of those who are typing are named. */
const TYPISTS_MAX = 3;

/**
 * “jane is typing…”, “jane, john are typing…”; nothing if nobody is.
 *
 * @param {string[]} users
 */
export function typingWords(users) {
  if (users.length === 0) return "";
  const more = users.length - TYPISTS_MAX;
  const names = users.slice(0, TYPISTS_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "");
  return `${names} ${users.length === 1 ? "is" : "are"} typing…`;
}

/**
 * Whether a conversation is muted now.
 *
 * @param {Partial<Conversation>} conversation
 */
export const isMuted = ({ settings }) => Date.parse(settings?.mutedUntil ?? "") > Date.now();

/** Whether the service accepts it as the id of a user. */
export const isUserId = (id) => /^[A-Za-z0-9_.@:|-]{1,64}$/.test(id) && id !== "." && id !== "..";
export const NOT_AN_ID = "An id has up to 64 letters, digits and the characters - _ . @ : |, but is not “.” or “..”.";

/** One or two letters of a name. */
export function initials(name) {
  const words = name.split(/[\s._@:|-]+/).filter(Boolean);
  const letters = words.slice(0, 2).map((word) => Array.from(word)[0]);
  return letters.join("").toLocaleUpperCase() || "?";
}

/** One of the style sheet's colours for a name. */
export function hue(name) {
  let sum = 11;
  for (const character of name) sum = (sum * 131 + character.codePointAt(0)) % 9973;
  return sum % 8;
}

/**
 * The name of a file: this messenger notes it in the attributes of the message. Others have sent an id alone.
 *
 * @param {string} id
 * @param {any} [attributes]
 * @returns {string}
 */
export function fileName(id, attributes) {
  const name = attributes?.fileNames?.[id];
  return typeof name === "string" ? name : id;
}

const characters = new Intl.Segmenter(undefined, { granularity: "grapheme" });
/** How many characters of a long name are left, at its beginning and at its end. */
const NAME_PARTS = [69, 30];

/** The name of a file for a message: what it is stands at the end of a long one. */
export function shortName(name) {
  const all = Array.from(characters.segment(name), ({ segment }) => segment);
  const [head, tail] = NAME_PARTS;
  return all.length > head + tail ? `${all.slice(0, head).join("")}…${all.slice(-tail).join("")}` : name;
}

/**
 * A message in a line.
 *
 * @param {Partial<Message>} message
 */
export function gist({ deleted, text, files, attributes }) {
  if (deleted) return "Deleted message";
  if (text) return text;
  if (files) return files.length > 1 ? `${files.length} files` : `File ${fileName(files[0], attributes)}`;
  return `Data ${shortened(JSON.stringify(attributes ?? {}), GIST_MAX)}`;
}

const GIST_MAX = 100;

/** The beginning of a long text. */
export const shortened = (text, max) => (text.length > max ? `${text.slice(0, max)}…` : text);
