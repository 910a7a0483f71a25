// @ts-check
/** A message's text as nodes: links and the names of mentioned users are elements, all else is text. */
import { element } from "./dom.js";

const TOKEN = /(https?:\/\/[^\s<>"]+|(?<![\p{L}\p{N}_.@:|-])@[\w.@:|-]+)/iu;
/** What ends a sentence is not part of a link. */
const TRAILING = /[.,:;!?'"”»…)\]}]$/;
/** Names everybody in a chat. */
export const ALL = "all";

/**
 * The nodes of a text in which `@name` is a mention for each of the `names`, and of the reader for `user`.
 *
 * @param {string} text
 * @param {{ names: string[], user: string }} those
 */
export function nodesOf(text, { names, user }) {
  return text.split(TOKEN).flatMap((part) => {
    if (/^https?:/i.test(part)) return link(part);
    const name = part.startsWith("@") ? nameIn(part, names) : undefined;
    if (name === undefined) return part;
    const kind = name === user || name === ALL ? "mention me" : "mention";
    return [element("span", { class: kind }, `@${name}`), part.slice(name.length + 1)];
  });
}

/**
 * Those of the names that a text mentions.
 *
 * @param {string} text
 * @param {string[]} names
 */
export function namesIn(text, names) {
  const found = text.split(TOKEN).map((part) => (part.startsWith("@") ? nameIn(part, names) : undefined));
  return [...new Set(found.filter((name) => name !== undefined))];
}

/**
 * Whom a message mentions, as its text may name them.
 *
 * @param {Partial<import("/client/messages.js").Message>} message
 */
export function namedBy({ mentions = [], mentionsAll }) {
  return mentionsAll ? [...mentions, ALL] : mentions;
}

/** The longest of the names with which `@name…` begins, if only punctuation follows. */
function nameIn(part, names) {
  const begins = names.filter((name) => part.startsWith(name, 1) && !/[^.:|@_-]/.test(part.slice(name.length + 1)));
  return begins.sort((a, b) => b.length - a.length)[0];
}

function link(part) {
  const address = withoutTrailing(part);
  if (!URL.canParse(address)) return part;
  const attributes = { class: "link", href: address, target: "_blank", rel: "noopener noreferrer" };
  return [element("a", attributes, address), part.slice(address.length)];
}

/** A closing bracket belongs to the address if one was opened there: “…/wiki/Rust_(film)”. */
function withoutTrailing(address) {
  const count = (character) => address.split(character).length;
  const isWhole = !TRAILING.test(address) || (address.endsWith(")") && count("(") >= count(")"));
  return isWhole ? address : withoutTrailing(address.slice(0, -1));
}
