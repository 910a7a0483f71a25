//! Personal conversations: numbers of their messages, and how far their users have read.

use futures_util::future::join_all;
use reqwest::{Method, header::IF_MATCH};
use serde_json::{Value, json};

use crate::support::{Client, Database, Replica, Reply, Settings, open_lane, service};

/// Own position and that of the other user, in one's conversation with `other`.
async fn positions(user: &Client, other: &str) -> (i64, i64) {
    let conversation = user.get(&format!("/users/{other}")).await.expect(200);
    assert_eq!(conversation["with"], other);
    let position = |of: &Value| of["read"].as_i64().unwrap();
    assert_eq!(conversation["reads"][0]["user"], other);
    (position(&conversation), position(&conversation["reads"][0]))
}

#[tokio::test]
async fn messages_of_both_users_are_numbered_without_gap_or_repeat_whoever_writes() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let sending = (0..60).map(|turn| {
        let (from, to) = if turn % 2 == 0 {
            (&jane, "john")
        } else {
            (&john, "jane")
        };
        from.send(to, "at once")
    });
    let other = jane.send("jim", "elsewhere");
    let (sent, other) = tokio::join!(join_all(sending), other);
    assert_eq!(other["number"], 1);
    let mut numbers: Vec<_> = sent
        .iter()
        .map(|message| message["number"].as_i64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=60).collect::<Vec<_>>());
    jane.delete(&sent[0]["id"], &sent[0]["timestamp"])
        .await
        .expect(200);
    assert_eq!(jane.send("john", "one more").await["number"], 61);
    assert_eq!(john.get("/users/jane").await.expect(200)["messages"], 61);
}

#[tokio::test]
async fn a_personal_message_is_read_edited_and_deleted_by_its_number() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    john.send("jane", "first").await;
    let sent = jane.send("john", "second").await;
    for (user, path) in [
        (&jane, "/users/john/messages/2"),
        (&john, "/users/jane/messages/2"),
    ] {
        assert_eq!(user.get(path).await.expect(200), sent);
    }
    let path = "/users/john/messages/2";
    let unconditional = jane.call(Method::PATCH, path, json!({ "text": "x" })).await;
    unconditional.expect_problem(428, "precondition-required");
    let edit = jane
        .request(Method::PATCH, path)
        .json(&json!({ "text": "edited" }))
        .header(IF_MATCH, sent["timestamp"].to_string());
    let edited = Reply::of(edit).await.expect(200);
    assert_eq!(
        (&edited["id"], &edited["text"]),
        (&sent["id"], &json!("edited"))
    );
    let mark = john
        .call(
            Method::PATCH,
            "/users/jane/messages/2",
            json!({ "read": true }),
        )
        .await;
    assert_eq!(mark.expect(200), edited);
    let deleted = jane
        .ask(Method::DELETE, path, Some(&edited["timestamp"]))
        .await
        .expect(200);
    assert_eq!(
        (&deleted["number"], &deleted["deleted"]),
        (&json!(2), &json!(true))
    );

    let jim = replica.user("jim");
    for (user, path) in [
        (&jim, "/users/jane/messages/1"),
        (&jane, "/users/john/messages/3"),
        (&jane, "/users/john/messages/0"),
        (&jane, "/users/john/messages/x"),
        (&jane, "/users/nobody/messages/1"),
    ] {
        user.get(path).await.expect_problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_read_mark_moves_the_position_and_is_told_to_both() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let mut sent = Vec::new();
    for text in ["1", "2", "3"] {
        sent.push(jane.send("john", text).await);
    }
    assert_eq!(positions(&john, "jane").await, (0, 0));
    let latest = john.sync("").await["latest"].as_i64().unwrap();
    assert_eq!(john.marks(&sent[2]["id"], true).await.expect(200), sent[2]);
    assert_eq!(positions(&john, "jane").await, (3, 0));
    assert_eq!(positions(&jane, "john").await, (0, 3));
    for (user, other) in [(&john, "jane"), (&jane, "john")] {
        let news = user.sync(&format!("after={latest}")).await;
        let conversation = user.get(&format!("/users/{other}")).await.expect(200);
        let expected = json!([{ "with": other, "timestamp": conversation["timestamp"] }]);
        assert_eq!(news["messages"], expected);
    }

    // What is so already takes no timestamp: a mark covers the messages before.
    let latest = john.sync("").await["latest"].as_i64().unwrap();
    for message in &sent {
        john.marks(&message["id"], true).await.expect(200);
    }
    assert_eq!(john.sync(&format!("after={latest}")).await["total"], 0);
    john.marks(&sent[1]["id"], false).await.expect(200);
    assert_eq!(positions(&john, "jane").await, (1, 0));
}

#[tokio::test]
async fn a_read_mark_never_makes_its_authors_edit_fail() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let sent = jane.send("john", "hi").await;
    let marked = john.marks(&sent["id"], true).await;
    assert_eq!(marked.header("etag"), format!("\"{}\"", sent["timestamp"]));
    jane.patch(&sent["id"], &sent["timestamp"], json!({ "text": "ho" }))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_conversation_is_seen_by_its_users_alone_and_from_its_first_message_on() {
    let (_database, replica) = service().await;
    let (jane, jim) = (replica.user("jane"), replica.user("jim"));
    jane.get("/users/john")
        .await
        .expect_problem(404, "not-found");
    jane.send("john", "hi").await;
    jane.get("/users/john").await.expect(200);
    for other in ["jane", "john"] {
        jim.get(&format!("/users/{other}"))
            .await
            .expect_problem(404, "not-found");
    }
    jane.send("jane", "note").await;
    let own = jane.get("/users/jane").await.expect(200);
    assert_eq!((&own["with"], &own["reads"]), (&json!("jane"), &json!([])));
    assert_eq!(jane.get("/users/a%20b").await.wrong_fields(), ["user"]);
}

