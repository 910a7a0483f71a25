// Sends a message, reads the timeline to its end and lists the caller's chats, with types that are
// generated from the OpenAPI document. `npm start BASE TOKEN USER` runs it; USER receives the message.

import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Problem = components["schemas"]["ProblemDocument"];
type Update = components["schemas"]["MessageUpdate"];

const [base, token, to] = process.argv.slice(2);
if (!base || !token || !to) throw new Error("usage: npm start BASE TOKEN USER");

// Every answer but the stream is JSON: so `GET /messages` is typed as the page alone.
const api = createClient<paths, `application/${string}json`>({
    baseUrl: base,
    headers: { Accept: "application/json", Authorization: `Bearer ${token}` },
});

const key = crypto.randomUUID();
const sent = await api.POST("/messages", {
    params: { header: { "Idempotency-Key": key } },
    body: { to, text: "Hello from TypeScript!", attributes: { from: { program: "client.ts" } } },
});
const message = sent.data ?? fail(sent.error);
console.log(`sent ${message.id}`);

// An update without `message` is of a chat or of positions, or of a message whose newest update comes
// later.
const updates: Update[] = [];
for (let after = 0, latest = 1; after < latest; ) {
    const answer = await api.GET("/messages", {
        params: { query: { after: String(after), include: "message" } },
    });
    const page = answer.data ?? fail(answer.error);
    updates.push(...page.messages);
    ({ next: after, latest } = page);
}
const found = updates.find((update) => update.id === message.id);
console.log(`found ${found?.message?.text} among ${updates.length} updates`);

const listed = await api.GET("/chats", { params: { query: { limit: 100 } } });
const { chats } = listed.data ?? fail(listed.error);
console.log(`listed ${chats.length} chats: ${chats.map((chat) => chat.name).join(", ")}`);

const missing = await api.GET("/messages/{id}", { params: { path: { id: 2 ** 53 - 1 } } });
console.log(missing.error ? explain(missing.error) : "there is a message of every number");

function explain(problem: Problem): string {
    switch (problem.type) {
        case "/problems/not-found":
            return "not found, as expected";
        case "/problems/invalid":
            return (problem.errors ?? []).map(({ field, detail }) => `${field} ${detail}`).join("; ");
        default:
            return `${problem.title}: ${problem.detail}`;
    }
}

function fail(problem: Problem): never {
    throw new Error(explain(problem));
}
