/**
 * Edits, deletes and marks messages. Each says which state of the message it means. Where somebody was
 * faster (412), the present message is fetched and the change is made to that one: a read mark in
 * between matters to nobody. Only where the text is another one, the person decides.
 */
export class Changes {
  #call; #store;

  constructor(call, store) {
    this.#call = call;
    this.#store = store;
  }

  /** `choose(present)` shows both texts, and gives the text to store, or null to leave it as it is. */
  edit(message, text, choose) {
    return this.#change(message, async (known) => this.#patch(known, { text }), async (present) => {
      const chosen = await choose(present, text);
      text = chosen ?? text;
      return chosen !== null;
    });
  }

  /** `choose(present)` tells whether the message is to be deleted as it is now. */
  remove(message, choose) {
    return this.#change(message, async (known) => {
      const path = `/messages/${known.id}`;
      await this.#call("DELETE", path, { headers: condition(known) });
      return this.#call("GET", path);
    }, choose);
  }

  markRead(message) {
    return this.#change(message, (known) => this.#patch(known, { read: true }), async () => true);
  }

  #patch(known, body) {
    return this.#call("PATCH", `/messages/${known.id}`, { body, headers: condition(known) });
  }

  async #change(message, attempt, choose) {
    for (let known = message; ;) {
      try {
        return await this.#store.put(await attempt(known));
      } catch (problem) {
        if (![410, 412].includes(problem.status)) throw problem;
        const present = await this.#call("GET", `/messages/${message.id}`);
        await this.#store.put(present);
        if (present.deleted) return;
        if (present.text !== known.text && !(await choose(present))) return;
        known = present;
      }
    }
  }
}

const condition = ({ timestamp }) => ({ "If-Match": `"${timestamp}"` });
