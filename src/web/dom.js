/** Elements without HTML: whatever a person has written becomes a text node and nothing else. */

/** Makes an element: `element("a", { class: "row", href }, "text", child, …)`; what is falsy is left out. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (attribute.startsWith("on")) made.addEventListener(attribute.slice(2), value);
    else if (value === true) made.setAttribute(attribute, "");
    else if (value !== undefined && value !== null && value !== false) made.setAttribute(attribute, value);
  }
  made.append(...children.flat(Infinity).filter(Boolean));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/** A picture of the page's sprite; it says nothing to a screen reader. */
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

/** An element of the page, by its id. */
export const $ = (id) => document.getElementById(id);

/** What a person has written within a line of the page's own: it turns nothing around but itself. */
export const isolated = (text) => element("bdi", {}, text);

/** Puts a text on the clipboard; where the page may not do so, as over plain HTTP, the way a person does. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const [field, focused] = [element("textarea", { class: "unseen" }), document.activeElement];
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
 * The nodes of a search's `highlight`. It is HTML of which `<mark>` is the only element, so there is no
 * need of a parser of HTML: what else it might hold stays text.
 */
export function highlighted(html) {
  return html.split(/(<mark>.*?<\/mark>)/s).map((part) => {
    const marked = /^<mark>(.*)<\/mark>$/s.exec(part);
    return marked ? element("mark", {}, withoutEntities(marked[1])) : unescape(part);
  });
}

/**
 * Makes the children of `parent` those that `wanted` lists as [key, signature, make]: an element stays as
 * it is while its signature does, so that focus and what is selected stay too.
 */
export function reconcile(parent, wanted) {
  const held = new Map(Array.from(parent.children, (child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const [key, signature, make] of wanted) {
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

/** Puts one element in the place of another, with the focus if that had it. */
function replace(old, made) {
  const hadFocus = old.contains(document.activeElement);
  old.replaceWith(made);
  if (hadFocus) (made.matches("[tabindex], a") ? made : made.querySelector("article, a, button"))?.focus();
}
