/**
 * The copy of one user's conversations in this browser: the service's state, of which nothing is counted here, and
 * the messages that wait to be sent. Things that change together change in one transaction: an entry and the
 * cursor, an acknowledged message and its item of the outbox.
 */
import { between, deleteDatabase, newest, openDatabase, result, transaction } from "./database.js";
import { isChat, keyOf } from "./words.js";

export const LAST = Number.MAX_SAFE_INTEGER;

export async function openStore(name, user) {
  return new Store(await openDatabase(name), name, user);
}

class Store {
  #database; #name; #user; #onChange = () => {};

  constructor(database, name, user) {
    this.#database = database;
    this.#name = name;
    this.#user = user;
  }

  /** Calls `onChange` after each change of the copy with the new messages; with null after it was made anew. */
  watch(onChange) {
    this.#onChange = onChange;
  }

  // The interface that sync.js uses.

  cursor() {
    return this.#read(async ({ meta }) => (await result(meta.get("cursor"))) ?? null);
  }

  begin(conversations, cursor) {
    return this.#write(async (stores) => {
      for (const conversation of conversations) {
        await putConversation(stores, conversation);
        if (conversation.message) await this.#put(stores, conversation.message, keyOf(conversation));
      }
      await result(stores.meta.put(cursor, "cursor"));
    }, null);
  }

  apply(entries, cursor) {
    const messages = entries.flatMap(({ message }) => message ?? []);
    return this.#write(async (stores) => {
      for (const { message, conversation, ...changed } of entries) {
        if (message) await this.#put(stores, message, conversation && keyOf(conversation));
        if (conversation) await putConversation(stores, conversation);
        else if (changed.chat || changed.with) await touch(stores, keyOf(changed), changed.timestamp);
      }
      await result(stores.meta.put(cursor, "cursor"));
    }, messages);
  }

  /** Removes everything that came from the service. Unsent messages stay. */
  clear() {
    return this.#write(async ({ messages, conversations, meta }) => {
      await Promise.all([messages, conversations, meta].map((store) => result(store.clear())));
    }, null);
  }

  // Messages.

  put(message) {
    return this.#write((stores) => this.#put(stores, message));
  }

  /** Adds messages of a conversation's history; tombstones do not contain their conversation. */
  addHistory(key, messages) {
    return this.#write(async (stores) => {
      for (const message of messages) await this.#put(stores, message, key);
    });
  }

  message(id) {
    return this.#read(({ messages }) => result(messages.get(id)));
  }

  /** The messages of a conversation from one number to another one that the copy has, in order. */
  messagesBetween(key, low, high) {
    return this.#read(({ messages }) => between(messages.index("place"), [key, low], [key, high]));
  }

  /** The newest message of a conversation that `matches`. */
  newestMessage(key, matches) {
    return this.#read(({ messages }) => newest(messages.index("place"), [key, 0], [key, LAST], matches));
  }

  /**
   * A conversation, if the copy has it, its messages from one number to another one, and those that wait to be sent.
   * No message is in both.
   */
  conversationWith(key, { low, high }) {
    return this.#read(async ({ conversations, messages, outbox }) => {
      const conversation = await result(conversations.get(key));
      const sent = await between(messages.index("place"), [key, low], [key, high]);
      return { conversation, messages: sent, pending: await unsent({ outbox }, key) };
    });
  }

  // Conversations.

  conversation(key) {
    return this.#read(({ conversations }) => result(conversations.get(key)));
  }

  /**
   * All of them, in the order of the list: the pinned ones first, then those with the newest message, sent or
   * waiting. Each has the `waiting` message that was written last, and whether one was `isRefused`.
   */
  conversations() {
    return this.#read(async ({ conversations, outbox }) => {
      const pending = await result(outbox.getAll());
      const held = new Map(pending.map(({ conversation: key }) => [key, { key }]));
      for (const conversation of await result(conversations.getAll())) held.set(conversation.key, conversation);
      return Array.from(held.values(), (conversation) => withWaiting(conversation, pending))
        .filter(({ timestamp, isGone, waiting }) => timestamp !== undefined || isGone || waiting)
        .sort((a, b) => isPinned(b) - isPinned(a) || placeOf(b) - placeOf(a));
    });
  }

  /** The conversations with a change that is still to be fetched. */
  due() {
    return this.#read(async ({ conversations }) =>
      (await result(conversations.getAll())).filter(({ due }) => due !== undefined));
  }

  /** Adds a conversation, unless the timeline has brought it already. */
  addConversation(conversation) {
    return this.#write(async (stores) => {
      const held = await result(stores.conversations.get(keyOf(conversation)));
      if (held?.timestamp === undefined) await putConversation(stores, conversation);
    });
  }

  /**
   * Stores the answer to a call for a conversation that was due since `due`; null for one that is not the user's any
   * more. If the timeline has told of it again meanwhile, the answer may be older: the conversation stays due.
   */
  fetched(key, conversation, due, why) {
    return this.#write(async (stores) => {
      const held = await result(stores.conversations.get(key));
      if (held?.due !== due) return;
      if (conversation) await putConversation(stores, conversation);
      else await remove(stores, held, why);
    });
  }

  // The outbox.

  /** Adds a message to be sent; `since` gives its conversation a place among those of the timeline. */
  enqueue(item) {
    return this.#write(async ({ meta, outbox }) => {
      const since = (await result(meta.get("cursor"))) ?? 0;
      await result(outbox.add({ ...item, since, created: new Date().toISOString() }));
    });
  }

  outbox() {
    return this.#read(({ outbox }) => result(outbox.getAll()));
  }

  /** The service has acknowledged a message: it moves from the outbox to the messages. */
  sent(item, message) {
    return this.#write(async (stores) => {
      await result(stores.outbox.delete(item.order));
      await this.#put(stores, message, item.conversation);
      await advance(stores, item.conversation, message);
    });
  }

  /** Changes an item of the outbox if it still exists; null removes it. */
  amend(item, change) {
    return this.#write(async ({ conversations, outbox }) => {
      const held = await result(outbox.get(item.order));
      if (!held) return;
      if (change) return result(outbox.put({ ...held, ...change }));
      await result(outbox.delete(item.order));
      const isGone = (await result(conversations.get(item.conversation)))?.isGone;
      const isEmpty = (await unsent({ outbox }, item.conversation)).length === 0;
      if (isGone && isEmpty) await result(conversations.delete(item.conversation));
    });
  }

  /** Closes and deletes the copy. */
  async destroy() {
    this.#database.close();
    await deleteDatabase(this.#name);
  }

  // Within a transaction.

  async #put(stores, message, place) {
    const held = await result(stores.messages.get(message.id));
    if (held?.timestamp > message.timestamp) return;
    const key = held?.conversation ?? place ?? this.#placeOf(message);
    // The tombstone of a personal message that the copy never had belongs to no conversation.
    if (!key) return;
    const record = { ...message, conversation: key };
    if (message.deleted) Object.assign(record, { from: held?.from, created: held?.created, system: held?.system });
    await result(stores.messages.put(record));
    if (message.from === this.#user) await leaveOutbox(stores, message.attributes?.key);
    const conversation = await result(stores.conversations.get(key));
    const isOlder = conversation?.message?.id === message.id && conversation.message.timestamp < message.timestamp;
    if (isOlder) await result(stores.conversations.put({ ...conversation, message }));
  }

  #placeOf({ chat, from, to }) {
    return chat || to ? keyOf({ chat, with: from === this.#user ? to : from }) : undefined;
  }

  #read(work) {
    return transaction(this.#database, "readonly", work);
  }

  async #write(work, messages = []) {
    const value = await transaction(this.#database, "readwrite", work);
    this.#onChange(messages);
    return value;
  }
}

function withWaiting(conversation, pending) {
  const own = pending.filter((item) => item.conversation === conversation.key);
  return { ...conversation, waiting: own.at(-1), isRefused: own.some(({ refused }) => refused) };
}

const isPinned = ({ settings }) => Boolean(settings?.pinned);

/** Where a conversation is among the others. What waits comes after everything that was on the timeline then. */
const placeOf = ({ last = 0, waiting }) => Math.max(last, waiting ? (waiting.since ?? LAST) + 0.5 : 0);

/** Replaces a conversation: each answer is newer than those that the timeline brought before it. */
function putConversation({ conversations }, conversation) {
  return result(conversations.put({ ...conversation, key: keyOf(conversation) }));
}

/** The conversation has changed, and how is not told: it is due to be fetched. */
async function touch({ conversations }, key, timestamp) {
  const held = (await result(conversations.get(key))) ?? { key };
  await result(conversations.put({ ...held, due: timestamp }));
}

/**
 * Shows an acknowledged message in the list until the timeline brings the conversation with it. Whoever sends has
 * read everything before.
 */
async function advance({ conversations }, key, message) {
  const { number, created, timestamp } = message;
  const held = await result(conversations.get(key));
  const isBehind = held?.timestamp === undefined ? !isChat(key) : held.messages < number;
  if (!isBehind || message.deleted) return;
  const fresh = { key, with: message.to, timestamp, created, settings: {} };
  const newest = { message, last: timestamp, messages: number, read: number, unread: 0, mentions: 0 };
  await result(conversations.put({ ...fresh, ...held, ...newest }));
}

/** Removes a conversation. What is unsent stays, refused with `why`, and the chat stays listed with it. */
async function remove({ conversations, messages, outbox }, { key, name, last }, why) {
  for (const { id } of await between(messages.index("place"), [key, 0], [key, LAST])) await result(messages.delete(id));
  const kept = isChat(key) ? await unsent({ outbox }, key) : [];
  for (const item of kept) await result(outbox.put({ ...item, refused: why }));
  await result(kept.length ? conversations.put({ key, name, last, isGone: true }) : conversations.delete(key));
}

/** The unacknowledged messages of a conversation, in order. */
async function unsent({ outbox }, key) {
  return (await result(outbox.getAll())).filter(({ conversation }) => conversation === key);
}

/** Removes a message from the outbox that arrives on the timeline before its acknowledgement. */
async function leaveOutbox({ outbox }, key) {
  const order = typeof key === "string" ? await result(outbox.index("key").getKey(key)) : undefined;
  if (order !== undefined) await result(outbox.delete(order));
}
