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
    assert_eq!(positions(&john, "jane").await, (0, 3));
    let latest = john.sync("").await["latest"].as_i64().unwrap();
    assert_eq!(john.marks(&sent[2]["id"], true).await.expect(200), sent[2]);
    assert_eq!(positions(&john, "jane").await, (3, 3));
    assert_eq!(positions(&jane, "john").await, (3, 3));
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
    assert_eq!(positions(&john, "jane").await, (1, 3));
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
    assert_eq!(
        (&own["with"], &own["reads"]),
        (&json!("jane"), &Value::Null)
    );
    assert_eq!((&own["read"], &own["unread"]), (&json!(1), &json!(0)));
    let back = json!({ "number": 0, "back": true });
    jane.call(Method::PUT, "/users/jane/read", back)
        .await
        .expect(200);
    let own = jane.get("/users/jane").await.expect(200);
    assert_eq!((&own["read"], &own["unread"]), (&json!(0), &json!(1)));
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

    // Both mark, and one goes back, in one batch: one change.
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
    let read = (first - 1, first.max(second));
    assert_eq!(positions(&john, "jane").await, read);
    let told = jane.sync("").await["messages"].as_array().unwrap().clone();
    let marks = told.iter().filter(|entry| entry["with"] == "john").count();
    assert_eq!(marks, 1, "{told:?}");
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

/// Moves a position, and returns it as it is then.
async fn read_up_to(client: &Client, path: &str, number: i64) -> Value {
    let body = json!({ "number": number });
    let reply = client
        .call(Method::PUT, &format!("{path}/read"), body)
        .await;
    reply.expect(200)["number"].clone()
}

#[tokio::test]
async fn a_position_moves_forward_alone_unless_it_is_told_to_go_back() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let chat = jane.chat("Team", &["john"]).await;
    let in_chat = format!("/chats/{chat}");
    for _ in 0..3 {
        jane.send("john", "hi").await;
        jane.post_into(chat, "hi").await;
    }
    for path in ["/users/jane", &in_chat] {
        assert_eq!(read_up_to(&john, path, 2).await, 2);
        let latest = john.sync("limit=1").await["latest"].clone();
        for late in [2, 1, 0] {
            assert_eq!(read_up_to(&john, path, late).await, 2);
        }
        let unchanged = john.sync("limit=1").await["latest"].clone();
        assert_eq!(unchanged, latest, "late marks take no timestamp");
        let body = json!({ "number": 1, "back": true });
        let path_of_read = format!("{path}/read");
        let back = john.call(Method::PUT, &path_of_read, body).await;
        assert_eq!(back.expect(200), json!({ "number": 1 }));
        let seen = john.get(path).await.expect(200);
        assert_eq!((&seen["read"], &seen["unread"]), (&json!(1), &json!(2)));
        let told = john.sync(&format!("after={latest}")).await;
        assert_eq!(told["total"], 1);
        let told_jane = jane.sync(&format!("after={latest}")).await;
        assert_eq!(told_jane["total"], 1, "others are told");
        for (body, field) in [
            (json!({ "number": 4 }), "number"),
            (json!({ "number": -1 }), "number"),
            (json!({}), "number"),
            (json!({ "number": 1, "forth": true }), "forth"),
        ] {
            let refused = john.call(Method::PUT, &path_of_read, body).await;
            assert_eq!(refused.wrong_fields(), [field]);
        }
    }
    let jim = replica.user("jim");
    for path in [
        "/users/jane/read",
        "/users/nobody/read",
        &format!("{in_chat}/read"),
    ] {
        let refused = jim.call(Method::PUT, path, json!({ "number": 1 })).await;
        refused.expect_problem(404, "not-found");
    }
    let seen = jane.get(&in_chat).await.expect(200);
    let reads = json!([{ "user": "john", "read": 1 }]);
    assert_eq!(seen["reads"], reads);
}

#[tokio::test]
async fn sending_and_joining_move_ones_position() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let chat = jane.chat("Team", &["jim"]).await;
    let path = format!("/chats/{chat}");
    jane.post_into(chat, "one").await;
    jane.call(Method::PUT, &format!("{path}/members/john"), json!({}))
        .await;
    let reads = async || {
        let members = jane.get(&format!("{path}/members")).await.expect(200);
        let members = members["members"].as_array().unwrap().clone();
        let reads = members.iter().map(|member| {
            let [user, role] = ["user", "role"].map(|field| member[field].as_str().unwrap());
            (
                user.to_owned(),
                role.to_owned(),
                member["read"].as_i64().unwrap(),
            )
        });
        reads.collect::<Vec<_>>()
    };
    let of = |jane: i64, jim: i64, john: i64| {
        let members = [
            ("jane", "owner", jane),
            ("jim", "member", jim),
            ("john", "member", john),
        ];
        members.map(|(user, role, read)| (user.to_owned(), role.to_owned(), read))
    };
    assert_eq!(reads().await, of(1, 0, 1));
    john.post_into(chat, "two").await;
    assert_eq!(reads().await, of(1, 0, 2));
    // Going back holds until one sends again.
    let back = json!({ "number": 0, "back": true });
    john.call(Method::PUT, &format!("{path}/read"), back)
        .await
        .expect(200);
    assert_eq!(reads().await, of(1, 0, 0));
    let three = john.post_into(chat, "three").await;
    assert_eq!(reads().await, of(1, 0, 3));
    // What was sent stays read when it is deleted.
    john.delete(&three["id"], &three["timestamp"])
        .await
        .expect(200);
    assert_eq!(reads().await, of(1, 0, 3));
}

