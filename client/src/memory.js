// @ts-check
/** Stores: where a copy is kept. */

/**
 * A key of a table: a string, a number, or several of them.
 *
 * @typedef {string | number | (string | number)[]} Key
 *
 * @typedef {"conversations" | "messages" | "ids" | "outbox" | "meta"} Table
 *
 * @typedef {object} Transaction
 * @property {(table: Table, key: Key) => Promise<any>} get undefined if there is none
 * @property {(table: Table, low: Key, high: Key, options?: RangeOptions) => Promise<any[]>} range the values from one
 *   key to another, in the order of the keys: numbers before strings before lists
 * @property {(table: Table, key: Key, value: unknown) => void} put
 * @property {(table: Table, key: Key) => void} remove
 *
 * @typedef {{ limit?: number, reverse?: boolean }} RangeOptions
 */

/**
 * What keeps a copy. Values are plain data, as JSON has it.
 *
 * @typedef {object} Store
 * @property {<T>(work: (transaction: Transaction) => Promise<T>) => Promise<T>} read sees one state
 * @property {<T>(work: (transaction: Transaction) => Promise<T>, options?: { isDurable?: boolean }) => Promise<T>} write
 *   all of it is kept when it returns, or, if `work` throws, nothing; with `isDurable` a power loss takes nothing of it.
 *   `work` awaits nothing but its transaction
 * @property {() => Promise<void>} destroy deletes everything
 * @property {string} [name] of a store that several tabs share
 */

/**
 * (React Native has no structuredClone.)
 *
 * @template T
 * @param {T} value
 * @returns {T}
 */
const copied = (value) => ("structuredClone" in globalThis ? structuredClone(value) : JSON.parse(JSON.stringify(value)));

export const TABLES = /** @type {Table[]} */ (["conversations", "messages", "ids", "outbox", "meta"]);

/**
 * A store that ends with the page or the process.
 *
 * @returns {Store}
 */
export function memoryStore() {
  /** @type {Map<Table, [Key, unknown][]>} */
  let tables;
  const empty = () => { tables = new Map(TABLES.map((table) => [table, []])); };
  empty();
  /** @type {Promise<unknown>} */
  let last = Promise.resolve();
  /** @type {(() => void)[]} */
  let undo = [];

  const rows = (/** @type {Table} */ table) => /** @type {[Key, unknown][]} */ (tables.get(table));
  /** @param {Table} table @param {Key} key @param {[Key, unknown][]} added */
  const replace = (table, key, added) => {
    const all = rows(table);
    const [at, count] = find(all, key);
    const removed = all.splice(at, count, ...added);
    undo.push(() => { all.splice(at, added.length, ...removed); });
  };
  /** @type {Transaction} */
  const transaction = {
    get: async (table, key) => (await transaction.range(table, key, key))[0],
    async range(table, low, high, { limit, reverse } = {}) {
      const [from] = find(rows(table), low);
      const [to, count] = find(rows(table), high);
      const part = rows(table).slice(from, to + count);
      if (reverse) part.reverse();
      return part.slice(0, limit).map(([, value]) => copied(value));
    },
    put: (table, key, value) => replace(table, key, [[key, copied(value)]]),
    remove: (table, key) => replace(table, key, []),
  };

  /** @type {Store["read"]} */
  const run = (work) => {
    const ours = last.then(async () => {
      undo = [];
      try {
        return await work(transaction);
      } catch (error) {
        for (const step of undo.reverse()) step();
        throw error;
      }
    });
    last = ours.catch(() => {});
    return ours;
  };
  return { read: run, write: run, destroy: async () => empty() };
}

/**
 * Where a key is in sorted rows, or would be, and how many rows there have it: one or none.
 *
 * @param {[Key, unknown][]} rows
 * @param {Key} key
 * @returns {[number, number]}
 */
function find(rows, key) {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare(rows[middle][0], key) < 0) low = middle + 1;
    else high = middle;
  }
  return [low, low < rows.length && compare(rows[low][0], key) === 0 ? 1 : 0];
}

const rank = (/** @type {Key} */ key) => (Array.isArray(key) ? 2 : typeof key === "string" ? 1 : 0);

/**
 * @param {Key} one
 * @param {Key} other
 * @returns {number}
 */
function compare(one, other) {
  if (Array.isArray(one) && Array.isArray(other)) {
    for (let at = 0; at < Math.min(one.length, other.length); at += 1) {
      const order = compare(one[at], other[at]);
      if (order !== 0) return order;
    }
    return one.length - other.length;
  }
  if (rank(one) !== rank(other)) return rank(one) - rank(other);
  return one < other ? -1 : one > other ? 1 : 0;
}
