// @ts-check
/** Elements without HTML: what users have written becomes text nodes and nothing else. */

/**
 * What an element contains; falsy values are left out.
 *
 * @typedef {Node | string | boolean | null | undefined} Child
 */

/**
 * Makes an element: `element("a", { class: "row", href }, "text", child, …)`; falsy values are left out.
 *
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, any>} attributes
 * @param {(Child | Child[] | Child[][])[]} children
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (attribute.startsWith("on")) made.addEventListener(attribute.slice(2), value);
    else if (value === true) made.setAttribute(attribute, "");
    else if (value !== undefined && value !== null && value !== false) made.setAttribute(attribute, value);
  }
  made.append(.../** @type {(Node | string)[]} */ (children.flat(Infinity).filter(Boolean)));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/** A picture of the page's sprite, hidden from screen readers. */
export function icon(name) {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("class", "icon");
  picture.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  picture.append(use);
  return picture;
}

export function button(label, picture, onclick, extra = {}) {
  const attributes = { type: "button", class: "icon-button", "aria-label": label, title: label, onclick };
  return element("button", { ...attributes, ...extra }, icon(picture));
}

/**
 * The elements of the page of which more is used than any HTMLElement has, by their ids.
 *
 * @typedef {{ "archive-icon": SVGUseElement, icon: HTMLLinkElement, "file-picker": HTMLInputElement, search: HTMLInputElement,
 *   text: HTMLTextAreaElement, token: HTMLTextAreaElement, user: HTMLInputElement, log: List, mentions: List }} Special
 * @typedef {HTMLElement & { children: HTMLCollectionOf<HTMLElement> }} List
 */

/**
 * An element of the page, by its id.
 *
 * @template {string} Id
 * @param {Id} id
 * @returns {Id extends keyof Special ? Special[Id] : HTMLElement}
 */
export const $ = (id) => /** @type {any} */ (document.getElementById(id));

/** A user's text within a line of the page: its direction of writing does not affect the rest of the line. */
export const isolated = (text) => element("bdi", {}, text);

/** Copies a text to the clipboard. If the page may not, as over plain HTTP, by the browser's copy command. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = element("textarea", { class: "unseen" });
    const focused = /** @type {HTMLElement | null} */ (document.activeElement);
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    focused?.focus();
  }
}

const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'" };
const withoutEntities = (text) => text.replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => ENTITIES[entity]);

/**
 * The nodes of a search's `highlight`. `<mark>` is its only element, so no parser of HTML is needed: anything
 * else stays text.
 */
export function highlighted(html) {
  return html.split(/(<mark>.*?<\/mark>)/s).map((part) => {
    const marked = /^<mark>(.*)<\/mark>$/s.exec(part);
    return marked ? element("mark", {}, withoutEntities(marked[1])) : withoutEntities(part);
  });
}

/**
 * Makes the children of `parent` those that `rows` lists as [key, signature, make]. An element with the same
 * signature stays, and so do the focus and the selection in it.
 *
 * @typedef {[string, string, () => HTMLElement]} Row
 *
 * @param {HTMLElement} parent
 * @param {Row[]} rows
 */
export function reconcile(parent, rows) {
  const { children } = /** @type {List} */ (parent);
  const held = new Map(Array.from(children, (child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const [key, signature, make] of rows) {
    let child = held.get(key);
    held.delete(key);
    if (child?.dataset.signature !== signature) {
      const made = make();
      Object.assign(made.dataset, { key, signature });
      if (child) replace(child, made);
      if (child === place) place = made;
      child = made;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const child of held.values()) child.remove();
}

/** Replaces an element; the new one gets the focus if the old one had it. */
function replace(old, made) {
  const hadFocus = old.contains(document.activeElement);
  old.replaceWith(made);
  if (hadFocus) (made.matches("[tabindex], a") ? made : made.querySelector("article, a, button"))?.focus();
}
