/** IndexedDB with promises, and the shape of the copy. */

/**
 * messages       each as the service returned it, with its `conversation` and, if it is unread, `unread: 1`
 * conversations  one for each user or chat: the list on the left. A chat is stored as `chat`. How far both users of
 *                a personal conversation have read is stored as `positions`
 * outbox         messages that are not acknowledged yet, in order
 * seen           the last number that was read in each chat; it outlives a reset
 * meta           the cursor
 */
const STORES = ["messages", "conversations", "outbox", "seen", "meta"];

/** Version 1 had no positions, and no numbers of personal messages. */
const VERSION = 2;

/**
 * Opens a copy. If another tab deletes or upgrades it, or the browser closes it, the page is loaded again. A copy
 * of an earlier version is made anew by `clear(stores)`, in the transaction that upgrades it.
 */
export async function openDatabase(name, clear) {
  const opening = indexedDB.open(name, VERSION);
  opening.onupgradeneeded = ({ oldVersion }) => {
    const { result: database, transaction: upgrade } = opening;
    if (oldVersion === 0) create(database);
    const messages = upgrade.objectStore("messages");
    if (oldVersion > 0) messages.deleteIndex("place");
    messages.createIndex("place", ["conversation", "number"]);
    if (oldVersion > 0) clear(storesOf(upgrade)).catch(() => upgrade.abort());
  };
  const database = await result(opening);
  database.onversionchange = () => {
    database.close();
    location.reload();
  };
  database.onclose = () => location.reload();
  return database;
}

export function deleteDatabase(name) {
  return result(indexedDB.deleteDatabase(name));
}

function create(database) {
  database.createObjectStore("messages", { keyPath: "id" }).createIndex("unread", ["conversation", "unread"]);
  database.createObjectStore("conversations", { keyPath: "key" });
  const outbox = database.createObjectStore("outbox", { keyPath: "order", autoIncrement: true });
  outbox.createIndex("key", "key", { unique: true });
  database.createObjectStore("seen");
  database.createObjectStore("meta");
}

function storesOf(open) {
  return Object.fromEntries(STORES.map((name) => [name, open.objectStore(name)]));
}

/** The result of a request. */
export function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Runs `work` in one transaction and waits until it is committed; an error undoes all of it. */
export async function transaction(database, mode, work) {
  const open = database.transaction(STORES, mode);
  const done = new Promise((resolve, reject) => {
    open.oncomplete = resolve;
    open.onabort = () => reject(open.error ?? new Error("the copy could not be written"));
  });
  try {
    const value = await work(storesOf(open));
    await done;
    return value;
  } catch (error) {
    done.catch(() => {});
    if (open.error === null) try { open.abort(); } catch { /* it has ended already */ }
    throw error;
  }
}

/** Everything in an index from `lower` to `upper`. */
export function between(index, lower, upper) {
  return result(index.getAll(IDBKeyRange.bound(lower, upper)));
}

/** The newest `count` values of an index from `upper` down to `lower`, the newest first. */
export function newest(index, lower, upper, count) {
  return new Promise((resolve, reject) => {
    const found = [];
    const walk = index.openCursor(IDBKeyRange.bound(lower, upper), "prev");
    walk.onerror = () => reject(walk.error);
    walk.onsuccess = () => {
      const cursor = walk.result;
      if (cursor) found.push(cursor.value);
      if (!cursor || found.length === count) resolve(found);
      else cursor.continue();
    };
  });
}
