// @ts-check
/** A store in a browser: it outlives the page, and the tabs of one user share it. */

import { TABLES } from "./memory.js";

const VERSION = 1;

/**
 * A store in IndexedDB. `name` is that of the user's copy. `onClose` is called when it is closed: by the browser, or,
 * with true, by another tab that destroys it.
 *
 * @param {string} name
 * @param {{ onClose?: (isDestroyed: boolean) => void }} [options]
 * @returns {import("./memory.js").Store}
 */
export function indexedDBStore(name, { onClose = () => {} } = {}) {
  /** @type {Promise<IDBDatabase> | undefined} */
  let opening;
  const open = () => {
    opening ??= openDatabase(name, (isDestroyed) => {
      opening = undefined;
      onClose(isDestroyed);
    }).catch((error) => {
      opening = undefined;
      throw error;
    });
    return opening;
  };
  /**
   * @template T
   * @param {IDBTransactionMode} mode
   * @param {(transaction: import("./memory.js").Transaction) => Promise<T>} work
   * @param {boolean} [isDurable]
   */
  const run = async (mode, work, isDurable = false) => inTransaction(await open(), mode, work, isDurable);
  return {
    name,
    read: (work) => run("readonly", work),
    write: (work, options) => run("readwrite", work, options?.isDurable),
    async destroy() {
      (await opening)?.close();
      await result(indexedDB.deleteDatabase(name));
    },
  };
}

/**
 * @param {string} name
 * @param {(isDestroyed: boolean) => void} onClose
 */
async function openDatabase(name, onClose) {
  const request = indexedDB.open(name, VERSION);
  request.onupgradeneeded = () => {
    for (const table of TABLES) request.result.createObjectStore(table);
  };
  const database = await result(request);
  database.onversionchange = () => {
    database.close();
    onClose(true);
  };
  database.onclose = () => onClose(false);
  return database;
}

/**
 * Runs `work` in one transaction and waits until it is committed; an error undoes all of it.
 *
 * @template T
 * @param {IDBDatabase} database
 * @param {IDBTransactionMode} mode
 * @param {(transaction: import("./memory.js").Transaction) => Promise<T>} work
 * @param {boolean} isDurable
 */
async function inTransaction(database, mode, work, isDurable) {
  const open = database.transaction(TABLES, mode, { durability: isDurable ? "strict" : "default" });
  const done = new Promise((resolve, reject) => {
    open.oncomplete = resolve;
    open.onabort = () => reject(open.error ?? new DOMException("the copy could not be written", "AbortError"));
  });
  // Whoever awaits it learns of a failure; `work` may fail first.
  done.catch(() => {});
  try {
    const value = await work(transactionOf(open));
    await done;
    return value;
  } catch (error) {
    try {
      open.abort();
    } catch {
      // It is over already.
    }
    throw error;
  }
}

/**
 * @param {IDBTransaction} open
 * @returns {import("./memory.js").Transaction}
 */
function transactionOf(open) {
  return {
    get: (table, key) => result(open.objectStore(table).get(key)),
    range(table, low, high, { limit, reverse = false } = {}) {
      const store = open.objectStore(table);
      const between = IDBKeyRange.bound(low, high);
      return reverse ? backwards(store, between, limit) : result(store.getAll(between, limit));
    },
    // A request that fails aborts the transaction, of which whoever runs it learns.
    put(table, key, value) { open.objectStore(table).put(value, key); },
    remove(table, key) { open.objectStore(table).delete(key); },
  };
}

/**
 * The values of a range from its end.
 *
 * @param {IDBObjectStore} store
 * @param {IDBKeyRange} between
 * @param {number} [limit]
 * @returns {Promise<any[]>}
 */
function backwards(store, between, limit = Infinity) {
  return new Promise((resolve, reject) => {
    /** @type {unknown[]} */
    const values = [];
    const walk = store.openCursor(between, "prev");
    walk.onerror = () => reject(walk.error);
    walk.onsuccess = () => {
      const cursor = walk.result;
      if (cursor) values.push(cursor.value);
      if (cursor && values.length < limit) cursor.continue();
      else resolve(values);
    };
  });
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
