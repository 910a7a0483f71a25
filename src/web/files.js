// @ts-check
/** The application's own service for files, where the page has one: it stores what is attached to messages. */
import { element } from "./dom.js";

/** How long the browser may take to begin to save a file. */
const SAVING_MS = 60_000;

export class Files {
  #client; #url;

  /**
   * @param {import("/client/client.js").Client} client
   * @param {string} [url] where files are posted; without it nothing is attached
   */
  constructor(client, url) {
    [this.#client, this.#url] = [client, url];
  }

  get isConfigured() {
    return this.#url !== undefined;
  }

  /**
   * Uploads a file; returns its id.
   *
   * @param {File} file
   * @param {AbortSignal} signal
   * @returns {Promise<string>}
   */
  async upload(file, signal) {
    const body = new FormData();
    body.append("file", file);
    const answer = await this.#fetch(`${this.#url}`, { method: "POST", body, signal });
    const { id } = await answer.json().catch(() => ({}));
    if (typeof id !== "string" && typeof id !== "number") throw new Error("the answer of the file service has no id");
    return `${id}`;
  }

  /**
   * Has the browser save a file under a name.
   *
   * @param {string} id
   * @param {string} name
   */
  async save(id, name) {
    const url = new URL(`${this.#url}`);
    url.pathname = `${url.pathname.replace(/\/+$/, "")}/${encodeURIComponent(id)}`;
    const answer = await this.#fetch(url.href);
    const href = URL.createObjectURL(await answer.blob());
    element("a", { href, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(href), SAVING_MS);
  }

  /**
   * @param {string} url
   * @param {RequestInit & { headers?: Record<string, string> }} [request]
   */
  async #fetch(url, request) {
    try {
      return await this.#client.fetch(url, request);
    } catch (problem) {
      if (problem.status !== 0) throw problem;
      throw new Error("the file service cannot be reached");
    }
  }
}
