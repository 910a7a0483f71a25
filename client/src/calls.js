// @ts-check
/** Calls of the service: JSON in, JSON out, one kind of error, and a token that is renewed in time. */

/** Long enough for a busy service: it answers 503 before that. */
const PATIENCE_MS = 20_000;
/** A token is renewed this long before it ends, or in the middle of a shorter life. */
const MARGIN_MS = 30_000;
/** Whoever makes tokens is asked again after this time at the earliest. */
const RENEWAL_MIN_MS = 1000;
/** The same where a token has ended by the clock of this device, which may be wrong: the service decides. */
const DOUBT_MS = 60_000;

/**
 * A problem document (RFC 9457).
 *
 * @typedef {import("../types/api.js").components["schemas"]["ProblemDocument"]} ProblemDocument
 */

/** A refusal of the service, or a failure to reach it (status 0). */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {Partial<ProblemDocument>} document
   * @param {number} retryAfter in seconds
   */
  constructor(status, document = {}, retryAfter = 0) {
    super(document.detail ?? "the service cannot be reached");
    this.name = "Problem";
    this.status = status;
    this.fields = document.errors ?? [];
    /** The name of the kind of problem, such as `slow-mode`. */
    this.kind = document.type?.split("/").at(-1);
    /** In seconds; 0 if the service does not say when to come again. */
    this.retryAfter = retryAfter;
  }

  /** Whether the same call can succeed later. */
  get isTemporary() {
    return [0, 408, 429].includes(this.status) || this.status >= 500 || this.retryAfter > 0;
  }

  /** A text for people. */
  get words() {
    const fields = this.fields.map(({ field, detail }) => `${field} ${detail}`).join("; ");
    const words = fields || this.message;
    return words.charAt(0).toUpperCase() + words.slice(1) + (/[.!?]$/.test(words) ? "" : ".");
  }
}

/** The token is that of another user than the copy. */
export class OtherUser extends Problem {
  constructor() {
    super(401, { detail: "the token is that of another user" });
    this.kind = "other-user";
  }
}

/**
 * Whether an error is a mistake in a program, which must not pass for "offline" or for a store that fails.
 *
 * @param {unknown} error
 */
export function isBug(error) {
  return [TypeError, ReferenceError, RangeError, SyntaxError].some((kind) => error instanceof kind);
}

/**
 * What comes of a call; null if it is refused with one of these statuses, or, if none is named, for whatever reason.
 *
 * @template T
 * @param {Promise<T>} call
 * @param {...number} statuses
 * @returns {Promise<T | null>}
 */
export async function unlessRefused(call, ...statuses) {
  try {
    return await call;
  } catch (problem) {
    if (problem instanceof Problem && (statuses.length === 0 || statuses.includes(problem.status))) return null;
    throw problem;
  }
}

/**
 * How long to wait after an error, in milliseconds: twice as long after each failure, with a random share, and not
 * before the service wants to be called again.
 *
 * @param {unknown} error
 * @param {number} failures before it
 * @param {number} firstMs
 * @param {number} longestMs
 */
export function pauseAfter(error, failures, firstMs, longestMs) {
  const atLeast = error instanceof Problem ? 1000 * error.retryAfter : 0;
  const pauseMs = Math.max(atLeast, Math.min(longestMs, firstMs * 2 ** failures));
  return pauseMs * (0.5 + Math.random() / 2) + atLeast / 2;
}

/**
 * Calls `work` after a time. Returns what stops that.
 *
 * @param {number} ms
 * @param {() => void} work
 */
export function startTimer(ms, work) {
  // No timer of a browser waits for longer: 24 days.
  const timer = ms < 2 ** 31 ? setTimeout(work, ms) : undefined;
  return () => clearTimeout(timer);
}

/**
 * Reports an error as one that nobody has caught, without ending what goes on.
 *
 * @param {unknown} error
 */
export function report(error) {
  if ("reportError" in globalThis) globalThis.reportError(error);
  else queueMicrotask(() => { throw error; });
}

/**
 * @typedef {object} Credentials
 * @property {string} [token] a user's token
 * @property {() => string | undefined | Promise<string | undefined>} [getToken] returns one; called again before it
 *   ends, and after a 401. It returns nothing if the user is signed out, and throws if it can be asked again later
 */

/** @typedef {{ body?: unknown, headers?: Record<string, string>, signal?: AbortSignal }} CallOptions */

export class Calls {
  #base;
  #check;
  #getToken;
  /** @type {string | undefined} */
  #token;
  /** When the token is to be renewed, by the clock of this device. */
  #renewAt = Infinity;
  /** @type {Promise<string> | undefined} */
  #renewing;

  /**
   * @param {Credentials & { base?: string }} options
   * @param {(token: string) => void} check called with each new token before it is used
   */
  constructor({ base = "", token, getToken }, check) {
    this.#base = base.replace(/\/+$/, "");
    this.#check = check;
    if (!base && !globalThis.location) throw new TypeError("connect() needs the base");
    this.#getToken = getToken;
    this.#keep(token);
  }

