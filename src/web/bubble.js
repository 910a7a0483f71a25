// @ts-check
/** One message as an element. */
import { button, copy, element, icon } from "./dom.js";
import { reactionRow, showPicker } from "./reactions.js";
import { namedBy, nodesOf } from "./text.js";
import { countOf, exactly, fileName, gist, hue, shortened, timeOf } from "./words.js";

const DATA_MAX = 600;

/**
 * Makes a message. `receipt` says how far one of the user's own messages has come: see `receiptOf`. `isFirst` and
 * `isLast` are its place in a group of one sender, `quoted` is the message to which it replies, `can` has the
 * actions that the user may take, and `on` their handlers. `replies` says how many reply to it, if any do.
 */
export function bubble(message, { user, inChat, receipt, isFirst, isLast, quoted, can, on, replies }) {
  if (message.system) return systemBubble(message, { user, can, on });
  const { from, deleted, number } = message;
  const isMine = from === user;
  const isToMe = !isMine && !deleted && (message.mentionsAll || message.mentions?.includes(user));
  const classes = ["message", isMine ? "mine" : "theirs",
    isFirst && "first", isLast && "last", deleted && "deleted", isToMe && "to-me"].filter(Boolean);
  const who = inChat && !isMine && isFirst && !deleted;
  return element("li", { class: classes.join(" "), "data-number": number },
    element("article", { tabindex: "-1", "aria-keyshortcuts": can.react && "+", "aria-label": label(message, isMine, receipt, isToMe) },
      element("div", { class: "bubble" },
        who && element("span", { class: "sender", "data-hue": hue(from ?? "") }, from ?? "The service"),
        quoted && quote(quoted, user, on),
        body(message, user, on),
        meta(message, receipt)),
      reactionRow(message, { user, can, on }),
      replies && element("button", { type: "button", class: "link replies", onclick: () => on.replies(message) }, replies),
      actions(message, can, on)));
}

/** A message in which a chat tells of a change. Nobody has sent it. */
function systemBubble(message, { user, can, on }) {
  const { number, created } = message;
  const words = `${gist(message)}${created ? `, ${exactly(created)}` : ""}`;
  return element("li", { class: message.deleted ? "message system deleted" : "message system", "data-number": number },
    element("article", { tabindex: "-1", "aria-label": words },
      element("div", { class: "bubble", title: created && exactly(created) }, body(message, user, on)),
      actions(message, can, on)));
}

/**
 * How far one of the user's own messages has come: the service has it, or others have read it. `reads` are the
 * positions of the others, if they are told.
 *
 * @param {import("/client/copy.js").Message} message
 * @param {{ user: string, read: number }[]} [reads]
 */
export function receiptOf({ number, deleted }, reads = [], inChat = false) {
  if (deleted) return undefined;
  const readers = reads.filter(({ read }) => read >= number).map(({ user }) => user);
  if (!readers.length) return { text: "Sent" };
  return { isRead: true, text: inChat ? `Read by ${readers.length} of ${reads.length}` : "Read", readers };
}

/**
 * A message that waits in the outbox, or was refused. A refused one can be discarded and, if there are handlers for
 * it, edited and tried again. If not, it can be copied.
 */
export function pendingBubble(item, { isFirst, user, onEdit, onRetry, onDiscard }) {
  const { body: content, refused, created } = item;
  const classes = `message mine last pending${isFirst ? " first" : ""}${refused ? " refused" : ""}`;
  const state = refused ? "was not sent" : "is being sent";
  return element("li", { class: classes },
    element("article", { tabindex: "-1", "aria-label": `You: ${gist(content)} (${state})` },
      element("div", { class: "bubble" },
        body(content, user),
        element("span", { class: "meta" }, timeOf(created), icon(refused ? "warning" : "clock"))),
      refused && element("div", { class: "refusal", role: "alert" },
        element("span", {}, `Not sent. ${refused.words}`),
        onRetry && link("Try again", onRetry),
        onEdit && link("Edit", onEdit),
        !onEdit && content.text && link("Copy", ({ target }) => copied(content.text, target)),
        link("Discard", onDiscard))));
}

