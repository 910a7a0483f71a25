//! The client package in Node.js, while the service dies under it.

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    Client, Cut, Database, Node, Proxy, Replica, Settings, administered, eventually, open_lane,
    service, token,
};

/// The two ways in which a client follows.
const TRANSPORTS: [&str; 2] = ["stream", "poll"];

fn token_of(user: &str) -> String {
    token(1, user, Duration::from_secs(3600))
}

/// Connects a client of a user, as `here.<name>`, with the end of its conversation with `other` open.
async fn connect(node: &Node, base: &str, (name, other): (&str, &str), options: &str) {
    let token = token_of(name.split('_').next().unwrap());
    node.run(&format!(
        "const client = messages.connect({{ base: '{base}', token: '{token}', {options} }});
         await client.ready;
         const window = client.with('{other}').window();
         await window.toEnd();
         here.{name} = {{ client, window, states: [], refused: [], ends: [] }};
         client.on('state', (state) => here.{name}.states.push(state));
         client.on('refused', ({{ kind, refused }}) => here.{name}.refused.push([kind, refused.kind]));
         client.on('end', (error) => here.{name}.ends.push(error?.status ?? `${{error}}`));"
    ))
    .await;
}

async fn is_current(node: &Node, name: &str) {
    node.until(&format!("here.{name}.client.state"), json!("current"))
        .await;
}

async fn send(node: &Node, name: &str, to: &str, text: &str) {
    node.run(&format!(
        "await here.{name}.client.with('{to}').send({{ text: {} }})",
        json!(text)
    ))
    .await;
}

/// Waits until a client shows exactly these texts, and nothing waits to be sent.
async fn shows(node: &Node, name: &str, texts: &[&str]) {
    let shown = format!(
        "[here.{name}.window.messages.map(({{ text, deleted }}) => deleted ? '-' : text), here.{name}.client.outbox.length]"
    );
    node.until(&shown, json!([texts, 0])).await;
}

async fn texts_between(jane: &Client, other: &str) -> Vec<String> {
    let path = format!("/users/{other}/messages?limit=100");
    let page = jane.get(&path).await.expect(200);
    let messages = page["messages"].as_array().unwrap().iter().rev();
    messages
        .map(|message| message["text"].as_str().unwrap_or("-").to_owned())
        .collect()
}

