/**
 * Edits, deletes and marks messages. Each change names the version of the message that it is based on. If the
 * message has changed since (412), the present version is fetched and the change is repeated on it: a read
 * mark does no harm. Only if the text has changed, the user decides.
 */
export class Changes {
  #call; #store;

  constructor(call, store) {
    this.#call = call;
    this.#store = store;
  }

  /** `choose(present)` shows both texts, and returns the text to store, or null to leave it as it is. */
  edit(message, text, choose) {
    return this.#change(message, async (base) => this.#patch(base, { text }), async (present) => {
      const chosen = await choose(present, text);
      text = chosen ?? text;
      return chosen !== null;
    });
  }

  /** `choose(present)` returns whether the message is to be deleted as it is now. */
  remove(message, choose) {
    return this.#change(message, async (base) => {
      const path = `/messages/${base.id}`;
      await this.#call("DELETE", path, { headers: condition(base) });
      return this.#call("GET", path);
    }, choose);
  }

  markRead(message) {
    return this.#change(message, (base) => this.#patch(base, { read: true }), async () => true);
  }

  #patch(base, body) {
    return this.#call("PATCH", `/messages/${base.id}`, { body, headers: condition(base) });
  }

  async #change(message, attempt, choose) {
    for (let base = message; ;) {
      try {
        return await this.#store.put(await attempt(base));
      } catch (problem) {
        if (![410, 412].includes(problem.status)) throw problem;
        const present = await this.#call("GET", `/messages/${message.id}`);
        await this.#store.put(present);
        if (present.deleted) return;
        if (present.text !== base.text && !(await choose(present))) return;
        base = present;
      }
    }
  }
}

const condition = ({ timestamp }) => ({ "If-Match": `"${timestamp}"` });
