/**
 * A store in IndexedDB. `name` is that of the user's copy; `onClose` is called when the browser, or another tab that
 * destroys the store, has closed it.
 *
 * @param {string} name
 * @param {{ onClose?: () => void }} [options]
 * @returns {import("./memory.js").Store}
 */
export function indexedDBStore(name: string, { onClose }?: {
    onClose?: () => void;
}): import("./memory.js").Store;
export type Table = import("./memory.js").Table;
