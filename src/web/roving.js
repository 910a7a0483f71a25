// @ts-check
/** A list of many elements is one stop of the Tab key: the arrow keys, Home and End move within it. */
export class Roving {
  /** @type {HTMLElement} */ #list;
  #selector;

  /**
   * `selector` finds the elements that can have the focus.
   *
   * @param {HTMLElement} list
   * @param {string} selector
   */
  constructor(list, selector) {
    [this.#list, this.#selector] = [list, selector];
    list.addEventListener("focusin", ({ target }) => this.stopAt(/** @type {Element} */ (target).closest(selector)));
    list.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** @returns {HTMLElement[]} */
  get #elements() {
    return Array.from(this.#list.querySelectorAll(this.#selector));
  }

  /**
   * Makes `preferred` the stop if there is none, as after the list has changed.
   *
   * @param {Element | null} [preferred]
   */
  keepStop(preferred) {
    const elements = this.#elements;
    if (!elements.some(({ tabIndex }) => tabIndex === 0)) this.stopAt(preferred ?? elements[0]);
  }

  /** @param {Element | null} element */
  stopAt(element) {
    if (!element) return;
    for (const other of this.#elements) if (other.tabIndex === 0) other.tabIndex = -1;
    element.setAttribute("tabindex", "0");
  }

  #onKey(event) {
    const elements = this.#elements;
    const at = elements.indexOf(document.activeElement?.closest(this.#selector));
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: elements.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    elements[to]?.focus();
  }
}
