// @ts-check
/**
 * Follows the timeline, and keeps a copy current.
 *
 * An empty copy begins with the list of conversations. From there on the changes come as a stream, or as answers that
 * the service holds until there is something. When that ends, for whatever reason (sleep, a lost network, a restart
 * of the service), it continues from the stored cursor. Nothing is lost or repeated, because the cursor is stored
 * together with the data.
 */
import { isBug, Problem, report } from "./calls.js";
import { eventReader } from "./events.js";

/** The service sends something every 15 seconds. After a silence this long a stream counts as lost. */
const SILENCE_MS = 40_000;
/** The same after a wake: one missing comment is enough. */
const DOUBT_MS = 20_000;
/** A held answer comes after 50 seconds at the latest. */
const HELD_MS = 65_000;
const HOLD_SECONDS = 60;
/** What comes with the entries. */
const INCLUDE = "message,conversation,reactions";
/** The most conversations that one call returns, and entries with conversations. */
const PAGE = 100;
const PAUSE_MS = 1000;
const PAUSE_MAX_MS = 30_000;

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

/** How following goes. */
class Attempt {
  failures = 0;
  /** The first pause, which a stream may set. */
  pauseMs = PAUSE_MS;
}

/**
 * Follows until `signal` is aborted. Throws a {@link Problem} when a retry cannot succeed: the token has ended, or is
 * not a user's.
 *
 * @param {Following} following
 */
export async function follow(following) {
  const { signal, onState } = following;
  const attempt = new Attempt();
  for (let isRenewal = false; !signal.aborted; attempt.failures += 1) {
    let error;
    if (!isRenewal) onState("connecting");
    isRenewal = false;
    try {
      isRenewal = await (following.transport === "poll" ? poll : stream)(following, attempt);
    } catch (thrown) {
      if (thrown instanceof Problem && [400, 401, 403, 406, 422].includes(thrown.status)) throw thrown;
      error = thrown;
      if (isBug(thrown)) report(thrown);
    }
    if (signal.aborted) return;
    if (isRenewal) continue;
    onState("offline", error);
    const retryAfter = error instanceof Problem ? 1000 * error.retryAfter : 0;
    await pause(attempt, retryAfter, signal);
  }
}

/**
 * Follows one stream to its end; throws when it breaks. Returns whether it was ended to be opened with another token.
 *
 * @param {Following} following
 * @param {Attempt} attempt
 */
async function stream(following, attempt) {
  const { calls, copy, signal, onState, onSignal } = following;
  const line = openLine(signal, SILENCE_MS);
  let isRenewal = false;
  try {
    let cursor = (await copy.cursor()) ?? (await begin(calls, copy, line));
    const renewIn = await calls.renewIn();
    line.endAfter(renewIn, () => { isRenewal = true; });
    const path = `/messages?include=${INCLUDE}&signals=1&after=${cursor}`;
    const answer = await opened(calls, path, { Accept: "text/event-stream" }, line);
    if (!answer) return await startAnew(following);
    if (!answer.body) return false;
    const body = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const eventsIn = eventReader();
    for (let piece = await body.read(); !piece.done; piece = await body.read()) {
      line.receive();
      const events = eventsIn(piece.value);
      if (events.some(({ event }) => event === "reset")) return await startAnew(following);
      const retry = Number(events.findLast(({ retry }) => retry)?.retry);
      if (retry) attempt.pauseMs = retry;
      // A message that arrives with a signal was probably sent after it.
      for (const { event, data = "{}" } of events) if (event === "signal") onSignal(JSON.parse(data));
      const updates = events.filter(({ event }) => event === "update");
      const entries = updates.map(({ data = "{}" }) => JSON.parse(data));
      const next = Number(events.findLast(({ id }) => id)?.id ?? cursor);
      if (next !== cursor) {
        cursor = next;
        await copy.apply(entries, cursor);
      }
      if (events.some(({ event }) => event === "current")) onState("current");
      // Only stored changes are progress: after a full disk the next attempt must not come at once.
      if (events.some(({ event }) => event && event !== "signal")) attempt.failures = 0;
      line.receive();
    }
    return false;
  } catch (error) {
    if (isRenewal) return true;
    throw error;
  } finally {
    line.end();
  }
}

/**
 * Follows by answers that are held; throws when one fails.
 *
 * @param {Following} following
 * @param {Attempt} attempt
 * @returns {Promise<boolean>}
 */