function link(label, onclick) {
  return element("button", { type: "button", class: "link", onclick }, label);
}

async function copied(text, pressed) {
  await copy(text);
  pressed.textContent = "Copied";
}

function body(message, user, on) {
  const { deleted, text, files, attributes } = message;
  if (deleted) return element("p", { class: "text" }, "This message was deleted");
  const isData = !text && !files?.length;
  return [
    text && element("p", { class: "text", dir: "auto" }, nodesOf(text, { names: namedBy(message), user })),
    files?.length && element("ul", { class: "files", "aria-label": "Files" },
      files.map((id) => fileRow(id, fileName(id, attributes), on?.save))),
    isData && element("pre", { class: "data" }, shortened(JSON.stringify(attributes ?? {}, null, 2), DATA_MAX)),
  ];
}

/** A file. `save(id, name)`, if it can be saved, does that. */
function fileRow(id, name, save) {
  const content = [icon("file"), element("span", { dir: "auto" }, name)];
  if (!save) return element("li", {}, content);
  return element("li", {}, element("button", { type: "button", title: `Save ${name}`, onclick: () => save(id, name) }, content));
}

function quote(quoted, user, on) {
  const who = quoted.from === user ? "You" : (quoted.from ?? "");
  const content = [
    element("strong", {}, quoted.deleted ? "" : who),
    element("span", { class: "preview", dir: "auto" }, gist(quoted)),
  ];
  // Without a number the conversation cannot show it, and a deleted one shows nothing.
  if (!quoted.number || quoted.deleted) return element("div", { class: "quote" }, content);
  return element("button", { type: "button", class: "quote", onclick: () => on.show(quoted) }, content);
}

const READERS_MAX = 10;

function meta({ created, edited, deleted, waiting }, receipt) {
  if (!created) return null;
  const time = element("time", { datetime: created, title: exactly(edited ?? created) }, timeOf(created));
  return element("span", { class: "meta" }, edited && !deleted && "edited", time,
    waiting ? icon("clock") : receipt && tick(receipt));
}

function tick({ isRead, text, readers = [] }) {
  const names = readers.slice(0, READERS_MAX).join(", ");
  const title = names ? `${text}: ${names}${readers.length > READERS_MAX ? ", …" : ""}` : text;
  return element("span", { class: isRead ? "tick read" : "tick", title },
    icon(isRead ? "read" : "sent"), element("span", { class: "unseen" }, text));
}

function actions(message, can, on) {
  if (message.deleted) return null;
  const offered = [
    can.react && button("React", "smile", ({ currentTarget }) => showPicker(currentTarget, (key) => on.react(message, key, true)),
      { "aria-haspopup": "dialog" }),
    can.reply && button("Reply", "reply", () => on.reply(message)),
    can.edit && button("Edit", "edit", () => on.edit(message)),
    can.remove && button("Delete", "trash", () => on.remove(message)),
    can.pin && (can.isPinned
      ? button("Remove the pin", "unpin", () => on.pin(message, false))
      : button("Pin", "pin", () => on.pin(message, true))),
    can.report && button("Report", "flag", () => on.report(message)),
  ].filter(Boolean);
  return offered.length > 0 && element("div", { class: "actions", role: "group", "aria-label": "Actions" }, offered);
}

/** A message in a sentence, for screen readers. */
function label(message, isMine, receipt, isToMe) {
  const { from, created, edited, deleted } = message;
  const reactions = Object.values(message.reactions ?? {}).reduce((sum, { count }) => sum + count, 0);
  const states = [edited && "edited", reactions > 0 && countOf(reactions, "reaction", "reactions"), receipt?.text.toLowerCase(), isToMe && "mentions you"].filter(Boolean);
  const who = isMine ? "You" : (from ?? "The service");
  const when = created ? `, ${exactly(created)}` : "";
  return `${who}${when}: ${gist(message)}${states.length && !deleted ? ` (${states.join(", ")})` : ""}`;
}
