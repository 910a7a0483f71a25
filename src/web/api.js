/** Calls of the service: JSON in, JSON out, and one kind of error. */

/** Long enough for a busy service: it answers 503 before that. */
const PATIENCE_MS = 20_000;

/** A refusal of the service, or a failure to reach it (status 0). */
export class Problem extends Error {
  constructor(status, document = {}, retryAfter = 0) {
    super(document.detail ?? "the service cannot be reached");
    this.status = status;
    this.fields = document.errors ?? [];
    /** The name of the kind of problem, such as `slow-mode`. */
    this.kind = document.type?.split("/").at(-1);
    /** In seconds; 0 if the service does not say when to come again. */
    this.retryAfter = retryAfter;
  }

  /** Whether the same call can succeed later. */
  get isTemporary() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }

  /** A text for people. */
  get words() {
    const fields = this.fields.map(({ field, detail }) => `${field} ${detail}`).join("; ");
    const words = fields || this.message;
    return words.charAt(0).toUpperCase() + words.slice(1) + (/[.!?]$/.test(words) ? "" : ".");
  }
}

/**
 * Throws an error again that is a bug, such as a TypeError: it must not pass for "offline". A Problem is the
 * service's, a DOMException the browser's, as when the copy is closed.
 */
export function rethrowBug(error) {
  if (!(error instanceof Problem || error instanceof DOMException)) throw error;
}

/** Returns a function that calls as the token's user and returns the body of the answer. */
export function caller(token, base = "") {
  return async function call(method, path, { body, headers = {} } = {}) {
    const request = { method, cache: "no-store", headers: { Authorization: `Bearer ${token}`, ...headers } };
    request.signal = AbortSignal.timeout(PATIENCE_MS);
    if (body !== undefined) {
      request.headers["Content-Type"] = "application/json";
      request.body = JSON.stringify(body);
    }
    const answer = await fetch(base + path, request).catch(() => { throw new Problem(0); });
    // An answer that breaks off counts as none.
    const text = await answer.text().catch(() => { throw new Problem(0); });
    const json = text.startsWith("{") ? JSON.parse(text) : {};
    if (!answer.ok) throw new Problem(answer.status, json, Number(answer.headers.get("Retry-After")) || 0);
    return json;
  };
}

/** The path of a conversation, which is also its key: `users/john` or `chats/3`. */
export const pathOf = (key) => `/${key.split("/").map(encodeURIComponent).join("/")}`;
