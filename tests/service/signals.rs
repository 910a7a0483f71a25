//! Signals, which are stored nowhere, and who has a stream open.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::PgListener;

use crate::support::{
    Client, Database, Replica, Reply, Settings, Stream, administered, eventually, service,
};

/// Posts a signal and returns the answer.
async fn signal(client: &Client, conversation: &str, body: Value) -> Reply {
    let path = format!("/{conversation}/signals");
    client.call(Method::POST, &path, body).await
}

/// Posts a signal as soon as its sender may signal again.
async fn signal_in_turn(client: &Client, conversation: &str, body: &Value) {
    eventually("the sender may signal again", async || {
        let reply = signal(client, conversation, body.clone()).await;
        if reply.status == 429 {
            return None;
        }
        assert_eq!((reply.status, reply.text.as_str()), (202, ""));
        Some(())
    })
    .await;
}

/// A stream with signals that has caught up.
async fn signalled(client: &Client) -> Stream {
    let mut stream = client.stream("after=latest&signals=1").await;
    stream.begin_current().await;
    stream
}

/// The data of the next event, which is a signal.
async fn next_signal(stream: &mut Stream) -> Value {
    let event = stream.event("signal").await;
    assert_eq!(event.id, None, "a signal does not move the cursor");
    event.data
}

/// What arrives next: proof that nothing has arrived before, as whatever was posted earlier would have.
async fn sees_next(stream: &mut Stream, from: &Client, to: &str, kind: &str) {
    signal_in_turn(from, &format!("users/{to}"), &json!({ "kind": kind })).await;
    assert_eq!(next_signal(stream).await["kind"], kind);
}

fn typing() -> Value {
    json!({ "kind": "typing" })
}

#[tokio::test]
async fn a_signal_reaches_the_streams_of_the_others_on_every_replica() {
    let database = Database::fresh().await;
    let one = Replica::start(&database, administered()).await;
    let other = Replica::start(&database, Settings::default()).await;
    let (jane, john, jim) = (one.user("jane"), other.user("john"), one.user("jim"));
    let shop = shop(&one).await;
    let [buyer, namesake] = ["buyer", "john"].map(|name| one.user_of(shop, name));
    let mut elsewhere = signalled(&namesake).await;
    let chat = jane.chat("Team", &["john", "jim"]).await;
    let mut johns = [signalled(&john).await, signalled(&john.at(&one.base)).await];
    let (mut jims, mut own) = (signalled(&jim).await, signalled(&jane).await);

    let body = json!({ "kind": "shop:cart", "ttl": 30, "data": { "items": [1, "zwei"] } });
    let posted = signal(&jane, &format!("chats/{chat}"), body).await;
    assert_eq!((posted.status, posted.text.as_str()), (202, ""));
    let expected = json!({
        "from": "jane", "chat": chat, "kind": "shop:cart", "ttl": 30, "data": { "items": [1, "zwei"] },
    });
    for stream in johns.iter_mut().chain([&mut jims]) {
        assert_eq!(next_signal(stream).await, expected);
    }

    signal_in_turn(&jane, "users/john", &typing()).await;
    let expected = json!({ "from": "jane", "with": "jane", "kind": "typing", "ttl": 5 });
    for stream in &mut johns {
        assert_eq!(next_signal(stream).await, expected);
    }
    // The first that reaches jim after the chat's, and the first of all that reaches jane.
    sees_next(&mut jims, &jane, "jim", "after").await;
    sees_next(&mut own, &john, "jane", "first").await;
    sees_next(&mut elsewhere, &buyer, "john", "first").await;
}

#[tokio::test]
async fn a_signal_moves_no_cursor_and_comes_to_nobody_who_did_not_ask() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let first = jane.send("john", "first").await;
    let mut asked = john.stream("signals=1").await;
    assert_eq!(asked.begin().await, 0);
    assert_eq!(asked.event("update").await.id, first["timestamp"].as_i64());
    asked.event("current").await;
    let mut plain = john.stream("after=latest&signals=0").await;
    plain.begin_current().await;
    signal_in_turn(&jane, "users/john", &typing()).await;
    next_signal(&mut asked).await;
    let second = jane.send("john", "second").await;
    for stream in [&mut asked, &mut plain] {
        let update = stream.event("update").await;
        assert_eq!(update.id, second["timestamp"].as_i64());
    }
    // A page has none, and ignores the parameter; the timeline does not show that there was any.
    let page = john.sync("signals=1&wait=0").await;
    assert_eq!(page["messages"].as_array().unwrap().len(), 2);
    assert_eq!(page["latest"], second["timestamp"]);
    john.get("/messages?signals=yes")
        .await
        .expect_problem(400, "malformed");
}

