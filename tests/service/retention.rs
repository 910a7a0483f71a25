//! Messages that are kept for some days: what expires, who hears of it, and what is left.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    erasure, imports,
    support::{
        Answer, Browser, Client, Database, EventQueue, Hook, Person, Replica, Reply, Settings,
        administered, eventually, service,
    },
};

/// With a pass over all conversations every second.
fn settings() -> Settings {
    administered().with("RETENTION_PERIOD", "1")
}

/// A database, a replica and the application.
async fn started() -> (Database, Replica, Client) {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, settings()).await;
    let app = replica.application().await;
    (database, replica, app)
}

pub async fn keep_for(app: &Client, days: Value) -> Value {
    let body = json!({ "policy": { "retentionDays": days } });
    let path = "/applications/self";
    app.call(Method::PATCH, path, body).await.expect(200)
}

async fn set_in_chat(caller: &Client, chat: i64, days: Value) -> Reply {
    let path = format!("/chats/{chat}");
    let present = caller.get(&path).await.expect(200);
    let body = json!({ "retentionDays": days });
    let request = caller.request(Method::PATCH, &path).json(&body);
    let request = request.header("If-Match", present["timestamp"].to_string());
    Reply::of(request).await
}

/// Lets everything that there is so far be some days older.
pub async fn age(database: &Database, days: i64) {
    for table in ["messages", "changes"] {
        let by = format!("created = created - interval '{days} days'");
        database.execute(&format!("UPDATE {table} SET {by}")).await;
    }
}

/// Waits until the first message that is kept of a conversation has a number.
pub async fn until_first(user: &Client, path: &str, first: i64) -> Value {
    eventually("messages expire", async || {
        let seen = user.get(path).await.expect(200);
        (seen["first"] == first).then_some(seen)
    })
    .await
}

/// Waits until so many messages have a row.
async fn until_rows(database: &Database, rows: i64) {
    eventually("what has expired is cleared", async || {
        (database.count("SELECT count(*) FROM messages").await == rows).then_some(())
    })
    .await;
}

async fn until_trimmed(database: &Database) -> i64 {
    eventually("the timeline is trimmed", async || {
        let trimmed = database.count("SELECT trimmed FROM applications").await;
        (trimmed > 0).then_some(trimmed)
    })
    .await
}

