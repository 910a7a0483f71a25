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
  const menu = element("div", { class: "menu", role: "menu", popover: "auto", "aria-label": label },
    items.map(([name, action, kind]) => element("button", {
      type: "button", class: kind, role: "menuitem", tabindex: "-1", onclick: () => {
        menu.hidePopover();
        action();
      },
    }, name)));
  menu.addEventListener("keydown", (event) => { if (event.key === "Tab") menu.hidePopover(); });
  new Roving(menu, "button").keepStop();
  popUp(menu, { x, y, isEnd });
  menu.querySelector("button")?.focus();
}

/**
 * Shows a popover at a place: with `isEnd` to the left of it, with `isAbove` above it, if there is room. When it closes
 * it is gone, and what had the focus before has it again.
 *
 * @param {HTMLElement} popover
 * @param {{ x: number, y: number, isEnd?: boolean, isAbove?: boolean }} place
 */
export function popUp(popover, { x, y, isEnd, isAbove }) {
  const opener = /** @type {HTMLElement | null} */ (document.activeElement);
  popover.addEventListener("toggle", ({ newState }) => {
    if (newState !== "closed") return;
    const hadFocus = popover.contains(document.activeElement) || document.activeElement === document.body;
    popover.remove();
    if (hadFocus) present(opener)?.focus({ preventScroll: true });
  });
  // While a dialog is open, nothing outside of it can be used.
  (opener?.closest("dialog") ?? document.body).append(popover);
  popover.showPopover();
  const { width, height } = popover.getBoundingClientRect();
  const [left, top] = [isEnd ? x - width : x, isAbove ? y - height - MARGIN : y];
  popover.style.left = `${Math.max(MARGIN, Math.min(left, innerWidth - width - MARGIN))}px`;
  popover.style.top = `${Math.max(MARGIN, Math.min(top, innerHeight - height - MARGIN))}px`;
}

/**
 * An element, or what has taken its place meanwhile: the row of the same key.
 *
 * @param {HTMLElement | null} element
 * @returns {HTMLElement | null}
 */
function present(element) {
  if (!element || element.isConnected) return element;
  const key = /** @type {HTMLElement | null} */ (element.closest("[data-key]"))?.dataset.key;
  return document.querySelector(`[data-key="${CSS.escape(key ?? "")}"] :is(article, a)`);
}