#[tokio::test]
async fn whoever_may_write_may_signal_and_nobody_else() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let application = replica.application().await;
    let owner = replica.user("owner");
    let [member, reader, muted, gone] =
        ["member", "reader", "muted", "gone"].map(|name| replica.user(name));
    let chat = owner
        .chat("Team", &["member", "reader", "muted", "gone"])
        .await;
    let alter = async |name: &str, body: Value| {
        let path = format!("/chats/{chat}/members/{name}");
        owner.call(Method::PATCH, &path, body).await.expect(200);
    };
    alter("reader", json!({ "role": "reader" })).await;
    alter("muted", json!({ "mutedUntil": "2999-01-01T00:00:00Z" })).await;
    let path = format!("/chats/{chat}/members/gone");
    assert_eq!(owner.ask(Method::DELETE, &path, None).await.status, 204);

    let here = format!("chats/{chat}");
    let refused = async |client: &Client, status: u16, name: &str| {
        signal(client, &here, typing())
            .await
            .expect_problem(status, name);
    };
    assert_eq!(signal(&member, &here, typing()).await.status, 202);
    refused(&reader, 403, "may-not-post").await;
    refused(&muted, 403, "may-not-post").await;
    refused(&gone, 404, "not-found").await;
    refused(&replica.user("stranger"), 404, "not-found").await;
    refused(&application, 422, "invalid").await;
    assert_eq!(
        signal(&application.acting_as("owner"), &here, typing())
            .await
            .status,
        202
    );

    let change = async |body: Value| {
        let path = format!("/chats/{chat}");
        let tag = owner.get(&path).await.expect(200)["timestamp"].clone();
        let request = owner
            .request(Method::PATCH, &path)
            .header("If-Match", tag.to_string());
        Reply::of(request.json(&body)).await.expect(200);
    };
    let [announced, frozen] = ["announced", "frozen"].map(|name| replica.user(name));
    let path = format!("/chats/{chat}/members");
    let add = json!({ "add": ["announced", "frozen"] });
    owner.call(Method::PATCH, &path, add).await.expect(200);
    change(json!({ "posting": "moderators" })).await;
    refused(&announced, 403, "may-not-post").await;
    change(json!({ "posting": "members", "frozen": true })).await;
    refused(&frozen, 403, "may-not-post").await;

    let suspended = json!({ "suspendedUntil": "2999-01-01T00:00:00Z" });
    let path = "/users/suspended/restrictions";
    application
        .call(Method::PUT, path, suspended)
        .await
        .expect(200);
    let reply = signal(&replica.user("suspended"), "users/owner", typing()).await;
    reply.expect_problem(403, "suspended");
}

#[tokio::test]
async fn blocks_and_the_policy_count_as_they_do_for_messages() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let application = replica.application().await;
    let [jane, john, jim] = ["jane", "john", "jim"].map(|name| replica.user(name));
    let mut stream = signalled(&john).await;
    john.send("jane", "before").await;
    john.blocks("jane", true).await;
    for (from, to) in [(&jane, "users/john"), (&john, "users/jane")] {
        signal(from, to, typing())
            .await
            .expect_problem(403, "not-accepted");
    }
    stream.update().await;
    stream.update().await;
    // Not even the one that was refused has arrived.
    sees_next(&mut stream, &jim, "john", "first").await;
    john.blocks("jane", false).await;
    stream.update().await;
    sees_next(&mut stream, &jane, "john", "again").await;

    let policy = json!({ "policy": { "personal": "opened" } });
    application
        .call(Method::PATCH, "/applications/self", policy)
        .await
        .expect(200);
    let ann = replica.user("ann");
    signal(&ann, "users/john", typing())
        .await
        .expect_problem(403, "not-accepted");
    let opened = application
        .ask(Method::PUT, "/conversations/ann/john", None)
        .await;
    assert_eq!(opened.status, 201);
    signal_in_turn(&ann, "users/john", &typing()).await;
    assert_eq!(
        signal(&replica.user("me"), "users/me", typing())
            .await
            .status,
        202
    );
}

