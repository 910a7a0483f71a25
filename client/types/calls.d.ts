/**
 * Whether an error is a mistake in a program, which must not pass for "offline" or for a store that fails.
 *
 * @param {unknown} error
 */
export function isBug(error: unknown): boolean;
/**
 * What comes of a call; null if it is refused with one of these statuses, or, if none is named, for whatever reason.
 *
 * @template T
 * @param {Promise<T>} call
 * @param {...number} statuses
 * @returns {Promise<T | null>}
 */
export function unlessRefused<T>(call: Promise<T>, ...statuses: number[]): Promise<T | null>;
/**
 * How long to wait after an error, in milliseconds: twice as long after each failure, with a random share, and not
 * before the service wants to be called again.
 *
 * @param {unknown} error
 * @param {number} failures before it
 * @param {number} firstMs
 * @param {number} longestMs
 */
export function pauseAfter(error: unknown, failures: number, firstMs: number, longestMs: number): number;
/**
 * Calls `work` after a time. Returns what stops that.
 *
 * @param {number} ms
 * @param {() => void} work
 */
export function startTimer(ms: number, work: () => void): () => void;
/**
 * Reports an error as one that nobody has caught, without ending what goes on.
 *
 * @param {unknown} error
 */
export function report(error: unknown): void;
/**
 * The claims of a JSON Web Token; null for any other token. The service checks the signature, not the client.
 *
 * @param {string} token
 * @returns {{ sub: string, app?: number, exp?: number } | null}
 */
export function claimsOf(token: string): {
    sub: string;
    app?: number;
    exp?: number;
} | null;
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
    constructor(status: number, document?: Partial<ProblemDocument>, retryAfter?: number);
    status: number;
    fields: {
        detail: string;
        field: string;
    }[];
    /** The name of the kind of problem, such as `slow-mode`. */
    kind: string | undefined;
    /** In seconds; 0 if the service does not say when to come again. */
    retryAfter: number;
    /** Whether the same call can succeed later. */
    get isTemporary(): boolean;
    /** A text for people. */
    get words(): string;
}
/** The token is that of another user than the copy. */
export class OtherUser extends Problem {
    constructor();
    kind: string;
}
/**
 * @typedef {object} Credentials
 * @property {string} [token] a user's token
 * @property {() => string | undefined | Promise<string | undefined>} [getToken] returns one; called again before it
 *   ends, and after a 401. It returns nothing if the user is signed out, and throws if it can be asked again later
 */
/** @typedef {{ body?: unknown, headers?: Record<string, string>, signal?: AbortSignal }} CallOptions */
export class Calls {
    /**
     * @param {Credentials & { base?: string }} options
     * @param {(token: string) => void} check called with each new token before it is used
     */
    constructor({ base, token, getToken }: Credentials & {
        base?: string;
    }, check: (token: string) => void);
    /** A token that is good for a while. */
    token(): Promise<string>;
    /** When the present token should be replaced, in milliseconds from now; never, if it cannot be. */
    renewIn(): Promise<number>;
    /**
     * Calls, and returns the body of the answer. A refusal is thrown as a {@link Problem}.
     *
     * @param {string} method
     * @param {string} path
     * @param {CallOptions} [options]
     * @returns {Promise<any>}
     */
    call(method: string, path: string, { body, headers, signal }?: CallOptions): Promise<any>;
    /**
     * Calls, and returns the answer as it is, once its head is there.
     *
     * @param {string} path
     * @param {RequestInit & { headers: Record<string, string> }} request
     */
    open(path: string, request: RequestInit & {
        headers: Record<string, string>;
    }): Promise<Response>;
    /**
     * The same for any address: the token goes there.
     *
     * @param {string} url
     * @param {RequestInit & { headers?: Record<string, string> }} [request]
     */
    fetch(url: string, request?: RequestInit & {
        headers?: Record<string, string>;
    }): Promise<Response>;
    #private;
}
/**
 * A problem document (RFC 9457).
 */
export type ProblemDocument = import("../types/api.js").components["schemas"]["ProblemDocument"];
export type Credentials = {
    /**
     * a user's token
     */
    token?: string | undefined;
    /**
     * returns one; called again before it
     * ends, and after a 401. It returns nothing if the user is signed out, and throws if it can be asked again later
     */
    getToken?: (() => string | undefined | Promise<string | undefined>) | undefined;
};
export type CallOptions = {
    body?: unknown;
    headers?: Record<string, string>;
    signal?: AbortSignal;
};
