// @ts-check
/** What was written and not sent, per conversation. It outlives the token, and ends with the copy. */
export class Drafts {
  #prefix;

  /** `copy` is the name of the user's copy in this browser. */
  constructor(copy) {
    this.#prefix = `draft ${copy} `;
  }

  get(key) {
    return localStorage.getItem(this.#prefix + key) ?? "";
  }

  /** Stores a draft; an empty one is none. */
  set(key, text) {
    if (text) localStorage.setItem(this.#prefix + key, text);
    else localStorage.removeItem(this.#prefix + key);
  }

  clear() {
    for (const name of Object.keys(localStorage)) if (name.startsWith(this.#prefix)) localStorage.removeItem(name);
  }
}
