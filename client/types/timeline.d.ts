/**
 * Follows until `signal` is aborted. Throws a {@link Problem} when a retry cannot succeed: the token has ended, or is
 * not a user's.
 *
 * @param {Following} following
 */
export function follow(following: Following): Promise<void>;
/**
 * A line to the service, which ends after a silence, when the network goes offline, or with `signal`.
 */
export type Line = ReturnType<typeof openLine>;
/**
 * "current": everything so far is in the copy
 */
export type State = "connecting" | "current" | "offline";
export type Entry = import("./copy.js").Entry;
export type Following = {
    calls: import("./calls.js").Calls;
    copy: import("./copy.js").Copy;
    transport: "stream" | "poll";
    signal: AbortSignal;
    onState: (state: State, error?: unknown) => void;
    /**
     * called by a stream
     */
    onSignal: (signal: import("../types/api.js").components["schemas"]["Signal"]) => void;
};
/**
 * A line to the service, which ends after a silence, when the network goes offline, or with `signal`.
 *
 * @typedef {ReturnType<typeof openLine>} Line
 *
 * @param {AbortSignal} signal
 * @param {number} silenceMs
 */
declare function openLine(signal: AbortSignal, silenceMs: number): {
    signal: AbortSignal;
    receive(): void;
    end: () => void;
    /** @param {number | undefined} ms @param {() => void} before */
    endAfter(ms: number | undefined, before: () => void): void;
};
export {};
