/**
 * A store in a file, as an example of a store of one's own: three functions. Everything is in memory, and all of it is
 * written after each change: good for a bot with a few conversations.
 */
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { memoryStore } from "../client/src/messages.js";

export function fileStore(path) {
  const memory = memoryStore();
  let rows = new Map();
  const loaded = load();

  async function load() {
    const text = await readFile(path, "utf8").catch((error) => {
      if (error.code === "ENOENT") return "[]";
      throw error;
    });
    for (const row of JSON.parse(text)) rows.set(JSON.stringify(row.slice(0, 2)), row);
    await memory.write(async ({ put }) => {
      for (const [table, key, value] of rows.values()) put(table, key, value);
    });
  }

  return {
    async read(work) {
      await loaded;
      return memory.read(work);
    },
    async write(work) {
      await loaded;
      return memory.write(async (transaction) => {
        const changed = new Map();
        const value = await work({
          ...transaction,
          put(table, key, value) {
            transaction.put(table, key, value);
            changed.set(JSON.stringify([table, key]), [table, key, value]);
          },
          remove(table, key) {
            transaction.remove(table, key);
            changed.set(JSON.stringify([table, key]), undefined);
          },
        });
        const next = new Map(rows);
        for (const [name, row] of changed) {
          if (row) next.set(name, row);
          else next.delete(name);
        }
        // The file is replaced as a whole, so it is never half of one.
        await writeFile(`${path}.new`, JSON.stringify([...next.values()]), { flush: true });
        await rename(`${path}.new`, path);
        rows = next;
        return value;
      });
    },
    async destroy() {
      await rm(path, { force: true });
      await memory.destroy();
    },
  };
}

