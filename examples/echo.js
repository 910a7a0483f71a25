/**
 * A bot as a user of its own, with the client package: it answers what is written to it, in personal conversations. An
 * answer names its message, so after a restart it goes on where it was.
 *
 *   TOKEN=$(messages token --user echo) node examples/echo.js http://localhost:8080
 */
import { connect } from "../client/src/messages.js";
import { fileStore } from "./file_store.js";

/** So many of the newest messages of a conversation are answered at the most. */
const NEWEST_MAX = 100;

const [base = "http://localhost:8080", path = "echo.json"] = process.argv.slice(2);
const client = connect({ base, token: process.env.TOKEN, store: fileStore(path) });

/** Answers what is not answered yet. */
async function answer(conversation) {
  // What is sent meanwhile is in one of the two, or in both.
  const waiting = client.outbox.filter(({ kind, conversation: key }) => kind === "send" && key === conversation.key);
  const newest = await conversation.newest(NEWEST_MAX);
  const answers = [...waiting.map(({ body }) => body), ...newest.filter(({ from }) => from === client.user)];
  const answered = new Set(answers.map(({ replyTo }) => replyTo));
  for (const { id, from, text } of newest.reverse()) {
    if (from !== conversation.with || !text || answered.has(id)) continue;
    await conversation.send({ text: `You said: ${text}`, replyTo: id });
    console.log(`answered ${from}: ${text}`);
  }
}

let answering = Promise.resolve();
function answerAll() {
  const others = client.conversations.filter(({ with: user }) => user && user !== client.user);
  for (const { key } of others) answering = answering.then(() => answer(client.conversation(key)));
}

client.on("state", (state, error) => {
  console.log(state, error?.message ?? "");
  if (state === "current") answerAll();
});
client.on("change", ({ messages }) => { if (messages.length && client.state === "current") answerAll(); });
client.on("end", (error) => {
  console.error(error);
  process.exitCode = 1;
});
