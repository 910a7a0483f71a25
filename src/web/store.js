/**
 * The copy of one user's messages in this browser. Things that change together change in one transaction: an
 * entry and the cursor, an acknowledged message and its item of the outbox.
 */
import { between, deleteDatabase, newest, openDatabase, result, transaction } from "./database.js";
import { isChat } from "./words.js";

const LAST = Number.MAX_SAFE_INTEGER;

export async function openStore(name, user) {
  return new Store(await openDatabase(name, clear), name, user);
}

class Store {
  #database; #name; #user; #onChange = () => {};

  constructor(database, name, user) {
    this.#database = database;
    this.#name = name;
    this.#user = user;
  }

  /** Calls `onChange` after each change of the copy with the new messages; with null after a reset. */
  watch(onChange) {
    this.#onChange = onChange;
  }

  // The interface that sync.js uses.

  cursor() {
    return this.#read(async ({ meta }) => (await result(meta.get("cursor"))) ?? 0);
  }

  apply(entries, cursor) {
    const messages = entries.flatMap(({ message }) => message ?? []);
    return this.#write(async (stores) => {
      for (const { chat, with: other, timestamp, message } of entries) {
        if (message) await this.#put(stores, message);
        else if (chat) await touch(stores, await conversation(stores, `chats/${chat}`), timestamp);
        else if (other) await touch(stores, await result(stores.conversations.get(`users/${other}`)), timestamp);
      }
      await result(stores.meta.put(cursor, "cursor"));
    }, messages);
  }

  /** Removes everything that came from the service. Unsent messages and the marks of chats stay. */
  clear() {
    return this.#write(clear, null);
  }

  // Messages.

  put(message) {
    return this.#write((stores) => this.#put(stores, message));
  }

  /** Adds older messages of a conversation; tombstones do not contain their conversation. */
  addHistory(key, messages) {
    return this.#write(async (stores) => {
      for (const message of messages) await this.#put(stores, message, key);
    });
  }

  message(id) {
    return this.#read(({ messages }) => result(messages.get(id)));
  }

  /**
   * A conversation, if the copy has it, its messages from a number on, and those that wait to be sent. No message is
   * in both.
   */
  conversationFrom(key, number) {
    return this.#read(async ({ conversations, messages, outbox }) => {
      const held = await result(conversations.get(key));
      const sent = await between(messages.index("place"), [key, number], [key, LAST]);
      return { conversation: held, messages: sent, pending: await unsent({ outbox }, key) };
    });
  }

  /** Up to `count` messages of a conversation before a number, the newest first. */
  messagesBefore(key, number, count) {
    return this.#read(({ messages }) => newest(messages.index("place"), [key, 0], [key, number - 1], count));
  }

  /** The unread messages of a conversation, in order. */
  unread(key) {
    return this.#read(({ messages }) => between(messages.index("unread"), [key, 1], [key, 1]));
  }

  /** Marks everything in a chat as read: the service stores no marks for chats. */
  see(key) {
    return this.#write(async (stores) => {
      const [last] = await newest(stores.messages.index("place"), [key, 0], [key, LAST], 1);
      if (!last) return;
      await result(stores.seen.put(last.number, key));
      await this.#flag(stores, key, last.number);
    });
  }

  /** The service has moved the user's position to a message of a personal conversation, if it was before that. */
  sawUpTo({ conversation: key, number }) {
    return this.#write(async (stores) => {
      const held = await result(stores.conversations.get(key));
      if (!held?.positions || held.positions.own >= number) return;
      const positions = { ...held.positions, own: number };
      await result(stores.conversations.put({ ...held, positions }));
      await this.#flag(stores, key, number);
    });
  }

  // Conversations.

  /**
   * All of them with the number of their unread messages, in the order of the last message, sent or waiting:
   * the newest first.
   */
  conversations() {
    return this.#read(async ({ conversations, messages, outbox }) => {
      const unread = messages.index("unread");
      const pending = await result(outbox.getAll());
      const counted = (await result(conversations.getAll())).map(async (conversation) => {
        const count = await result(unread.count(IDBKeyRange.only([conversation.key, 1])));
        const last = pending.findLast((item) => item.conversation === conversation.key);
        const at = Math.max(conversation.at, last ? Date.parse(last.created) : 0);
        return { ...conversation, at, unread: count };
      });
      return (await Promise.all(counted)).sort((a, b) => b.at - a.at);
    });
  }

  /** Stores a chat as the service has it now. It stays due if it was mentioned again since `due`. */
  putChat(chat, due) {
    return this.#write(async ({ conversations }) => {
      const held = await conversation({ conversations }, `chats/${chat.number}`, chat.created);
      const next = { ...held, due: stillDue(held, chat.timestamp, due) };
      if (!(held.chat?.timestamp > chat.timestamp)) {
        Object.assign(next, { chat, at: held.at || Date.parse(chat.created), isGone: undefined });
      }
      await result(conversations.put(next));
    });
  }

  /**
   * Stores how far both users of a personal conversation have read, as the service has it now. The conversation
   * stays due if it was mentioned again since `due`. Positions that the copy has already are not stored
   * again: the user's own may be ahead of them.
   */
  putPositions(key, { timestamp, read, reads }, due) {
    return this.#write(async (stores) => {
      const held = await result(stores.conversations.get(key));
      if (!held) return;
      const next = { ...held, due: stillDue(held, timestamp, due) };
      const isNew = !(held.positions?.timestamp >= timestamp);
      if (isNew) next.positions = { timestamp, own: read, other: reads[0]?.read ?? 0 };
      await result(stores.conversations.put(next));
      if (isNew) await this.#flag(stores, key, read);
    });
  }

  /**
   * Removes a chat that is not the user's any more, unless it was mentioned again since `due`. Its unsent
   * messages stay, refused with `why`: the chat is listed until they are discarded.
   */
  removeChat(key, due, why) {
    return this.#write(async ({ conversations, messages, outbox, seen }) => {
      const held = await result(conversations.get(key));
      if (!held || held.due !== due) return;
      await result(seen.delete(key));
      for (const message of await between(messages.index("place"), [key, 0], [key, LAST])) {
        await result(messages.delete(message.id));
      }
      const kept = await unsent({ outbox }, key);
      for (const item of kept) await result(outbox.put({ ...item, refused: why }));
      const { at, chat } = held;
      await result(kept.length ? conversations.put({ key, at, chat, isGone: true }) : conversations.delete(key));
    });
  }

  // The outbox.

  enqueue(item) {
    return this.#write(async ({ conversations, outbox }) => {
      const at = new Date().toISOString();
      const held = await conversation({ conversations }, item.conversation, at);
      await result(conversations.put(held));
      await result(outbox.add({ ...item, created: at }));
    });
  }

  outbox() {
    return this.#read(({ outbox }) => result(outbox.getAll()));
  }

  /** The service has acknowledged a message: it moves from the outbox to the messages. */
  sent(item, message) {
    return this.#write(async (stores) => {
      await result(stores.outbox.delete(item.order));
      await this.#put(stores, message);
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
    const key = held?.conversation ?? place ?? this.#keyOf(message);
    // The tombstone of a personal message that the copy never had belongs to no conversation.
    if (!key) return;
    const record = { ...message, conversation: key };
    if (message.deleted) Object.assign(record, { from: held?.from, created: held?.created });
    const stored = await conversation(stores, key, record.created);
    if (this.#isUnread(record, await position(stores, stored))) record.unread = 1;
    await result(stores.messages.put(record));
    if (message.from === this.#user) await leaveOutbox(stores, message.attributes?.key);
    if (stored.last?.number > record.number) return;
    const at = record.created ? Date.parse(record.created) : stored.at;
    // A personal conversation exists from its first message on. No entry tells the positions that it has then.
    const due = isChat(key) || stored.positions ? stored.due : (stored.due ?? 0);
    await result(stores.conversations.put({ ...stored, last: record, at, due }));
  }

  #isUnread({ from, number, deleted }, position) {
    return !deleted && from !== this.#user && number > position;
  }

  /** Makes those messages of a conversation unread that are after a position, and no others. */
  async #flag({ messages }, key, position) {
    const flagged = await between(messages.index("unread"), [key, 1], [key, 1]);
    const later = await between(messages.index("place"), [key, position + 1], [key, LAST]);
    for (const { unread, ...message } of [...flagged, ...later]) {
      const isUnread = this.#isUnread(message, position);
      if (isUnread !== Boolean(unread)) await result(messages.put(isUnread ? { ...message, unread: 1 } : message));
    }
  }

  #keyOf({ chat, from, to }) {
    if (chat) return `chats/${chat}`;
    return to && `users/${from === this.#user ? to : from}`;
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

