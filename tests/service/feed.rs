//! `GET /feed`: every change of an application, for its servers.

use std::process::Command;

use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::support::{Client, Database, Replica, Reply, Stream, administered, eventually};

pub async fn administered_service() -> (Database, Replica) {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    (database, replica)
}

pub async fn feed(application: &Client, query: &str) -> Value {
    application.get(&format!("/feed?{query}")).await.expect(200)
}

/// The feed from its beginning, without times, which differ from run to run.
pub async fn entries(application: &Client, query: &str) -> Vec<Value> {
    let page = feed(application, &format!("limit=1000&{query}")).await;
    let mut entries = page["entries"].as_array().unwrap().clone();
    for entry in &mut entries {
        assert!(entry["created"].is_string(), "{entry}");
        entry.as_object_mut().unwrap().remove("created");
    }
    entries
}

async fn read(client: &Client, path: &str, number: i64) {
    let body = json!({ "number": number });
    client.call(Method::PUT, path, body).await.expect(200);
}

#[tokio::test]
async fn an_entry_tells_what_has_changed_where_and_who_has_done_it() {
    let (_database, replica) = administered_service().await;
    let app = replica.application().await;
    let [jane, john] = ["jane", "john"].map(|user| replica.user(user));
    assert_eq!(
        feed(&app, "").await,
        json!({ "entries": [], "next": 0, "latest": 0 })
    );

    let sent = jane.send("john", "hi").await;
    let id = &sent["id"];
    let edit = json!({ "text": "hello" });
    let edited = jane.patch(id, &sent["timestamp"], edit).await.expect(200);
    read(&john, "/users/jane/read", 1).await;
    let deleted = john.delete(id, &edited["timestamp"]).await.expect(200);
    let personal = entries(&app, "").await;
    let [created, changed, read_by, gone] = personal.as_slice() else {
        panic!("{personal:?}");
    };
    let entry = |kind: &str, timestamp: &Value, with: &str, actor: &str| {
        json!({
            "kind": kind, "timestamp": timestamp, "id": id, "number": 1, "with": with, "actor": actor
        })
    };
    assert_eq!(
        (created, changed, gone),
        (
            &entry("message.created", &sent["timestamp"], "john", "jane"),
            &entry("message.edited", &edited["timestamp"], "john", "jane"),
            &entry("message.deleted", &deleted["timestamp"], "jane", "john"),
        )
    );
    assert_eq!(
        read_by,
        &json!({
            "kind": "conversation.read", "timestamp": read_by["timestamp"], "with": "jane",
            "user": "john", "actor": "john"
        })
    );

    let after = deleted["timestamp"].as_i64().unwrap();
    let chat = jane.chat("Team", &["john"]).await;
    let chat_path = format!("/chats/{chat}");
    let jim = format!("{chat_path}/members/jim");
    jane.call(Method::PUT, &jim, Value::Null).await.expect(201);
    let present = jane.get(&chat_path).await.expect(200);
    let renaming = jane
        .request(Method::PATCH, &chat_path)
        .header("If-Match", present["timestamp"].to_string())
        .json(&json!({ "name": "Crew" }));
    Reply::of(renaming).await.expect(200);
    // The application itself has no name as an actor.
    let posted = app.post_into(chat, "welcome").await;
    jane.call(
        Method::DELETE,
        &format!("{chat_path}/members/john"),
        Value::Null,
    )
    .await;
    let members = format!("{chat_path}/members");
    let several = json!({ "add": ["kim", "eve"] });
    jane.call(Method::PATCH, &members, several)
        .await
        .expect(200);
    let mixed = json!({ "add": ["john"], "remove": ["eve", "kim"] });
    jane.call(Method::PATCH, &members, mixed).await.expect(200);
    // What a user sets concerns that user alone.
    let settings = format!("{chat_path}/settings");
    let pinned = json!({ "pinned": true });
    jane.call(Method::PATCH, &settings, pinned)
        .await
        .expect(200);
    let of_chat = entries(&app, &format!("after={after}")).await;
    let told = of_chat.iter().map(|entry| {
        assert_eq!(entry["chat"], chat, "{entry}");
        (
            entry["kind"].as_str().unwrap(),
            entry["user"].as_str(),
            entry["actor"].as_str(),
        )
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("chat.created", None, Some("jane")),
            ("member.added", Some("jim"), Some("jane")),
            ("chat.changed", None, Some("jane")),
            ("message.created", None, None),
            ("member.removed", Some("john"), Some("jane")),
            ("member.added", None, Some("jane")),
            ("member.changed", None, Some("jane")),
        ]
    );
    assert_eq!(of_chat[5]["users"], json!(["eve", "kim"]));
    assert_eq!(of_chat[6]["users"], json!(["eve", "kim", "john"]));
    assert_eq!(of_chat[0]["users"], json!(["jane", "john"]));
    assert_eq!(of_chat[3]["id"], posted["id"]);
    let page = feed(&app, "").await;
    assert_eq!(page["next"], page["latest"]);
    let last = of_chat[6]["timestamp"].as_i64();
    assert!(
        page["latest"].as_i64() > last,
        "the settings are beyond the last entry"
    );
}

