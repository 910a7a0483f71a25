/**
 * A store that ends with the page or the process.
 *
 * @returns {Store}
 */
export function memoryStore(): Store;
export const TABLES: Table[];
/**
 * A key of a table: a string, a number, or several of them.
 */
export type Key = string | number | (string | number)[];
/**
 * A key of a table: a string, a number, or several of them.
 */
export type Table = "conversations" | "messages" | "ids" | "outbox" | "meta";
/**
 * A key of a table: a string, a number, or several of them.
 */
export type Transaction = {
    /**
     * undefined if there is none
     */
    get: (table: Table, key: Key) => Promise<any>;
    /**
     * the values from one
     * key to another, in the order of the keys: numbers before strings before lists
     */
    range: (table: Table, low: Key, high: Key, options?: RangeOptions) => Promise<any[]>;
    put: (table: Table, key: Key, value: unknown) => void;
    remove: (table: Table, key: Key) => void;
};
/**
 * A key of a table: a string, a number, or several of them.
 */
export type RangeOptions = {
    limit?: number;
    reverse?: boolean;
};
/**
 * What keeps a copy. Values are plain data, as JSON has it.
 */
export type Store = {
    /**
     * sees one state
     */
    read: <T>(work: (transaction: Transaction) => Promise<T>) => Promise<T>;
    /**
     *   all of it is kept when it returns, or, if `work` throws, nothing; with `isDurable` a power loss takes nothing of it.
     *   `work` awaits nothing but its transaction
     */
    write: <T>(work: (transaction: Transaction) => Promise<T>, options?: {
        isDurable?: boolean;
    }) => Promise<T>;
    /**
     * deletes everything
     */
    destroy: () => Promise<void>;
    /**
     * of a store that several tabs share
     */
    name?: string | undefined;
};
