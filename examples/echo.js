/**
 * A bot as a user of its own, with the client package: it answers what is written to it, in personal conversations. What
 * it has read it has answered, so after a restart it goes on where it was.
 *
 *   TOKEN=$(messages token --user echo) node examples/echo.js http://localhost:8080
 */
import { connect } from "../client/src/messages.js";
import { fileStore } from "./file_store.js";

const [base = "http://localhost:8080", path = "echo.json"] = process.argv.slice(2);
const client = connect({ base, token: process.env.TOKEN, store: fileStore(path) });

/** Answers what is unread, and marks it as read. */
async function answer(conversation) {
  const window = conversation.window();
  await window.open();
  const { read, messages: last } = conversation.state;
  while (window.hasNewer && (await window.newer()));
  // It may have ended before what it had answered was marked.
  const answers = [...window.messages, ...window.waiting.map(({ body }) => body)];
  const answered = new Set(answers.map(({ replyTo }) => replyTo));
  for (const { number, id, from, text } of window.messages) {
    if (number <= read || from !== conversation.with || !text || answered.has(id)) continue;
    await conversation.send({ text: `You said: ${text}`, replyTo: id });
    console.log(`answered ${from}: ${text}`);
  }
  await conversation.markRead(last);
}

let answering = Promise.resolve();
function answerAll() {
  const unread = client.conversations.filter((conversation) => conversation.with && conversation.unread > 0);
  for (const { key } of unread) answering = answering.then(() => answer(client.conversation(key)));
  return answering;
}

client.on("state", (state, error) => {
  console.log(state, error?.message ?? "");
  if (state === "current") answerAll();
});
client.on("change", () => { if (client.state === "current") answerAll(); });
client.on("end", (error) => {
  console.error(error);
  process.exitCode = 1;
});