#[tokio::test]
async fn two_clients_of_one_user_and_another_user_agree() {
    let (_database, replica) = service().await;
    for transport in TRANSPORTS {
        let (jane, john) = (format!("jane-{transport}"), format!("john-{transport}"));
        let node = Node::start();
        let options = format!("transport: '{transport}'");
        for (name, user, other) in [
            ("a", &jane, &john),
            ("b", &jane, &john),
            ("c", &john, &jane),
        ] {
            let token = token_of(user);
            node.run(&format!(
                "const client = messages.connect({{ base: '{}', token: '{token}', {options} }});
                 await client.ready;
                 const window = client.with('{other}').window();
                 await window.toEnd();
                 here.{name} = {{ client, window }};",
                replica.base
            ))
            .await;
            is_current(&node, name).await;
        }
        for (name, other, text) in [
            ("a", &john, "one"),
            ("c", &jane, "two"),
            ("b", &john, "three"),
        ] {
            send(&node, name, other, text).await;
            for name in ["a", "b", "c"] {
                node.until(
                    &format!("here.{name}.window.messages.at(-1)?.text"),
                    json!(text),
                )
                .await;
            }
        }
        for name in ["a", "b", "c"] {
            shows(&node, name, &["one", "two", "three"]).await;
        }
        let seen = format!(
            "(({{ unread, messages, read }}) => [unread, messages, read])(here.c.client.with('{jane}').state)"
        );
        node.until(&seen, json!([1, 3, 2])).await;
        node.until(
            "here.c.client.unread",
            json!({ "messages": 1, "mentions": 0, "conversations": 1 }),
        )
        .await;
        // What one device does, the other one shows.
        node.run(&format!("await here.c.client.with('{jane}').markRead()"))
            .await;
        node.until(&seen, json!([0, 3, 3])).await;
        node.run(&format!(
            "const john = here.a.client.with('{john}');
             await john.edit(here.a.window.messages[0], {{ text: 'first' }});
             await john.remove(here.a.window.messages[2]);
             await john.set({{ pinned: true }});"
        ))
        .await;
        for name in ["a", "b", "c"] {
            shows(&node, name, &["first", "two", "-"]).await;
        }
        let settings = format!("here.b.client.with('{john}').state.settings");
        node.until(&settings, json!({ "pinned": true })).await;
    }
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_the_service_is_killed_while_both_write() {
    let (database, mut replica) = service().await;
    let node = Node::start();
    for (name, other, transport) in [("jane", "john", "stream"), ("john", "jane", "poll")] {
        let options = format!("transport: '{transport}'");
        connect(&node, &replica.base, (name, other), &options).await;
        is_current(&node, name).await;
    }
    let mut written = Vec::new();
    for round in 0..3 {
        let base = replica.base.clone();
        for step in 0..6 {
            if step == 3 {
                replica.kill();
            }
            for (name, other) in [("jane", "john"), ("john", "jane")] {
                let text = format!("{name} {round}.{step}");
                send(&node, name, other, &text).await;
                written.push(text);
            }
        }
        for name in ["jane", "john"] {
            let waits = format!("here.{name}.client.outbox.length > 0");
            node.until(&waits, json!(true)).await;
        }
        drop(replica);
        replica = Replica::start_again_at(&base, &database, Settings::default()).await;
    }
    for name in ["jane", "john"] {
        node.until(&format!("here.{name}.client.outbox.length"), json!(0))
            .await;
    }
    let stored = texts_between(&replica.user("jane"), "john").await;
    let texts: Vec<_> = stored.iter().map(String::as_str).collect();
    for name in ["jane", "john"] {
        // A window that opened while the service was away begins at what the copy had then.
        let older = format!("while (await here.{name}.window.older());");
        node.run(&older).await;
        shows(&node, name, &texts).await;
        let by = |text: &&String| text.starts_with(name);
        let sent: Vec<_> = stored.iter().filter(by).collect();
        let wrote: Vec<_> = written.iter().filter(by).collect();
        assert_eq!(sent, wrote, "each once, in the order of writing");
    }
}

/// As in React Native, whose `fetch` has no streams either.
#[tokio::test]
async fn a_runtime_that_lacks_what_is_new_in_others_is_enough() {
    let (_database, replica) = service().await;
    let node = Node::start();
    node.run(
        "delete AbortSignal.timeout;
         for (const name of ['structuredClone', 'DOMException', 'TextDecoderStream', 'BroadcastChannel'])
             delete globalThis[name];",
    )
    .await;
    connect(&node, &replica.base, ("jane", "john"), "transport: 'poll'").await;
    is_current(&node, "jane").await;
    send(&node, "jane", "john", "there").await;
    shows(&node, "jane", &["there"]).await;
    replica.user("john").send("jane", "and back").await;
    shows(&node, "jane", &["there", "and back"]).await;
}

#[tokio::test]
async fn what_was_written_offline_outlives_the_client_that_has_written_it() {
    let (database, replica) = service().await;
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("copy.json");
    let _ = fs::remove_file(&path);
    let options = format!("store: fileStore({})", json!(path));
    let node = Node::start();
    connect(&node, &replica.base, ("jane", "john"), &options).await;
    is_current(&node, "jane").await;
    send(&node, "jane", "john", "before").await;
    shows(&node, "jane", &["before"]).await;
    let base = replica.base.clone();
    drop(replica);
    node.run(
        "const john = here.jane.client.with('john');
         await john.send({ text: 'written offline' });
         await john.edit(here.jane.window.messages[0], { text: 'before, edited' });
         await john.set({ pinned: true });",
    )
    .await;
    // It is shown as if it were done.
    node.until("here.jane.window.messages[0].text", json!("before, edited"))
        .await;
    node.until(
        "here.jane.client.with('john').state.settings.pinned",
        json!(true),
    )
    .await;
    node.kill().await;

    let node = Node::start();
    // Without the service, and without a token that it would take.
    connect(&node, &base, ("jane", "john"), &options).await;
    node.until(
        "[here.jane.window.messages.map(({ text }) => text), here.jane.window.waiting.map(({ body }) => body.text)]",
        json!([["before, edited"], ["written offline"]]),
    )
    .await;
    let replica = Replica::start_again_at(&base, &database, Settings::default()).await;
    shows(&node, "jane", &["before, edited", "written offline"]).await;
    let jane = replica.user("jane");
    assert_eq!(
        texts_between(&jane, "john").await,
        ["before, edited", "written offline"]
    );
    assert_eq!(
        jane.get("/users/john").await.expect(200)["settings"]["pinned"],
        true
    );
}

#[tokio::test]
async fn a_message_whose_acknowledgement_was_lost_is_sent_once() {
    let database = Database::fresh().await;
    let proxy = Proxy::start(&database.url, Cut::Answer).await;
    // Another replica indexes, so that the only COMMIT on the wire is the one that is cut.
    let other = Replica::start(&database, Settings::default()).await;
    other
        .user("jane")
        .send("tom", "indexed by the other replica")
        .await;
    database.until_indexed().await;
    // The client cannot follow, so the timeline does not tell it that the message is there.
    let settings = Settings::default().with("LIVE_CONNECTIONS_PER_USER_MAX", "1");
    let replica = Replica::start(&Database::at(&proxy.url(&database.url)), settings).await;
    let stream = replica.user("jane").stream("after=latest").await;
    let node = Node::start();
    connect(&node, &replica.base, ("jane", "john"), "").await;
    replica
        .user("jane")
        .send("tom", "the writer has a connection")
        .await;
    proxy.close_after_cut();
    proxy.arm();
    send(&node, "jane", "john", "only once").await;
    eventually(
        "the client learns that the outcome is unknown",
        async || {
            let label = "method=\"POST\",route=\"/messages\",status=\"503\"";
            (replica
                .metric("messages_http_request_seconds_count", label)
                .await
                > 0.0)
                .then_some(())
        },
    )
    .await;
    proxy.open();
    node.until("here.jane.client.outbox.length", json!(0)).await;
    assert_eq!(proxy.cuts(), 1, "the answer to the COMMIT was lost");
    assert_eq!(
        texts_between(&replica.user("jane"), "john").await,
        ["only once"]
    );
    drop(stream);
    is_current(&node, "jane").await;
    shows(&node, "jane", &["only once"]).await;
}

#[tokio::test]
async fn a_copy_from_before_a_restore_is_made_anew() {
    let (_database, replica) = service().await;
    for number in 0..5 {
        let text = format!("forgotten {number}");
        replica.user("john").send("jane", &text).await;
    }
    let node = Node::start();
    for transport in TRANSPORTS {
        let name = format!("jane_{transport}");
        let options = format!("transport: '{transport}'");
        connect(&node, &replica.base, (&name, "john"), &options).await;
        is_current(&node, &name).await;
        node.until(
            &format!("here.{name}.client.conversations.length"),
            json!(1),
        )
        .await;
    }
    let (restored, base) = (Database::fresh().await, replica.base.clone());
    drop(replica);
    let replica = Replica::start_again_at(&base, &restored, Settings::default()).await;
    replica.user("john").send("jane", "after the restore").await;
    for transport in TRANSPORTS {
        let name = format!("jane_{transport}");
        let seen = format!(
            "here.{name}.client.conversations.map(({{ messages, unread, message }}) => [messages, unread, message.text])"
        );
        node.until(&seen, json!([[1, 1, "after the restore"]]))
            .await;
    }
}

#[tokio::test]
async fn a_copy_drops_what_has_expired_and_begins_anew_where_its_cursor_is_trimmed() {
    let database = Database::fresh().await;
    let settings = administered().with("RETENTION_PERIOD", "1");
    let replica = Replica::start(&database, settings).await;
    let app = replica.application().await;
    let john = replica.user("john");
    john.send("jane", "one").await;
    let node = Node::start();
    // One that does not follow any more.
    let store = "store: here.kept = messages.memoryStore()";
    connect(&node, &replica.base, ("jane_away", "john"), store).await;
    is_current(&node, "jane_away").await;
    node.run("await here.jane_away.client.close()").await;
    john.send("jane", "two").await;
    for transport in TRANSPORTS {
        let name = format!("jane_{transport}");
        let options = format!("transport: '{transport}'");
        connect(&node, &replica.base, (&name, "john"), &options).await;
        is_current(&node, &name).await;
        shows(&node, &name, &["one", "two"]).await;
    }
    for table in ["messages", "changes"] {
        let older = format!("UPDATE {table} SET created = created - interval '3 days'");
        database.execute(&older).await;
    }
    john.send("jane", "three").await;
    let keep = json!({ "policy": { "retentionDays": 2 } });
    let path = "/applications/self";
    app.call(reqwest::Method::PATCH, path, keep)
        .await
        .expect(200);
    for transport in TRANSPORTS {
        let name = format!("jane_{transport}");
        shows(&node, &name, &["three"]).await;
        let held =
            format!("(await here.{name}.client.with('john').newest(9)).map(({{ text }}) => text)");
        node.until(&held, json!(["three"])).await;
    }
    eventually("the timeline is trimmed", async || {
        let trimmed = database.count("SELECT trimmed FROM applications").await;
        (trimmed > 0).then_some(())
    })
    .await;
    connect(
        &node,
        &replica.base,
        ("jane_back", "john"),
        "store: here.kept",
    )
    .await;
    is_current(&node, "jane_back").await;
    shows(&node, "jane_back", &["three"]).await;
    let seen = "here.jane_back.client.with('john').state.first";
    node.until(seen, json!(3)).await;
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_after_a_refusal() {
    let (_database, replica) = service().await;
    let node = Node::start();
    for transport in TRANSPORTS {
        let name = format!("jane_{transport}");
        // The first one is refused, the second one ends in a few seconds.
        let refused = token_signed_by_a_stranger();
        let short = token(1, "jane", Duration::from_secs(6));
        let tokens = json!([refused, short, token_of("jane"), token_of("jane")]);
        node.run(&format!(
            "const given = [];
             const getToken = () => {{
                 given.push(given.length);
                 return {tokens}[Math.min(given.length - 1, 3)];
             }};
             const client = messages.connect({{ base: '{}', user: 'jane', getToken, transport: '{transport}' }});
             here.{name} = {{ client, given, states: [] }};
             client.on('state', (state) => here.{name}.states.push(state));",
            replica.base
        ))
        .await;
        node.until(&format!("here.{name}.given.length >= 3"), json!(true))
            .await;
        replica.user("john").send("jane", "still there").await;
        node.until(
            &format!("here.{name}.client.conversations[0]?.message?.text"),
            json!("still there"),
        )
        .await;
        node.until(
            &format!("here.{name}.states.includes('offline')"),
            json!(false),
        )
        .await;
    }
}

fn token_signed_by_a_stranger() -> String {
    let secret = "a secret of somebody else that is long enough";
    crate::support::token_signed_by(secret, 1, "jane", Duration::from_secs(3600))
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_ends_the_client_and_nothing_is_lost() {
    let (_database, replica) = service().await;
    let node = Node::start();
    node.run(&format!(
        "let isIn = true;
         const store = messages.memoryStore();
         const getToken = () => isIn ? '{}' : undefined;
         const client = messages.connect({{ base: '{}', getToken, user: 'jane', store }});
         here.jane = {{ client, store, ends: [], signOut() {{ isIn = false; }} }};
         client.on('end', (problem) => here.jane.ends.push(problem.status));",
        token(1, "jane", Duration::from_secs(20)),
        replica.base
    ))
    .await;
    is_current(&node, "jane").await;
    node.run("here.jane.signOut()").await;
    node.until("here.jane.ends", json!([401])).await;
    node.run("await here.jane.client.with('john').send({ text: 'kept' })")
        .await;
    node.run(&format!(
        "const client = messages.connect({{ base: '{}', token: '{}', store: here.jane.store }});
         here.again = {{ client }};",
        replica.base,
        token_of("jane")
    ))
    .await;
    node.until("here.again.client.outbox.length", json!(0))
        .await;
    assert_eq!(texts_between(&replica.user("jane"), "john").await, ["kept"]);
}

#[tokio::test]
async fn what_the_service_does_not_take_holds_up_its_own_conversation_alone() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let chat = jane.chat("Team", &["john"]).await;
    let node = Node::start();
    connect(&node, &replica.base, ("jane", "john"), "").await;
    is_current(&node, "jane").await;
    // For ever 500: a constraint refuses whatever is written into this chat.
    database
        .execute(&format!(
            "ALTER TABLE messages ADD CONSTRAINT broken CHECK (chat_number IS DISTINCT FROM {chat}) NOT VALID"
        ))
        .await;
    node.run(&format!(
        "const {{ client }} = here.jane;
         await client.chat({chat}).send({{ text: 'stuck' }});
         await client.chat({chat}).send({{ text: 'stuck behind it' }});
         await client.chat(77).send({{ text: 'there is no such chat' }});
         await client.with('john').send({{ text: 'refused', mentions: ['somebody'] }});
         await client.with('john').send({{ text: 'sent' }});"
    ))
    .await;
    node.until(
        "here.jane.window.messages.map(({ text }) => text)",
        json!(["sent"]),
    )
    .await;
    node.until(
        "here.jane.client.outbox.map(({ body, refused }) => [body.text, refused?.status ?? null])",
        json!([
            ["stuck", null],
            ["stuck behind it", null],
            ["there is no such chat", 404],
            ["refused", 422]
        ]),
    )
    .await;
    database
        .execute("ALTER TABLE messages DROP CONSTRAINT broken")
        .await;
    node.until(
        "here.jane.client.outbox.map(({ body }) => body.text)",
        json!(["there is no such chat", "refused"]),
    )
    .await;
    // The user decides what becomes of what was refused.
    node.run("for (const item of here.jane.client.outbox) await here.jane.client.discard(item)")
        .await;
    node.until("here.jane.client.outbox.length", json!(0)).await;
}

#[tokio::test]
async fn an_edit_that_meets_another_one_is_for_the_user_to_decide() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let sent = jane.send("john", "one").await;
    let node = Node::start();
    connect(&node, &replica.base, ("jane", "john"), "").await;
    is_current(&node, "jane").await;
    shows(&node, "jane", &["one"]).await;
    let lane = database.block_lane().await;
    // The other device is first, and this one does not know yet.
    let other = {
        let (jane, sent) = (jane.clone(), sent.clone());
        tokio::spawn(async move {
            let edit = json!({ "text": "two" });
            jane.patch(&sent["id"], &sent["timestamp"], edit).await
        })
    };
    database.until_writer_waits().await;
    node.run(
        "await here.jane.client.with('john').edit(here.jane.window.messages[0], { text: 'three' })",
    )
    .await;
    open_lane(lane).await;
    other.await.unwrap().expect(200);
    node.until(
        "here.jane.client.outbox.map(({ conflict }) => conflict?.text)",
        json!(["two"]),
    )
    .await;
    let present = async || {
        jane.get(&format!("/messages/{}", sent["id"]))
            .await
            .expect(200)
    };
    assert_eq!(present().await["text"], "two");
    node.run("await here.jane.client.resolve(here.jane.client.outbox[0], true)")
        .await;
    shows(&node, "jane", &["three"]).await;
    assert_eq!(present().await["text"], "three");
}

#[tokio::test]
async fn a_store_that_fails_is_told_and_goes_on_when_it_works_again() {
    let (_database, replica) = service().await;
    let node = Node::start();
    node.run(&format!(
        "const memory = messages.memoryStore();
         const broken = {{ is: false }};
         const store = {{ ...memory, write: (work) => broken.is ? Promise.reject(new Error('no space')) : memory.write(work) }};
         const client = messages.connect({{ base: '{}', token: '{}', store }});
         here.jane = {{ client, broken, errors: [] }};
         client.on('state', (state, error) => error && here.jane.errors.push(error.message));",
        replica.base,
        token_of("jane")
    ))
    .await;
    is_current(&node, "jane").await;
    node.run("here.jane.broken.is = true").await;
    let refused = node
        .run("return here.jane.client.with('john').send({ text: 'x' }).then(() => 'sent', ({ message }) => message)")
        .await;
    assert_eq!(refused, "no space");
    replica.user("john").send("jane", "hello").await;
    node.until("here.jane.errors.includes('no space')", json!(true))
        .await;
    node.run("here.jane.broken.is = false").await;
    node.until(
        "here.jane.client.conversations[0]?.message?.text",
        json!("hello"),
    )
    .await;
}

#[tokio::test]
async fn history_comes_on_demand_and_without_gaps() {
    let (_database, replica) = service().await;
    let john = replica.user("john");
    for number in 1..=120 {
        john.send("jane", &format!("{number}")).await;
    }
    let node = Node::start();
    let token = token_of("jane");
    node.run(&format!(
        "const client = messages.connect({{ base: '{}', token: '{token}' }});
         here.jane = {{ client }};",
        replica.base
    ))
    .await;
    is_current(&node, "jane").await;
    let numbers = "here.window.messages.map(({ number }) => number)";
    let ends = format!(
        "(({{ 0: first, length, [length - 1]: last }}) => [first, last, length])({numbers})"
    );
    node.run("here.window = here.jane.client.with('john').window(); await here.window.open();")
        .await;
    node.until(&ends, json!([1, 50, 50])).await;
    node.run("await here.window.newer()").await;
    node.until(&ends, json!([1, 100, 100])).await;
    node.run("await here.window.open(60)").await;
    node.until(&ends, json!([11, 110, 100])).await;
    assert_eq!(
        node.run("return [here.window.hasOlder, here.window.hasNewer]")
            .await,
        json!([true, true])
    );
    node.run("await here.window.toEnd(); await here.window.older()")
        .await;
    node.until(&ends, json!([21, 120, 100])).await;
    john.send("jane", "121").await;
    node.until(&ends, json!([21, 121, 101])).await;
    let missing = node
        .run(&format!(
            "return {numbers}.filter((number, at, all) => at > 0 && number !== all[at - 1] + 1)"
        ))
        .await;
    assert_eq!(missing, Value::from(Vec::<i64>::new()));
}

#[tokio::test]
async fn an_answer_that_may_be_older_than_what_the_timeline_has_brought_is_not_stored() {
    let node = Node::start();
    let found = node
        .run(
            "const copy = new Copy(messages.memoryStore(), () => {});
             await copy.open('jane');
             const seen = (name, timestamp) => ({ chat: 1, number: 1, name, timestamp, last: 1, messages: 0, settings: {} });
             const found = [];
             const see = () => found.push([copy.conversations[0].name, copy.due.map(({ due }) => due)]);
             await copy.begin([seen('first', 1)], 1);
             await copy.apply([{ chat: 1, timestamp: 5 }], 5);
             see();
             // The answer to a call of before a failover: it is the best there is.
             await copy.fetched('chats/1', seen('second', 4), 5);
             see();
             await copy.apply([{ chat: 1, timestamp: 6 }], 6);
             await copy.apply([{ chat: 1, timestamp: 9 }], 9);
             await copy.fetched('chats/1', seen('old', 6), 6);
             see();
             await copy.apply([{ chat: 1, timestamp: 10, conversation: seen('third', 10) }], 10);
             await copy.fetched('chats/1', seen('old', 9), 9);
             await copy.fetched('chats/1', null, 9);
             see();
             return found;",
        )
        .await;
    assert_eq!(
        found,
        json!([
            ["first", [5]],
            ["second", []],
            ["second", [9]],
            ["third", []]
        ])
    );
}

/// Readers of Server-Sent Events that others have written, each as a function that reads for ever.
const READERS: [(&str, &str); 2] = [
    (
        "eventsource",
        "const { EventSource } = await load('eventsource');
         const withToken = (url, init) => fetch(url, {
             ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` }
         });
         const source = new EventSource(`${base}/messages?after=0`, { fetch: withToken });
         source.addEventListener('update', ({ lastEventId }) => here.read.push(Number(lastEventId)));",
    ),
    (
        "eventsource-parser",
        "const { createParser } = await load('eventsource-parser');
         let last = '0';
         (async () => {
             for (;;) {
                 try {
                     const headers = { Authorization: `Bearer ${token}`, 'Last-Event-ID': last, Accept: 'text/event-stream' };
                     const parser = createParser({ onEvent({ id, event }) {
                         last = id ?? last;
                         if (event === 'update') here.read.push(Number(id));
                     } });
                     const { body } = await fetch(`${base}/messages`, { headers });
                     for await (const piece of body.pipeThrough(new TextDecoderStream())) parser.feed(piece);
                 } catch (error) {
                     if (!(error instanceof TypeError)) throw error;
                 }
                 await new Promise((resolve) => { setTimeout(resolve, 100); });
             }
         })();",
    ),
];

/// The packages come with `npm ci`, which `.ci/run` has made where there is a registry.
#[tokio::test]
async fn other_readers_of_streams_miss_and_repeat_nothing_when_the_service_is_killed() {
    for (name, reader) in READERS {
        let package = format!("client/node_modules/{name}");
        if !Path::new(env!("CARGO_MANIFEST_DIR")).join(package).exists() {
            eprintln!("skipped: {name} is not installed");
            continue;
        }
        let (database, mut replica) = service().await;
        let node = Node::start();
        node.run(&format!(
            "here.read = [];
             const [base, token] = ['{}', '{}'];
             {reader}",
            replica.base,
            token_of("jane")
        ))
        .await;
        let mut sent = Vec::new();
        for round in 0..2 {
            for step in 0..5 {
                let text = format!("{round}.{step}");
                let message = replica.user("john").send("jane", &text).await;
                sent.push(message["timestamp"].clone());
                if step == 2 {
                    node.until("here.read.length", json!(sent.len())).await;
                }
            }
            replica.kill();
            let base = replica.base.clone();
            drop(replica);
            replica = Replica::start_again_at(&base, &database, Settings::default()).await;
        }
        node.until("here.read", json!(sent)).await;
    }
}

/// A reaction waits in the outbox with edits and deletions of the same message, and neither harms the other.
#[tokio::test]
async fn reactions_wait_with_other_changes_of_their_message() {
    let (database, replica) = service().await;
    let node = Node::start();
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    for text in ["first", "second"] {
        jane.send("john", text).await;
    }
    connect(&node, &replica.base, ("jane", "john"), "").await;
    connect(&node, &replica.base, ("john", "jane"), "").await;
    is_current(&node, "jane").await;
    is_current(&node, "john").await;
    shows(&node, "jane", &["first", "second"]).await;
    let lane = database.block_lane().await;
    node.run(
        "const { client, window } = here.jane;
         const conversation = client.with('john');
         const [first, second] = window.messages;
         await conversation.edit(first, { text: 'edited' });
         await conversation.react(first, 'a');
         await conversation.react(first, 'b');
         await conversation.react(first, 'b', false);
         await conversation.react(second, 'c');
         await conversation.remove(second);",
    )
    .await;
    let own =
        "here.jane.window.messages.map(({ reactions = {} }) => Object.keys(reactions).join())";
    // A deletion takes the place of what waits for its message.
    node.until(own, json!(["a", ""])).await;
    open_lane(lane).await;
    shows(&node, "jane", &["edited", "-"]).await;
    for name in ["jane", "john"] {
        let shown =
            format!("here.{name}.window.messages.map(({{ reactions }}) => reactions ?? null)");
        let a = json!({ "a": { "count": 1, "users": ["jane"] } });
        node.until(&shown, json!([a, null])).await;
    }
    node.until("here.jane.refused", json!([])).await;
    let conflicts = "here.jane.client.outbox.filter(({ conflict }) => conflict).length";
    node.until(conflicts, json!(0)).await;
    // One that is refused is shown no more.
    jane.blocks("john", true).await;
    node.run("await here.john.client.with('jane').react(here.john.window.messages[0], 'late')")
        .await;
    node.until("here.john.refused", json!([["react", "not-accepted"]]))
        .await;
    let keys = "Object.keys(here.john.window.messages[0].reactions).join()";
    node.until(keys, json!("a")).await;
    drop(john);
}

/// The timeline may bring reactions to a message before the page that has the message, which was read before.
#[tokio::test]
async fn reactions_that_come_before_their_message_are_kept_for_it() {
    let node = Node::start();
    let shown = node
        .run(
            "const copy = new Copy(messages.memoryStore(), () => {});
             await copy.open('jane');
             const message = { id: 7, timestamp: 5, number: 1, from: 'john', to: 'jane', text: 'hi' };
             const thumb = { '+1': { count: 1, users: ['john'] } };
             const seen = [];
             const look = async () => {
               const [{ reactions, reacted }] = await copy.messages('users/john', 1, 1);
               seen.push([reactions ? Object.keys(reactions).join() : null, reacted ?? null]);
             };
             await copy.apply([{ reactions: 7, timestamp: 12, summary: thumb, reacted: 12 }], 12);
             await copy.putMessages([{ ...message, reacted: 0 }], 'users/john');
             await look();
             // An answer that is older than what the copy has changes nothing, and a newer one does.
             await copy.putMessages([{ ...message, reacted: 11 }], 'users/john');
             await look();
             await copy.putMessages([{ ...message, reacted: 13, reactions: {} }], 'users/john');
             await look();
             // What says nothing of reactions leaves them.
             await copy.putMessages([{ ...message, timestamp: 14, text: 'ho' }], 'users/john');
             await look();
             await copy.putMessages([{ id: 7, timestamp: 15, number: 1, deleted: true }], 'users/john');
             await look();
             return seen;",
        )
        .await;
    let expected = json!([["+1", 12], ["+1", 12], ["", 13], ["", 13], [null, 0]]);
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn nothing_that_one_user_has_written_is_sent_as_another() {
    let (_database, replica) = service().await;
    let node = Node::start();
    node.run(&format!(
        "here.store = messages.memoryStore();
         const client = messages.connect({{ base: 'http://127.0.0.1:1', token: '{}', store: here.store }});
         await client.with('tom').send({{ text: 'from jane' }});
         client.close();
         here.ends = [];
         const john = messages.connect({{ base: '{}', getToken: () => '{}', store: here.store }});
         john.on('end', ({{ kind }}) => here.ends.push(kind));",
        token_of("jane"),
        replica.base,
        token_of("john")
    ))
    .await;
    node.until("here.ends", json!(["other-user"])).await;
    let tom = replica.user("tom");
    assert_eq!(
        tom.get("/conversations").await.expect(200)["conversations"],
        json!([])
    );
}

#[tokio::test]
async fn a_listener_that_throws_ends_nothing() {
    let (_database, replica) = service().await;
    let node = Node::start();
    node.run(&format!(
        "here.thrown = [];
         globalThis.reportError = ({{ message }}) => here.thrown.push(message);
         const client = messages.connect({{ base: '{}', token: '{}' }});
         for (const name of ['state', 'change', 'sent']) client.on(name, () => {{ throw new Error(name); }});
         here.jane = {{ client }};
         await client.with('john').send({{ text: 'hello' }});",
        replica.base,
        token_of("jane")
    ))
    .await;
    node.until("here.jane.client.outbox.length", json!(0)).await;
    is_current(&node, "jane").await;
    node.until(
        "['state', 'change', 'sent'].every((name) => here.thrown.includes(name))",
        json!(true),
    )
    .await;
    assert_eq!(
        texts_between(&replica.user("jane"), "john").await,
        ["hello"]
    );
}

#[tokio::test]
async fn an_edit_of_an_edit_that_waits_is_based_on_what_the_service_has() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let sent = jane.send("john", "one").await;
    let node = Node::start();
    connect(&node, &replica.base, ("jane", "john"), "").await;
    is_current(&node, "jane").await;
    shows(&node, "jane", &["one"]).await;
    let edit = async |text: &str| {
        node.run(&format!(
            "await here.jane.client.with('john').edit(here.jane.window.messages[0], {{ text: '{text}' }})"
        ))
        .await;
    };
    // Twice, while the first one waits: that is no conflict.
    let lane = database.block_lane().await;
    edit(" two ").await;
    node.until("here.jane.window.messages[0].text", json!("two"))
        .await;
    database.until_writer_waits().await;
    edit("three").await;
    node.until("here.jane.window.messages[0].text", json!("three"))
        .await;
    open_lane(lane).await;
    shows(&node, "jane", &["three"]).await;
    // Somebody else has changed it while two edits wait: that is one.
    let present = jane
        .get(&format!("/messages/{}", sent["id"]))
        .await
        .expect(200);
    let lane = database.block_lane().await;
    let other = {
        let jane = jane.clone();
        tokio::spawn(async move {
            let edit = json!({ "text": "theirs" });
            jane.patch(&present["id"], &present["timestamp"], edit)
                .await
        })
    };
    database.until_writer_waits().await;
    edit("four").await;
    edit("five").await;
    open_lane(lane).await;
    other.await.unwrap().expect(200);
    node.until(
        "here.jane.client.outbox.map(({ conflict, body }) => [conflict?.text, body.text])",
        json!([["theirs", "five"]]),
    )
    .await;
    node.run("await here.jane.client.resolve(here.jane.client.outbox[0], false)")
        .await;
    shows(&node, "jane", &["theirs"]).await;
}

#[tokio::test]
async fn a_window_that_was_opened_before_the_copy_was_there_has_no_gap() {
    let (_database, replica) = service().await;
    for number in 1..=70 {
        replica
            .user("john")
            .send("jane", &format!("{number}"))
            .await;
    }
    let node = Node::start();
    node.run(&format!(
        "const client = messages.connect({{ base: '{}', token: '{}' }});
         await client.ready;
         const window = client.with('john').window();
         await window.open();
         here.jane = {{ client, window }};",
        replica.base,
        token_of("jane")
    ))
    .await;
    node.until(
        "here.jane.window.messages.map(({ number }) => number).join()",
        json!(
            (1..=50)
                .map(|number| number.to_string())
                .collect::<Vec<_>>()
                .join(",")
        ),
    )
    .await;
}

/// Has a client signal as soon as its user may signal again.
async fn signal_in_turn(node: &Node, name: &str, signal: &str) {
    node.run(&format!(
        "for (;;) {{
             try {{
                 return await here.{name}.client.with('john').signal({signal});
             }} catch (problem) {{
                 if (problem.status !== 429) throw problem;
                 await new Promise((resolve) => setTimeout(resolve, 1000 * problem.retryAfter));
             }}
         }}"
    ))
    .await;
}

#[tokio::test]
async fn who_is_typing_is_shown_until_it_ends() {
    let (_database, mut replica) = service().await;
    let node = Node::start();
    for (names, options) in [
        (("jane", "john"), ""),
        (("john", "jane"), ""),
        (("john_polling", "jane"), "transport: 'poll'"),
    ] {
        connect(&node, &replica.base, names, options).await;
        let name = names.0;
        node.run(&format!(
            "here.{name}.typing = [];
             here.{name}.signals = [];
             here.{name}.client.on('typing', ({{ key, users }}) => here.{name}.typing.push([key, users]));
             here.{name}.client.on('signal', (signal) => here.{name}.signals.push(signal));"
        ))
        .await;
        is_current(&node, name).await;
    }
    let (begins, ends) = (json!(["users/jane", ["jane"]]), json!(["users/jane", []]));
    let typists = "here.john.client.with('jane').typists";

    // However many keys are pressed, it is one signal. It ends with the message.
    node.run(
        "const { fetch } = globalThis;
         here.posts = 0;
         globalThis.fetch = (url, request) => {
             here.posts += url.endsWith('/signals') ? 1 : 0;
             return fetch(url, request);
         };
         for (let key = 0; key < 50; key += 1) here.jane.client.with('john').typing();",
    )
    .await;
    node.until("here.john.typing", json!([begins])).await;
    assert_eq!(node.run("return here.posts").await, json!(1));
    send(&node, "jane", "john", "hello").await;
    node.until("here.john.typing", json!([begins, ends])).await;
    // It ends by itself. (A signal that comes together with a message counts as older.)
    while node.run("return here.john.typing.length").await == json!(2) {
        signal_in_turn(&node, "jane", "'typing', { ttl: 1 }").await;
        signal_in_turn(&node, "jane", "'after'").await;
        node.until("here.john.signals.at(-1).kind", json!("after"))
            .await;
    }
    node.until("here.john.typing", json!([begins, ends, begins, ends]))
        .await;
    // Any other signal is passed on as it is.
    signal_in_turn(&node, "jane", "'cart', { ttl: 9, data: { items: [1] } }").await;
    let cart = json!({
        "key": "users/jane", "from": "jane", "kind": "cart", "ttl": 9, "data": { "items": [1] },
    });
    node.until("here.john.signals.at(-1)", cart).await;
    // One that comes too early is refused.
    let refused = node.run(
        "const jane = here.jane.client.with('john');
         return (await Promise.allSettled([jane.signal('a'), jane.signal('b')]))
             .map(({ reason }) => reason?.kind ?? '').filter(Boolean).at(-1)",
    );
    assert_eq!(refused.await, json!("too-many-requests"));
    // To type where one may not write, or away from the service, is no error.
    node.run("here.jane.client.chat(4711).typing();").await;

    // It ends when the client is offline.
    signal_in_turn(&node, "jane", "'typing', { ttl: 30 }").await;
    node.until(typists, json!(["jane"])).await;
    let since = std::time::Instant::now();
    replica.kill();
    node.until(typists, json!([])).await;
    assert!(since.elapsed() < Duration::from_secs(25), "not by its time");
    node.run("here.jane.client.with('john').typing();").await;
    let polled = node.run("return [here.john_polling.signals, here.john_polling.typing]");
    assert_eq!(polled.await, json!([[], []]), "a poll has no signals");
}
