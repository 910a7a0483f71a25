//! Importing conversations from elsewhere.

use std::collections::BTreeSet;

use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::support::{Client, Database, EventQueue, Replica, Reply, administered, eventually};

pub async fn service() -> (Database, Replica, Client) {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let application = replica.application().await;
    (database, replica, application)
}

fn lines(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

async fn post(app: &Client, body: String) -> Reply {
    let request = app.request(Method::POST, "/import");
    Reply::of(
        request
            .header(CONTENT_TYPE, "application/x-ndjson")
            .body(body),
    )
    .await
}

/// The results of lines.
pub async fn import(app: &Client, file: &[Value]) -> Vec<Value> {
    let reply = post(app, lines(file)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.header("content-type"), "application/x-ndjson");
    let results = reply.text.lines();
    results
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The results of lines, all of which are stored.
pub async fn stored(app: &Client, file: &[Value]) -> Vec<Value> {
    let results = import(app, file).await;
    for result in &results {
        assert!(result["status"].as_i64() < Some(300), "{result}");
    }
    results
}

/// The line that begins a chat.
pub fn chat(key: &str, members: &[&str]) -> Value {
    let chat = json!({ "name": key, "created": "2019-03-01T09:00:00.000000Z", "members": members });
    json!({ "key": key, "chat": chat })
}

/// A message of a chat, or from one user to another one.
pub fn message(key: &str, place: Value, minute: usize) -> Value {
    let mut message = json!({
        "created": format!("2019-03-01T10:{minute:02}:00.250000Z"), "text": format!("text of {key}")
    });
    message
        .as_object_mut()
        .unwrap()
        .extend(place.as_object().unwrap().clone());
    json!({ "key": key, "message": message })
}

fn done(place: Value) -> Value {
    json!({ "key": "done", "done": place })
}

/// The first hundred messages of a conversation.
pub async fn history(caller: &Client, path: &str) -> Vec<Value> {
    let page = caller
        .get(&format!(
            "{path}/messages?after=0&limit=100&include=reactions"
        ))
        .await;
    page.expect(200)["messages"].as_array().unwrap().clone()
}

#[tokio::test]
async fn everything_of_a_chat_comes_back_as_it_was() {
    let (_database, replica, app) = service().await;
    let general = json!({
        "key": "general",
        "chat": {
            "name": "General", "created": "2018-12-24T18:00:00.123456Z", "owner": "jane",
            "members": ["john", { "user": "kim", "role": "moderator" }, { "user": "bot", "role": "reader" }],
            "attributes": { "topic": "all" }, "posting": "moderators", "slowMode": 5, "reactions": false
        }
    });
    let from = |user: &str| json!({ "chat": "general", "from": user });
    let mut second = message("m2", from("john"), 2);
    second["message"]["edited"] = json!("2019-03-02T00:00:00+01:00");
    second["message"]["files"] = json!(["a", "b"]);
    second["message"]["attributes"] = json!({ "old": { "id": 7 } });
    second["message"]["mentions"] = json!(["kim", "somebody"]);
    second["message"]["replyTo"] = json!("m1");
    second["message"]["reactions"] = json!({ "👍": ["jane", "kim"], "+1": ["jane"] });
    let gone = json!({
        "key": "m3",
        "message": {
            "chat": "general", "from": "left", "created": "2019-03-01T10:03:00Z", "deleted": true
        }
    });
    let mut system = message("m4", json!({ "chat": "general" }), 4);
    system["message"]["system"] = json!(true);
    let file = [
        general,
        message("m1", from("jane"), 1),
        second,
        gone,
        system,
    ];
    let results = stored(&app, &file).await;
    let number = &results[0]["chat"];
    let numbers: Vec<_> = results[1..]
        .iter()
        .map(|result| &result["number"])
        .collect();
    assert_eq!(json!(numbers), json!([1, 2, 3, 4]));
    let places: Vec<_> = results.iter().map(|result| &result["line"]).collect();
    assert_eq!(json!(places), json!([1, 2, 3, 4, 5]));

    stored(&app, &[done(json!({ "chat": "general" }))]).await;
    let (jane, path) = (replica.user("jane"), format!("/chats/{number}"));
    let seen = jane.get(&path).await.expect(200);
    let of_chat = [
        "name",
        "owner",
        "created",
        "members",
        "messages",
        "attributes",
        "posting",
        "slowMode",
        "reactions",
        "role",
        "unread",
        "read",
    ];
    let of_chat: serde_json::Map<_, _> = of_chat
        .into_iter()
        .map(|field| (field.to_owned(), seen[field].clone()))
        .collect();
    let expected = json!({
        "name": "General", "owner": "jane", "created": "2018-12-24T18:00:00.123456Z", "members": 4,
        "messages": 4, "attributes": { "topic": "all" }, "posting": "moderators", "slowMode": 5,
        "reactions": false, "role": "owner", "unread": 0, "read": 4
    });
    assert_eq!(json!(of_chat), expected);
    let members = app.get(&format!("{path}/members")).await.expect(200);
    let members: Vec<_> = members["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| json!([member["user"], member["role"], member["read"]]))
        .collect();
    let expected = json!([
        ["bot", "reader", 4],
        ["jane", "owner", 4],
        ["john", "member", 4],
        ["kim", "moderator", 4]
    ]);
    assert_eq!(json!(members), expected);

    let history = history(&jane, &path).await;
    let first = json!({
        "id": results[1]["id"], "timestamp": history[0]["timestamp"], "from": "jane", "chat": number,
        "number": 1, "created": "2019-03-01T10:01:00.250000Z", "text": "text of m1"
    });
    assert_eq!(history[0], first);
    let second = json!({
        "id": results[2]["id"], "timestamp": history[1]["timestamp"], "from": "john", "chat": number,
        "number": 2, "created": "2019-03-01T10:02:00.250000Z", "edited": "2019-03-01T23:00:00.000000Z",
        "text": "text of m2", "files": ["a", "b"], "attributes": { "old": { "id": 7 } },
        "mentions": ["kim", "somebody"], "replyTo": results[1]["id"],
        "reactions": { "+1": { "count": 1, "users": ["jane"] }, "👍": { "count": 2, "users": ["jane", "kim"] } },
        "reacted": history[1]["timestamp"]
    });
    assert_eq!(history[1], second);
    let gone = json!({
        "id": results[3]["id"], "timestamp": history[2]["timestamp"], "chat": number, "number": 3,
        "deleted": true
    });
    assert_eq!(history[2], gone);
    let system = json!({
        "id": results[4]["id"], "timestamp": history[3]["timestamp"], "chat": number, "number": 4,
        "created": "2019-03-01T10:04:00.250000Z", "text": "text of m4", "system": true
    });
    assert_eq!(history[3], system);
}

#[tokio::test]
async fn nobody_is_told_of_a_chat_before_it_is_done() {
    let (database, replica, app) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let from = |user: &str| json!({ "chat": "team", "from": user });
    let results = stored(
        &app,
        &[
            chat("team", &["jane", "john"]),
            message("m1", from("jane"), 1),
        ],
    )
    .await;
    let path = format!("/chats/{}", results[0]["chat"]);
    assert_eq!(jane.get(&path).await.status, 404);
    assert_eq!(
        jane.get(&format!("/messages/{}", results[1]["id"]))
            .await
            .status,
        404
    );
    assert_eq!(history(&app, &path).await.len(), 1);
    let posted = app
        .call(
            Method::POST,
            &format!("{path}/messages"),
            json!({ "text": "x" }),
        )
        .await;
    posted.expect_problem(403, "importing");
    let added = app
        .call(Method::PUT, &format!("{path}/members/jim"), Value::Null)
        .await;
    added.expect_problem(403, "importing");
    let page = jane.sync("after=0").await;
    assert_eq!(page["messages"], json!([]));
    assert_eq!(
        jane.get("/conversations").await.expect(200)["conversations"],
        json!([])
    );
    assert_eq!(database.count("SELECT count(*) FROM updates").await, 0);

    let cursor = page["latest"].as_i64().unwrap();
    let mut stream = jane.stream(&format!("after={cursor}")).await;
    let team = json!({ "key": "end", "done": { "chat": "team" }, "read": { "john": 0 } });
    stored(&app, std::slice::from_ref(&team)).await;
    let told = stream.update().await.data;
    assert_eq!(told["chat"], results[0]["chat"]);
    assert_eq!(jane.sync("after=0").await["messages"], json!([told]));
    assert_eq!(history(&jane, &path).await.len(), 1);
    for (user, unread) in [(&jane, 0), (&john, 1)] {
        assert_eq!(user.get(&path).await.expect(200)["unread"], unread);
        let page = user.get("/conversations").await.expect(200);
        assert_eq!(page["unread"]["messages"], unread);
    }
    // It is a chat as any other one, and stays as it is when its file is imported again.
    jane.post_into(results[0]["chat"].as_i64().unwrap(), "new")
        .await;
    let again = stored(
        &app,
        &[
            chat("team", &["jane", "john"]),
            message("m1", from("jane"), 1),
            team,
        ],
    )
    .await;
    assert_eq!(again[0]["replayed"], true);
    assert_eq!(
        (&again[1]["replayed"], &again[1]["id"]),
        (&json!(true), &results[1]["id"])
    );
    assert_eq!(again[2]["status"], 200);
    let late = import(&app, &[message("m2", from("jane"), 2)]).await;
    assert_eq!(late[0]["problem"]["type"], "/problems/not-importing");
    assert_eq!(
        database
            .count("SELECT count(*) FROM importing_members")
            .await,
        0
    );
}

#[tokio::test]
async fn a_personal_conversation_is_there_for_nobody_before_it_is_done() {
    let (_database, replica, app) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let pair =
        json!({ "key": "p", "personal": ["john", "jane"], "created": "2017-01-01T00:00:00Z" });
    let to = |from: &str, to: &str| json!({ "from": from, "to": to });
    let file = [
        pair,
        message("m1", to("jane", "john"), 1),
        message("m2", to("john", "jane"), 2),
        message("m3", to("john", "jane"), 3),
    ];
    stored(&app, &file).await;
    for (user, other) in [(&jane, "john"), (&john, "jane")] {
        let path = format!("/users/{other}");
        assert_eq!(user.get(&path).await.status, 404);
        assert_eq!(
            user.get("/conversations").await.expect(200)["conversations"],
            json!([])
        );
        assert_eq!(user.sync("after=0").await["messages"], json!([]));
        let page = user.get(&format!("{path}/messages")).await.expect(200);
        assert_eq!(page["messages"], json!([]));
        let sent = user.post(json!({ "to": other, "text": "x" })).await;
        sent.expect_problem(403, "importing");
        let read = user
            .call(Method::PUT, &format!("{path}/read"), json!({ "number": 1 }))
            .await;
        assert_eq!(read.status, 404);
    }
    let unread = app.get("/unread?users=jane,john").await.expect(200);
    assert!(
        unread["users"]
            .as_array()
            .unwrap()
            .iter()
            .all(|of| of["unread"]["messages"] == 0),
        "{unread}"
    );

    let end =
        json!({ "key": "end", "done": { "personal": ["jane", "john"] }, "read": { "jane": 2 } });
    stored(&app, &[end]).await;
    for (user, other, unread) in [(&jane, "john", 1), (&john, "jane", 0)] {
        let page = user.sync("after=0").await;
        assert_eq!(page["messages"].as_array().unwrap().len(), 1);
        assert_eq!(page["messages"][0]["with"], other);
        let seen = user.get(&format!("/users/{other}")).await.expect(200);
        let seen = ["created", "messages", "unread"].map(|field| seen[field].clone());
        assert_eq!(
            json!(seen),
            json!(["2017-01-01T00:00:00.000000Z", 3, unread])
        );
        assert_eq!(history(user, &format!("/users/{other}")).await.len(), 3);
    }
    let sent = jane.send("john", "new").await;
    assert_eq!(sent["number"], 4);
    assert_eq!(jane.get("/users/john").await.expect(200)["unread"], 0);
    assert_eq!(john.get("/users/jane").await.expect(200)["unread"], 1);
    // Where users have written, nothing is imported any more.
    jane.send("jim", "hello").await;
    let begun = import(&app, &[json!({ "key": "q", "personal": ["jane", "jim"] })]).await;
    assert_eq!(begun[0]["problem"]["type"], "/problems/not-importing");
}

#[tokio::test]
async fn a_line_is_stored_once_and_what_is_refused_changes_nothing() {
    let (database, _replica, app) = service().await;
    let at = json!({ "chat": "c" });
    let reply = |key: &str, to: Value| {
        let mut line = message(key, at.clone(), 5);
        line["message"]["replyTo"] = to;
        line
    };
    let file = [
        chat("c", &[]),
        message("m1", at.clone(), 1),
        message("m1", at.clone(), 1),
        message("m1", at.clone(), 2),
        reply("m2", json!("m9")),
        message("m3", json!({ "chat": "nothing" }), 3),
        message("m4", json!({ "from": "jane", "to": "john" }), 3),
        reply("m5", json!("m1")),
        json!({ "key": "end", "done": { "chat": "c" }, "read": { "stranger": 1 } }),
        json!({ "key": "end", "done": { "chat": "nothing" } }),
    ];
    let results = import(&app, &file).await;
    let statuses: Vec<_> = results
        .iter()
        .map(|result| result["status"].as_i64().unwrap())
        .collect();
    assert_eq!(statuses, [201, 201, 201, 422, 422, 404, 409, 201, 409, 404]);
    assert_eq!(results[2]["replayed"], true);
    assert_eq!(results[2]["id"], results[1]["id"]);
    assert_eq!(results[3]["problem"]["errors"][0]["field"], "key");
    assert_eq!(
        results[4]["problem"]["errors"][0]["field"],
        "message.replyTo"
    );
    assert_eq!(results[7]["number"], 2);
    assert_eq!(database.count("SELECT count(*) FROM messages").await, 2);

    // A conversation is done once all its messages are stored.
    assert_eq!(results[8]["problem"]["type"], "/problems/incomplete");
    let beyond = json!({ "key": "end", "done": { "chat": "d" }, "read": { "jane": 1 } });
    let pair = json!({ "key": "p", "personal": ["ann", "ben"] });
    let stranger =
        json!({ "key": "q", "done": { "personal": ["ann", "ben"] }, "read": { "jane": 0 } });
    let results = import(&app, &[chat("d", &["jane"]), beyond, pair, stranger]).await;
    for result in [&results[1], &results[3]] {
        assert_eq!(result["problem"]["errors"][0]["field"], "read", "{result}");
    }
    let mut late = message("late", at.clone(), 1);
    late["message"]["created"] = json!("2999-01-01T00:00:00Z");
    let late = import(&app, &[late]).await;
    assert_eq!(late[0]["problem"]["errors"][0]["field"], "message.created");

    let good = message("m8", at.clone(), 8);
    let bad = |change: &dyn Fn(&mut Value)| {
        let mut line = message("m9", at.clone(), 9);
        change(&mut line);
        line
    };
    let without = |field: &'static str| {
        bad(&move |line| {
            line["message"].as_object_mut().unwrap().remove(field);
        })
    };
    let with = |field: &'static str, value: Value| {
        bad(&move |line| line["message"][field] = value.clone())
    };
    for (line, field) in [
        (json!({ "key": "k" }), "line 2: body"),
        (
            json!({ "key": "a b", "done": { "chat": 1 } }),
            "line 2: key",
        ),
        (json!({ "key": "k", "done": {} }), "line 2: done"),
        (
            json!({ "key": "k", "done": { "chat": 1 }, "created": "2019-03-01T10:00:00Z" }),
            "line 2: created",
        ),
        (
            json!({ "key": "k", "read": {}, "personal": ["a", "b"] }),
            "line 2: read",
        ),
        (
            json!({ "key": "k", "personal": ["a", "/"] }),
            "line 2: personal",
        ),
        (json!({ "key": "k", "personal": ["a"] }), "line 2: personal"),
        (
            json!({ "key": "k", "chat": { "name": "" } }),
            "line 2: chat.name",
        ),
        (
            json!({ "key": "k", "chat": { "name": "x", "members": ["a", "a"] } }),
            "line 2: chat.members",
        ),
        (
            json!({ "key": "k", "chat": { "name": "x", "members": [{ "user": "a", "role": "owner" }] } }),
            "line 2: chat.members",
        ),
        (
            json!({ "key": "k", "chat": { "name": "x", "members": [{ "user": "a", "since": -1 }] } }),
            "line 2: chat.members",
        ),
        (
            json!({
                "key": "k",
                "message": {
                    "from": "a", "to": "b", "created": "2019-03-01T10:00:00Z", "text": "x",
                    "mentions": ["c"]
                }
            }),
            "line 2: message.mentions",
        ),
        (
            with("created", json!("yesterday")),
            "line 2: message.created",
        ),
        (without("created"), "line 2: message"),
        (without("text"), "line 2: message.text"),
        (without("chat"), "line 2: message.chat"),
        (with("to", json!("john")), "line 2: message.chat"),
        (with("deleted", json!(true)), "line 2: message.deleted"),
        (
            with("reactions", json!({ "": ["a"] })),
            "line 2: message.reactions",
        ),
        (with("replyTo", json!(0)), "line 2: message.replyTo"),
        (with("unknown", json!(0)), "line 2: message.unknown"),
        (
            bad(&|line| {
                line["message"]["system"] = json!(true);
                line["message"]["from"] = json!("jane");
            }),
            "line 2: message.system",
        ),
    ] {
        let reply = post(&app, lines(&[good.clone(), line.clone()])).await;
        reply.expect_problem(422, "invalid");
        assert_eq!(reply.wrong_fields(), [field], "{line}");
    }
    let broken = post(&app, format!("{good}\n{{\"key\":\n")).await;
    broken.expect_problem(400, "malformed");
    let too_many: Vec<_> = (0..1001)
        .map(|n| message(&format!("n{n}"), at.clone(), 1))
        .collect();
    post(&app, lines(&too_many))
        .await
        .expect_problem(422, "invalid");
    let mut large = message("large", at.clone(), 1);
    large["message"]["attributes"] = json!({ "a": "x".repeat(1024 * 1024) });
    post(&app, lines(&[large]))
        .await
        .expect_problem(413, "body-too-large");
    let plain = app.call(Method::POST, "/import", good).await;
    plain.expect_problem(415, "unsupported-media-type");
    assert_eq!(database.count("SELECT count(*) FROM messages").await, 2);
    assert_eq!(post(&app, "\n\n".to_owned()).await.text, "");
}

#[tokio::test]
async fn a_run_that_was_broken_is_repeated_as_it_is() {
    let database = Database::fresh().await;
    let mut replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let mut file: Vec<_> = (0..20).map(|n| chat(&format!("c{n}"), &["jane"])).collect();
    for n in 0..900 {
        let place = json!({ "chat": format!("c{}", n % 20), "from": "jane" });
        let mut line = message(&format!("m{n}"), place, n % 60);
        if n >= 20 {
            line["message"]["replyTo"] = json!(format!("m{}", n - 20));
        }
        file.push(line);
    }
    let body = lines(&file);
    let running = tokio::spawn({
        let (app, body) = (app.clone(), body.clone());
        let request = app
            .request(Method::POST, "/import")
            .header(CONTENT_TYPE, "application/x-ndjson");
        async move { Reply::try_of(request.body(body)).await.is_ok() }
    });
    eventually("some are stored", async || {
        (database.count("SELECT count(*) FROM messages").await > 0).then_some(())
    })
    .await;
    replica.kill();
    running.await.unwrap();
    let replica = Replica::start(&database, administered()).await;
    let app = app.at(&replica.base);
    let results = stored(&app, &file).await;
    assert_eq!(database.count("SELECT count(*) FROM messages").await, 900);
    assert!(results.iter().any(|result| result["replayed"] == true));
    let ids: Vec<_> = results[20..]
        .iter()
        .map(|result| result["id"].as_i64().unwrap())
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 900);
    assert!(ids.is_sorted(), "in the order of the file");
    let numbers: Vec<_> = results[20..]
        .iter()
        .map(|result| result["number"].as_i64().unwrap())
        .collect();
    let expected: Vec<_> = (0..900).map(|n| n / 20 + 1).collect();
    assert_eq!(numbers, expected);
}

