// @ts-check
/** What was written or attached and not sent, per conversation. It outlives the token, and ends with the copy. */
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

  /**
   * The uploaded files of a draft.
   *
   * @param {string} key
   * @returns {import("./attachments.js").Uploaded[]}
   */
  files(key) {
    return JSON.parse(this.get(`files ${key}`) || "[]");
  }

  setFiles(key, files) {
    this.set(`files ${key}`, files.length ? JSON.stringify(files) : "");
  }

  clear() {
    for (const name of Object.keys(localStorage)) if (name.startsWith(this.#prefix)) localStorage.removeItem(name);
  }
}