fn numbers(list: &Value) -> Vec<i64> {
    let messages = list["messages"].as_array().unwrap().iter();
    messages
        .map(|message| message["number"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn the_application_alone_says_for_how_long_messages_are_kept() {
    let (_database, replica, app) = started().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let chat = jane.chat("Team", &["john"]).await;
    let changed = keep_for(&app, json!(30)).await;
    assert_eq!(changed["policy"]["retentionDays"], 30);
    for caller in [&jane, &john] {
        let refused = set_in_chat(caller, chat, json!(7)).await;
        refused.expect_problem(403, "forbidden");
    }
    let changed = set_in_chat(&app, chat, json!(7)).await.expect(200);
    assert_eq!(changed["retentionDays"], 7);
    let seen = jane.get(&format!("/chats/{chat}")).await.expect(200);
    assert_eq!(
        (&seen["retentionDays"], seen.get("first")),
        (&json!(7), None)
    );
    let again = set_in_chat(&jane, chat, json!(7)).await.expect(200);
    assert_eq!(again["timestamp"], changed["timestamp"], "it is so already");
    let reset = set_in_chat(&app, chat, Value::Null).await.expect(200);
    assert_eq!(reset.get("retentionDays"), None);
    for wrong in [json!(0), json!(36_501), json!(-1)] {
        let refused = set_in_chat(&app, chat, wrong.clone()).await;
        assert_eq!(refused.wrong_fields(), ["retentionDays"], "{wrong}");
        let body = json!({ "policy": { "retentionDays": wrong } });
        let refused = app.call(Method::PATCH, "/applications/self", body).await;
        assert_eq!(refused.wrong_fields(), ["policy.retentionDays"]);
    }
    let ended = keep_for(&app, Value::Null).await;
    assert_eq!(ended["policy"].get("retentionDays"), None);
}

#[tokio::test]
async fn what_has_expired_is_one_change_of_its_conversation_and_gone_at_once() {
    let (database, replica, app) = started().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let old: Vec<_> = [
        jane.send("john", "one").await,
        john.send("jane", "two").await,
        jane.send("john", "three").await,
    ]
    .into();
    age(&database, 3).await;
    let kept = jane.send("john", "four").await;
    let before = jane.sync("limit=1000").await["latest"].clone();
    let feed = app.get("/feed?limit=1000").await.expect(200)["latest"].clone();
    // Nobody clears what has expired while the index of search does not go on.
    let indexer = database.block_indexer().await;
    keep_for(&app, json!(2)).await;
    let seen = until_first(&john, "/users/jane", 4).await;
    assert_eq!(
        (&seen["unread"], &seen["message"]["id"]),
        (&json!(1), &kept["id"])
    );

    for (user, other) in [(&jane, "john"), (&john, "jane")] {
        let news = user.sync(&format!("after={before}")).await;
        assert_eq!(news["total"], 1, "{news}");
        assert_eq!(news["messages"][0]["with"], other);
        let all = user.sync("limit=1000&include=message").await;
        let with_data = all["messages"].as_array().unwrap().iter();
        let with_data = with_data.filter(|entry| !entry["message"].is_null());
        let with_data: Vec<_> = with_data.map(|entry| entry["id"].clone()).collect();
        assert_eq!(
            with_data,
            [kept["id"].clone()],
            "what has expired is listed without data"
        );
        let path = format!("/users/{other}/messages");
        assert_eq!(numbers(&user.get(&path).await.expect(200)), [4]);
        let from_start = user.get(&format!("{path}?after=0")).await.expect(200);
        assert_eq!(numbers(&from_start), [4]);
        for number in 1..=3 {
            let gone = user.get(&format!("{path}/{number}")).await;
            gone.expect_problem(410, "expired");
        }
        user.get(&format!("{path}/5"))
            .await
            .expect_problem(404, "not-found");
        let found = user.get("/messages/search?q=three").await.expect(200);
        assert_eq!(found["hits"], json!([]), "{found}");
    }
    let entries = app.get(&format!("/feed?after={feed}")).await.expect(200);
    let expired: Vec<_> = entries["entries"].as_array().unwrap().clone();
    assert_eq!(expired.len(), 1, "{entries}");
    assert_eq!(expired[0]["kind"], "messages.expired");
    assert_eq!(expired[0]["number"], 4);
    assert_eq!(expired[0]["users"], json!(["jane", "john"]));
    assert_eq!(database.count("SELECT count(*) FROM messages").await, 4);
    are_gone(&jane, &old).await;
    drop(indexer);

    until_rows(&database, 1).await;
    are_gone(&jane, &old).await;
    jane.get(&format!("/messages/{}", kept["id"]))
        .await
        .expect(200);
    let entries = app.get(&format!("/feed?after={feed}")).await.expect(200);
    assert_eq!(
        entries["entries"].as_array().unwrap().len(),
        1,
        "clearing tells nobody"
    );
    let left = "SELECT count(*) FROM search_entries";
    assert_eq!(database.count(left).await, 1);
}

/// Whatever is done to a message that has expired, and by whomever, is 410.
async fn are_gone(jane: &Client, messages: &[Value]) {
    for message in messages {
        let (id, timestamp) = (&message["id"], &message["timestamp"]);
        let path = format!("/messages/{id}");
        for what in ["", "/replies", "/reactions", "?include=reactions"] {
            let gone = jane.get(&format!("{path}{what}")).await;
            gone.expect_problem(410, "expired");
        }
        let edited = jane.patch(id, timestamp, json!({ "text": "x" })).await;
        edited.expect_problem(410, "expired");
        jane.delete(id, timestamp)
            .await
            .expect_problem(410, "expired");
        let reacted = jane
            .ask(Method::PUT, &format!("{path}/reactions/x"), None)
            .await;
        reacted.expect_problem(410, "expired");
        jane.marks(id, true).await.expect_problem(410, "expired");
        let reported = json!({ "reason": "spam" });
        let reported = jane
            .call(Method::POST, &format!("{path}/reports"), reported)
            .await;
        reported.expect_problem(410, "expired");
        let reply = json!({ "to": "john", "text": "re", "replyTo": id });
        assert_eq!(jane.post(reply).await.wrong_fields(), ["replyTo"]);
    }
    let ids: Vec<_> = messages
        .iter()
        .map(|message| message["id"].to_string())
        .collect();
    let listed = jane
        .get(&format!("/messages?ids={}", ids.join(",")))
        .await
        .expect(200);
    assert_eq!(listed["messages"], json!([]));
}

#[tokio::test]
async fn what_a_conversation_counts_is_right_before_and_after_it_is_cleared() {
    let (database, replica, app) = started().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let chat = jane.chat("Team", &["john"]).await;
    let path = format!("/chats/{chat}");
    let into = format!("{path}/messages");
    for text in ["1", "2", "3", "4"] {
        let body = json!({ "text": text, "mentions": ["john"] });
        jane.call(Method::POST, &into, body).await.expect(201);
    }
    let read = json!({ "number": 1 });
    john.call(Method::PUT, &format!("{path}/read"), read)
        .await
        .expect(200);
    let pinned = jane.get(&format!("{into}/2")).await.expect(200);
    let pin = format!("{path}/pins/{}", pinned["id"]);
    jane.ask(Method::PUT, &pin, None).await;
    let reacted = format!("/messages/{}/reactions/x", pinned["id"]);
    john.ask(Method::PUT, &reacted, None).await;
    age(&database, 3).await;
    let body = json!({ "text": "5", "mentions": ["john"], "replyTo": pinned["id"] });
    jane.call(Method::POST, &into, body).await.expect(201);
    let indexer = database.block_indexer().await;
    set_in_chat(&app, chat, json!(1)).await.expect(200);
    let check = async |what: &str| {
        let seen = until_first(&john, &path, 5).await;
        let counts = ["messages", "read", "unread", "mentions"].map(|name| seen[name].clone());
        assert_eq!(counts, [5, 4, 1, 1].map(Value::from), "{what}");
        let total = john.get("/conversations").await.expect(200)["unread"].clone();
        assert_eq!(
            total,
            json!({ "messages": 1, "conversations": 1, "mentions": 1 }),
            "{what}"
        );
        let pins = john.get(&format!("{path}/pins")).await.expect(200);
        assert_eq!(pins["pins"], json!([]), "{what}");
        let reply = john.get(&format!("{into}/5")).await.expect(200);
        assert_eq!(reply["replyTo"], pinned["id"], "{what}");
        let back = json!({ "number": 1, "back": true });
        let moved = john
            .call(Method::PUT, &format!("{path}/read"), back)
            .await
            .expect(200);
        assert_eq!(
            moved["number"], 4,
            "{what}: what has expired is never unread"
        );
    };
    check("before").await;
    drop(indexer);
    until_rows(&database, 1).await;
    check("after").await;
    for table in [
        "pins",
        "mentions WHERE number < 5",
        "reactions",
        "reaction_counts",
    ] {
        let count = format!("SELECT count(*) FROM {table}");
        eventually(table, async || {
            (database.count(&count).await == 0).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_conversation_of_which_nothing_is_left_goes_on_with_the_next_number() {
    let (database, replica, app) = started().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    for text in ["one", "two"] {
        jane.send("john", text).await;
    }
    age(&database, 3).await;
    keep_for(&app, json!(1)).await;
    let seen = until_first(&john, "/users/jane", 3).await;
    assert_eq!((seen.get("message"), &seen["unread"]), (None, &json!(0)));
    until_rows(&database, 1).await;
    let left = "SELECT count(*) FROM messages WHERE text IS NOT NULL";
    eventually("no text is left", async || {
        (database.count(left).await == 0).then_some(())
    })
    .await;
    let listed = john.get("/conversations").await.expect(200);
    assert_eq!(
        listed["conversations"][0]["with"], "jane",
        "it keeps its place"
    );
    let next = john.send("jane", "three").await;
    assert_eq!(next["number"], 3);
    until_rows(&database, 1).await;
    let history = jane.get("/users/john/messages").await.expect(200);
    assert_eq!(numbers(&history), [3]);
    assert_eq!(jane.get("/users/john").await.expect(200)["unread"], 1);
}

#[tokio::test]
async fn a_chat_keeps_its_messages_for_as_long_as_it_says_and_others_as_the_application_does() {
    let (database, replica, app) = started().await;
    let jane = replica.user("jane");
    let (short, long) = (jane.chat("Short", &[]).await, jane.chat("Long", &[]).await);
    for chat in [short, long] {
        jane.post_into(chat, "old").await;
    }
    jane.send("john", "old").await;
    age(&database, 10).await;
    set_in_chat(&app, short, json!(5)).await.expect(200);
    until_first(&jane, &format!("/chats/{short}"), 2).await;
    set_in_chat(&app, long, json!(20)).await.expect(200);
    keep_for(&app, json!(9)).await;
    until_first(&jane, "/users/john", 2).await;
    let seen = jane.get(&format!("/chats/{long}")).await.expect(200);
    assert_eq!(seen.get("first"), None);
    let kept = jane
        .get(&format!("/chats/{long}/messages"))
        .await
        .expect(200);
    assert_eq!(numbers(&kept), [1]);
}

#[tokio::test]
async fn imported_messages_expire_once_they_are_seen_and_no_younger_one_with_them() {
    let (database, replica, app) = started().await;
    let jane = replica.user("jane");
    let message = |key: &str, days: i64| {
        let created = OffsetDateTime::now_utc() - Duration::days(days);
        let created = created.format(&Rfc3339).unwrap();
        let message = json!({ "chat": "old", "from": "jane", "created": created, "text": key });
        json!({ "key": key, "message": message })
    };
    let chat = json!({ "name": "Old", "members": ["jane"], "retentionDays": 20 });
    let file = [
        json!({ "key": "old", "chat": chat }),
        message("a", 100),
        message("b", 10),
        message("c", 50),
    ];
    let chat = imports::stored(&app, &file).await[0]["chat"].clone();
    let path = format!("/chats/{chat}");
    passes_in_chats(&database, &app, &jane).await;
    let firsts = format!("SELECT first FROM conversations WHERE chat_number = {chat}");
    assert_eq!(database.count(&firsts).await, 1, "nobody sees it yet");

    let done = json!({ "key": "end", "done": { "chat": chat } });
    imports::stored(&app, &[done]).await;
    let seen = until_first(&jane, &path, 2).await;
    assert_eq!(seen["retentionDays"], 20);
    passes_in_chats(&database, &app, &jane).await;
    let kept = jane.get(&format!("{path}/messages")).await.expect(200);
    assert_eq!(numbers(&kept), [3, 2]);
}

#[tokio::test]
async fn messages_expire_while_their_user_is_erased() {
    let database = Database::fresh().await;
    let settings = settings().with("ERASURE_SECONDS_MIN", "0");
    let replica = Replica::start(&database, settings).await;
    let app = replica.application().await;
    let (zoe, john) = (replica.user(erasure::ZOE), replica.user("john"));
    let chat = john.chat("Team", &[erasure::ZOE]).await;
    for number in 0..30 {
        let text = format!("{} {number}", erasure::SECRET);
        zoe.send("john", &text).await;
        john.send(erasure::ZOE, "answer").await;
        zoe.post_into(chat, &text).await;
    }
    age(&database, 3).await;
    let kept = john.post_into(chat, "kept").await;
    keep_for(&app, json!(1)).await;
    erasure::erase(&app, erasure::ZOE, "").await;
    erasure::until_erased(&app, erasure::ZOE).await;
    // Of their conversation the row of the newest message is left.
    until_rows(&database, 2).await;
    erasure::nothing_is_left(&database).await;

    // Who takes the name next writes into another conversation, of which nothing has expired.
    let sent = replica.user(erasure::ZOE).send("john", "new").await;
    let seen = john
        .get(&format!("/messages/{}", sent["id"]))
        .await
        .expect(200);
    assert_eq!(seen["number"], 1);
    let page = john
        .get(&format!("/chats/{chat}/messages"))
        .await
        .expect(200);
    assert_eq!(page["messages"][0]["id"], kept["id"]);
}

#[tokio::test]
async fn a_replayed_key_is_answered_as_long_as_its_message_is_there() {
    let (database, replica, app) = started().await;
    let jane = replica.user("jane");
    let send = async || {
        let body = json!({ "to": "john", "text": "hi" });
        let request = jane.posting(body).header("Idempotency-Key", "k");
        Reply::of(request).await.expect(201)
    };
    let sent = send().await;
    age(&database, 3).await;
    let indexer = database.block_indexer().await;
    keep_for(&app, json!(1)).await;
    until_first(&jane, "/users/john", 2).await;
    let again = send().await;
    assert_eq!(
        (&again["id"], &again["deleted"]),
        (&sent["id"], &json!(true))
    );
    drop(indexer);
}

/// The uses that have begun and ended, by file.
fn uses(events: &[crate::support::Delivered]) -> BTreeMap<String, (usize, usize)> {
    let mut seen = std::collections::BTreeSet::new();
    let mut uses: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for event in events {
        if seen.insert(event.message_id.clone()) {
            let (begun, ended) = uses.entry(event.file.clone()).or_default();
            *(if event.in_use { begun } else { ended }) += 1;
        }
    }
    uses
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_is_out_of_use_once_whichever_replica_dies_meanwhile() {
    let database = Database::fresh().await;
    let queue = EventQueue::on_shared_broker();
    let mut with_queue = settings();
    with_queue.environment.extend(queue.settings().environment);
    let mut victim = Replica::start(&database, with_queue.clone()).await;
    let other = Replica::start(&database, with_queue.clone()).await;
    let app = victim.application().await;
    let jane = other.user("jane");
    for chunk in 0..10 {
        let sends = (0..60).map(|number| {
            let file = format!("f{}", chunk * 60 + number);
            jane.post(json!({ "to": format!("u{}", number % 3), "files": [file] }))
        });
        for sent in futures_util::future::join_all(sends).await {
            sent.expect(201);
        }
    }
    age(&database, 3).await;
    keep_for(&app, json!(1)).await;
    eventually("some are cleared", async || {
        let left = database.count("SELECT count(*) FROM messages").await;
        (left < 600).then_some(())
    })
    .await;
    victim.kill();
    let base = victim.base.clone();
    let _again = Replica::start_again_at(&base, &database, with_queue).await;
    until_rows(&database, 3).await;
    let events = queue
        .consume_until(|events| {
            let ended = uses(events).values().map(|(_, ended)| ended).sum::<usize>();
            ended == 600
        })
        .await;
    let uses = uses(&events);
    assert_eq!(uses.len(), 600);
    assert!(uses.values().all(|use_of| *use_of == (1, 1)), "{uses:?}");
    database.until_events_are_published().await;
    let expiries = "SELECT count(*) FROM changes WHERE kind = 'messages-expired'";
    assert_eq!(
        database.count(expiries).await,
        3,
        "one change a conversation"
    );
}

#[tokio::test]
async fn who_has_read_nothing_of_a_trimmed_timeline_is_told_so_and_never_sees_a_gap() {
    let (database, replica, app) = started().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let idle = replica.user("idle");
    jane.send("idle", "hi").await;
    let of_idle = idle.sync("").await["next"].clone();
    for text in ["one", "two", "three"] {
        jane.send("john", text).await;
    }
    let first = jane.sync("limit=1").await["next"].clone();
    let mut stream = john
        .stream(&format!(
            "after={}",
            jane.sync("limit=1000").await["latest"]
        ))
        .await;
    stream.begin_current().await;
    age(&database, 3).await;
    keep_for(&app, json!(2)).await;
    let kept = jane.send("john", "four").await;
    until_first(&jane, "/users/john", 4).await;
    let trimmed = until_trimmed(&database).await;
    assert!(
        trimmed < kept["timestamp"].as_i64().unwrap(),
        "its creation is kept"
    );
    for after in [json!(0), first] {
        for more in ["", "&wait=1", "&include=message", "&limit=1"] {
            let behind = eventually("the cursor is behind", async || {
                let reply = jane.get(&format!("/messages?after={after}{more}")).await;
                (reply.status == 410).then_some(reply)
            })
            .await;
            behind.expect_problem(410, "cursor-behind");
        }
        let mut late = jane.stream(&format!("after={after}")).await;
        let reset = late.event("reset").await;
        assert_eq!(reset.data["type"], "/problems/cursor-behind");
        assert_eq!(reset.id, None, "who ignores it is sent it again");
        assert!(late.block().await.is_none(), "the stream ends");
    }
    let behind = app.get("/feed?after=0").await;
    let behind = behind.expect_problem(410, "cursor-behind");
    let trimmed = behind["trimmed"].as_i64().filter(|it| *it >= trimmed);
    let trimmed = trimmed.expect("it is not lowered");
    let feed = app.get(&format!("/feed?after={trimmed}")).await.expect(200);
    let first = feed["entries"][0]["timestamp"].as_i64().unwrap();
    assert!(first > trimmed && first <= kept["timestamp"].as_i64().unwrap());
    let feed = app.streaming("/feed?after=0");
    let reset = crate::support::Stream::open(feed)
        .await
        .event("reset")
        .await;
    assert_eq!(reset.data["type"], "/problems/cursor-behind");
    assert!(reset.id.unwrap() >= trimmed, "{reset:?}");
    let webhook = json!({ "url": "https://example.org/hook", "after": 0 });
    let refused = app.call(Method::POST, "/webhooks", webhook).await;
    assert_eq!(refused.wrong_fields(), ["after"]);

    let printed = tokio::process::Command::new(env!("CARGO_BIN_EXE_messages"))
        .args(["feed", "--after", "0"])
        .env("DATABASE_URL", &database.url)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(printed.stderr).unwrap();
    assert!(
        !printed.status.success() && said.contains("not kept any more"),
        "{said}"
    );

    // Starting anew from the conversations misses nothing.
    let latest = jane.get("/conversations").await.expect(200)["latest"].clone();
    let next = john.send("jane", "five").await;
    let news = jane.sync(&format!("after={latest}")).await;
    assert_eq!(news["messages"][0]["id"], next["id"], "{news}");
    // The stream was open all the time.
    let ids = [
        stream.update().await,
        stream.update().await,
        stream.update().await,
    ];
    assert!(ids.iter().any(|update| update.data["id"] == next["id"]));
    // Who had read everything, or to whom nobody had written, misses nothing.
    let fresh = replica.user("fresh");
    for (name, user, after) in [("idle", &idle, &of_idle), ("fresh", &fresh, &json!(0))] {
        let before = user.sync(&format!("after={after}")).await;
        let sent = jane.send(name, "news").await;
        let page = user.sync(&format!("after={after}")).await;
        let [earlier @ .., last] = &page["messages"].as_array().unwrap()[..] else {
            panic!("{page}");
        };
        assert_eq!(last["id"], sent["id"]);
        assert_eq!(before["messages"].as_array().unwrap(), earlier);
    }
}

#[tokio::test]
async fn trimming_leaves_the_newest_update_of_each_user_and_the_end_of_the_timeline() {
    let (database, replica, app) = started().await;
    let jane = replica.user("jane");
    for text in ["one", "two", "three"] {
        jane.send("john", text).await;
    }
    age(&database, 3).await;
    keep_for(&app, json!(1)).await;
    until_first(&jane, "/users/john", 4).await;
    until_rows(&database, 1).await;
    age(&database, 3).await;
    let updates = "SELECT count(*) FROM updates";
    eventually("updates are trimmed", async || {
        (database.count(updates).await == 2).then_some(())
    })
    .await;
    let changes = "SELECT count(*) FROM changes";
    eventually("changes are trimmed", async || {
        (database.count(changes).await == 1).then_some(())
    })
    .await;
    let latest = jane.get("/conversations").await.expect(200)["latest"].clone();
    let page = jane.sync(&format!("after={latest}")).await;
    assert_eq!((&page["total"], &page["next"]), (&json!(0), &latest));
    let from_now = jane.sync("after=latest").await;
    assert_eq!(from_now["next"], latest);
    let sent = jane.send("john", "four").await;
    let page = jane.sync(&format!("after={latest}")).await;
    assert_eq!(page["messages"][0]["id"], sent["id"]);
    let feed = app.get("/feed?after=latest").await.expect(200)["latest"].clone();
    assert_eq!(feed, sent["timestamp"]);
}

#[tokio::test]
async fn a_follower_that_is_behind_holds_trimming_back() {
    let (database, replica, app) = started().await;
    let jane = replica.user("jane");
    jane.post(json!({ "to": "john", "files": ["a"] }))
        .await
        .expect(201);
    jane.send("john", "two").await;
    age(&database, 3).await;
    keep_for(&app, json!(1)).await;
    until_rows(&database, 1).await;
    // No broker is configured: the events of the file wait on the timeline.
    age(&database, 3).await;
    passes(&database, &replica, &jane).await;
    assert_eq!(
        database.count("SELECT trimmed FROM applications").await,
        first_change(&database).await - 1
    );
    let queue = EventQueue::on_shared_broker();
    let _publisher = Replica::start(&database, queue.settings()).await;
    queue.consume_until(|events| events.len() == 2).await;
    let ended = "SELECT cursor FROM followers WHERE name = 'file-events'";
    let ended = eventually("the events are published", async || {
        let cursor = database.count(ended).await;
        (cursor > 0 && database.waiting_events().await == 0).then_some(cursor)
    })
    .await;
    eventually("the timeline is trimmed", async || {
        let trimmed = database.count("SELECT trimmed FROM applications").await;
        (trimmed >= ended).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_webhook_that_is_behind_holds_trimming_back() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, settings().calling_loopback()).await;
    let app = replica.application().await;
    let jane = replica.user("jane");
    keep_for(&app, json!(1)).await;
    jane.send("john", "one").await;
    let failing = Hook::start().await;
    failing.answers(Answer::Status(503));
    let webhook = failing.register(&app, json!({})).await;
    let path = format!("/webhooks/{}", webhook["id"]);
    let change = async |patch: Value| app.call(Method::PATCH, &path, patch).await.expect(200);
    let sent = jane.send("john", "two").await;
    let sent = sent["timestamp"].as_i64().unwrap();
    jane.send("john", "three").await;
    failing.until(1).await;
    age(&database, 3).await;
    let cursor = webhook["cursor"].as_i64().unwrap();
    assert!(0 < cursor && cursor < sent, "{cursor}");
    until_trimmed_up_to(&database, cursor).await;
    passes(&database, &replica, &jane).await;
    assert_eq!(trimmed_up_to(&database).await, cursor, "and no further");

    let taking = Hook::start().await;
    change(json!({ "url": taking.url })).await;
    taking.until_taken(sent).await;
    until_trimmed_up_to(&database, sent).await;

    // One that is paused is waited for, too, and one that is removed is not.
    change(json!({ "paused": true })).await;
    let sent = jane.send("john", "four").await["timestamp"].clone();
    let sent = sent.as_i64().unwrap();
    age(&database, 3).await;
    until_first(&jane, "/users/john", 5).await;
    passes(&database, &replica, &jane).await;
    let trimmed = trimmed_up_to(&database).await;
    assert!(trimmed < sent, "{trimmed} is beyond what is not taken");
    let removed = app.ask(Method::DELETE, &path, None).await;
    assert_eq!(removed.status, 204);
    until_trimmed_up_to(&database, sent).await;
}

pub async fn trimmed_up_to(database: &Database) -> i64 {
    database.count("SELECT trimmed FROM applications").await
}

pub async fn until_trimmed_up_to(database: &Database, timestamp: i64) {
    eventually("the timeline is trimmed that far", async || {
        (trimmed_up_to(database).await >= timestamp).then_some(())
    })
    .await;
}

/// The first change that there is.
async fn first_change(database: &Database) -> i64 {
    database
        .count("SELECT min(timestamp) FROM changes WHERE files IS NOT NULL")
        .await
}

/// Waits until a message that is sent now, and made old, has expired: a whole pass later.
pub async fn passes(database: &Database, replica: &Replica, jane: &Client) {
    for _ in 0..2 {
        let chat = jane.chat("Pass", &[]).await;
        jane.post_into(chat, "old").await;
        age(database, 3).await;
        until_first(&replica.user("jane"), &format!("/chats/{chat}"), 2).await;
    }
}

#[tokio::test]
async fn search_is_built_anew_from_a_trimmed_timeline() {
    let (database, replica, app) = started().await;
    let jane = replica.user("jane");
    jane.send("john", "apples").await;
    age(&database, 3).await;
    jane.send("john", "pears").await;
    keep_for(&app, json!(2)).await;
    until_rows(&database, 1).await;
    until_trimmed(&database).await;
    let status = tokio::process::Command::new(env!("CARGO_BIN_EXE_messages"))
        .args(["search", "rebuild"])
        .env("DATABASE_URL", &database.url)
        .status()
        .await
        .unwrap();
    assert!(status.success());
    database.until_indexed().await;
    let found = jane.get("/messages/search?q=pears").await.expect(200);
    assert_eq!(found["hits"].as_array().unwrap().len(), 1, "{found}");
    let found = jane.get("/messages/search?q=apples").await.expect(200);
    assert_eq!(found["hits"], json!([]));
    assert_eq!(
        database.count("SELECT count(*) FROM search_entries").await,
        1
    );
}

#[tokio::test]
async fn nothing_expires_where_nobody_has_said_so() {
    let (database, replica, app) = started().await;
    let jane = replica.user("jane");
    let other = app_without(&replica).await;
    other.acting_as("kim").send("kate", "old").await;
    let chat = jane.chat("Team", &[]).await;
    jane.post_into(chat, "old").await;
    jane.send("john", "old").await;
    age(&database, 10_000).await;
    set_in_chat(&app, chat, json!(1)).await.expect(200);
    until_first(&jane, &format!("/chats/{chat}"), 2).await;
    until_rows(&database, 3).await;
    passes_in_chats(&database, &app, &jane).await;
    assert_eq!(
        jane.get("/users/john/messages/1").await.expect(200)["text"],
        "old"
    );
    let kim = other.acting_as("kim");
    assert_eq!(
        kim.get("/users/kate/messages/1").await.expect(200)["text"],
        "old"
    );
    assert_eq!(
        database
            .count("SELECT max(trimmed) FROM applications")
            .await,
        0
    );
    jane.get("/messages?after=0").await.expect(200);
    kim.get(&format!("/messages/{}", 999_999))
        .await
        .expect_problem(404, "not-found");
}

async fn app_without(replica: &Replica) -> Client {
    let body = json!({ "name": "b" });
    let administrator = replica.administrator();
    let made = administrator
        .call(Method::POST, "/applications", body)
        .await
        .expect(201);
    replica.with_token(made["token"].as_str().unwrap())
}

/// Waits for a whole pass over conversations with a retention of their own.
async fn passes_in_chats(database: &Database, app: &Client, jane: &Client) {
    let chat = jane.chat("Pass", &[]).await;
    jane.post_into(chat, "old").await;
    age(database, 3).await;
    set_in_chat(app, chat, json!(1)).await.expect(200);
    until_first(jane, &format!("/chats/{chat}"), 2).await;
}

#[tokio::test]
async fn without_a_retention_there_is_no_horizon() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    jane.send("john", "hi").await;
    assert_eq!(jane.get("/users/john").await.expect(200).get("first"), None);
    let list = jane.get("/conversations").await.expect(200);
    assert_eq!(list["conversations"][0].get("first"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_messenger_says_where_the_messages_begin_that_are_kept() {
    let (database, replica, app) = started().await;
    let john = replica.user("john");
    for text in ["one", "two"] {
        john.send("jane", text).await;
    }
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.opens("john").await;
    jane.sees_all(&["one", "two"]).await;
    age(&database, 3).await;
    john.send("jane", "three").await;
    keep_for(&app, json!(2)).await;
    jane.sees_all(&["three"]).await;
    let says = "[...document.querySelectorAll('#log .day')].some((line) =>
        line.textContent === 'Earlier messages are no longer kept')";
    jane.until(says).await;
}