async function poll(following, attempt) {
  const { calls, copy, signal, onState } = following;
  const line = openLine(signal, HELD_MS);
  try {
    let cursor = (await copy.cursor()) ?? (await begin(calls, copy, line));
    for (let wait = 0; ;) {
      const query = `include=${INCLUDE}&limit=${PAGE}&after=${cursor}&wait=${wait}`;
      const answer = await opened(calls, `/messages?${query}`, {}, line);
      if (!answer) return await startAnew(following);
      const page = await answer.json().catch(() => { throw new Problem(0); });
      line.receive();
      if (page.next !== cursor) {
        cursor = page.next;
        await copy.apply(page.messages, cursor);
      }
      const isCurrent = page.next >= page.latest;
      if (isCurrent) onState("current");
      wait = isCurrent ? HOLD_SECONDS : 0;
      attempt.failures = 0;
      line.receive();
    }
  } finally {
    line.end();
  }
}

/**
 * The service was restored to before the copy, which is cleared. What is shown meanwhile is not current.
 *
 * @param {Following} following
 */
async function startAnew({ copy, onState }) {
  onState("connecting");
  await copy.clear();
  return false;
}

/**
 * The answer to a call after a cursor; undefined if the timeline ends before it: the service was restored.
 *
 * @param {import("./calls.js").Calls} calls
 * @param {string} path
 * @param {Record<string, string>} headers
 * @param {Line} line
 */
async function opened(calls, path, headers, line) {
  try {
    return await calls.open(path, { headers, signal: line.signal });
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 410) throw problem;
    return undefined;
  }
}

/**
 * Stores the list of conversations; returns the cursor from which the timeline continues. It is the one of the first
 * page: whatever changes while the other pages are read comes again from there.
 *
 * @param {import("./calls.js").Calls} calls
 * @param {import("./copy.js").Copy} copy
 * @param {Line} line
 */
async function begin(calls, copy, line) {
  const conversations = [];
  let cursor;
  for (const archived of [false, true]) {
    for (let before = ""; ;) {
      const path = `/conversations?limit=${PAGE}&archived=${archived}${before}`;
      const page = await calls.call("GET", path, { signal: line.signal });
      line.receive();
      cursor ??= page.latest;
      conversations.push(...page.conversations);
      if (page.next === undefined) break;
      before = `&before=${page.next}`;
    }
  }
  await copy.begin(conversations, cursor);
  return /** @type {number} */ (cursor);
}

/**
 * A line to the service, which ends after a silence, when the network goes offline, or with `signal`.
 *
 * @typedef {ReturnType<typeof openLine>} Line
 *
 * @param {AbortSignal} signal
 * @param {number} silenceMs
 */
function openLine(signal, silenceMs) {
  const line = new AbortController();
  const end = () => line.abort(new Problem(0));
  let received = Date.now();
  const endAfterSilence = (/** @type {number} */ silence) => {
    if (Date.now() - received > silence) end();
  };
  const timer = setInterval(endAfterSilence, 1000, silenceMs);
  line.signal.addEventListener("abort", () => clearInterval(timer));
  signal.addEventListener("abort", end, { signal: line.signal });
  if (signal.aborted) end();
  onWake(() => endAfterSilence(silenceMs === HELD_MS ? HELD_MS : DOUBT_MS), line.signal);
  globalThis.addEventListener?.("offline", end, { signal: line.signal });
  return {
    signal: line.signal,
    receive() { received = Date.now(); },
    end,
    /** @param {number | undefined} ms @param {() => void} before */
    endAfter(ms, before) {
      // No timer of a browser waits for longer.
      if (ms === undefined || ms >= 2 ** 31) return;
      const ending = setTimeout(() => {
        before();
        end();
      }, ms);
      line.signal.addEventListener("abort", () => clearTimeout(ending));
    },
  };
}

/**
 * Waits twice as long after each failure, with a random share, and until the next wake at the longest.
 *
 * @param {Attempt} attempt
 * @param {number} atLeast
 * @param {AbortSignal} signal
 */
function pause({ failures, pauseMs }, atLeast, signal) {
  const longest = Math.max(atLeast, Math.min(PAUSE_MAX_MS, pauseMs * 2 ** failures));
  return new Promise((resolve) => {
    const over = new AbortController();
    const end = () => resolve(over.abort());
    const timer = setTimeout(end, longest * (0.5 + Math.random() / 2) + atLeast / 2);
    over.signal.addEventListener("abort", () => clearTimeout(timer));
    signal.addEventListener("abort", end, { signal: over.signal });
    onWake(end, over.signal);
  });
}

/**
 * Calls `wake` when the network is back, or the page becomes visible again.
 *
 * @param {() => void} wake
 * @param {AbortSignal} signal
 */
function onWake(wake, signal) {
  globalThis.addEventListener?.("online", wake, { signal });
  globalThis.document?.addEventListener("visibilitychange", () => document.hidden || wake(), { signal });
}