#[tokio::test]
async fn what_is_imported_is_in_the_feed_and_found_and_its_files_are_in_use() {
    let database = Database::fresh().await;
    let queue = EventQueue::on_shared_broker();
    let mut settings = administered();
    settings.environment.extend(queue.settings().environment);
    let replica = Replica::start(&database, settings).await;
    let app = replica.application().await;
    let mut with_file = message("m1", json!({ "chat": "c", "from": "jane" }), 1);
    with_file["message"]["files"] = json!(["f-1"]);
    with_file["message"]["text"] = json!("a rare walrus");
    let mut deleted = message("m2", json!({ "chat": "c", "from": "jane" }), 2);
    deleted["message"] =
        json!({ "chat": "c", "from": "jane", "created": "2019-03-01T10:00:00Z", "deleted": true });
    let results = stored(&app, &[chat("c", &["jane", "john"]), with_file, deleted]).await;
    stored(&app, &[done(json!({ "chat": "c" }))]).await;
    let feed = app
        .get("/feed?after=0&include=message,recipients")
        .await
        .expect(200);
    let entries = feed["entries"].as_array().unwrap();
    let kinds: Vec<_> = entries
        .iter()
        .map(|entry| entry["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "chat.created",
            "message.imported",
            "message.imported",
            "member.added"
        ]
    );
    assert_eq!(entries[1]["message"]["text"], "a rare walrus");
    assert_eq!(entries[1].get("recipients"), None);
    let created = app
        .get("/feed?after=0&kinds=message.created")
        .await
        .expect(200);
    assert_eq!(created["entries"], json!([]));
    let imported = app
        .get("/feed?after=0&kinds=message.imported")
        .await
        .expect(200);
    assert_eq!(imported["entries"].as_array().unwrap().len(), 2);
    let john = replica.user("john");
    let found = john.get("/messages/search?q=walrus").await.expect(200);
    assert_eq!(
        found["hits"][0]["message"]["id"], results[1]["id"],
        "{found}"
    );
    let events = queue.consume_until(|events| !events.is_empty()).await;
    assert_eq!(events[0].body, json!({ "fileId": "f-1", "inUse": true }));
}