#[tokio::test]
async fn the_marks_of_a_batch_in_one_conversation_are_one_change() {
    let (database, replica) = service().await;
    let users = ["jane", "john", "jim", "joe"].map(|user| replica.user(user));
    let [jane, readers @ ..] = &users;
    let chat = jane.chat("Team", &["john", "jim", "joe"]).await;
    for _ in 0..4 {
        jane.post_into(chat, "hi").await;
    }
    let latest = jane.sync("limit=1").await["latest"].clone();
    let lane = database.block_lane().await;
    let mut marking = Vec::new();
    for (count, reader) in (1..).zip(readers.iter().chain(&readers[..1])) {
        let (reader, path) = (reader.clone(), format!("/chats/{chat}"));
        marking.push(tokio::spawn(async move {
            read_up_to(&reader, &path, count).await
        }));
        replica.until_waiting("timeline", count as f64).await;
    }
    open_lane(lane).await;
    for (number, mark) in (1..).zip(marking) {
        assert_eq!(mark.await.unwrap(), number);
    }
    for user in &users {
        let told = user.sync(&format!("after={latest}")).await;
        let entry = json!([{ "chat": chat, "timestamp": told["latest"] }]);
        assert_eq!(told["messages"], entry);
    }
    let seen = jane.get(&format!("/chats/{chat}")).await.expect(200);
    let read = |user: &str, read: i64| json!({ "user": user, "read": read });
    let reads = json!([read("jim", 2), read("joe", 3), read("john", 4)]);
    assert_eq!(seen["reads"], reads);
    let moved = "SELECT count(*) FROM changes WHERE kind = 'positions-moved'";
    assert_eq!(database.count(moved).await, 1);
}

#[tokio::test]
async fn in_a_chat_of_fifty_everybody_is_told() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let others: Vec<_> = (0..48).map(|number| format!("user-{number}")).collect();
    let mut members: Vec<_> = others.iter().map(String::as_str).collect();
    members.push("john");
    let chat = jane.chat("Full", &members).await;
    let path = format!("/chats/{chat}");
    jane.post_into(chat, "hi").await;
    let latest = jane.sync("limit=1").await["latest"].clone();
    read_up_to(&john, &path, 1).await;
    let told = jane.sync(&format!("after={latest}")).await;
    let entry = json!([{ "chat": chat, "timestamp": told["latest"] }]);
    assert_eq!(told["messages"], entry);
    let seen = jane.get(&path).await.expect(200);
    let reads = seen["reads"].as_array().unwrap();
    assert_eq!(reads.len(), 49);
    assert!(reads.contains(&json!({ "user": "john", "read": 1 })));
}

/// In larger chats, whoever wants to know reads the members.
#[tokio::test]
async fn in_a_chat_of_more_than_fifty_ones_own_devices_alone_are_told() {
    let (database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let others: Vec<_> = (0..49).map(|number| format!("user-{number}")).collect();
    let mut members: Vec<_> = others.iter().map(String::as_str).collect();
    members.push("john");
    let chat = jane.chat("Large", &members).await;
    let path = format!("/chats/{chat}");
    jane.post_into(chat, "hi").await;
    jane.post_into(chat, "hi").await;
    let latest = jane.sync("limit=1").await["latest"].clone();
    assert_eq!(read_up_to(&john, &path, 1).await, 1);
    let told = john.sync(&format!("after={latest}")).await;
    let entry = json!([{ "chat": chat, "timestamp": told["latest"] }]);
    assert_eq!(told["messages"], entry);
    assert_eq!(jane.sync(&format!("after={latest}")).await["total"], 0);
    assert_eq!(jane.get(&path).await.expect(200)["reads"], Value::Null);
    let members = jane
        .get(&format!("{path}/members?limit=2"))
        .await
        .expect(200);
    assert_eq!(members["members"][0]["read"], 2);
    assert_eq!(members["members"][1]["read"], 1);

    // In one batch the marks are one change, until the members change: what is read after that, in a chat
    // that is small enough by then, is another one, of which all are told.
    let lane = database.block_lane().await;
    let mut waiting = Vec::new();
    let mut expected = 0.0;
    for step in 0..4 {
        let (jane, john, path) = (jane.clone(), john.clone(), path.clone());
        let reader = replica.user("user-1");
        waiting.push(tokio::spawn(async move {
            match step {
                0 => read_up_to(&john, &path, 2).await,
                1 => {
                    let member = format!("{path}/members/user-0");
                    jane.ask(Method::DELETE, &member, None).await;
                    Value::Null
                }
                2 => read_up_to(&reader, &path, 1).await,
                _ => read_up_to(&reader, &path, 2).await,
            }
        }));
        expected += 1.0;
        replica.until_waiting("timeline", expected).await;
    }
    open_lane(lane).await;
    for step in waiting {
        step.await.unwrap();
    }
    let entries = async |client: &Client| {
        let told = client.sync(&format!("after={latest}")).await;
        told["total"].clone()
    };
    assert_eq!(
        entries(&jane).await,
        2,
        "a member has left, and user-1 has read"
    );
    assert_eq!(entries(&john).await, 4);
    assert_eq!(entries(&replica.user("user-1")).await, 2);
}
