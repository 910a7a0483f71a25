//! The erasure of users.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use messages::{
    domain::ChatNumber,
    store::{
        self, Erasing, Leadership, PgConnection, Purpose,
        erasing::{self, RunningErasure},
    },
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Row;

use crate::support::{
    Client, Database, EventQueue, Replica, Reply, Settings, Stream, administered, counts_are_true,
    eventually, open_lane,
};

/// The user who is erased. Nothing else has this text.
pub const ZOE: &str = "zoe.4711";

/// Everything that she has written has this text.
pub const SECRET: &str = "nobodyelsewritesthis";

async fn ok(caller: &Client, method: Method, path: &str, body: Value) -> Value {
    let reply = caller.call(method, path, body).await;
    assert!(
        reply.status < 300,
        "{path}: {}: {}",
        reply.status,
        reply.text
    );
    reply.json()
}

pub async fn erase(app: &Client, user: &str, query: &str) -> Value {
    let reply = app
        .call(
            Method::DELETE,
            &format!("/users/{user}{query}"),
            Value::Null,
        )
        .await;
    assert_eq!(reply.header("location"), format!("/users/{user}/erasure"));
    reply.expect(202)
}

pub async fn until_erased(app: &Client, user: &str) -> Value {
    eventually("the user is erased", async || {
        let report = app.get(&format!("/users/{user}/erasure")).await.expect(200);
        (report["state"] == "done").then_some(report)
    })
    .await
}

/// The rows of all tables that have a text.
async fn rows_with(database: &Database, text: &str) -> Vec<String> {
    let mut connection = database.connect().await;
    let tables = sqlx::query("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'");
    let tables = tables.fetch_all(&mut connection).await.unwrap();
    let mut found = Vec::new();
    for table in tables {
        let table: String = table.get(0);
        let rows = format!("SELECT row::text FROM {table} AS row WHERE row::text ILIKE '%{text}%'");
        let rows = sqlx::query(sqlx::AssertSqlSafe(rows));
        let rows = rows.fetch_all(&mut connection).await.unwrap();
        let rows = rows.iter().map(|row| row.get::<String, _>(0));
        found.extend(rows.map(|row| format!("{table}: {row}")));
    }
    found
}

/// Fails if anything is stored that names the user or that she has written.
pub async fn nothing_is_left(database: &Database) {
    for text in [ZOE, SECRET] {
        assert_eq!(rows_with(database, text).await, [""; 0], "{text}");
    }
}

/// The tables that have a text.
async fn tables_with(database: &Database, text: &str) -> BTreeSet<String> {
    let rows = rows_with(database, text).await;
    let tables = rows.iter().filter_map(|row| row.split_once(": "));
    tables.map(|(table, _)| table.to_owned()).collect()
}

/// Fails if the user is not named everywhere, or has written less: then it proves little that nothing is left.
async fn everything_is_there(database: &Database) {
    database.until_indexed().await;
    let naming = [
        "changes",
        "chat_bans",
        "chat_members",
        "conversation_settings",
        "conversations",
        "mentions",
        "messages",
        "pins",
        "reactions",
        "reports",
        "search_entries",
        "updates",
        "user_restrictions",
    ];
    let written = [
        "conversation_settings",
        "conversations",
        "messages",
        "reports",
        "search_entries",
    ];
    for (text, expected) in [(ZOE, &naming[..]), (SECRET, &written[..])] {
        let found = tables_with(database, text).await;
        let missing = expected.iter().filter(|table| !found.contains(**table));
        let missing: Vec<_> = missing.copied().collect();
        assert_eq!(missing, [""; 0], "{text} is in {found:?}");
    }
}

/// Waits until the messages of a chat that is deleted are deleted, too: the service does that by itself.
async fn until_cleared(database: &Database, chat: i64) {
    let left = format!("SELECT count(*) FROM messages WHERE chat_number = {chat} AND NOT deleted");
    eventually("the deleted chat is cleared", async || {
        (database.count(&left).await == 0).then_some(())
    })
    .await;
}

/// What is erased of a [`Life`] whose conversations are kept: 20 messages in personal conversations, 5 of hers in
/// chats, and 2 of others that name her there; a conversation with three users, with herself, and one without a
/// message; her two chats; and her reactions, apart from those to her own message, which go with it.
fn erased() -> Value {
    json!({ "messages": 27, "conversations": 5, "memberships": 2, "reactions": 4 })
}

fn secret(number: usize) -> String {
    format!("{SECRET} {number}")
}

/// What Zoe has done with adam, whose name comes before hers and before that of a pseudonym, with john, who
/// comes between the two, and with zz, who comes after both.
struct Life {
    app: Client,
    zoe: Client,
    others: [Client; 3],
    chats: Vec<i64>,
    /// A message of john to her, and one of hers to him.
    to_her: Value,
    to_john: Value,
    /// A message of john in the first chat that names her.
    naming: Value,
    /// One of hers in that chat.
    posted: Value,
}