#[tokio::test]
async fn only_chats_of_up_to_a_hundred_members_have_signals() {
    let (_database, replica) = service().await;
    let names: Vec<_> = (1..=99).map(|n| format!("{n:064}")).collect();
    let mut members: Vec<_> = names.iter().map(String::as_str).collect();
    let (jane, last) = (replica.user("jane"), replica.user(members[98]));
    let chat = jane.chat("Crowd", &members).await;
    let mut streams = [
        signalled(&last).await,
        signalled(&replica.user(members[0])).await,
    ];
    // With ids and data as long as they may be, it takes more than one notification.
    let data = json!({ "a": "x".repeat(2040) });
    let body = json!({ "kind": "k".repeat(64), "data": data });
    let posted = signal(&jane, &format!("chats/{chat}"), body).await;
    assert_eq!(posted.status, 202, "{}", posted.text);
    for stream in &mut streams {
        assert_eq!(next_signal(stream).await["data"], data);
    }
    members.push("one-too-many");
    let chat = jane.chat("Larger crowd", &members).await;
    let refused = signal(&last, &format!("chats/{chat}"), typing()).await;
    let problem = refused.expect_problem(403, "chat-too-large");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("100 members"), "{detail}");
}

#[tokio::test]
async fn a_user_signals_once_a_second() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    assert_eq!(signal(&jane, "users/john", typing()).await.status, 202);
    let again = signal(&jane, "users/jim", typing()).await;
    again.expect_problem(429, "too-many-requests");
    assert_eq!(again.header("retry-after"), "1");
    // Others do not wait for it, and what cannot be read or accepted does not count.
    assert_eq!(
        signal(&replica.user("john"), "users/jane", typing())
            .await
            .status,
        202
    );
    let ann = replica.user("ann");
    assert_eq!(signal(&ann, "users/jane", json!({})).await.status, 422);
    assert_eq!(signal(&ann, "users/jane", typing()).await.status, 202);
    signal_in_turn(&jane, "users/jim", &typing()).await;
}

#[tokio::test]
async fn a_signal_is_small_and_says_what_it_is() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let large = json!({ "a": "x".repeat(2041) });
    for (body, fields) in [
        (json!({}), vec!["kind"]),
        (
            json!({ "kind": "a b", "ttl": 0, "data": [] }),
            vec!["kind", "ttl", "data"],
        ),
        (json!({ "kind": "k".repeat(65) }), vec!["kind"]),
        (json!({ "kind": "typing", "ttl": 31 }), vec!["ttl"]),
        (json!({ "kind": "typing", "ttl": 1.5 }), vec!["ttl"]),
        (json!({ "kind": "typing", "data": large }), vec!["data"]),
        (
            json!({ "kind": "typing", "data": { "a": "\0" } }),
            vec!["data"],
        ),
        (json!({ "kind": "typing", "other": 1 }), vec!["other"]),
        (json!({ "kind": "draft" }), vec!["data"]),
        (
            json!({ "kind": "draft", "data": { "message": 1, "offset": 0 } }),
            vec!["data"],
        ),
        (
            json!({ "kind": "draft", "data": { "message": 1, "offset": -1, "text": "" } }),
            vec!["data"],
        ),
    ] {
        let refused = signal(&jane, "users/john", body.clone()).await;
        assert_eq!(refused.wrong_fields(), fields, "{body}");
    }
    let path = "/users/john/signals";
    let posting = |body: &'static str| jane.request(Method::POST, path).body(body);
    let malformed = Reply::of(posting("{").header("content-type", "application/json")).await;
    malformed.expect_problem(400, "malformed");
    let text = Reply::of(posting("{}").header("content-type", "text/plain")).await;
    text.expect_problem(415, "unsupported-media-type");
    let nobody = signal(&replica.nobody(), "users/john", typing()).await;
    nobody.expect_problem(401, "unauthorized");
    signal(&jane, "chats/7", typing())
        .await
        .expect_problem(404, "not-found");
}

