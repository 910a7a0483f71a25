/**
 * @typedef {"connecting" | "current" | "offline"} State "current": everything so far is in the copy
 *
 * @typedef {import("./copy.js").Entry} Entry
 *
 * @typedef {object} Following
 * @property {import("./calls.js").Calls} calls
 * @property {import("./copy.js").Copy} copy
 * @property {"stream" | "poll"} transport
 * @property {AbortSignal} signal
 * @property {(state: State, error?: unknown) => void} onState
 * @property {(signal: import("../types/api.js").components["schemas"]["Signal"]) => void} onSignal called by a stream
 */
/**
 * How following goes. `pauseMs` is the first pause, which a stream may set.
 *
 * @typedef {{ failures: number, pauseMs: number }} Progress
 */
/**
 * Follows until `signal` is aborted. Throws a {@link Problem} when a retry cannot succeed: the token has ended, or is
 * not a user's.
 *
 * @param {Following} following
 */
export function follow(following: Following): Promise<void>;
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
 * How following goes. `pauseMs` is the first pause, which a stream may set.
 */
export type Progress = {
    failures: number;
    pauseMs: number;
};
/**
 * A line to the service, which ends after a silence, when the network goes offline, or with `signal`.
 */
export type Line = ReturnType<typeof openLine>;
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
    /** Whether it was ended to be opened with another token. */
    isRenewal: boolean;
    receive(): void;
    end: () => void;
    /** @param {number} ms */
    renewIn(ms: number): void;
};
export {};
