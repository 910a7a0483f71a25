/** One message as an element. */
import { button, copy, element, icon } from "./dom.js";
import { exactly, gist, hue, timeOf } from "./words.js";

/**
 * Makes a message. `isRead` is whether the other user has read it, `isFirst` and `isLast` are its place in a group
 * of one sender, `quoted` is the message to which it replies, `can` has the actions that the user may take, and
 * `on` their handlers.
 */
export function bubble(message, { user, inChat, isRead, isFirst, isLast, quoted, can, on }) {
  const isMine = message.from === user;
  const classes = ["message", isMine ? "mine" : "theirs"];
  if (isFirst) classes.push("first");
  if (isLast) classes.push("last");
  if (message.deleted) classes.push("deleted");
  const who = inChat && !isMine && isFirst && !message.deleted;
  return element("li", { class: classes.join(" ") },
    element("article", { tabindex: "-1", "aria-label": label(message, isMine, inChat, isRead) },
      element("div", { class: "bubble" },
        who && element("span", { class: "sender", "data-hue": hue(message.from ?? "") }, message.from ?? "The service"),
        quoted && quote(quoted, user, on),
        body(message),
        meta(message, isMine, inChat, isRead)),
      actions(message, can, on)));
}

/**
 * A message that waits in the outbox, or was refused. A refused one can be copied and discarded and, if there is
 * an `onRetry`, tried again.
 */
export function pendingBubble(item, { isFirst, onRetry, onDiscard }) {
  const { body: content, refused, created } = item;
  const classes = `message mine last pending${isFirst ? " first" : ""}${refused ? " refused" : ""}`;
  const state = refused ? "was not sent" : "is being sent";
  return element("li", { class: classes },
    element("article", { tabindex: "-1", "aria-label": `You: ${gist(content)} (${state})` },
      element("div", { class: "bubble" },
        body(content),
        element("span", { class: "meta" }, timeOf(created), icon(refused ? "warning" : "clock"))),
      refused && element("div", { class: "refusal", role: "alert" },
        element("span", {}, `Not sent. ${refused}`),
        onRetry && link("Try again", onRetry),
        content.text && link("Copy", ({ target }) => copied(content.text, target)),
        link("Discard", onDiscard))));
}

function link(label, onclick) {
  return element("button", { type: "button", class: "link", onclick }, label);
}

async function copied(text, pressed) {
  await copy(text);
  pressed.textContent = "Copied";
}

function body({ deleted, text, files }) {
  if (deleted) return element("p", { class: "text" }, "This message was deleted");
  return [
    text && element("p", { class: "text", dir: "auto" }, text),
    files?.length && element("ul", { class: "files", "aria-label": "Files" },
      files.map((file) => element("li", {}, icon("file"), element("span", {}, file)))),
  ];
}

function quote(quoted, user, on) {
  const who = quoted.from === user ? "You" : (quoted.from ?? "");
  const content = [
    element("strong", {}, quoted.deleted ? "" : who),
    element("span", { class: "preview", dir: "auto" }, gist(quoted)),
  ];
  // Without an id the conversation cannot show it.
  if (!quoted.id) return element("div", { class: "quote" }, content);
  return element("button", { type: "button", class: "quote", onclick: () => on.show(quoted) }, content);
}

function meta({ created, edited, deleted }, isMine, inChat, isRead) {
  if (!created) return null;
  const time = element("time", { datetime: created, title: exactly(edited ?? created) }, timeOf(created));
  const tick = isMine && !inChat && !deleted && element("span", { class: isRead ? "tick read" : "tick" },
    icon(isRead ? "read" : "sent"), element("span", { class: "unseen" }, isRead ? "Read" : "Sent"));
  return element("span", { class: "meta" }, edited && !deleted && "edited", time, tick || "");
}

function actions(message, can, on) {
  if (message.deleted) return null;
  return element("div", { class: "actions", role: "group", "aria-label": "Actions" },
    button("Reply", "reply", () => on.reply(message)),
    can.edit && button("Edit", "edit", () => on.edit(message)),
    can.remove && button("Delete", "trash", () => on.remove(message)));
}

/** A message in a sentence, for screen readers. */
function label(message, isMine, inChat, isRead) {
  const { from, created, edited, deleted } = message;
  const states = [edited && "edited", isMine && !inChat && (isRead ? "read" : "sent")].filter(Boolean);
  const who = isMine ? "You" : (from ?? "The service");
  const when = created ? `, ${exactly(created)}` : "";
  return `${who}${when}: ${gist(message)}${states.length && !deleted ? ` (${states.join(", ")})` : ""}`;
}