#[tokio::test]
async fn a_draft_is_of_a_message_that_its_sender_has_sent_there() {
    let (_database, replica) = service().await;
    let [bot, jane] = ["bot", "jane"].map(|name| replica.user(name));
    let chat = jane.chat("Help", &["bot"]).await;
    let here = format!("chats/{chat}");
    let placeholder = bot.post_into(chat, "…").await;
    let question = jane.post_into(chat, "why?").await;
    let elsewhere = bot.send("jane", "…").await;
    let draft = |message: &Value| {
        let data = json!({ "message": message["id"], "offset": 0, "text": "Because" });
        json!({ "kind": "draft", "ttl": 30, "data": data })
    };
    let mut stream = signalled(&jane).await;
    signal_in_turn(&bot, &here, &draft(&placeholder)).await;
    let signal_seen = next_signal(&mut stream).await;
    assert_eq!(signal_seen["data"], draft(&placeholder)["data"]);
    for (conversation, message) in [
        (here.as_str(), &question),
        (here.as_str(), &elsewhere),
        ("users/jane", &placeholder),
        (here.as_str(), &json!({ "id": 4711 })),
    ] {
        let refused = eventually("the bot may signal again", async || {
            let reply = signal(&bot, conversation, draft(message)).await;
            (reply.status != 429).then_some(reply)
        });
        assert_eq!(refused.await.wrong_fields(), ["data"]);
    }
    signal_in_turn(&bot, "users/jane", &draft(&elsewhere)).await;
    assert_eq!(next_signal(&mut stream).await["with"], "bot");
    let deleted = bot
        .delete(&placeholder["id"], &placeholder["timestamp"])
        .await;
    assert_eq!(deleted.status, 200);
    let refused = eventually("the bot may signal again", async || {
        let reply = signal(&bot, &here, draft(&placeholder)).await;
        (reply.status != 429).then_some(reply)
    });
    assert_eq!(refused.await.wrong_fields(), ["data"]);
}

/// How many users signal at the same time.
const CROWD: usize = 200;

#[tokio::test]
async fn signals_that_are_too_many_are_dropped_and_delay_no_message() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let (application, jane) = (replica.application().await, replica.user("jane"));
    let mut notified = PgListener::connect(&database.url).await.unwrap();
    notified.listen("signals").await.unwrap();
    // Three of them fill a notification, and there are 20 of those a second.
    let body = json!({ "kind": "burst", "data": { "a": "x".repeat(2000) } });
    let mut wave = 0;
    eventually("signals are dropped", async || {
        wave += 1;
        let named = (0..CROWD).map(|n| application.acting_as(&format!("crowd-{wave}-{n}")));
        let senders: Vec<_> = named.collect();
        let posts = senders
            .iter()
            .map(|sender| signal(sender, "users/jane", body.clone()));
        let replies = futures_util::future::join_all(posts).await;
        // A busy machine may shed some.
        let strange = replies
            .iter()
            .find(|reply| ![202, 503].contains(&reply.status));
        assert!(strange.is_none(), "{strange:?}");
        let dropped = replica.metric("messages_signals_dropped_total", "at=\"queue\"");
        (dropped.await > 0.0).then_some(())
    })
    .await;
    // A thousand signals wait, which takes many seconds. A message does not wait for them.
    let mut stream = jane.stream("after=latest&signals=1").await;
    stream.begin().await;
    let sent = replica.user("john").send("jane", "in between").await;
    let mut signals_before = 0;
    loop {
        let event = stream.next_event().await;
        signals_before += usize::from(event.event == "signal");
        if event.event == "update" {
            assert_eq!(event.id, sent["timestamp"].as_i64());
            break;
        }
    }
    assert!(
        signals_before < 500,
        "{signals_before} signals came before the message"
    );
    for _ in 0..5 {
        let payload = notified.recv().await.unwrap();
        assert!(
            payload.payload().len() <= 7900,
            "{}",
            payload.payload().len()
        );
        let signals: Value = serde_json::from_str(payload.payload()).unwrap();
        assert!(signals.as_array().unwrap().len() <= 3);
    }
}

