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
        jane.chat("Mine", &[]).await;
    }
    let (whole, pages) = export(&app, "jane", 100).await;
    assert_eq!(pages, 1);
    let counts = ["user", "conversation", "message", "reaction", "report"];
    let counts = counts.map(|kind| of_kind(&whole, kind).len());
    assert_eq!(counts, [1, 14, 21, reactions, 7]);
    for limit in [1, 2, 3, 7, 20] {
        let (lines, pages) = export(&app, "jane", limit).await;
        assert_eq!(lines, whole, "by {limit}");
        assert!(pages >= 30 / limit, "{pages} pages by {limit}");
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
