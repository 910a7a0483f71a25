/** The list of conversations. */
import { $, element, icon, reconcile } from "./dom.js";
import { addressOf, briefly, gist, hue, initials, isChat, nameOf } from "./words.js";

/** Shows the conversations, the newest first; `open` is the key of the open one. */
export function showConversations(conversations, pending, user, open) {
  const unread = conversations.filter((conversation) => conversation.unread > 0).length;
  document.title = unread ? `(${unread}) Messages · ${user}` : `Messages · ${user}`;
  $("no-conversations").hidden = conversations.length > 0;
  reconcile($("conversations"), conversations.map((conversation) => {
    const last = pending.findLast((item) => item.conversation === conversation.key);
    const shown = last ? { ...last.body, from: user, created: last.created, isPending: true, isRefused: Boolean(last.refused) } : conversation.last;
    const isOpen = conversation.key === open;
    const day = shown?.created && briefly(shown.created);
    const signature = JSON.stringify([conversation.unread, conversation.chat, shown, isOpen, day]);
    return [conversation.key, signature, () => row(conversation, shown, user, isOpen)];
  }));
}

function row(conversation, last, user, isOpen) {
  const { key, unread } = conversation;
  const name = nameOf(conversation);
  const link = element("a", {
    href: addressOf(key),
    class: unread ? "conversation unread" : "conversation",
    "aria-current": isOpen ? "page" : undefined,
  },
    avatar(name, isChat(key)),
    element("span", { class: "name", dir: "auto" }, name),
    last?.created && element("time", { datetime: last.created }, briefly(last.created)),
    element("span", { class: "gist" }, preview(last, user, isChat(key))),
    unread && element("span", { class: "badge" },
      element("span", { "aria-hidden": "true" }, unread > 99 ? "99+" : `${unread}`),
      element("span", { class: "unseen" }, `${unread} unread`)));
  return element("li", {}, link);
}

function preview(last, user, inChat) {
  if (!last) return "No messages yet";
  const isMine = last.from === user;
  const who = isMine ? "You: " : inChat && last.from ? `${last.from}: ` : "";
  return [
    last.isPending && icon(last.isRefused ? "warning" : "clock"),
    who && !last.deleted && element("span", { class: "who" }, who),
    element("span", { class: "preview", dir: "auto" }, gist(last)),
  ];
}

export function avatar(name, ofChat = false) {
  const attributes = { class: ofChat ? "avatar group" : "avatar", "data-hue": hue(name), "aria-hidden": "true" };
  return element("span", attributes, ofChat ? icon("group") : initials(name));
}
