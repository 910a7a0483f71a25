// @ts-check
/**
 * Follows the timeline, and keeps a copy current.
 *
 * An empty copy begins with the list of conversations. From there on the changes come as a stream, or as answers that
 * the service holds until there is something. When that ends, for whatever reason (sleep, a lost network, a restart
 * of the service), it continues from the stored cursor. Nothing is lost or repeated, because the cursor is stored
 * together with the data.
 */
import { isBug, pauseAfter, Problem, report, startTimer } from "./calls.js";
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
/** The status of what comes after a cursor to which the timeline does not reach: the service was restored, or does not
 * keep what comes after it any more. */
const RESTORED = 410;
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
export async function follow(following) {
  const { signal, onState } = following;
  const progress = { failures: 0, pauseMs: PAUSE_MS };
  for (let isRenewal = false; !signal.aborted; progress.failures += 1) {
    let error;
    if (!isRenewal) onState("connecting");
    isRenewal = false;
    try {
      isRenewal = await followOnce(following, progress);
    } catch (thrown) {
      if (thrown instanceof Problem && [400, 401, 403, 406, 422].includes(thrown.status)) throw thrown;
      error = thrown;
      if (isBug(thrown)) report(thrown);
    }
    if (signal.aborted) return;
    if (isRenewal) continue;
    onState("offline", error);
    await pause(pauseAfter(error, progress.failures, progress.pauseMs, PAUSE_MAX_MS), signal);
  }
}

/**
 * Follows by one line to its end; throws when it breaks. Returns whether it was ended to be opened with another token.
 *
 * @param {Following} following
 * @param {Progress} progress
 */
async function followOnce(following, progress) {
  const { calls, copy, transport, signal, onState } = following;
  const isPolling = transport === "poll";
  const line = openLine(signal, isPolling ? HELD_MS : SILENCE_MS);
  try {
    const cursor = (await copy.cursor()) ?? (await begin(calls, copy, line));
    await (isPolling ? poll : stream)(following, progress, line, cursor);
  } catch (error) {
    if (line.isRenewal) return true;
    if (!(error instanceof Problem && error.status === RESTORED)) throw error;
    // What is shown until the copy is there again is not current.
    onState("connecting");
    await copy.clear();
  } finally {
    line.end();
  }
  return false;
}

/**
 * Follows one stream.
 *
 * @param {Following} following
 * @param {Progress} progress
 * @param {Line} line
 * @param {number} cursor
 */
async function stream({ calls, copy, onState, onSignal }, progress, line, cursor) {
  line.renewIn(await calls.renewIn());
  const path = `/messages?include=${INCLUDE}&signals=1&after=${cursor}`;
  const answer = await calls.open(path, { headers: { Accept: "text/event-stream" }, signal: line.signal });
  const body = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  const eventsIn = eventReader();
  for (let piece = await body?.read(); piece && !piece.done; piece = await body?.read()) {
    line.receive();
    const events = eventsIn(piece.value);
    const has = (/** @type {string} */ name) => events.some(({ event }) => event === name);
    /** @returns {any[]} */
    const dataOf = (/** @type {string} */ name) =>
      events.filter(({ event }) => event === name).map(({ data = "{}" }) => JSON.parse(data));
    if (has("reset")) throw new Problem(RESTORED);
    progress.pauseMs = Number(events.findLast(({ retry }) => retry)?.retry) || progress.pauseMs;
    // A message that arrives with a signal was probably sent after it.
    dataOf("signal").forEach(onSignal);
    const next = Number(events.findLast(({ id }) => id)?.id ?? cursor);
    if (next !== cursor) {
      cursor = next;
      await copy.apply(dataOf("update"), cursor);
    }
    if (has("current")) onState("current");
    // Only stored changes are progress: after a full disk the next attempt must not come at once.
    if (events.some(({ event }) => event && event !== "signal")) progress.failures = 0;
    line.receive();
  }
}

/**
 * Follows by answers that are held.
 *
 * @param {Following} following
 * @param {Progress} progress
 * @param {Line} line
 * @param {number} cursor
 */
async function poll({ calls, copy, onState }, progress, line, cursor) {
  for (let wait = 0; ;) {
    const path = `/messages?include=${INCLUDE}&limit=${PAGE}&after=${cursor}&wait=${wait}`;
    const answer = await calls.open(path, { headers: {}, signal: line.signal });
    const page = await answer.json().catch(() => { throw new Problem(0); });
    line.receive();
    if (page.next !== cursor) {
      cursor = page.next;
      await copy.apply(page.messages, cursor);
    }
    const isCurrent = page.next >= page.latest;
    if (isCurrent) onState("current");
    wait = isCurrent ? HOLD_SECONDS : 0;
    progress.failures = 0;
    line.receive();
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
      if (!page.next) break;
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
  const ending = new AbortController();
  const end = () => ending.abort(new Problem(0));
  let received = Date.now();
  const endAfterSilence = (/** @type {number} */ silence) => {
    if (Date.now() - received > silence) end();
  };
  const timer = setInterval(endAfterSilence, 1000, silenceMs);
  ending.signal.addEventListener("abort", () => clearInterval(timer));
  signal.addEventListener("abort", end, { signal: ending.signal });
  if (signal.aborted) end();
  onWake(() => endAfterSilence(silenceMs === HELD_MS ? HELD_MS : DOUBT_MS), ending.signal);
  globalThis.addEventListener?.("offline", end, { signal: ending.signal });
  const line = {
    signal: ending.signal,
    /** Whether it was ended to be opened with another token. */
    isRenewal: false,
    receive() { received = Date.now(); },
    end,
    /** @param {number} ms */
    renewIn(ms) {
      ending.signal.addEventListener("abort", startTimer(ms, () => {
        line.isRenewal = true;
        end();
      }));
    },
  };
  return line;
}

/**
 * Waits, until the next wake at the longest.
 *
 * @param {number} ms
 * @param {AbortSignal} signal
 */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const over = new AbortController();
    const end = () => resolve(over.abort());
    over.signal.addEventListener("abort", startTimer(ms, end));
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
