/**
 * Keeps a copy of a user's conversations current, as the README describes. It imports nothing: other clients may
 * use it.
 *
 *   await sync({ base: "https://messages.example", token, store, signal, onState });
 *
 * An empty copy begins with the list of conversations (`GET /conversations`). From there on it follows the timeline
 * as a stream, stores the changes in `store`, and continues from the stored cursor when the stream ends, for
 * whatever reason: sleep, a lost network, a restart of the service. Nothing is lost or repeated, because the cursor
 * is stored together with the data:
 *
 *   store.cursor()                      the stored cursor, null for an empty copy
 *   store.begin(conversations, cursor)  stores all conversations, the archived ones too, and the cursor from which
 *                                       the timeline continues, in ONE transaction. If a conversation is there twice,
 *                                       the later one is newer
 *   store.apply(entries, cursor)        stores both in ONE transaction. An entry has any of these:
 *     message                             put it, unless a newer one (by `timestamp`) is stored
 *     conversation                        put it in place of the stored one: its counts, positions and settings are
 *                                         exact, as the user sees them now
 *     chat or with, but no conversation   it has changed: fetch GET /chats/{chat} or GET /users/{with} when
 *                                         convenient, unless a later entry brings it. 404: it is not the user's any
 *                                         more. Do not store an answer if another entry came meanwhile: it may be
 *                                         older
 *                                       Ignore an entry that has none of these: it comes again, or is not the user's
 *                                       any more
 *   store.clear()                       removes everything: the service was restored to before the copy's cursor
 *
 * The messages of a conversation are numbered without gaps. Those from before the beginning are in its history:
 * GET /chats/{chat}/messages, GET /users/{with}/messages.
 *
 *   onState(state, error)               "connecting", "current" (everything so far is stored), or "offline"
 *
 * It returns when `signal` is aborted, and throws a Refusal when a retry cannot succeed: the token has expired
 * (401), or is not a user's (403, 422).
 */
export async function sync({ base = "", token, store, signal = NEVER, onState = () => {} }) {
  const options = { base, token, store, signal, onState };
  for (let failures = 0; !signal.aborted; failures += 1) {
    let error;
    onState("connecting");
    if (signal.aborted) return;
    try {
      await follow(options, () => { failures = 0; });
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

/** An answer that is neither a stream nor a list. */
export class Refusal extends Error {
  constructor(status, detail, retryAfter) {
    super(detail);
    Object.assign(this, { status, retryAfter, isFinal: [400, 401, 403, 406, 422].includes(status) });
  }
}

/** The service sends something every 15 seconds. After a silence this long the connection counts as lost. */
const SILENCE_MS = 40_000;
/** The same after a wake: one missing comment is enough. */
const DOUBT_MS = 20_000;
/** The most conversations that one call returns. */
const PAGE = 100;
const PAUSE_MS = 1000;
const PAUSE_MAX_MS = 30_000;
const NEVER = new AbortController().signal;

/** Follows one stream to its end; throws when it breaks. */
async function follow({ base, token, store, signal, onState }, onProgress) {
  const connection = openConnection(signal);
  try {
    const authorization = { Authorization: `Bearer ${token}` };
    const request = { headers: authorization, cache: "no-store", signal: connection.signal };
    let cursor = (await store.cursor()) ?? (await begin(base, store, request, connection.receive));
    const headers = { ...authorization, Accept: "text/event-stream" };
    const url = `${base}/messages?include=message,conversation&after=${cursor}`;
    const answer = await fetch(url, { ...request, headers });
    if (answer.status === 410) return await store.clear();
    if (!answer.ok) throw await refusal(answer);
    const body = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const eventsIn = eventReader();
    for (let piece = await body.read(); !piece.done; piece = await body.read()) {
      connection.receive();
      const events = eventsIn(piece.value);
      if (events.some(({ event }) => event === "reset")) return await store.clear();
      const entries = events.filter(({ event }) => event === "update").map(({ data }) => JSON.parse(data));
      const next = Number(events.findLast(({ id }) => id)?.id ?? cursor);
      if (next !== cursor) {
        cursor = next;
        await store.apply(entries, cursor);
      }
      if (events.some(({ event }) => event === "current")) onState("current");
      // Only stored changes are progress: after a full disk the next attempt must not come at once.
      if (events.some(({ event }) => event)) onProgress();
      connection.receive();
    }
  } finally {
    connection.end();
  }
}

/**
 * Stores the list of conversations; returns the cursor from which the timeline continues. It is the one of the first
 * page: whatever changes while the other pages are read comes again from there.
 */
async function begin(base, store, request, onProgress) {
  const conversations = [];
  let cursor;
  for (const archived of [false, true]) {
    for (let before = ""; before !== undefined;) {
      const answer = await fetch(`${base}/conversations?limit=${PAGE}&archived=${archived}${before}`, request);
      if (!answer.ok) throw await refusal(answer);
      const page = await answer.json();
      onProgress();
      cursor ??= page.latest;
      conversations.push(...page.conversations);
      before = page.next === undefined ? undefined : `&before=${page.next}`;
    }
  }
  await store.begin(conversations, cursor);
  return cursor;
}

/** Aborts a connection after a silence, when the network goes offline, or with `signal`. */
function openConnection(signal) {
  const line = new AbortController();
  const end = () => line.abort(new Error("the connection was lost"));
  let received = Date.now();
  const endAfter = (silence) => Date.now() - received > silence && end();
  const timer = setInterval(endAfter, 1000, SILENCE_MS);
  line.signal.addEventListener("abort", () => clearInterval(timer));
  signal.addEventListener("abort", end, { signal: line.signal });
  onWake(() => endAfter(DOUBT_MS), line.signal);
  globalThis.addEventListener?.("offline", end, { signal: line.signal });
  return { signal: line.signal, receive: () => { received = Date.now(); }, end };
}

async function refusal(answer) {
  const problem = await answer.json().catch(() => ({}));
  const retryAfter = 1000 * (Number(answer.headers.get("Retry-After")) || 0);
  return new Refusal(answer.status, problem.detail ?? answer.statusText, retryAfter);
}

/** Parses Server-Sent Events from text in pieces of any size: returns the events that a piece completes. */
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

/** Waits twice as long after each failure, with a random share, and until the next wake at the longest. */
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

/** Calls `wake` when the network is back, or the page becomes visible again. */
function onWake(wake, signal) {
  globalThis.addEventListener?.("online", wake, { signal });
  globalThis.document?.addEventListener("visibilitychange", () => document.hidden || wake(), { signal });
}
