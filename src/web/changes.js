/**
 * Edits, deletes and marks messages. An edit or deletion names the version of the message that it is based on. If
 * the message has changed since (412), the present version is fetched. If its text is another one, the user
 * decides. Else the change is repeated on it. A mark changes no message, so it names no version.
 */
export class Changes {
  #call; #store;

  constructor(call, store) {
    this.#call = call;
    this.#store = store;
  }

  /** `choose(present)` shows both texts, and returns the text to store, or null to leave it as it is. */
  edit(message, text, choose) {
    const attempt = (base) => this.#patch(base, { body: { text }, headers: condition(base) });
    return this.#change(message, attempt, async (present) => {
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

  /** Moves the user's position to a message: with it, all messages before it are read. */
  markRead(message) {
    return this.#change(message, async () => {
      const present = await this.#patch(message, { body: { read: true } });
      await this.#store.sawUpTo(message);
      return present;
    });
  }

  #patch({ id }, request) {
    return this.#call("PATCH", `/messages/${id}`, request);
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
