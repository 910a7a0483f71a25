/**
 * Keeps a copy of a user's messages current, as the README teaches it. This file stands alone: take it.
 *
 *   await sync({ base: "https://messages.example", token, store, signal, onState });
 *
 * It follows the timeline as a stream, writes what it is told into `store`, and goes on from the stored
 * cursor whenever the stream ends, whatever ends it: sleep, a lost network, a restart of the service.
 * Nothing is lost or repeated, because the cursor is stored together with the data:
 *
 *   store.cursor()                 the stored cursor, 0 for an empty copy
 *   store.apply(entries, cursor)   stores both in ONE transaction. An entry is {id, timestamp, message}: put
 *                                  the message, unless a newer one (by `timestamp`) is held. Or it is
 *                                  {chat, timestamp}: the chat has changed, fetch it when convenient. Leave
 *                                  out what has neither; it is told again, or is not yours any more. (Who is a
 *                                  member of a chat again finds what was sent meanwhile in its history.)
 *   store.clear()                  forgets everything: the service was restored and knows less than the copy
 *
 *   onState(state, error)          "connecting", "current" (everything so far is stored), or "offline"
 *
 * It returns when `signal` is aborted, and throws a Refusal when asking again is of no use: the token has
 * ended (401), or is not a user's (403, 422).
 */
export async function sync({ base = "", token, store, signal = NEVER, onState = () => {} }) {
  const wishes = { base, token, store, signal, onState };
  for (let failures = 0; !signal.aborted; failures += 1) {
    let error;
    onState("connecting");
    if (signal.aborted) return;
    try {
      await follow(wishes, () => { failures = 0; });
    } catch (thrown) {
      if (thrown instanceof Refusal && thrown.isFinal) throw thrown;
      error = thrown;
    }
    if (signal.aborted) return;
    onState("offline", error);
    if (signal.aborted) return;
    await pause(failures, error?.retryAfter ?? 0, signal);
  }
}

/** An answer that is not a stream. */
export class Refusal extends Error {
  constructor(status, detail, retryAfter) {
    super(detail);
    Object.assign(this, { status, retryAfter, isFinal: [400, 401, 403, 406, 422].includes(status) });
  }
}

/** The service says something every 15 seconds at least. Who hears nothing for this long is alone. */
const SILENCE_MS = 40_000;
/** After a wake, one missing comment is enough. */
const DOUBT_MS = 20_000;
const PAUSE_MS = 1000;
const PAUSE_MAX_MS = 30_000;
const NEVER = new AbortController().signal;

/** Follows one stream to its end; throws when it breaks. */
async function follow({ base, token, store, signal, onState }, onHeard) {
  const line = openLine(signal);
  try {
    let cursor = await store.cursor();
    const headers = { Authorization: `Bearer ${token}`, Accept: "text/event-stream" };
    const url = `${base}/messages?include=message&after=${cursor}`;
    const answer = await fetch(url, { headers, cache: "no-store", signal: line.signal });
    if (answer.status === 410) return await store.clear();
    if (!answer.ok) throw await refusal(answer);
    const body = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const eventsIn = eventReader();
    for (let piece = await body.read(); !piece.done; piece = await body.read()) {
      line.hear();
      const events = eventsIn(piece.value);
      if (events.some(({ event }) => event === "reset")) return await store.clear();
      const entries = events.filter(({ event }) => event === "update").map(({ data }) => JSON.parse(data));
      const next = Number(events.findLast(({ id }) => id)?.id ?? cursor);
      if (next !== cursor) {
        cursor = next;
        await store.apply(entries, cursor);
      }
      if (events.some(({ event }) => event === "current")) onState("current");
      // Only what is stored is progress: a full disk is no reason to ask again at once.
      if (events.some(({ event }) => event)) onHeard();
      line.hear();
    }
  } finally {
    line.end();
  }
}

/** What a connection is aborted by: silence, doubt after a wake, a network that says it has gone, or `signal`. */
function openLine(signal) {
  const line = new AbortController();
  const end = () => line.abort(new Error("the connection was lost"));
  let heard = Date.now();
  const endAfter = (silence) => Date.now() - heard > silence && end();
  const timer = setInterval(endAfter, 1000, SILENCE_MS);
  line.signal.addEventListener("abort", () => clearInterval(timer));
  signal.addEventListener("abort", end, { signal: line.signal });
  onWake(() => endAfter(DOUBT_MS), line.signal);
  globalThis.addEventListener?.("offline", end, { signal: line.signal });
  return { signal: line.signal, hear: () => { heard = Date.now(); }, end };
}

async function refusal(answer) {
  const problem = await answer.json().catch(() => ({}));
  const retryAfter = 1000 * (Number(answer.headers.get("Retry-After")) || 0);
  return new Refusal(answer.status, problem.detail ?? answer.statusText, retryAfter);
}

/** Reads Server-Sent Events from text in pieces of any size: gives the events that a piece completes. */
export function eventReader() {
  let rest = "";
  let fields = {};
  return (piece) => {
    const events = [];
    // A carriage return at the end may be the first half of a line break.
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (line === "") {
        if (Object.keys(fields).length) events.push(fields);
        fields = {};
      } else if (name === "data" && "data" in fields) fields.data += `\n${value}`;
      else if (name) fields[name] = value;
    }
    return events;
  };
}

/** Waits twice as long after each failure, but never as long as everybody else, and no longer than a wake. */
function pause(failures, atLeast, signal) {
  const longest = Math.max(atLeast, Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** failures));
  return new Promise((resolve) => {
    const over = new AbortController();
    const end = () => resolve(over.abort());
    const timer = setTimeout(end, longest * (0.5 + Math.random() / 2) + atLeast / 2);
    over.signal.addEventListener("abort", () => clearTimeout(timer));
    signal.addEventListener("abort", end, { signal: over.signal });
    onWake(end, over.signal);
  });
}

/** Calls when the network is back, or the page is looked at again. */
function onWake(wake, signal) {
  globalThis.addEventListener?.("online", wake, { signal });
  globalThis.document?.addEventListener("visibilitychange", () => document.hidden || wake(), { signal });
}
