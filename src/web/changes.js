/**
 * Edits and deletes messages. A change names the version of the message that it is based on. If the message has
 * changed since (412), the present version is fetched. If its text is another one, the user decides. Else the
 * change is repeated on it.
 */
export class Changes {
  #call; #store;

  constructor(call, store) {
    this.#call = call;
    this.#store = store;
  }

  /**
   * Changes the `text`, and whom it `mentions`. `choose(present, text)` shows both texts, and returns the text to
   * store, or null to leave it as it is.
   */
  edit(message, { text, ...mentions }, choose) {
    const attempt = (base) => this.#call("PATCH", `/messages/${base.id}`, {
      body: { text, ...mentions }, headers: condition(base),
    });
    return this.#change(message, attempt, async (present) => {
      const chosen = await choose(present, text);
      text = chosen ?? text;
      return chosen !== null;
    });
  }

  /** `choose(present)` returns whether the message is to be deleted as it is now. */
  remove(message, choose) {
    const attempt = (base) => this.#call("DELETE", `/messages/${base.id}`, { headers: condition(base) });
    return this.#change(message, attempt, choose);
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