async fn live(replica: &Replica) -> Life {
    let app = replica.application().await;
    let zoe = replica.user(ZOE);
    let others = ["adam", "john", "zz"].map(|user| replica.user(user));
    let [adam, john, zz] = &others;
    // Personal conversations, one with herself, and one that is deleted half.
    zoe.send(ZOE, &secret(0)).await;
    let mut first = Vec::new();
    for (number, other) in others.iter().enumerate() {
        let name = ["adam", "john", "zz"][number];
        for turn in 0..3 {
            let sent = json!({
                "to": name, "text": secret(turn), "files": [format!("file-{name}-{turn}")],
                "attributes": { "by": SECRET }, "mentions": [name]
            });
            let key = format!("{SECRET}-{turn}");
            let sent = Reply::of(
                zoe.posting(sent)
                    .header("Idempotency-Key", format!("{name}{key}")),
            );
            first.push(sent.await.expect(201));
            let answer = json!({ "to": ZOE, "text": format!("answer {turn}"), "mentions": [ZOE],
                "replyTo": first.last().unwrap()["id"] });
            other.post(answer).await.expect(201);
        }
    }
    let gone = zoe.send("adam", &secret(9)).await;
    zoe.delete(&gone["id"], &gone["timestamp"])
        .await
        .expect(200);
    zoe.marks(&first[0]["id"], true).await;
    ok(
        adam,
        Method::PUT,
        &format!("/users/{ZOE}/read"),
        json!({ "number": 2 }),
    )
    .await;
    ok(
        &zoe,
        Method::PUT,
        "/users/john/read",
        json!({ "number": 5 }),
    )
    .await;
    let settings = json!({ "pinned": true, "attributes": { "note": SECRET } });
    ok(&zoe, Method::PATCH, "/users/zz/settings", settings).await;
    ok(
        zz,
        Method::PATCH,
        &format!("/users/{ZOE}/settings"),
        json!({ "pinned": true }),
    )
    .await;
    zoe.blocks("zz", true).await;
    app.call(
        Method::PUT,
        &format!("/conversations/jim/{ZOE}"),
        Value::Null,
    )
    .await;
    // Chats: one of hers, one that she has left, one from which she is banned, one that is deleted, and one in
    // which she is alone.
    let body = json!({ "name": "Hers", "members": ["adam", "john"] });
    let creating = zoe.request(Method::POST, "/chats").json(&body);
    let creating = creating.header("Idempotency-Key", SECRET);
    let hers = Reply::of(creating).await.expect(201)["number"]
        .as_i64()
        .unwrap();
    let left = john.chat("Left", &[ZOE, "zz"]).await;
    let banned = john.chat("Banned", &[ZOE]).await;
    let deleted = john.chat("Deleted", &[ZOE]).await;
    let alone = zoe.chat("Alone", &[]).await;
    // What a change is announced with has no sender.
    let path = format!("/chats/{alone}");
    let state = zoe.get(&path).await.expect(200);
    let words = json!({ "name": "Mine", "message": { "text": format!("{ZOE} says {SECRET}") } });
    let renaming = zoe.request(Method::PATCH, &path).json(&words);
    let renaming = renaming.header("If-Match", state["timestamp"].to_string());
    Reply::of(renaming).await.expect(200);
    let chats = vec![hers, left, banned, deleted, alone];
    let mut posted = Vec::new();
    for chat in &chats {
        let path = format!("/chats/{chat}/messages");
        let body = json!({ "text": secret(1), "files": [format!("file-{chat}")] });
        let posting = zoe.request(Method::POST, &path).json(&body);
        let key = format!("{SECRET}-chat-{chat}");
        posted.push(
            Reply::of(posting.header("Idempotency-Key", key))
                .await
                .expect(201),
        );
    }
    let path = format!("/chats/{hers}/messages");
    let naming = json!({ "text": "you two", "mentions": [ZOE, "adam"] });
    let naming = ok(john, Method::POST, &path, naming).await;
    let all = json!({ "text": "all of you", "mentions": [ZOE], "mentionsAll": true });
    ok(john, Method::POST, &path, all).await;
    let reply = json!({ "text": "a reply", "replyTo": posted[0]["id"] });
    ok(adam, Method::POST, &path, reply).await;
    let old = zoe.post_into(hers, &secret(2)).await;
    john.get("/messages").await.expect(200);
    zoe.delete(&old["id"], &old["timestamp"]).await.expect(200);
    let pin = format!("/chats/{hers}/pins/{}", naming["id"]);
    ok(&zoe, Method::PUT, &pin, Value::Null).await;
    ok(
        &zoe,
        Method::DELETE,
        &format!("/chats/{left}/members/{ZOE}"),
        Value::Null,
    )
    .await;
    ok(
        john,
        Method::PUT,
        &format!("/chats/{banned}/bans/{ZOE}"),
        Value::Null,
    )
    .await;
    let state = john.get(&format!("/chats/{deleted}")).await.expect(200);
    let path = format!("/chats/{deleted}");
    assert_eq!(
        john.ask(Method::DELETE, &path, Some(&state["timestamp"]))
            .await
            .status,
        204
    );
    ok(
        john,
        Method::PUT,
        &format!("/chats/{hers}/read"),
        json!({ "number": 1 }),
    )
    .await;
    // Reactions and reports.
    let to_her = john.send(ZOE, "the last one to her").await;
    for message in [&naming, &to_her, &posted[0]] {
        for (user, key) in [(&zoe, "a"), (&zoe, "b"), (john, "a")] {
            let path = format!("/messages/{}/reactions/{key}", message["id"]);
            ok(user, Method::PUT, &path, Value::Null).await;
        }
    }
    let report = json!({ "reason": SECRET, "text": SECRET });
    ok(
        &zoe,
        Method::POST,
        &format!("/messages/{}/reports", naming["id"]),
        report,
    )
    .await;
    let report = json!({ "reason": "spam" });
    ok(
        john,
        Method::POST,
        &format!("/messages/{}/reports", posted[0]["id"]),
        report,
    )
    .await;
    let restrictions = json!({ "suspendedUntil": "2999-01-01T00:00:00Z" });
    ok(
        &app,
        Method::PUT,
        &format!("/users/{ZOE}/restrictions"),
        restrictions,
    )
    .await;
    Life {
        app,
        zoe,
        chats,
        to_her,
        to_john: first[3].clone(),
        naming,
        posted: posted[0].clone(),
        others,
    }
}

/// Every entry of a user's timeline after a cursor.
async fn entries(client: &Client, after: i64) -> Vec<Value> {
    let page = client.sync(&format!("after={after}&limit=1000")).await;
    assert_eq!(page["next"], page["latest"]);
    page["messages"].as_array().unwrap().clone()
}

/// What a client knows that has followed a user's timeline: the messages, by id.
async fn followed(client: &Client, after: i64, known: &mut BTreeMap<i64, Value>) -> i64 {
    let mut last = after;
    for entry in entries(client, after).await {
        last = entry["timestamp"].as_i64().unwrap();
        if let Some(id) = entry["id"].as_i64() {
            let message = client.get(&format!("/messages/{id}")).await;
            if message.status == 200 {
                known.insert(id, message.json());
            }
        }
    }
    last
}