#[tokio::test]
async fn it_is_for_the_application_alone_and_refuses_what_is_wrong() {
    let (_database, replica) = administered_service().await;
    let app = replica.application().await;
    let forbidden = [replica.user("jane"), replica.administrator()];
    for caller in forbidden {
        caller.get("/feed").await.expect_problem(403, "forbidden");
    }
    let nobody = replica.nobody().get("/feed").await;
    nobody.expect_problem(401, "unauthorized");
    let wrong = app
        .get("/feed?kinds=message.sent&include=text&limit=1001")
        .await;
    assert_eq!(wrong.wrong_fields(), ["limit", "kinds", "include"]);
    app.get("/feed?after=now")
        .await
        .expect_problem(400, "malformed");
    let ahead = app.get("/feed?after=9007199254740991").await;
    ahead.expect_problem(410, "cursor-ahead");
    let ahead = app.get("/feed?after=9007199254740991&wait=60").await;
    ahead.expect_problem(410, "cursor-ahead");
    let latest = feed(&app, "after=latest").await;
    assert_eq!(latest, json!({ "entries": [], "next": 0, "latest": 0 }));
}

#[tokio::test]
async fn another_application_sees_nothing_of_it() {
    let (_database, replica) = administered_service().await;
    let shop = json!({ "name": "shop" });
    let administrator = replica.administrator();
    let shop = administrator
        .call(Method::POST, "/applications", shop)
        .await
        .expect(201);
    let stranger = replica.with_token(shop["token"].as_str().unwrap());
    let request = stranger.streaming("/feed?include=message,recipients");
    let mut stream = Stream::open(request).await;
    stream.begin_current().await;
    replica.user("jane").send("john", "hi").await;
    let page = feed(&stranger, "include=message,recipients&wait=1").await;
    assert_eq!(page, json!({ "entries": [], "next": 0, "latest": 0 }));
    let own = replica.user_of(shop["id"].as_i64().unwrap(), "jane");
    let sent = own.send("john", "our own").await;
    assert_eq!(stream.update().await.data["message"], sent);
    assert_eq!(entries(&stranger, "").await.len(), 1);
}

#[tokio::test]
async fn a_filter_moves_the_cursor_on_where_nothing_of_its_kinds_has_happened() {
    let (database, replica) = administered_service().await;
    let app = replica.application().await;
    let jane = replica.user("jane");
    for turn in 0..20 {
        jane.send("john", &format!("turn {turn}")).await;
    }
    let chat = jane.chat("Team", &[]).await;
    let page = feed(&app, "kinds=chat.created,member.added&limit=5").await;
    assert_eq!(page["entries"].as_array().unwrap().len(), 1);
    assert_eq!(page["entries"][0]["chat"], chat);
    assert_eq!(page["next"], page["latest"]);
    let page = feed(&app, "kinds=message.deleted&limit=5").await;
    assert_eq!(page["entries"], json!([]));
    assert_eq!(page["next"], page["latest"]);
    let page = feed(&app, "kinds=message.created&limit=5").await;
    let fifth = &page["entries"][4]["timestamp"];
    assert_eq!(
        (&page["next"], page["entries"].as_array().unwrap().len()),
        (fifth, 5)
    );

    // A page looks at some thousand changes, however rare its kinds are.
    database
        .execute(
            "INSERT INTO changes (application_id, timestamp, kind, message_id, chat_number, created)
             SELECT 1, 1000000 + n, 'message-edited', 1, 1, now() FROM generate_series(1, 12000) AS n",
        )
        .await;
    let (mut cursor, mut pages) = (page["latest"].as_i64().unwrap(), 0);
    loop {
        let page = feed(&app, &format!("kinds=chat.changed&after={cursor}")).await;
        assert_eq!(page["entries"], json!([]));
        assert!(page["next"].as_i64().unwrap() > cursor, "{page}");
        cursor = page["next"].as_i64().unwrap();
        pages += 1;
        if page["next"] == page["latest"] {
            break;
        }
    }
    assert_eq!(pages, 3);
}

