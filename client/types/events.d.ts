/** Server-Sent Events, as the HTML standard has them (section 9.2.6). */
/**
 * The fields of an event.
 *
 * @typedef {{ id?: string, event?: string, data?: string, retry?: string }} StreamEvent
 */
/**
 * Parses text in pieces of any size.
 *
 * @returns {(piece: string) => StreamEvent[]} returns the events that a piece completes
 */
export function eventReader(): (piece: string) => StreamEvent[];
/**
 * The fields of an event.
 */
export type StreamEvent = {
    id?: string;
    event?: string;
    data?: string;
    retry?: string;
};
