/** IndexedDB with promises, and the shape of the copy. */

/**
 * messages       each as the service returned it, with the key of its `conversation`
 * conversations  each as the service returned it, with its `key`; `due` if a change of it is still to be fetched
 * outbox         messages that are not acknowledged yet, in order
 * meta           the cursor
 */
const STORES = ["messages", "conversations", "outbox", "meta"];

/** Versions 1 and 2 counted unread messages themselves. In version 3, chats had no roles and no rules. */
const VERSION = 4;

/**
 * Opens a copy. If another tab deletes or upgrades it, or the browser closes it, the page is loaded again. A copy
 * of an earlier version is made anew, but for the messages that were not sent yet.
 */
export async function openDatabase(name) {
  const opening = indexedDB.open(name, VERSION);
  opening.onupgradeneeded = () => create(opening.result);
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
  const hasOutbox = database.objectStoreNames.contains("outbox");
  for (const name of database.objectStoreNames) if (name !== "outbox") database.deleteObjectStore(name);
  const messages = database.createObjectStore("messages", { keyPath: "id" });
  messages.createIndex("place", ["conversation", "number"]);
  database.createObjectStore("conversations", { keyPath: "key" });
  database.createObjectStore("meta");
  if (hasOutbox) return;
  const outbox = database.createObjectStore("outbox", { keyPath: "order", autoIncrement: true });
  outbox.createIndex("key", "key", { unique: true });
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
    const stores = Object.fromEntries(STORES.map((name) => [name, open.objectStore(name)]));
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

/** The newest value of an index from `lower` to `upper` that `matches`. */
export function newest(index, lower, upper, matches) {
  return new Promise((resolve, reject) => {
    const walk = index.openCursor(IDBKeyRange.bound(lower, upper), "prev");
    walk.onerror = () => reject(walk.error);
    walk.onsuccess = () => {
      const cursor = walk.result;
      if (!cursor || matches(cursor.value)) resolve(cursor?.value);
      else cursor.continue();
    };
  });
}