#[tokio::test]
async fn who_catches_up_in_large_pages_reads_what_is_written_meanwhile() {
    let (_database, replica) = administered_service().await;
    let (app, jane) = (replica.application().await, replica.user("jane"));
    for request in 0..2 {
        let lines = (0..550).map(|line| {
            let key = format!("{request}-{line}");
            json!({ "key": key, "chat": { "name": key } }).to_string()
        });
        let lines = lines.collect::<Vec<_>>().join("\n");
        let import = app.request(Method::POST, "/import").body(lines);
        let import = import.header(CONTENT_TYPE, "application/x-ndjson");
        assert_eq!(Reply::of(import).await.status, 200);
    }
    let (mut cursor, mut read) = (0, Vec::new());
    for pages_before in 0..4 {
        let sent = jane.send("john", &format!("page {pages_before}")).await;
        let page = feed(&app, &format!("limit=500&after={cursor}")).await;
        let entries = page["entries"].as_array().unwrap();
        let timestamps = entries.iter().map(|entry| entry["timestamp"].clone());
        read.extend(timestamps.map(|timestamp| timestamp.as_i64().unwrap()));
        assert!(page["latest"].as_i64() >= sent["timestamp"].as_i64());
        cursor = page["next"].as_i64().unwrap();
    }
    assert!(read.is_sorted_by(|one, next| one < next), "{read:?}");
    assert_eq!(read.len(), 1104);
}

#[tokio::test]
async fn messages_come_at_their_newest_entries_up_to_one_mebibyte() {
    let (_database, replica) = administered_service().await;
    let app = replica.application().await;
    let jane = replica.user("jane");
    let sent = jane.send("john", "hi").await;
    let other = jane.send("john", "still there").await;
    let gone = jane
        .delete(&sent["id"], &sent["timestamp"])
        .await
        .expect(200);
    let page = entries(&app, "include=message").await;
    let messages: Vec<_> = page.iter().map(|entry| &entry["message"]).collect();
    assert_eq!(messages, [&Value::Null, &other, &gone]);

    let long = "x".repeat(20_000);
    for _ in 0..70 {
        jane.send("john", &long).await;
    }
    let page = feed(&app, "include=message&limit=1000").await;
    let count = page["entries"].as_array().unwrap().len();
    assert!((50..60).contains(&count), "{count}");
    assert_eq!(page["next"], page["entries"][count - 1]["timestamp"]);
    let after = &page["next"];
    let rest = feed(&app, &format!("include=message&limit=1000&after={after}")).await;
    assert_eq!(count + rest["entries"].as_array().unwrap().len(), 73);
    assert_eq!(rest["next"], rest["latest"]);
}

#[tokio::test]
async fn a_page_ends_where_its_entries_name_very_many_members() {
    let (_database, replica) = administered_service().await;
    let app = replica.application().await;
    let jane = replica.user("jane");
    let name = "n".repeat(60);
    let names: Vec<_> = (1000..1999)
        .map(|number| format!("{name}{number}"))
        .collect();
    let chat = jane.chat("Team", &[]).await;
    let path = format!("/chats/{chat}/members");
    for turn in 0..40 {
        let change = if turn % 2 == 0 { "add" } else { "remove" };
        let body = json!({ change: names });
        jane.call(Method::PATCH, &path, body).await.expect(200);
    }
    let (mut cursor, mut entries) = (0, 0);
    loop {
        let page = feed(&app, &format!("limit=1000&after={cursor}")).await;
        assert!(page.to_string().len() < 1_300_000);
        entries += page["entries"].as_array().unwrap().len();
        cursor = page["next"].as_i64().unwrap();
        if page["next"] == page["latest"] {
            break;
        }
    }
    assert_eq!(entries, 41);
}

