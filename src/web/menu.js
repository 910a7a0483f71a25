// @ts-check
/**
 * A menu that opens over the page, or over a dialog. The browser closes it with Escape, or when something else is
 * clicked.
 */
import { element } from "./dom.js";
import { Roving } from "./roving.js";

/** How far a menu stays from the edges of the screen, in pixels. */
const MARGIN = 8;

/**
 * Shows a menu at a place `{ x, y }`: to the right of it, if there is room, or with `isEnd` to the left of it. `items`
 * are [label, action, class].
 *
 * @param {string} label
 * @param {{ x: number, y: number, isEnd?: boolean }} place
 */
export function showMenu(label, { x, y, isEnd }, items) {
  const opener = /** @type {HTMLElement | null} */ (document.activeElement);
  const menu = element("div", { class: "menu", role: "menu", popover: "auto", "aria-label": label },
    items.map(([name, action, kind]) => element("button", {
      type: "button", class: kind, role: "menuitem", tabindex: "-1", onclick: () => {
        menu.hidePopover();
        action();
      },
    }, name)));
  menu.addEventListener("toggle", ({ newState }) => {
    if (newState !== "closed") return;
    const hadFocus = menu.contains(document.activeElement) || document.activeElement === document.body;
    menu.remove();
    if (hadFocus) opener?.focus({ preventScroll: true });
  });
  menu.addEventListener("keydown", (event) => { if (event.key === "Tab") menu.hidePopover(); });
  // While a dialog is open, nothing outside of it can be used.
  (opener?.closest("dialog") ?? document.body).append(menu);
  new Roving(menu, "button").keepStop();
  menu.showPopover();
  const { width, height } = menu.getBoundingClientRect();
  const left = isEnd ? x - width : x;
  menu.style.left = `${Math.max(MARGIN, Math.min(left, innerWidth - width - MARGIN))}px`;
  menu.style.top = `${Math.max(MARGIN, Math.min(y, innerHeight - height - MARGIN))}px`;
  menu.querySelector("button")?.focus();
}