#[tokio::test]
async fn a_conversation_is_paged_by_number_with_its_tombstones() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let mut sent = Vec::new();
    for text in ["1", "2", "3", "4"] {
        sent.push(jane.send("john", text).await);
        jane.send("jim", "between them").await;
    }
    let tombstone = jane
        .delete(&sent[1]["id"], &sent[1]["timestamp"])
        .await
        .expect(200);
    let page = jane.get("/users/john/messages?before=3").await.expect(200);
    assert_eq!(page, json!({ "messages": [tombstone, sent[0]] }));
    let page = jane
        .get("/users/john/messages?after=2&limit=1")
        .await
        .expect(200);
    assert_eq!(page, json!({ "messages": [sent[2]], "next": 3 }));
}

#[tokio::test]
async fn what_both_users_do_first_may_fall_into_one_batch() {
    let (database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let lane = database.block_lane().await;
    let begin = |from: &Client, to: &'static str| {
        let from = from.clone();
        tokio::spawn(async move { from.send(to, "first").await })
    };
    let sending = [begin(&jane, "john"), begin(&john, "jane")];
    replica.until_waiting("timeline", 2.0).await;
    open_lane(lane).await;
    let mut numbers = Vec::new();
    let mut sent = Vec::new();
    for message in sending {
        let message = message.await.unwrap();
        numbers.push(message["number"].as_i64().unwrap());
        sent.push(message);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
    let conversations = "SELECT count(*) FROM conversations WHERE least = 'jane'";
    assert_eq!(database.count(conversations).await, 1);

    // Both mark, and one goes back, in one batch.
    let lane = database.block_lane().await;
    let marks = [
        (&john, &sent[0]["id"], true),
        (&jane, &sent[1]["id"], true),
        (&john, &sent[0]["id"], false),
    ];
    let mut marking = Vec::new();
    for (count, (user, id, read)) in (1..).zip(marks) {
        let (user, id) = (user.clone(), id.clone());
        marking.push(tokio::spawn(async move { user.marks(&id, read).await }));
        replica.until_waiting("timeline", f64::from(count)).await;
    }
    open_lane(lane).await;
    for mark in marking {
        mark.await.unwrap().expect(200);
    }
    let [first, second] = [&sent[0], &sent[1]].map(|message| message["number"].as_i64().unwrap());
    assert_eq!(positions(&john, "jane").await, (first - 1, second));
    let told = jane.sync("").await["messages"].as_array().unwrap().clone();
    let marks = told.iter().filter(|entry| entry["with"] == "john").count();
    assert_eq!(marks, 3, "{told:?}");
}

#[tokio::test]
async fn positions_reach_streams_and_held_answers() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let sent = jane.send("john", "hi").await;
    let mut stream = jane.stream("after=latest&include=message").await;
    stream.begin_current().await;
    let latest = jane.sync("").await["latest"].clone();
    let held = tokio::spawn({
        let jane = jane.clone();
        async move {
            jane.sync(&format!("after={latest}&wait=50&include=message"))
                .await
        }
    });
    john.marks(&sent["id"], true).await.expect(200);
    let entry = json!({ "with": "john", "timestamp": jane.sync("").await["latest"] });
    assert_eq!(stream.event("update").await.data, entry);
    assert_eq!(held.await.unwrap()["messages"], json!([entry]));
    // Answered from memory, beside a message whose data are there.
    for _ in 0..2 {
        let page = jane.sync("include=message").await;
        assert_eq!(page["messages"][0]["message"], sent);
        assert_eq!(page["messages"][1], entry);
    }
}

#[tokio::test]
async fn the_first_message_is_sent_once_under_its_key() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let body = json!({ "to": "john", "text": "first" });
    let send = || {
        let request = jane
            .request(Method::POST, "/messages")
            .header("Idempotency-Key", "k");
        Reply::of(request.json(&body))
    };
    let first = send().await.expect(201);
    assert_eq!(send().await.expect(201), first);
    let conversations = "SELECT count(*) FROM conversations";
    assert_eq!(database.count(conversations).await, 1);
    assert_eq!(jane.send("john", "second").await["number"], 2);
}

#[tokio::test]
async fn a_condition_of_a_read_mark_holds_if_it_is_given() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let sent = jane.send("john", "hi").await;
    let edited = jane
        .patch(&sent["id"], &sent["timestamp"], json!({ "text": "ho" }))
        .await
        .expect(200);
    john.patch(&sent["id"], &sent["timestamp"], json!({ "read": true }))
        .await
        .expect_problem(412, "stale");
    john.patch(&sent["id"], &edited["timestamp"], json!({ "read": true }))
        .await
        .expect(200);
}

#[tokio::test]
async fn users_are_ordered_byte_by_byte_whatever_the_databases_collation() {
    let database =
        Database::fresh_with("TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'").await;
    let replica = Replica::start(&database, Settings::default()).await;
    let (adam, zoe) = (replica.user("adam"), replica.user("Zoe"));
    assert_eq!(adam.send("Zoe", "hi").await["number"], 1);
    assert_eq!(zoe.send("adam", "hello").await["number"], 2);
    assert_eq!(zoe.get("/users/adam").await.expect(200)["messages"], 2);
}