/// The recipients of the last entry.
pub async fn recipients(application: &Client) -> Value {
    let page = entries(application, "include=recipients").await;
    page.last().unwrap()["recipients"].clone()
}

#[tokio::test]
async fn recipients_are_who_was_there_and_all_else_of_them_is_as_it_is_now() {
    let (_database, replica) = administered_service().await;
    let app = replica.application().await;
    let [jane, john, jim] = ["jane", "john", "jim"].map(|user| replica.user(user));
    jane.send("john", "one").await;
    jane.send("john", "two").await;
    assert_eq!(
        recipients(&app).await,
        json!([{ "user": "john", "unread": 2 }])
    );
    read(&john, "/users/jane/read", 2).await;
    let page = entries(&app, "include=recipients").await;
    assert_eq!(
        page[0]["recipients"],
        json!([{ "user": "john", "unread": 0 }])
    );
    assert_eq!(page[2].get("recipients"), None, "nobody is told of a mark");
    jane.send("jane", "a note").await;
    assert_eq!(recipients(&app).await, json!([]));

    let chat = jane.chat("Team", &["john", "jim"]).await;
    let path = format!("/chats/{chat}/messages");
    let body = json!({ "text": "hi", "mentions": ["jim"] });
    jane.call(Method::POST, &path, body).await.expect(201);
    let settings = json!({ "mutedUntil": "2999-01-01T00:00:00Z" });
    let path = format!("/chats/{chat}/settings");
    john.call(Method::PATCH, &path, settings).await.expect(200);
    let posted = |page: &[Value]| {
        let mut entries = page.iter().filter(|entry| entry["chat"] == chat);
        entries
            .find(|entry| entry["kind"] == "message.created")
            .unwrap()["recipients"]
            .clone()
    };
    let expected = json!([
        { "user": "jim", "unread": 1, "mentioned": true },
        { "user": "john", "unread": 1, "muted": true },
    ]);
    assert_eq!(posted(&entries(&app, "include=recipients").await), expected);
    // Who has left was there; who comes was not.
    let member = format!("/chats/{chat}/members/jim");
    jim.call(Method::DELETE, &member, Value::Null).await;
    let member = format!("/chats/{chat}/members/kim");
    jane.call(Method::PUT, &member, Value::Null)
        .await
        .expect(201);
    assert_eq!(posted(&entries(&app, "include=recipients").await), expected);

    let mut stream = jim.stream("after=latest").await;
    stream.begin_current().await;
    jane.send("jim", "are you there?").await;
    let connected = json!([{ "user": "jim", "unread": 1, "connected": true }]);
    eventually("the stream is recorded", async || {
        (recipients(&app).await == connected).then_some(())
    })
    .await;
    drop(stream);
    eventually("the end of the stream is recorded", async || {
        (recipients(&app).await == json!([{ "user": "jim", "unread": 1 }])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_held_until_something_of_its_kinds_happens() {
    let (_database, replica) = administered_service().await;
    let app = replica.application().await;
    let jane = replica.user("jane");
    let holding = {
        let app = app.clone();
        tokio::spawn(async move { feed(&app, "wait=60&kinds=chat.created").await })
    };
    eventually("the answer is held", async || {
        let held = replica.metric("messages_live_connections", "kind=\"poll\"");
        (held.await == 1.0).then_some(())
    })
    .await;
    jane.send("john", "hi").await;
    let chat = jane.chat("Team", &[]).await;
    let page = holding.await.unwrap();
    assert_eq!(page["entries"][0]["chat"], chat);
    let later = app.get("/feed?wait=1&kinds=chat.changed").await;
    assert_eq!(later.header("cache-control"), "no-store, no-transform");
    let later = later.expect(200);
    assert_eq!(later["entries"], json!([]));
    assert_eq!(later["next"], page["next"], "the cursor has moved on");
}

#[tokio::test]
async fn a_stream_tells_each_change_and_resumes_where_it_was() {
    let (_database, replica) = administered_service().await;
    let app = replica.application().await;
    let jane = replica.user("jane");
    let path = "/feed?include=message,recipients";
    let mut stream = Stream::open(app.streaming(path)).await;
    assert_eq!(stream.begin_current().await, 0);
    let first = jane.send("john", "first").await;
    let update = stream.update().await;
    assert_eq!(update.id, first["timestamp"].as_i64());
    assert_eq!(update.data["kind"], "message.created");
    assert_eq!(update.data["message"], first);
    assert_eq!(
        update.data["recipients"],
        json!([{ "user": "john", "unread": 1 }])
    );
    drop(stream);
    let second = jane.send("john", "second").await;
    let request = app
        .streaming("/feed")
        .header("Last-Event-ID", first["timestamp"].to_string());
    let mut stream = Stream::open(request).await;
    assert_eq!(stream.begin().await, first["timestamp"].as_i64().unwrap());
    assert_eq!(stream.update().await.id, second["timestamp"].as_i64());
}

#[tokio::test]
async fn a_stream_of_rare_kinds_says_now_and_then_how_far_it_has_come() {
    let database = Database::fresh().await;
    let settings = administered().with("STREAM_COMMENT_MS", "200");
    let replica = Replica::start(&database, settings).await;
    let app = replica.application().await;
    let mut stream = Stream::open(app.streaming("/feed?kinds=chat.created")).await;
    while stream.next_event().await.event != "current" {}
    let sent = replica.user("jane").send("john", "hi").await;
    let cursor = loop {
        let block = stream.next_event().await;
        assert!(
            block.event.is_empty(),
            "nothing of its kind has happened: {block:?}"
        );
        if let Some(id) = block.id {
            break id;
        }
    };
    assert_eq!(Some(cursor), sent["timestamp"].as_i64());
}

#[tokio::test]
async fn who_is_connected_is_recorded_again_after_a_failure() {
    let (database, replica) = administered_service().await;
    let app = replica.application().await;
    let jim = replica.user("jim");
    let mut stream = jim.stream("after=latest").await;
    stream.begin_current().await;
    replica.user("jane").send("jim", "are you there?").await;
    let until = async |is_connected: bool| {
        eventually("it is recorded", async || {
            let recipients = recipients(&app).await;
            (recipients[0]["connected"].as_bool().unwrap_or(false) == is_connected).then_some(())
        })
        .await;
    };
    until(true).await;
    // As after a crash of the server, which empties what is not logged.
    database.execute("TRUNCATE presence, replicas").await;
    until(false).await;
    until(true).await;
    // A stream that ends while nothing can be recorded.
    database
        .execute("ALTER TABLE presence RENAME TO presence_for_later")
        .await;
    drop(stream);
    eventually("a record has failed", async || {
        let mut log = replica.log().into_iter();
        log.any(|line| line.contains("it is not recorded who has a stream open"))
            .then_some(())
    })
    .await;
    database
        .execute("ALTER TABLE presence_for_later RENAME TO presence")
        .await;
    until(false).await;
}

#[tokio::test]
async fn the_feed_is_printed_as_lines_of_json() {
    let (database, replica) = administered_service().await;
    let jane = replica.user("jane");
    let first = jane.send("john", "first").await;
    let second = jane.send("john", "second").await;
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_messages"));
        command.arg("feed").args(arguments).env_clear();
        let command = command.env("DATABASE_URL", &database.url);
        command.output().expect("the binary runs")
    };
    let print = |after: &str| {
        let output = run(&["--application", "1", "--after", after]);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines();
        let entries = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        entries
            .map(|entry| entry["message"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(print("0"), [first.clone(), second.clone()]);
    let rest = print(&first["timestamp"].to_string());
    assert_eq!(rest, std::slice::from_ref(&second));
    assert_eq!(print(&second["timestamp"].to_string()), Vec::<Value>::new());
    for (wrong, said) in [
        (["--after", "9007199254740991"], "the timeline ends at"),
        (["--application", "7"], "there is no application 7"),
    ] {
        let output = run(&wrong);
        assert!(!output.status.success(), "{wrong:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test]
async fn many_followers_of_one_feed_are_told_alike() {
    let (_database, replica) = administered_service().await;
    let app = replica.application().await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = Stream::open(app.streaming("/feed?include=message")).await;
        stream.begin_current().await;
        streams.push(stream);
    }
    let jane = replica.user("jane");
    let mut sent = Vec::new();
    for turn in 0..20 {
        sent.push(jane.send("john", &format!("turn {turn}")).await);
    }
    for stream in &mut streams {
        for message in &sent {
            assert_eq!(&stream.update().await.data["message"], message);
        }
    }
}
