// @ts-check
/** A list of many elements is one stop of the Tab key: the arrow keys, Home and End move within it. */
export class Roving {
  /** @type {HTMLElement} */ #list;
  #selector; #steps;

  /**
   * `selector` finds the elements that can have the focus. With `isRow` they are beside each other.
   *
   * @param {HTMLElement} list
   * @param {string} selector
   * @param {{ isRow?: boolean }} [options]
   */
  constructor(list, selector, { isRow = false } = {}) {
    [this.#list, this.#selector] = [list, selector];
    this.#steps = isRow ? { ArrowLeft: -1, ArrowRight: 1 } : { ArrowUp: -1, ArrowDown: 1 };
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
    const step = this.#steps[event.key];
    const to = step ? at + step : { Home: 0, End: elements.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    elements[to]?.focus();
  }
}
