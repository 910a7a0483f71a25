/**
 * The copy of one user's messages in this browser. Things that change together change in one transaction: an
 * entry and the cursor, an acknowledged message and its item of the outbox.
 */
import { between, deleteDatabase, newest, openDatabase, result, transaction } from "./database.js";

const LAST = Number.MAX_SAFE_INTEGER;

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
      for (const { chat, timestamp, message } of entries) {
        if (message) await this.#put(stores, message);
        else if (chat) await this.#touch(stores, chat, timestamp);
      }
      await result(stores.meta.put(cursor, "cursor"));
    }, messages);
  }

  /** Removes everything that came from the service. Unsent messages and the marks of chats stay. */
  clear() {
    return this.#write(async ({ messages, conversations, meta, outbox }) => {
      await Promise.all([messages, conversations, meta].map((store) => result(store.clear())));
      for (const { conversation: key, created } of await result(outbox.getAll())) {
        await result(conversations.put(await conversation({ conversations }, key, created)));
      }
    }, null);
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

  /** The messages of a conversation from an id on, and those that wait to be sent. No message is in both. */
  conversationFrom(key, id) {
    return this.#read(async ({ messages, outbox }) => {
      const sent = await between(messages.index("place"), [key, id], [key, LAST]);
      return { messages: sent, pending: await unsent({ outbox }, key) };
    });
  }

  /** Up to `count` messages of a conversation before an id, the newest first. */
  messagesBefore(key, id, count) {
    return this.#read(({ messages }) => newest(messages.index("place"), [key, 0], [key, id - 1], count));
  }

  unread(key) {
    return this.#read(({ messages }) => between(messages.index("unread"), [key, 1], [key, 1]));
  }

  /** Marks everything in a chat as read: the service stores no marks for chats. */
  see(key) {
    return this.#write(async ({ messages, seen }) => {
      const [last] = await newest(messages.index("place"), [key, 0], [key, LAST], 1);
      if (last?.number) await result(seen.put(last.number, key));
      for (const message of await between(messages.index("unread"), [key, 1], [key, 1])) {
        delete message.unread;
        await result(messages.put(message));
      }
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

  /** Stores a chat as the service has it now. It stays due if it has changed again since. */
  putChat(chat) {
    return this.#write(async ({ conversations }) => {
      const held = await conversation({ conversations }, `chats/${chat.number}`, chat.created);
      if (held.chat?.timestamp > chat.timestamp) return;
      const due = held.due > chat.timestamp ? held.due : undefined;
      const at = held.at || Date.parse(chat.created);
      await result(conversations.put({ ...held, at, chat, due, isGone: undefined }));
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
    if (await this.#isUnread(stores, record)) record.unread = 1;
    await result(stores.messages.put(record));
    if (message.from === this.#user) await leaveOutbox(stores, message.attributes?.key);
    const stored = await conversation(stores, key, record.created);
    if (stored.last?.id > record.id) return;
    const at = record.created ? Date.parse(record.created) : stored.at;
    await result(stores.conversations.put({ ...stored, last: record, at }));
  }

  async #isUnread({ seen }, { conversation, from, to, read, number, deleted }) {
    if (deleted || from === this.#user) return false;
    return to ? !read : number > ((await result(seen.get(conversation))) ?? 0);
  }

  async #touch({ conversations }, chat, timestamp) {
    const held = await conversation({ conversations }, `chats/${chat}`);
    if (!(held.chat?.timestamp >= timestamp)) await result(conversations.put({ ...held, due: timestamp }));
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

/** A conversation, stored or new. A new chat is due to be fetched: 0 is before any timestamp. */
async function conversation({ conversations }, key, created) {
  const held = await result(conversations.get(key));
  const fresh = { key, at: created ? Date.parse(created) : 0 };
  return held ?? (key.startsWith("chats/") ? { ...fresh, due: 0 } : fresh);
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