#[tokio::test]
async fn a_replica_sends_twenty_notifications_of_signals_a_second_at_most() {
    let (database, replica) = service().await;
    let mut notified = PgListener::connect(&database.url).await.unwrap();
    notified.listen("signals").await.unwrap();
    let senders: Vec<_> = (0..60)
        .map(|n| replica.user(&format!("crowd-{n}")))
        .collect();
    let posts = senders
        .iter()
        .map(|sender| signal(sender, "users/jane", typing()));
    let start = std::time::Instant::now();
    let replies = futures_util::future::join_all(posts).await;
    assert!(replies.iter().all(|reply| reply.status == 202));
    let (mut signals, mut notifications) = (0, 0);
    while signals < senders.len() {
        let payload = notified.recv().await.unwrap();
        let list: Value = serde_json::from_str(payload.payload()).unwrap();
        signals += list.as_array().unwrap().len();
        notifications += 1;
    }
    let most = 1.0 + start.elapsed().as_secs_f64() * 20.0;
    assert!(
        f64::from(notifications) <= most,
        "{notifications} in {:?}",
        start.elapsed()
    );
}

/// Another application; returns its id.
async fn shop(replica: &Replica) -> i64 {
    let administrator = replica.administrator();
    let made = administrator.call(Method::POST, "/applications", json!({ "name": "shop" }));
    made.await.expect(201)["id"].as_i64().unwrap()
}

/// Who of these users is online.
async fn online(client: &Client, users: &str) -> Value {
    let list = client
        .get(&format!("/presence?users={users}"))
        .await
        .expect(200);
    let users = list["users"].as_array().unwrap().iter();
    users
        .map(|user| json!([user["user"], user["online"]]))
        .collect()
}

#[tokio::test]
async fn presence_is_who_has_a_stream_open_on_any_replica() {
    let database = Database::fresh().await;
    let one = Replica::start(&database, administered()).await;
    let other = Replica::start(&database, administered()).await;
    let application = one.application().await;
    let [jane, john, ann] = ["jane", "john", "ann"].map(|name| one.user(name));
    let stranger = other.user_of(shop(&one).await, "jim");
    let open = signalled(&john.at(&other.base)).await;
    let _anns = signalled(&ann).await;
    let _strangers = stranger.stream("after=latest").await;
    let users = "john,jim,ann,john,nobody";
    let expected = json!([
        ["john", true],
        ["jim", false],
        ["ann", true],
        ["john", true],
        ["nobody", false]
    ]);
    let until = async |client: &Client, expected: &Value| {
        eventually("presence is recorded", async || {
            (online(client, users).await == *expected).then_some(())
        })
        .await;
    };
    until(&jane, &expected).await;
    until(&application, &expected).await;

    // Whoever blocks a user seems to be away to that user, and to nobody else.
    john.blocks("jane", true).await;
    let hidden = json!([
        ["john", false],
        ["jim", false],
        ["ann", true],
        ["john", false],
        ["nobody", false]
    ]);
    assert_eq!(online(&jane, users).await, hidden);
    assert_eq!(online(&ann, users).await, expected);
    assert_eq!(online(&application, users).await, expected);
    assert_eq!(online(&application.acting_as("jane"), users).await, hidden);
    assert_eq!(
        online(&john, "jane,ann").await,
        json!([["jane", false], ["ann", true]])
    );

    drop(open);
    until(&ann, &hidden).await;
}

#[tokio::test]
async fn presence_is_asked_for_by_up_to_a_hundred_names() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let names = |count: usize| vec!["john"; count].join(",");
    let path = |users: &str| format!("/presence?users={users}");
    jane.get(&path(&names(100))).await.expect(200);
    for users in [&names(101), "", "a%20b", "john,"] {
        assert_eq!(
            jane.get(&path(users)).await.wrong_fields(),
            ["users"],
            "{users}"
        );
    }
    assert_eq!(jane.get("/presence").await.wrong_fields(), ["users"]);
    replica
        .nobody()
        .get(&path("john"))
        .await
        .expect_problem(401, "unauthorized");
}
