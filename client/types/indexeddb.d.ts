/**
 * A store in IndexedDB. `name` is that of the user's copy. `onClose` is called when it is closed: by the browser, or,
 * with true, by another tab that destroys it.
 *
 * @param {string} name
 * @param {{ onClose?: (isDestroyed: boolean) => void }} [options]
 * @returns {import("./memory.js").Store}
 */
export function indexedDBStore(name: string, { onClose }?: {
    onClose?: (isDestroyed: boolean) => void;
}): import("./memory.js").Store;
