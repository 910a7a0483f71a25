/**
 * Runs what a test asks for, in a process of its own: each line of the input is a JSON text with the body of an
 * asynchronous function, each line of the output its value or its error. What is to last is put into `here`.
 */
import { createInterface } from "node:readline";
import { Copy } from "../src/copy.js";
import * as messages from "../src/messages.js";
import { fileStore } from "../../examples/file_store.js";

const here = {};
const load = (name) => import(name);
const AsyncFunction = (async () => {}).constructor;

process.on("unhandledRejection", (error) => {
  console.error(error);
  process.exit(1);
});

for await (const line of createInterface({ input: process.stdin })) {
  const work = new AsyncFunction("messages", "fileStore", "Copy", "load", "here", JSON.parse(line));
  const answer = await work(messages, fileStore, Copy, load, here).then(
    (value) => ({ value: value ?? null }),
    (error) => ({ error: `${error?.stack ?? error}` }),
  );
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