async function clear({ messages, conversations, meta, outbox }) {
  await Promise.all([messages, conversations, meta].map((store) => result(store.clear())));
  for (const { conversation: key, created } of await result(outbox.getAll())) {
    await result(conversations.put(await conversation({ conversations }, key, created)));
  }
}

/** A conversation, stored or new. A new chat is due to be fetched: 0 is before any timestamp. */
async function conversation({ conversations }, key, created) {
  const held = await result(conversations.get(key));
  const fresh = { key, at: created ? Date.parse(created) : 0 };
  return held ?? (isChat(key) ? { ...fresh, due: 0 } : fresh);
}

/** The conversation has changed: it is due to be fetched, unless the copy has that change already. */
async function touch({ conversations }, held, timestamp) {
  // A personal conversation without a message is not in the copy: its first message makes it due.
  if (!held || (held.chat ?? held.positions)?.timestamp >= timestamp) return;
  await result(conversations.put({ ...held, due: timestamp }));
}

/**
 * What is still due after an answer with a timestamp: a mention of something newer. But what was mentioned before
 * the call, as `due`, and is not in the answer will not be in another one: a failover has lost it.
 */
function stillDue(held, timestamp, due) {
  return held.due > timestamp && held.due !== due ? held.due : undefined;
}

/** Up to which number the user has read a conversation. Until that is known, nothing is unread. */
async function position({ seen }, { key, positions }) {
  if (isChat(key)) return (await result(seen.get(key))) ?? 0;
  return positions?.own ?? LAST;
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