fn administered_with(queue: &EventQueue) -> Settings {
    let mut settings = queue.settings();
    settings.environment.extend(administered().environment);
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_an_erased_user_and_others_keep_what_is_theirs() {
    let database = Database::fresh().await;
    let queue = EventQueue::on_shared_broker();
    let replica = Replica::start(&database, administered_with(&queue)).await;
    let life = live(&replica).await;
    let [adam, john, zz] = &life.others;
    let mut known = BTreeMap::new();
    let middle = followed(john, 0, &mut known).await;
    until_cleared(&database, life.chats[3]).await;
    everything_is_there(&database).await;

    let accepted = erase(&life.app, ZOE, "").await;
    assert_eq!(accepted["state"], "running");
    assert_eq!(accepted["conversations"], "keep");
    let again = erase(&life.app, ZOE, "?conversations=delete").await;
    assert_eq!(again["pseudonym"], accepted["pseudonym"]);
    assert_eq!(again["conversations"], "keep");
    // He reads meanwhile, so what is cached of his timeline is of every moment.
    let report = eventually("she is erased", async || {
        entries(john, middle).await;
        let path = format!("/users/{ZOE}/erasure");
        let report = life.app.get(&path).await.expect(200);
        (report["state"] == "done").then_some(report)
    })
    .await;
    for after in [0, middle] {
        let page = john
            .get(&format!("/messages?after={after}&limit=1000"))
            .await;
        assert!(!page.text.contains(ZOE), "{}", page.text);
    }
    let pseudonym = report["pseudonym"].as_str().unwrap();
    assert_eq!(report["remaining"], 0);
    assert_eq!(report["erased"], erased());
    assert!(report["finished"].is_string());
    database.until_indexed().await;
    nothing_is_left(&database).await;

    // What john has written is there, and what she has is not.
    let path = format!("/users/{pseudonym}/messages?after=0&limit=100");
    let history = john.get(&path).await.expect(200);
    for message in history["messages"].as_array().unwrap() {
        let is_his = message["text"]
            .as_str()
            .is_some_and(|text| !text.contains(SECRET));
        assert!(is_his || message["deleted"] == true, "{message}");
        assert!(!is_his || message["to"] == pseudonym, "{message}");
    }
    assert_eq!(john.get(&format!("/users/{ZOE}")).await.status, 404);
    for reader in [adam, john, zz] {
        let seen = reader.get(&format!("/users/{pseudonym}")).await.expect(200);
        assert_eq!(seen["with"], pseudonym);
    }
    assert_eq!(
        zz.get(&format!("/users/{pseudonym}")).await.json()["settings"]["pinned"],
        true
    );
    for (reader, name) in [(adam, "adam"), (john, "john"), (zz, "zz")] {
        counts_are_true(reader, name).await;
    }
    john.post(json!({ "to": pseudonym, "text": "are you there?" }))
        .await
        .expect_problem(403, "not-accepted");
    let hers = life.chats[0];
    let chat = john.get(&format!("/chats/{hers}")).await.expect(200);
    assert_eq!(
        (&chat["members"], &chat["owner"]),
        (&json!(2), &json!("adam"))
    );
    let pins = john.get(&format!("/chats/{hers}/pins")).await.expect(200);
    assert_eq!(pins["pins"][0]["by"], pseudonym, "{pins}");
    let naming = john
        .get(&format!(
            "/messages/{}?include=reactions",
            life.naming["id"]
        ))
        .await;
    let naming = naming.expect(200);
    assert_eq!(naming["mentions"], json!(["adam"]), "{naming}");
    assert!(naming["timestamp"].as_i64() > life.naming["timestamp"].as_i64());
    let path = format!("/messages/{}/reactions", life.naming["id"]);
    let reactions = john.get(&path).await.expect(200);
    assert_eq!(
        reactions["reactions"].as_array().unwrap().len(),
        1,
        "{reactions}"
    );
    let gone = john
        .get(&format!("/messages/{}", life.posted["id"]))
        .await
        .expect(200);
    assert_eq!(gone["deleted"], true);
    assert_eq!(gone["text"], Value::Null);
    let gone = john
        .get(&format!("/messages/{}", life.to_john["id"]))
        .await
        .expect(200);
    assert_eq!(gone["deleted"], true);
    let kept = john
        .get(&format!("/messages/{}", life.to_her["id"]))
        .await
        .expect(200);
    assert_eq!(kept["to"], pseudonym);
    for query in [
        format!("q={SECRET}"),
        format!("from={ZOE}&q="),
        format!("from={pseudonym}"),
    ] {
        let hits = john.get(&format!("/messages/search?{query}")).await;
        let found = hits.json()["hits"].as_array().map_or(0, Vec::len);
        assert_eq!(found, 0, "{query}: {}", hits.text);
    }

    // A client that went on from the middle knows what one knows that begins anew.
    followed(john, middle, &mut known).await;
    let mut anew = BTreeMap::new();
    followed(john, 0, &mut anew).await;
    for (id, message) in &known {
        assert_eq!(Some(message), anew.get(id));
    }
    let told = entries(john, middle).await;
    assert!(
        told.iter().any(|entry| entry["with"] == pseudonym),
        "{told:?}"
    );
    assert!(told.iter().any(|entry| entry["chat"] == hers), "{told:?}");

    // The feed says it under the pseudonym, and of what was before, too.
    let feed = life.app.get("/feed?kinds=user.erased").await.expect(200);
    let feed = feed["entries"].as_array().unwrap();
    assert_eq!(feed.len(), 1);
    assert_eq!(
        (&feed[0]["user"], &feed[0]["actor"]),
        (&json!(pseudonym), &Value::Null)
    );
    let feed = life.app.get("/feed?limit=1000").await;
    assert!(!feed.text.contains(ZOE), "{}", feed.text);

    // Each use of a file has ended.
    database.until_events_are_published().await;
    let events = queue.consume_until(|events| events.len() >= 28).await;
    let mut uses: BTreeMap<&str, i32> = BTreeMap::new();
    for event in &events {
        *uses.entry(&event.file).or_default() += if event.in_use { 1 } else { -1 };
    }
    assert_eq!(uses.len(), 14);
    assert!(uses.values().all(|uses| *uses == 0), "{uses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_remains_is_told_until_it_is_erased() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let life = live(&replica).await;
    until_cleared(&database, life.chats[3]).await;
    // The first step fails until the trigger is dropped.
    database
        .execute(&format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'stuck'; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE ON chat_members FOR EACH ROW
             WHEN (NEW.user_id = '{ZOE}') EXECUTE FUNCTION refuse()"
        ))
        .await;
    let naming = format!(
        "SELECT (SELECT count(*) FROM chat_members WHERE user_id = '{ZOE}' AND departed IS NULL)
              + (SELECT count(*) FROM conversations WHERE '{ZOE}' IN (least, greatest))
              + (SELECT count(*) FROM messages WHERE '{ZOE}' IN (sender, recipient))
              + (SELECT count(*) FROM mentions WHERE user_id = '{ZOE}')
              + (SELECT count(*) FROM reactions WHERE user_id = '{ZOE}')"
    );
    let remaining = database.count(&naming).await;
    let accepted = erase(&life.app, ZOE, "").await;
    eventually("the erasure fails", async || {
        let mut log = replica.log().into_iter();
        log.any(|line| line.contains("users are not erased now"))
            .then_some(())
    })
    .await;
    let path = format!("/users/{ZOE}/erasure");
    let running = life.app.get(&path).await.expect(200);
    let nothing = json!({ "messages": 0, "conversations": 0, "memberships": 0, "reactions": 0 });
    for report in [&accepted, &running] {
        assert_eq!(report["state"], "running");
        assert_eq!(report["remaining"], remaining);
        assert_eq!(report["erased"], nothing);
    }
    let trigger = "DROP TRIGGER refuse ON chat_members";
    database.execute(trigger).await;
    let report = until_erased(&life.app, ZOE).await;
    assert_eq!(report["remaining"], 0);
    assert_eq!(report["erased"], erased());
    assert_eq!(database.count(&naming).await, 0);
    neither_is_logged(&replica);
}

/// Fails if a log line names the user, or has a text of hers.
fn neither_is_logged(replica: &Replica) {
    for line in replica.log() {
        assert!(!line.contains(ZOE) && !line.contains(SECRET), "{line}");
    }
}

/// What john and the application read that names the user or has a text of hers, at a replica.
fn reads(life: &Life, base: &str) -> Vec<(Client, String)> {
    let (john, app) = (life.others[1].at(base), life.app.at(base));
    let (hers, banned) = (life.chats[0], life.chats[2]);
    let naming = &life.naming["id"];
    let mut paths = vec![
        "/messages?after=0&limit=1000&include=message,conversation".to_owned(),
        "/conversations?limit=100".to_owned(),
        format!("/users/{ZOE}"),
        format!("/users/{ZOE}/messages?after=0&limit=100"),
        format!("/chats/{hers}"),
        format!("/chats/{hers}/messages?after=0&limit=100"),
        format!("/chats/{hers}/members"),
        format!("/chats/{hers}/pins"),
        format!("/chats/{banned}/bans"),
        format!("/messages/{naming}/reactions"),
        format!("/messages/search?q={SECRET}"),
    ];
    let messages = [&life.to_her, &life.to_john, &life.naming, &life.posted];
    paths.extend(messages.map(|message| format!("/messages/{}", message["id"])));
    let reads = paths.into_iter().map(|path| (john.clone(), path));
    let feed = "/feed?after=0&limit=1000&include=message,recipients";
    reads.chain([(app, feed.to_owned())]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_have_read_of_the_user_neither_tell_nor_log_it_afterwards() {
    let database = Database::fresh().await;
    let settings = || administered().with("LOG_FILTER", "debug");
    let one = Replica::start(&database, settings()).await;
    let other = Replica::start(&database, settings()).await;
    let life = live(&one).await;
    database.until_indexed().await;
    let reads = reads(&life, &other.base);
    // What is read twice is cached, where it is cached at all.
    for _ in 0..2 {
        for (caller, path) in &reads {
            let reply = caller.get(path).await;
            let text = reply.text.as_str();
            assert_eq!(reply.status, 200, "{path}: {text}");
            assert!(
                text.contains(ZOE) || text.contains(SECRET),
                "{path}: {text}"
            );
        }
    }
    erase(&life.app, ZOE, "").await;
    let report = until_erased(&life.app, ZOE).await;
    for (caller, path) in &reads {
        let reply = caller.get(path).await;
        let text = reply.text.as_str();
        let is_gone = path.starts_with("/users/") && reply.status == 404;
        assert!(is_gone || reply.status == 200, "{path}: {text}");
        assert!(
            !text.contains(ZOE) && !text.contains(SECRET),
            "{path}: {text}"
        );
    }
    let path = format!("/users/{}", report["pseudonym"].as_str().unwrap());
    let seen = life.others[1].at(&other.base).get(&path).await.expect(200);
    assert_eq!(seen["with"], report["pseudonym"]);

    let replicas = [&one, &other];
    eventually("the erasure is logged", async || {
        let mut lines = replicas.iter().flat_map(|replica| replica.log());
        let is_logged = lines.any(|line| line.contains("a user was erased"));
        is_logged.then_some(())
    })
    .await;
    for replica in replicas {
        let log = replica.log();
        assert!(log.iter().any(|line| line.contains("answered")));
        neither_is_logged(replica);
    }
}

/// Waits until caches of a replica have so many entries.
async fn until_cached(replica: &Replica, expected: &[(&str, RangeInclusive<f64>)]) {
    eventually("the caches have so many entries", async || {
        let metrics = replica.nobody().get("/metrics").await.text;
        let has = |(cache, range): &(&str, RangeInclusive<f64>)| {
            let line = format!("messages_cached_entries{{cache=\"{cache}\"}} ");
            let entries = metrics.lines().find_map(|it| it.strip_prefix(&line));
            entries.is_some_and(|entries| range.contains(&entries.parse().unwrap()))
        };
        expected.iter().all(has).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cache_of_any_replica_holds_the_user_and_what_is_of_others_stays() {
    let database = Database::fresh().await;
    // Every replica looks while it is under way, and so learns the name.
    let settings = || administered().with("ERASURE_SECONDS_MIN", "6");
    let one = Replica::start(&database, settings()).await;
    let other = Replica::start(&database, settings()).await;
    let (app, zoe) = (one.application().await, one.user(ZOE));
    let sent = zoe.send("john", &secret(1)).await;
    assert_eq!(one.user("adam").get("/messages").await.status, 200);
    let there = zoe.at(&other.base);
    for _ in 0..2 {
        for path in ["/messages?after=0", "/messages?after=0&include=message"] {
            there.get(path).await.expect(200);
        }
        let message = there.get(&format!("/messages/{}", sent["id"])).await;
        message.expect(200);
    }
    until_cached(&one, &[("tokens", 2.0..=2.0), ("written", 1.0..=1.0)]).await;
    let hers = ["timelines", "messages", "versions", "tokens"];
    until_cached(&other, &hers.map(|cache| (cache, 1.0..=9.0))).await;

    erase(&app, ZOE, "").await;
    until_erased(&app, ZOE).await;
    until_cached(&one, &[("tokens", 1.0..=1.0), ("written", 0.0..=0.0)]).await;
    until_cached(&other, &hers.map(|cache| (cache, 0.0..=0.0))).await;
}

#[tokio::test]
async fn the_index_forgets_messages_that_have_expired_before_they_are_cleared() {
    let database = Database::fresh().await;
    let settings = administered().with("ERASURE_SECONDS_MIN", "0");
    // No pass of the retention comes meanwhile.
    let settings = settings.with("RETENTION_PERIOD", "86400");
    let replica = Replica::start(&database, settings).await;
    let app = replica.application().await;
    let (zoe, john) = (replica.user(ZOE), replica.user("john"));
    let chat = john.chat("Team", &[ZOE]).await;
    zoe.post_into(chat, &secret(1)).await;
    john.post_into(chat, "kept").await;
    database.until_indexed().await;
    let found = tables_with(&database, SECRET).await;
    assert!(found.contains("search_entries"), "{found:?}");
    let expiring = "UPDATE conversations SET first = 2 WHERE chat_number IS NOT NULL;
                    UPDATE applications SET expired = (SELECT max(id) FROM messages)";
    database.execute(expiring).await;
    erase(&app, ZOE, "").await;
    until_erased(&app, ZOE).await;
    nothing_is_left(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_may_be_deleted_with_the_user() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let life = live(&replica).await;
    let [_, john, _] = &life.others;
    erase(&life.app, ZOE, "?conversations=delete").await;
    let report = until_erased(&life.app, ZOE).await;
    assert_eq!(report["conversations"], "delete");
    let pseudonym = report["pseudonym"].as_str().unwrap();
    database.until_indexed().await;
    nothing_is_left(&database).await;
    let path = format!("/users/{pseudonym}/messages?after=0&limit=100");
    let history = john.get(&path).await.expect(200);
    let history = history["messages"].as_array().unwrap();
    assert_eq!(history.len(), 7);
    assert!(history.iter().all(|message| message["deleted"] == true));
    let alone = life.chats[4];
    assert_eq!(life.app.get(&format!("/chats/{alone}")).await.status, 404);
    let hers = john
        .get(&format!("/chats/{}/messages", life.chats[0]))
        .await
        .expect(200);
    let texts: Vec<_> = hers["messages"].as_array().unwrap().iter().collect();
    assert!(
        texts.iter().any(|message| message["text"] == "you two"),
        "{texts:?}"
    );
    for (reader, name) in life.others.iter().zip(["adam", "john", "zz"]) {
        counts_are_true(reader, name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_that_the_application_has_opened_as_the_user() {
    let database = Database::fresh().await;
    let one = Replica::start(&database, administered()).await;
    let other = Replica::start(&database, administered()).await;
    let app = one.application().await;
    one.user(ZOE).send("john", "hello").await;
    let acting = app.acting_as(ZOE);
    let ticket = Reply::of(acting.request(Method::POST, "/tickets")).await;
    let ticket = ticket.expect(201)["ticket"].as_str().unwrap().to_owned();
    let by_ticket = format!("/messages?after=latest&ticket={ticket}");
    let mut streams = Vec::new();
    for replica in [&one, &other] {
        streams.push(acting.at(&replica.base).stream("after=latest").await);
        streams.push(Stream::open(replica.nobody().streaming(&by_ticket)).await);
    }
    let mut of_john = app.acting_as("john").stream("after=0").await;
    for stream in &mut streams {
        stream.begin_current().await;
    }
    erase(&app, ZOE, "").await;
    for stream in &mut streams {
        while stream.block().await.is_some() {}
    }
    until_erased(&app, ZOE).await;
    app.acting_as("john").send("jim", "and now").await;
    while of_john.update().await.data["id"] != json!(2) {}
    // Whoever has the id now is another user.
    let mut again = acting.stream("after=latest").await;
    again.begin_current().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_tokens_stay_refused_on_every_replica_and_later_ones_start_empty() {
    let database = Database::fresh().await;
    let one = Replica::start(&database, administered()).await;
    let other = Replica::start(&database, administered()).await;
    let life = live(&one).await;
    let mut stream = life.zoe.at(&other.base).stream("after=latest").await;
    stream.begin_current().await;
    erase(&life.app, ZOE, "").await;
    while stream.block().await.is_some() {}
    for base in [&one.base, &other.base] {
        let zoe = life.zoe.at(base);
        eventually("the token has ended", async || {
            (zoe.get("/messages").await.status == 401).then_some(())
        })
        .await;
    }
    until_erased(&life.app, ZOE).await;
    // A replica that starts now knows nothing but the digest.
    let third = Replica::start(&database, administered()).await;
    for replica in [&one, &other, &third] {
        assert_eq!(
            life.zoe.at(&replica.base).get("/messages").await.status,
            401
        );
        let again = replica.user("new.4711");
        assert_eq!(again.get("/messages").await.status, 200);
    }
    let zoe = third.user(ZOE);
    let seen = zoe.sync("after=0").await;
    assert_eq!(seen["total"], 0, "{seen}");
    for message in [&life.to_her, &life.posted, &life.naming] {
        assert_eq!(
            zoe.get(&format!("/messages/{}", message["id"]))
                .await
                .status,
            404
        );
    }
    assert_eq!(zoe.get("/users/zz").await.status, 404);
    assert_eq!(
        zoe.get(&format!("/chats/{}", life.chats[0])).await.status,
        404
    );
    let [_, john, _] = &life.others;
    john.send(ZOE, "welcome").await;
    zoe.send("john", &secret(1)).await;
    // She may be erased again.
    let first = until_erased(&life.app, ZOE).await;
    erase(&life.app, ZOE, "").await;
    let second = eventually("the second erasure is over", async || {
        let report = life
            .app
            .get(&format!("/users/{ZOE}/erasure"))
            .await
            .expect(200);
        let is_done = report["state"] == "done" && report["pseudonym"] != first["pseudonym"];
        is_done.then_some(report)
    })
    .await;
    assert_ne!(first["pseudonym"], second["pseudonym"]);
    nothing_is_left(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_goes_on_after_kills_while_others_write() {
    let database = Database::fresh().await;
    let mut replicas = [
        Replica::start(&database, administered()).await,
        Replica::start(&database, administered()).await,
    ];
    let life = live(&replicas[0]).await;
    let [_, john, _] = &life.others;
    let hers = life.chats[0];
    // Enough for some pieces of each step.
    for turn in 0..40 {
        let sends = (0..10).map(|number| {
            let (zoe, text) = (life.app.acting_as("seed"), secret(turn * 10 + number));
            let acting = life.app.acting_as("john");
            async move {
                zoe.send("john", "hi").await;
                acting.send("seed", &text).await;
            }
        });
        futures_util::future::join_all(sends).await;
    }
    // The one who is erased here has sent hundreds of messages, too.
    database
        .execute(&format!(
            "UPDATE user_restrictions SET suspended_until = NULL WHERE user_id = '{ZOE}'"
        ))
        .await;
    erase(&life.app, "seed", "?conversations=delete").await;
    erase(&life.app, ZOE, "?conversations=delete").await;
    let (mut victim, mut interrupted) = (0, 0);
    for _ in 0..4 {
        let before = database
            .count("SELECT coalesce(sum(messages), 0)::bigint FROM erasures")
            .await;
        let survivor = replicas[1 - victim].base.clone();
        let app = life.app.at(&survivor);
        let writer = john.at(&survivor);
        eventually("some more is erased", async || {
            writer.post_into(hers, "meanwhile").await;
            let now = database.count("SELECT coalesce(sum(messages), 0)::bigint FROM erasures");
            let running = database.count("SELECT count(*) FROM erasures WHERE user_id IS NOT NULL");
            (now.await > before || running.await == 0).then_some(())
        })
        .await;
        replicas[victim].kill();
        let running = "SELECT count(*) FROM erasures WHERE user_id IS NOT NULL";
        interrupted += i64::from(database.count(running).await > 0);
        let base = replicas[victim].base.clone();
        app.get("/feed").await.expect(200);
        replicas[victim] = Replica::start_again_at(&base, &database, administered()).await;
        victim = 1 - victim;
    }
    assert!(interrupted > 0, "all was erased before the first kill");
    until_erased(&life.app, ZOE).await;
    until_erased(&life.app, "seed").await;
    database.until_indexed().await;
    nothing_is_left(&database).await;
    let named = database.count(
        "SELECT count(*) FROM messages WHERE 'seed' IN (sender, recipient) OR text LIKE 'hi'",
    );
    assert_eq!(named.await, 0);
    for (reader, name) in life.others.iter().zip(["adam", "john", "zz"]) {
        counts_are_true(reader, name).await;
    }
    // Numbers are without gaps, and what john wrote meanwhile is there.
    let gaps = "SELECT count(*) FROM (
        SELECT count(*) AS count, max(number) AS last FROM messages GROUP BY conversation_id
    ) AS c WHERE count <> last";
    assert_eq!(database.count(gaps).await, 0);
    let meanwhile = "SELECT count(*) FROM messages WHERE text = 'meanwhile'";
    assert!(database.count(meanwhile).await >= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_names_the_user_while_it_is_erased() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let john = replica.user("john");
    let chat = john.chat("Crew", &[]).await;
    john.send(ZOE, "hi").await;
    // The erasure cannot end while the index of search does not follow.
    let indexer = database.block_indexer().await;
    erase(&app, ZOE, "").await;
    let path = format!("/users/{ZOE}");
    john.post(json!({ "to": ZOE, "text": "hi" }))
        .await
        .expect_problem(403, "not-accepted");
    let acting = app.acting_as(ZOE);
    for (caller, method, path, body) in [
        (
            &acting,
            Method::POST,
            "/messages".to_owned(),
            json!({ "to": "john", "text": "hi" }),
        ),
        (
            &acting,
            Method::POST,
            "/chats".to_owned(),
            json!({ "name": "x", "members": [] }),
        ),
        (
            &acting,
            Method::PATCH,
            "/users/john/settings".to_owned(),
            json!({ "pinned": true }),
        ),
        (
            &john,
            Method::PUT,
            format!("/chats/{chat}/members/{ZOE}"),
            Value::Null,
        ),
        (
            &john,
            Method::PUT,
            format!("/chats/{chat}/bans/{ZOE}"),
            Value::Null,
        ),
        (
            &john,
            Method::POST,
            "/chats".to_owned(),
            json!({ "name": "x", "members": [ZOE] }),
        ),
        (
            &john,
            Method::PATCH,
            format!("{path}/settings"),
            json!({ "blocked": true }),
        ),
        (&app, Method::PUT, format!("{path}/restrictions"), json!({})),
        (
            &app,
            Method::PUT,
            format!("/conversations/john/{ZOE}"),
            Value::Null,
        ),
    ] {
        let refused = caller.call(method, &path, body).await;
        assert_eq!(refused.status, 403, "{path}: {}", refused.text);
    }
    let report = app.get(&format!("{path}/erasure")).await.expect(200);
    assert_eq!(report["state"], "running");
    // What he has read he says by either name.
    let pseudonym = format!("/users/{}", report["pseudonym"].as_str().unwrap());
    until_it_waits(&database).await;
    for (path, number) in [(&path, 0), (&pseudonym, 1), (&path, 0)] {
        let read = json!({ "number": number, "back": true });
        ok(&john, Method::PUT, &format!("{path}/read"), read).await;
        let seen = john.get(&pseudonym).await.expect(200);
        assert_eq!(seen["read"], number, "{path}");
    }
    drop(indexer);
    until_erased(&app, ZOE).await;
    nothing_is_left(&database).await;
    // From then on it is an id like any other one.
    john.send(ZOE, "hi").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_fails_each_time_does_not_delay_another_one() {
    const PEERS: i64 = 60;
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let zoe = replica.user(ZOE);
    replica.user("john").chat("Crew", &["stuck"]).await;
    let sends = (0..PEERS).map(|peer| {
        let zoe = &zoe;
        async move { zoe.send(&format!("peer-{peer}"), SECRET).await }
    });
    futures_util::future::join_all(sends).await;
    // A sequence counts also what is rolled back.
    database
        .execute(
            "CREATE SEQUENCE attempts;
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM nextval('attempts'); RAISE EXCEPTION 'stuck'; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE ON chat_members FOR EACH ROW
             WHEN (NEW.user_id = 'stuck') EXECUTE FUNCTION refuse()",
        )
        .await;
    let attempts = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM attempts";
    erase(&app, "stuck", "").await;
    eventually("it has failed", async || {
        (database.count(attempts).await > 0).then_some(())
    })
    .await;
    erase(&app, ZOE, "").await;
    until_erased(&app, ZOE).await;
    let attempts = database.count(attempts).await;
    assert!(
        attempts < PEERS / 2,
        "{attempts} attempts, where the other one had a turn for each of {PEERS} conversations"
    );
    let report = app.get("/users/stuck/erasure").await.expect(200);
    assert_eq!(report["state"], "running");
    database
        .execute("DROP TRIGGER refuse ON chat_members")
        .await;
    until_erased(&app, "stuck").await;
}

/// Keeps erasures from ending, until the connection is dropped: the index of search does not follow.
async fn wait_at_the_end(database: &Database, john: &Client) -> PgConnection {
    john.send("jane", "this is indexed").await;
    database.until_indexed().await;
    let indexer = database.block_indexer().await;
    john.send("jane", "this is not").await;
    indexer
}

/// Waits until an erasure has come to its last step, which the index of search has to follow.
async fn until_it_waits(database: &Database) {
    eventually("the erasure waits for the index of search", async || {
        let waiting = "SELECT count(*) FROM erasures WHERE step = 9 AND place > 0";
        (database.count(waiting).await == 1).then_some(())
    })
    .await;
}

/// Has an erasure begin anew with the step in which it looks at chats.
const BACK_TO_CHATS: &str = "UPDATE erasures SET step = 3, place = 0, place_within = 0";

/// What the leader does in chats under the lock of their application. Returns whether that was done.
async fn forget_in_chat(database: &store::Database, running: &RunningErasure, chat: i64) -> bool {
    let mut session = database.session(Purpose::Writing);
    let entering = session.enter_lane(running.application);
    let mut transaction = entering.await.unwrap();
    let mut lane = transaction.lane(running.application);
    let chats = (ChatNumber::new(chat), ChatNumber::new(chat));
    let forgetting = erasing::forget_in_chats(&mut lane, running, chats);
    let is_done = forgetting.await.unwrap();
    transaction.commit(&[]).await.unwrap();
    is_done
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_comes_late_takes_nothing_from_the_next_user_with_the_id() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let john = replica.user("john");
    let chat = john.chat("Crew", &[]).await;
    let indexer = wait_at_the_end(&database, &john).await;
    erase(&app, ZOE, "").await;
    until_it_waits(&database).await;
    drop(replica);
    drop(indexer);
    // As if the leader were about to forget her in chats.
    database.execute(BACK_TO_CHATS).await;
    let ban = "INSERT INTO chat_bans (application_id, chat_number, user_id, created)";
    database
        .execute(&format!("{ban} VALUES (1, {chat}, '{ZOE}', now())"))
        .await;
    let bans = "SELECT count(*) FROM chat_bans";
    let store = store::Database::at(&database.url).unwrap();
    let mut leader = Leadership::<Erasing>::acquire(&store).await.unwrap();
    let running = erasing::running(&mut leader, None, 2).await.unwrap();
    let [running] = &running[..] else {
        panic!("{running:?}")
    };
    for elsewhere in [
        "step = 4",
        "place = 7",
        "pseudonym = 'another'",
        "user_id = NULL, finished = now()",
    ] {
        database
            .execute(&format!("UPDATE erasures SET {elsewhere}"))
            .await;
        assert!(!forget_in_chat(&store, running, chat).await, "{elsewhere}");
        assert_eq!(database.count(bans).await, 1, "{elsewhere}");
        let pseudonym = &running.erasure.pseudonym;
        database
            .execute(&format!(
                "{BACK_TO_CHATS}, user_id = '{ZOE}', finished = NULL, pseudonym = '{}'",
                pseudonym.as_str()
            ))
            .await;
    }
    assert!(forget_in_chat(&store, running, chat).await);
    assert_eq!(database.count(bans).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_that_do_not_name_the_user_are_looked_at_without_their_lock() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let john = replica.user("john");
    let chat = john.chat("Crew", &[]).await;
    // Enough for some windows, by one statement instead of one request each.
    let chats = "INSERT INTO conversations
            (application_id, id, timestamp, created, chat_number, name, members)
        SELECT 1, -n, 1, now(), 1000 + n, 'chat', 0 FROM generate_series(1, 900) AS n";
    database.execute(chats).await;
    let indexer = wait_at_the_end(&database, &john).await;
    erase(&app, ZOE, "").await;
    until_it_waits(&database).await;
    let lane = database.block_lane().await;
    database.execute(BACK_TO_CHATS).await;
    until_it_waits(&database).await;
    open_lane(lane).await;
    // Those that do are changed under it.
    let ban = "INSERT INTO chat_bans (application_id, chat_number, user_id, created)";
    database
        .execute(&format!("{ban} VALUES (1, {chat}, '{ZOE}', now())"))
        .await;
    database.execute(BACK_TO_CHATS).await;
    until_it_waits(&database).await;
    drop(indexer);
    until_erased(&app, ZOE).await;
    nothing_is_left(&database).await;
}

/// The results of lines that are imported.
async fn import(app: &Client, lines: &[Value]) -> Vec<Value> {
    let body = lines.iter().map(|line| format!("{line}\n"));
    let request = app.request(Method::POST, "/import");
    let request = request.header("content-type", "application/x-ndjson");
    let reply = Reply::of(request.body(body.collect::<String>())).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let results = reply.text.lines();
    results
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_that_is_being_imported_forgets_the_user_at_once() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let chat = |key: &str, owner: &str, members: &[&str]| {
        let chat = json!({ "name": key, "owner": owner, "members": members });
        json!({ "key": key, "chat": chat })
    };
    let message = |key: &str, chat: &str, from: &str, mentions: &[&str]| {
        let message = json!({
            "chat": chat, "from": from, "text": if from == ZOE { SECRET } else { "old" },
            "created": "2019-03-01T10:00:00Z", "mentions": mentions
        });
        json!({ "key": key, "message": message })
    };
    let lines = [
        chat("hers", ZOE, &["adam", "john"]),
        chat("johns", "john", &[ZOE]),
        message("1", "hers", ZOE, &["adam"]),
        message("2", "hers", "john", &[ZOE]),
        message("1", "johns", ZOE, &[]),
    ];
    let results = import(&app, &lines).await;
    assert!(results.iter().all(|it| it["status"] == 201), "{results:?}");
    let [hers, johns] = [0, 1].map(|line| results[line]["chat"].as_i64().unwrap());
    assert!(!rows_with(&database, ZOE).await.is_empty());

    erase(&app, ZOE, "").await;
    until_erased(&app, ZOE).await;
    database.until_indexed().await;
    nothing_is_left(&database).await;
    // Whatever is changed of it then has the name no more, either.
    let state = app.get(&format!("/chats/{hers}")).await.expect(200);
    assert_eq!(
        (&state["owner"], &state["importing"]),
        (&Value::Null, &json!(true))
    );
    let patching = app.request(Method::PATCH, &format!("/chats/{hers}"));
    let patching = patching.header("If-Match", format!("\"{}\"", state["timestamp"]));
    Reply::of(patching.json(&json!({ "name": "Crew" })))
        .await
        .expect(200);
    let again = import(&app, &[message("3", "hers", "adam", &[])]).await;
    assert_eq!(again[0]["status"], 201, "{again:?}");
    // Its end was written before, and says how far the user had read.
    let read = json!({ ZOE: 0, "john": 0 });
    let done = ["hers", "johns"]
        .map(|chat| json!({ "key": chat, "done": { "chat": chat }, "read": read.clone() }));
    let results = import(&app, &done).await;
    assert!(results.iter().all(|it| it["status"] == 201), "{results:?}");
    nothing_is_left(&database).await;
    let john = replica.user("john");
    for (chat, members, owner) in [(hers, 2, Value::Null), (johns, 1, json!("john"))] {
        let seen = john.get(&format!("/chats/{chat}")).await.expect(200);
        assert_eq!(
            (&seen["members"], &seen["owner"], &seen["read"]),
            (&json!(members), &owner, &json!(0))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_import_of_a_personal_conversation_ends_and_who_stays_sees_what_was_imported() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let john = replica.user("john");
    let message = |key: &str, from: &str, to: &str| {
        let message = json!({
            "from": from, "to": to, "text": if from == ZOE { SECRET } else { "old" },
            "created": "2019-03-01T10:00:00Z"
        });
        json!({ "key": key, "message": message })
    };
    let lines = [
        json!({ "key": "pair", "personal": [ZOE, "john"] }),
        message("1", ZOE, "john"),
        message("2", "john", ZOE),
        message("3", ZOE, "john"),
    ];
    let results = import(&app, &lines).await;
    assert!(results.iter().all(|it| it["status"] == 201), "{results:?}");
    assert_eq!(john.sync("after=0").await["messages"], json!([]));

    erase(&app, ZOE, "").await;
    let report = until_erased(&app, ZOE).await;
    database.until_indexed().await;
    nothing_is_left(&database).await;
    let path = format!("/users/{}", report["pseudonym"].as_str().unwrap());
    let seen = john.get(&path).await.expect(200);
    let seen = ["messages", "unread", "read"].map(|field| seen[field].clone());
    assert_eq!(json!(seen), json!([3, 0, 3]));
    let history = format!("{path}/messages?after=0&limit=100");
    let history = john.get(&history).await.expect(200);
    let texts: Vec<_> = history["messages"].as_array().unwrap().iter().collect();
    let texts: Vec<_> = texts.iter().filter(|it| it["deleted"] != true).collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_eq!(texts[0]["text"], "old");
    // What comes after it in the file is of a conversation that is not there.
    let done = json!({ "key": "done", "done": { "personal": [ZOE, "john"] } });
    for line in [message("4", "john", ZOE), done] {
        let result = import(&app, &[line]).await;
        let problem = &result[0]["problem"]["type"];
        assert_eq!(problem, "/problems/not-importing", "{result:?}");
    }
    nothing_is_left(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_imported_that_names_a_user_who_is_being_erased() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let john = replica.user("john");
    let crew = json!({ "name": "Crew", "members": ["john"] });
    let crew = import(&app, &[json!({ "key": "crew", "chat": crew })]).await;
    assert_eq!(crew[0]["status"], 201, "{crew:?}");
    let indexer = wait_at_the_end(&database, &john).await;
    erase(&app, ZOE, "").await;
    until_it_waits(&database).await;
    let message = |key: &str, from: &str, more: Value| {
        let mut message = json!({
            "chat": "crew", "from": from, "text": "old", "created": "2019-03-01T10:00:00Z"
        });
        let more = more.as_object().unwrap().clone();
        message.as_object_mut().unwrap().extend(more);
        json!({ "key": key, "message": message })
    };
    let lines = [
        message("by-her", ZOE, json!({})),
        message("naming-her", "john", json!({ "mentions": [ZOE] })),
        message(
            "liked-by-her",
            "john",
            json!({ "reactions": { "a": [ZOE] } }),
        ),
        json!({ "key": "with-her", "chat": { "name": "x", "members": [ZOE] } }),
        json!({ "key": "pair", "personal": ["john", ZOE] }),
        message("without-her", "john", json!({})),
    ];
    let results = import(&app, &lines).await;
    let statuses: Vec<_> = results.iter().map(|it| it["status"].clone()).collect();
    let expected = json!([403, 403, 403, 403, 403, 201]);
    assert_eq!(json!(statuses), expected, "{results:?}");
    drop(indexer);
    until_erased(&app, ZOE).await;
    nothing_is_left(&database).await;
}

#[tokio::test]
async fn an_erasure_lasts_as_long_as_what_the_user_had_under_way_may_take() {
    let database = Database::fresh().await;
    let settings = administered().with("ERASURE_SECONDS_MIN", "2");
    let replica = Replica::start(&database, settings).await;
    let app = replica.application().await;
    erase(&app, ZOE, "").await;
    until_erased(&app, ZOE).await;
    let lasted = "SELECT count(*) FROM erasures
                  WHERE finished - requested BETWEEN interval '2 s' AND interval '20 s'";
    assert_eq!(database.count(lasted).await, 1);
}

#[tokio::test]
async fn erasures_are_the_applications_and_of_unknown_users_done_soon() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let jane = replica.user("jane");
    for caller in [&jane, &replica.administrator()] {
        let erasing = caller
            .call(Method::DELETE, "/users/jane", Value::Null)
            .await;
        assert_eq!(erasing.status, 403, "{}", erasing.text);
        let reading = caller.get("/users/jane/erasure").await;
        assert_eq!(reading.status, 403, "{}", reading.text);
    }
    app.get("/users/jane/erasure")
        .await
        .expect_problem(404, "not-found");
    let wrong = app
        .call(Method::DELETE, "/users/jane?conversations=all", Value::Null)
        .await;
    assert_eq!(wrong.wrong_fields(), ["conversations"]);
    let created = replica
        .administrator()
        .call(Method::POST, "/applications", json!({ "name": "other" }))
        .await
        .expect(201);
    let other = replica.with_token(created["token"].as_str().unwrap());
    let theirs = replica.user_of(created["id"].as_i64().unwrap(), "jane");
    jane.send("john", "hi").await;
    theirs.send("john", "hi").await;
    erase(&other, "jane", "").await;
    until_erased(&other, "jane").await;
    assert_eq!(app.get("/users/jane/erasure").await.status, 404);
    assert_eq!(jane.sync("after=0").await["total"], 1);
    let unknown = erase(&app, "never.seen", "").await;
    let report = until_erased(&app, "never.seen").await;
    assert_eq!(report["pseudonym"], unknown["pseudonym"]);
    let nothing = json!({ "messages": 0, "conversations": 0, "memberships": 0, "reactions": 0 });
    assert_eq!(report["erased"], nothing);
    let ids: BTreeSet<_> = [&unknown, &until_erased(&other, "jane").await]
        .map(|report| report["pseudonym"].to_string())
        .into();
    assert_eq!(ids.len(), 2);
}
