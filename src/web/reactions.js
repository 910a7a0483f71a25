// @ts-check
/** The reactions to a message, and what one picks a new one from. */
import { element } from "./dom.js";
import { popUp } from "./menu.js";
import { Roving } from "./roving.js";

/** What is offered; anything else can be typed. */
const OFFERED = ["👍", "❤️", "😂", "🎉", "😮", "😢", "🙏", "👀"];
/** The most names in the title of a reaction. */
const NAMES_MAX = 10;

/**
 * The reactions that there are, each with a button that adds the user's own or takes it back, if the user may; null if
 * there are none.
 *
 * @param {import("/client/messages.js").Message} message
 * @param {{ user: string, can: { react?: boolean, unreact?: boolean }, on: { react: (message: any, key: string, reacts: boolean) => unknown } }} parts
 */
export function reactionRow(message, { user, can, on }) {
  const reactions = Object.entries(message.reactions ?? {});
  if (message.deleted || reactions.length === 0) return null;
  return element("div", { class: "reactions", role: "group", "aria-label": "Reactions" },
    reactions.map(([key, { count, users }]) => {
      const isMine = users.includes(user);
      const names = namesOf(count, users, user);
      return element("button", {
        type: "button", class: isMine ? "reaction mine" : "reaction", "aria-pressed": `${isMine}`, title: names,
        "aria-label": `${key}: ${names}`, disabled: isMine ? !can.unreact : !can.react, onclick: () => on.react(message, key, !isMine),
      }, element("bdi", {}, key), element("span", {}, `${count}`));
    }));
}

/**
 * Shows what a reaction is picked from, above an element; `pick(key)` adds it.
 *
 * @param {HTMLElement} anchor
 * @param {(key: string) => unknown} pick
 */
export function showPicker(anchor, pick) {
  const chosen = (/** @type {string} */ key) => {
    picker.hidePopover();
    pick(key);
  };
  const offers = element("div", { class: "offers", role: "group", "aria-label": "Reactions" },
    OFFERED.map((key) => element("button", { type: "button", tabindex: "-1", onclick: () => chosen(key) }, key)));
  const field = element("input", {
    "aria-label": "Another reaction", placeholder: "Another one", maxlength: "64", autocomplete: "off", dir: "auto",
  });
  const form = element("form", {
    onsubmit: (event) => {
      event.preventDefault();
      if (field.value.trim()) chosen(field.value.trim());
    },
  }, field);
  const picker = element("div", { class: "menu picker", role: "dialog", popover: "auto", "aria-label": "React" }, offers, form);
  // The keyboard leaves it, and so it closes.
  picker.addEventListener("focusout", ({ relatedTarget }) => {
    if (relatedTarget && !picker.contains(/** @type {Node} */ (relatedTarget))) picker.hidePopover();
  });
  new Roving(offers, "button", { isRow: true }).keepStop();
  const { left, top } = anchor.getBoundingClientRect();
  popUp(picker, { x: left, y: top, isAbove: true });
  offers.querySelector("button")?.focus();
}

/** Who has reacted, in words. */
function namesOf(count, users, user) {
  const named = users.slice(0, NAMES_MAX).map((/** @type {string} */ one) => (one === user ? "you" : one));
  const more = count - named.length;
  return more > 0 ? `${named.join(", ")} and ${more} more` : named.join(", ");
}