  /** A token that is good for a while. */
  async token() {
    if (this.#token !== undefined && Date.now() < this.#renewAt) return this.#token;
    return this.#renew();
  }

  /** When the present token should be replaced, in milliseconds from now; never, if it cannot be. */
  async renewIn() {
    await this.token();
    return Math.max(0, this.#renewAt - Date.now());
  }

  /**
   * Calls, and returns the body of the answer. A refusal is thrown as a {@link Problem}.
   *
   * @param {string} method
   * @param {string} path
   * @param {CallOptions} [options]
   * @returns {Promise<any>}
   */
  async call(method, path, { body, headers = {}, signal } = {}) {
    const sent = { ...headers };
    if (body !== undefined) sent["Content-Type"] ??= "application/json";
    // React Native has no AbortSignal.timeout.
    const patience = new AbortController();
    const stopTimer = startTimer(PATIENCE_MS, () => patience.abort());
    const request = { method, headers: sent, body: JSON.stringify(body), signal: signal ?? patience.signal };
    try {
      const answer = await this.open(path, request);
      // An answer that breaks off counts as none.
      const text = await answer.text().catch(() => { throw new Problem(0); });
      return [202, 204].includes(answer.status) ? {} : parse(text);
    } finally {
      stopTimer();
    }
  }

  /**
   * Calls, and returns the answer as it is, once its head is there.
   *
   * @param {string} path
   * @param {RequestInit & { headers: Record<string, string> }} request
   */
  open(path, request) {
    return this.fetch(this.#base + path, { cache: "no-store", ...request });
  }

  /**
   * The same for any address: the token goes there.
   *
   * @param {string} url
   * @param {RequestInit & { headers?: Record<string, string> }} [request]
   */
  async fetch(url, request = {}) {
    const token = await this.token();
    let answer = await this.#fetch(url, request, token);
    if (answer.status === 401 && this.#getToken) {
      if (this.#token === token) this.#token = undefined;
      const renewed = await this.token();
      if (renewed !== token) answer = await this.#fetch(url, request, renewed);
    }
    if (answer.ok) return answer;
    const document = await answer.json().catch(() => ({}));
    throw new Problem(answer.status, document, Number(answer.headers.get("Retry-After")) || 0);
  }

  /**
   * @param {string} url
   * @param {RequestInit & { headers?: Record<string, string> }} request
   * @param {string} token
   */
  async #fetch(url, request, token) {
    const headers = { ...request.headers, Authorization: `Bearer ${token}` };
    try {
      return await fetch(url, { ...request, headers });
    } catch (error) {
      throw Object.assign(new Problem(0), { cause: error });
    }
  }

  /** Asks for a token, once for all who need one. */
  #renew() {
    this.#renewing ??= inTime(async () => this.#getToken?.()).then(
      (token) => {
        if (!token) throw new Problem(401, { detail: "no token" });
        this.#check(token);
        return this.#keep(token);
      },
      (error) => {
        // Whoever makes tokens may be away, too. The present one may be good for a while.
        if (!this.#token || leftOf(this.#token) <= 0) throw new Problem(0, { detail: `no token: ${error.message}` });
        this.#renewAt = Date.now() + RENEWAL_MIN_MS;
        return this.#token;
      },
    ).finally(() => { this.#renewing = undefined; });
    return this.#renewing;
  }

  /**
   * @template {string | undefined} Token
   * @param {Token} token
   * @returns {Token}
   */
  #keep(token) {
    const left = leftOf(token);
    const life = left > 0 ? Math.max(RENEWAL_MIN_MS, left - MARGIN_MS, left / 2) : DOUBT_MS;
    this.#token = token;
    this.#renewAt = this.#getToken ? Date.now() + life : Infinity;
    return token;
  }
}

/**
 * A JSON object. Anything else does not come from the service, as the page of a network that asks for a password.
 *
 * @param {string} text
 */
function parse(text) {
  try {
    const json = JSON.parse(text);
    if (json && typeof json === "object") return json;
  } catch {
    // It is no JSON at all.
  }
  throw new Problem(0);
}

/**
 * What comes of `work`, or an error if that takes too long.
 *
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
function inTime(work) {
  return new Promise((resolve, reject) => {
    work().then(resolve, reject).finally(startTimer(PATIENCE_MS, () => reject(new Error("no answer"))));
  });
}

/**
 * How long a token is good for, in milliseconds, by the clock of this device.
 *
 * @param {string | undefined} token
 */
function leftOf(token = "") {
  return (claimsOf(token)?.exp ?? Infinity) * 1000 - Date.now();
}

/**
 * The claims of a JSON Web Token; null for any other token. The service checks the signature, not the client.
 *
 * @param {string} token
 * @returns {{ sub: string, app?: number, exp?: number } | null}
 */
export function claimsOf(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims.sub === "string" ? claims : null;
  } catch {
    // It has another form.
    return null;
  }
}
