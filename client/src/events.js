// @ts-check
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
export function eventReader() {
  let rest = "";
  /** @type {Record<string, string>} */
  let fields = {};
  return (piece) => {
    /** @type {StreamEvent[]} */
    const events = [];
    // A carriage return at the end may be the first half of a line break.
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [, name = "", value = ""] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
      if (line === "") {
        if (Object.keys(fields).length) events.push(fields);
        fields = {};
      } else if (name === "data" && "data" in fields) fields.data += `\n${value}`;
      else if (name) fields[name] = value;
    }
    return events;
  };
}
