//! The export of a user.

use reqwest::{Method, header::ACCEPT};
use serde_json::{Value, json};

use crate::support::{Client, Database, Replica, Reply, administered};

async fn service() -> (Database, Replica, Client) {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let application = replica.application().await;
    (database, replica, application)
}

async fn page(app: &Client, user: &str, query: &str) -> Vec<Value> {
    let reply = app.get(&format!("/users/{user}/export?{query}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.header("content-type"), "application/x-ndjson");
    assert!(reply.text.is_empty() || reply.text.ends_with('\n'));
    let lines = reply.text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// All pages, and how many there were.
async fn export(app: &Client, user: &str, limit: usize) -> (Vec<Value>, usize) {
    let (mut lines, mut after, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        lines.extend(page(app, user, &format!("limit={limit}{after}")).await);
        pages += 1;
        match lines.last().and_then(|line| line["next"].as_str()) {
            Some(next) => after = format!("&after={next}"),
            None => return (lines, pages),
        }
        lines.pop();
    }
}

fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter_map(|line| line.get(kind)).collect()
}

async fn ok(caller: &Client, method: Method, path: &str, body: Value) -> Value {
    let reply = caller.call(method, path, body).await;
    assert!(reply.status < 300, "{}: {}", reply.status, reply.text);
    reply.json()
}

#[tokio::test]
async fn an_export_has_what_is_stored_of_the_user_and_nothing_of_others() {
    let (_database, replica, app) = service().await;
    let [jane, john, jim] = ["jane", "john", "jim"].map(|user| replica.user(user));
    let hello = jane.send("john", "hello").await;
    let answer = john.send("jane", "the secret of john").await;
    let gone = jane.send("john", "deleted").await;
    jane.delete(&gone["id"], &gone["timestamp"]).await;
    let [crew, left, deleted] = ["Crew", "Left", "Deleted"].map(|name| john.chat(name, &["jane"]));
    let (crew, left, deleted) = (crew.await, left.await, deleted.await);
    let posted = jane.post_into(crew, "in the crew").await;
    john.post_into(crew, "the secret of the crew").await;
    let before_leaving = jane.post_into(left, "before leaving").await;
    let path = format!("/chats/{left}/members/jane");
    ok(&jane, Method::DELETE, &path, Value::Null).await;
    jane.post_into(deleted, "in what is deleted").await;
    let path = format!("/chats/{deleted}");
    let tag = john.get(&path).await.json()["timestamp"].clone();
    let tag = json!(format!("\"{tag}\""));
    let tag = tag.as_str().unwrap();
    let deleting = john.request(Method::DELETE, &path).header("If-Match", tag);
    assert_eq!(Reply::of(deleting).await.status, 204);
    let settings = json!({ "pinned": true, "attributes": { "folder": "work" } });
    ok(&jane, Method::PATCH, "/users/john/settings", settings).await;
    jane.blocks("jim", true).await;
    jim.chat("Strangers", &["john"]).await;
    for key in ["%F0%9F%91%8D", "%2B1"] {
        let path = format!("/messages/{}/reactions/{key}", answer["id"]);
        ok(&jane, Method::PUT, &path, Value::Null).await;
        ok(&john, Method::PUT, &path, Value::Null).await;
    }
    let path = format!("/messages/{}/reports", answer["id"]);
    let report = ok(&jane, Method::POST, &path, json!({ "reason": "spam" })).await;
    let path = "/users/jane/restrictions";
    let until = json!({ "suspendedUntil": "2999-01-01T00:00:00.000000Z" });
    ok(&app, Method::PUT, path, until.clone()).await;

    let (lines, _) = export(&app, "jane", 50).await;
    let mut user = until;
    user["id"] = json!("jane");
    let settings = json!({ "pinned": true, "attributes": { "folder": "work" } });
    let in_the_crew = json!({
        "chat": crew, "name": "Crew", "role": "member", "read": posted["number"], "settings": {}
    });
    let blocked = json!({ "with": "jim", "read": 0, "settings": { "blocked": true } });
    let expected = json!([
        { "user": user },
        { "conversation": { "with": "john", "read": gone["number"], "settings": settings } },
        { "message": hello },
        { "conversation": in_the_crew },
        { "message": posted },
        { "conversation": { "chat": left, "departed": true } },
        { "message": before_leaving },
        { "conversation": blocked },
        { "reaction": { "message": answer["id"], "key": "👍" } },
        { "reaction": { "message": answer["id"], "key": "+1" } },
        { "report": report },
    ]);
    assert_eq!(json!(lines), expected);
    // Of somebody who was never there, nothing is stored.
    assert_eq!(
        page(&app, "nobody", "").await,
        [json!({ "user": { "id": "nobody" } })]
    );
}

#[tokio::test]
async fn pages_of_any_size_make_the_same_export() {
    let (_database, replica, app) = service().await;
    let jane = replica.user("jane");
    let mut reactions = 0;
    for n in 0..7 {
        let peer = format!("peer-{n}");
        for _ in 0..n {
            jane.send(&peer, "one of many").await;
        }
        let sent = replica.user(&peer).send("jane", "hi").await;
        for key in ["a", "b", "c"].iter().take(n % 4) {
            let path = format!("/messages/{}/reactions/{key}", sent["id"]);
            ok(&jane, Method::PUT, &path, Value::Null).await;
            reactions += 1;
        }
        let path = format!("/messages/{}/reports", sent["id"]);
        ok(&jane, Method::POST, &path, json!({ "reason": "spam" })).await;
        let mine = jane.chat("Mine", &[]).await;
        let posted = jane.post_into(mine, "to be pinned").await;
        let path = format!("/chats/{mine}/pins/{}", posted["id"]);
        ok(&jane, Method::PUT, &path, Value::Null).await;
        let theirs = replica.user(&peer).chat("Theirs", &[]).await;
        let path = format!("/chats/{theirs}/bans/jane");
        ok(&replica.user(&peer), Method::PUT, &path, Value::Null).await;
    }
    let (whole, pages) = export(&app, "jane", 100).await;
    assert_eq!(pages, 1);
    let kinds = [
        "user",
        "conversation",
        "message",
        "reaction",
        "pin",
        "report",
        "ban",
    ];
    let counts = kinds.map(|kind| of_kind(&whole, kind).len());
    assert_eq!(counts, [1, 14, 28, reactions, 7, 7, 7]);
    for limit in [1, 2, 3, 7, 20] {
        let (lines, pages) = export(&app, "jane", limit).await;
        assert_eq!(lines, whole, "by {limit}");
        assert!(pages >= 30 / limit, "{pages} pages by {limit}");
    }
}

#[tokio::test]
async fn an_export_has_mutes_pins_and_bans() {
    let (_database, replica, app) = service().await;
    let [jane, john] = ["jane", "john"].map(|user| replica.user(user));
    let [crew, banned, deleted] =
        ["Crew", "Banned", "Deleted"].map(|name| john.chat(name, &["jane"]));
    let (crew, banned, deleted) = (crew.await, banned.await, deleted.await);
    let until = json!("2999-01-01T00:00:00.000000Z");
    let path = format!("/chats/{crew}/members/jane");
    let mute = json!({ "role": "moderator", "mutedUntil": until });
    ok(&john, Method::PATCH, &path, mute).await;
    let posted = john.post_into(crew, "to be pinned").await;
    let path = format!("/chats/{crew}/pins/{}", posted["id"]);
    ok(&jane, Method::PUT, &path, Value::Null).await;
    let by_john = john.post_into(crew, "pinned by john").await;
    let path = format!("/chats/{crew}/pins/{}", by_john["id"]);
    ok(&john, Method::PUT, &path, Value::Null).await;
    for path in [
        format!("/chats/{banned}/bans/jane"),
        format!("/chats/{crew}/bans/jim"),
        format!("/chats/{deleted}/bans/jane"),
    ] {
        ok(&john, Method::PUT, &path, Value::Null).await;
    }
    let path = format!("/chats/{deleted}");
    let tag = john.get(&path).await.json()["timestamp"].clone();
    let tag = json!(tag.to_string());
    let deleting = john.ask(Method::DELETE, &path, Some(&tag));
    assert_eq!(deleting.await.status, 204);

    let (lines, _) = export(&app, "jane", 50).await;
    let conversations = of_kind(&lines, "conversation");
    assert_eq!(conversations[0]["mutedUntil"], until, "{lines:?}");
    assert_eq!(conversations[0]["settings"], json!({}), "{lines:?}");
    let [pin] = of_kind(&lines, "pin")[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(
        (&pin["chat"], &pin["message"]),
        (&json!(crew), &posted["id"])
    );
    let [ban] = of_kind(&lines, "ban")[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(ban["chat"], banned);
    assert!(pin["created"].is_string() && ban["created"].is_string());
}

#[tokio::test]
async fn an_export_has_what_was_imported_from_who_was_never_a_member() {
    let (_database, replica, app) = service().await;
    let message = |key: &str, chat: &str, from: &str| {
        let message = json!({
            "chat": chat, "from": from, "created": "2019-03-01T10:00:00Z", "text": key
        });
        json!({ "key": key, "message": message })
    };
    let mut file = Vec::new();
    for chat in ["one", "two", "three", "four"] {
        let members = if chat == "two" { ["jane"] } else { ["john"] };
        file.push(json!({ "key": chat, "chat": { "name": chat, "members": members } }));
        for turn in 0..3 {
            // She has sent nothing into the third one.
            let from = if chat == "three" { "kim" } else { "jane" };
            file.push(message(&format!("{chat}-{turn}"), chat, from));
            file.push(message(&format!("{chat}-{turn}-by-kim"), chat, "kim"));
        }
        file.push(json!({ "key": "done", "done": { "chat": chat } }));
    }
    let body: String = file.iter().map(|line| format!("{line}\n")).collect();
    let importing = app.request(Method::POST, "/import");
    let importing = importing.header("content-type", "application/x-ndjson");
    let imported = Reply::of(importing.body(body)).await;
    assert!(!imported.text.contains("problem"), "{}", imported.text);
    let one = imported.text.lines().next().unwrap();
    let one = serde_json::from_str::<Value>(one).unwrap()["chat"].clone();

    let (whole, _) = export(&app, "jane", 100).await;
    let texts: Vec<_> = of_kind(&whole, "message")
        .into_iter()
        .map(|message| message["text"].clone())
        .collect();
    let expected: Vec<_> = ["one", "two", "four"]
        .iter()
        .flat_map(|chat| (0..3).map(move |turn| format!("{chat}-{turn}")))
        .collect();
    assert_eq!(json!(texts), json!(expected));
    let conversations = of_kind(&whole, "conversation");
    assert_eq!(conversations.len(), 3);
    assert_eq!(conversations[0], &json!({ "chat": one, "departed": true }));
    assert_eq!(conversations[1]["name"], "two");
    for limit in [1, 2, 3, 4, 5] {
        let (lines, _) = export(&app, "jane", limit).await;
        assert_eq!(lines, whole, "by {limit}");
    }
    // A reader of the chat sees no more than before.
    assert_eq!(
        replica
            .user("jane")
            .get(&format!("/chats/{one}"))
            .await
            .status,
        404
    );
}

/// Renames a chat, which posts a text of nobody.
async fn announce(caller: &Client, chat: i64, text: &str) {
    let path = format!("/chats/{chat}");
    let state = caller.get(&path).await.expect(200);
    let change = json!({ "name": text, "message": { "text": text } });
    let changing = caller.request(Method::PATCH, &path).json(&change);
    let changing = changing.header("If-Match", format!("\"{}\"", state["timestamp"]));
    Reply::of(changing).await.expect(200);
}

#[tokio::test]
async fn an_export_has_what_the_user_has_posted_with_changes_of_chats() {
    let (_database, replica, app) = service().await;
    let [jane, john] = ["jane", "john"].map(|user| replica.user(user));
    let crew = jane.chat("Crew", &["john"]).await;
    let left = jane.chat("Left", &["john"]).await;
    announce(&jane, left, "before leaving").await;
    let path = format!("/chats/{left}/members/jane");
    ok(&jane, Method::DELETE, &path, Value::Null).await;
    for (caller, chat, text) in [
        (&jane, crew, "by jane"),
        (&john, left, "by john, who owns it now"),
        (&app, crew, "by the application"),
        (&jane, crew, "by jane again"),
    ] {
        announce(caller, chat, text).await;
    }
    let texts = |lines: &[Value]| {
        let messages = of_kind(lines, "message").into_iter();
        let texts = messages.map(|message| {
            assert_eq!(message["system"], true, "{message}");
            message["text"].clone()
        });
        json!(texts.collect::<Vec<_>>())
    };
    let (whole, _) = export(&app, "jane", 100).await;
    let expected = json!(["by jane", "by jane again", "before leaving"]);
    assert_eq!(texts(&whole), expected);
    let (of_john, _) = export(&app, "john", 100).await;
    assert_eq!(texts(&of_john), json!(["by john, who owns it now"]));
    for limit in [1, 2, 3] {
        let (lines, _) = export(&app, "jane", limit).await;
        assert_eq!(lines, whole, "by {limit}");
    }
}

#[tokio::test]
async fn what_the_other_user_has_written_is_passed_over_some_at_a_time() {
    let (database, replica, app) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let first = john.send("jane", "the first of many").await;
    // As if john had sent so many more: 4,000 by one statement instead of one request each.
    let many = format!(
        "INSERT INTO messages (application_id, id, conversation_id, number, timestamp, sender, recipient,
                               created, text, deleted)
         SELECT application_id, -n, conversation_id, n, timestamp - 10000 + n, sender, recipient, created,
                text, deleted
         FROM messages, generate_series(2, 4000) AS n WHERE id = {}",
        first["id"]
    );
    database.execute(&many).await;
    drop(replica);
    let replica = Replica::start(&database, administered()).await;
    let (jane, app) = (jane.at(&replica.base), app.at(&replica.base));
    let last = jane.send("john", "the last").await;
    assert_eq!(last["number"], 4001);
    jane.send("zoe", "elsewhere").await;
    let (all, pages) = export(&app, "jane", 100).await;
    let texts = of_kind(&all, "message");
    let texts: Vec<_> = texts.iter().map(|message| &message["text"]).collect();
    assert_eq!(json!(texts), json!(["the last", "elsewhere"]));
    assert_eq!(of_kind(&all, "conversation").len(), 2);
    assert_eq!(pages, 5, "a thousand messages a page");
}

#[tokio::test]
async fn a_page_of_large_messages_ends_early() {
    let (_database, replica, app) = service().await;
    let jane = replica.user("jane");
    for _ in 0..30 {
        jane.send("john", &"ß".repeat(20_000)).await;
    }
    let first = page(&app, "jane", "limit=100").await;
    assert!(of_kind(&first, "message").len() < 30);
    let (all, _) = export(&app, "jane", 100).await;
    let numbers = of_kind(&all, "message");
    let numbers: Vec<_> = numbers
        .iter()
        .map(|message| message["number"].clone())
        .collect();
    assert_eq!(json!(numbers), json!((1..=30).collect::<Vec<_>>()));
}

#[tokio::test]
async fn bad_requests_are_refused() {
    let (_database, replica, app) = service().await;
    let path = "/users/jane/export";
    for caller in [replica.user("jane"), replica.administrator()] {
        caller.get(path).await.expect_problem(403, "forbidden");
    }
    for after in ["7", "messages.1", "users.1", "reactions.x"] {
        let reply = app.get(&format!("{path}?after={after}")).await;
        reply.expect_problem(400, "malformed");
    }
    for limit in ["0", "101"] {
        let reply = app.get(&format!("{path}?limit={limit}")).await;
        assert_eq!(reply.wrong_fields(), ["limit"]);
    }
    let json = app
        .request(Method::GET, path)
        .header(ACCEPT, "application/json");
    let reply = Reply::of(json).await;
    assert_eq!(reply.status, 406, "{}", reply.text);
}
