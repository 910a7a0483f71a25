/** IndexedDB with promises, and the shape of the copy. */

/**
 * messages       each as the service returned it, with its `conversation` and, if it is unread, `unread: 1`
 * conversations  one for each user or chat: the list on the left
 * outbox         messages that are not acknowledged yet, in order
 * seen           the last number that was read in each chat; it outlives a reset
 * meta           the cursor
 */
const STORES = ["messages", "conversations", "outbox", "seen", "meta"];

/** Opens a copy. If another tab deletes it, or the browser closes it, the page is loaded again. */
export async function openDatabase(name) {
  const opening = indexedDB.open(name, 1);
  opening.onupgradeneeded = () => {
    const database = opening.result;
    const messages = database.createObjectStore("messages", { keyPath: "id" });
    messages.createIndex("place", ["conversation", "id"]);
    messages.createIndex("unread", ["conversation", "unread"]);
    database.createObjectStore("conversations", { keyPath: "key" });
    const outbox = database.createObjectStore("outbox", { keyPath: "order", autoIncrement: true });
    outbox.createIndex("key", "key", { unique: true });
    database.createObjectStore("seen");
    database.createObjectStore("meta");
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
  const stores = Object.fromEntries(STORES.map((name) => [name, open.objectStore(name)]));
  try {
    const value = await work(stores);
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
