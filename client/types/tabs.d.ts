/**
 * Joins the tabs that share a store. A store without a name is used by nobody else.
 *
 * @param {string | undefined} name
 * @param {AbortSignal} signal
 * @param {(message: any) => void} onMessage called with what the other tabs tell
 * @returns {Tabs}
 */
export function joinTabs(name: string | undefined, signal: AbortSignal, onMessage: (message: any) => void): Tabs;
/**
 * The tabs of one user: they share one copy, and one of them follows the timeline and sends. When it is closed, or
 * crashes, another one goes on. What one changes it tells the others.
 *
 * Pages without TLS have no locks: there, each tab follows and sends. That costs connections, and nothing else: the
 * copy is changed in transactions, and what is sent twice is sent once.
 */
/**
 * @typedef {object} Tabs
 * @property {(message: any) => void} tell tells the other tabs
 * @property {(work: () => Promise<void>) => Promise<void>} lead carries out `work` in one tab at a time: returns when
 *   it has ended, or `signal` is aborted before it was this tab's turn
 */
/** A client that shares its store with nobody. @type {Tabs} */
export const ALONE: Tabs;
export type Tabs = {
    /**
     * tells the other tabs
     */
    tell: (message: any) => void;
    /**
     * carries out `work` in one tab at a time: returns when
     * it has ended, or `signal` is aborted before it was this tab's turn
     */
    lead: (work: () => Promise<void>) => Promise<void>;
};
