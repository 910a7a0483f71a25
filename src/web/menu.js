/** A menu that opens over the page. The browser closes it with Escape, or when something else is clicked. */
import { element } from "./dom.js";
import { Roving } from "./roving.js";

/** How far a menu stays from the edges of the screen, in pixels. */
const MARGIN = 8;

/** Shows a menu at a place `{ x, y }`, to the left of it if there is no room; `items` are [label, action]. */
export function showMenu(label, { x, y }, items) {
  const opener = document.activeElement;
  const menu = element("div", { class: "menu", role: "menu", popover: "auto", "aria-label": label },
    items.map(([name, action]) => element("button", { type: "button", role: "menuitem", tabindex: "-1", onclick: () => {
      menu.hidePopover();
      action();
    } }, name)));
  menu.addEventListener("toggle", ({ newState }) => {
    if (newState !== "closed") return;
    const hadFocus = menu.contains(document.activeElement) || document.activeElement === document.body;
    menu.remove();
    if (hadFocus) opener?.focus({ preventScroll: true });
  });
  menu.addEventListener("keydown", (event) => { if (event.key === "Tab") menu.hidePopover(); });
  document.body.append(menu);
  new Roving(menu, "button").keepStop();
  menu.showPopover();
  const { width, height } = menu.getBoundingClientRect();
  menu.style.left = `${Math.max(MARGIN, Math.min(x, innerWidth - width - MARGIN))}px`;
  menu.style.top = `${Math.max(MARGIN, Math.min(y, innerHeight - height - MARGIN))}px`;
  menu.querySelector("button").focus();
}
