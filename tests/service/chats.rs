//! Chats: members, numbers, and the entries that each member gets.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Database, Load, Replica, Reply, Settings, Watcher, Way, service};

/// The entries of a user's whole timeline.
async fn timeline(user: &Client) -> Vec<Value> {
    user.sync("limit=1000").await["messages"]
        .as_array()
        .unwrap()
        .clone()
}

async fn get_chat(user: &Client, chat: i64) -> Value {
    user.get(&format!("/chats/{chat}")).await.expect(200)
}

async fn join(owner: &Client, chat: i64, user: &str) -> Reply {
    owner
        .ask(Method::PUT, &format!("/chats/{chat}/members/{user}"), None)
        .await
}

async fn leave(caller: &Client, chat: i64, user: &str) -> Reply {
    caller
        .ask(
            Method::DELETE,
            &format!("/chats/{chat}/members/{user}"),
            None,
        )
        .await
}

#[tokio::test]
async fn a_chat_is_created_read_renamed_and_listed() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let body = json!({ "name": " Team ", "members": ["john", "jane", "john"] });
    let reply = jane.call(Method::POST, "/chats", body).await;
    let chat = reply.expect(201);
    assert_eq!(reply.header("location"), "/chats/1");
    assert_eq!(reply.header("etag"), format!("\"{}\"", chat["timestamp"]));
    let seen_by = |role: &str, other: &str| {
        json!({ "chat": 1, "number": 1, "timestamp": chat["timestamp"], "name": "Team",
                "owner": "jane", "created": chat["created"], "messages": 0, "members": 2,
                "role": role, "last": chat["timestamp"], "read": 0, "unread": 0, "mentions": 0,
                "settings": {}, "reads": [{ "user": other, "read": 0 }] })
    };
    assert_eq!(chat, seen_by("owner", "john"));
    assert_eq!(get_chat(&jane, 1).await, chat);
    assert_eq!(get_chat(&john, 1).await, seen_by("member", "jane"));
    let entries = json!([{ "chat": 1, "timestamp": chat["timestamp"] }]);
    assert_eq!(json!(timeline(&john).await), entries);
    assert_eq!(json!(timeline(&jane).await), entries);

    let rename = |user: &Client, name: &str, tag: &Value| {
        let request = user
            .request(Method::PATCH, "/chats/1")
            .json(&json!({ "name": name }));
        Reply::of(request.header("If-Match", tag.to_string()))
    };
    rename(&john, "Mine", &chat["timestamp"])
        .await
        .expect_problem(403, "forbidden");
    let renamed = rename(&jane, "Crew", &chat["timestamp"]).await.expect(200);
    assert_eq!(renamed["name"], "Crew");
    let stale = rename(&jane, "Gang", &chat["timestamp"])
        .await
        .expect_problem(412, "stale");
    assert_eq!(stale["current"], renamed["timestamp"]);
    assert_eq!(
        rename(&jane, "Crew", &json!(1)).await.expect(200),
        renamed,
        "nothing to do"
    );
    let unconditional = jane
        .call(Method::PATCH, "/chats/1", json!({ "name": "x" }))
        .await;
    unconditional.expect_problem(428, "precondition-required");
    assert_eq!(
        timeline(&john).await[1],
        json!({ "chat": 1, "timestamp": renamed["timestamp"] })
    );

    for number in 2..=4 {
        assert_eq!(jane.chat("more", &[]).await, number);
    }
    let page = jane.get("/chats?limit=3").await.expect(200);
    assert_eq!(page["chats"].as_array().unwrap().len(), 3);
    assert_eq!(page["next"], 3);
    let page = jane.get("/chats?after=3").await.expect(200);
    assert_eq!(
        (&page["chats"][0]["number"], page.get("next")),
        (&json!(4), None)
    );
    let chats = john.get("/chats").await.expect(200);
    assert_eq!(chats["chats"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_no_chat_is_refused_field_by_field() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let create = async |body: Value| jane.call(Method::POST, "/chats", body).await;
    assert_eq!(
        create(json!({ "members": ["a b"] })).await.wrong_fields(),
        ["name", "members"]
    );
    assert_eq!(
        create(json!({ "name": " " })).await.wrong_fields(),
        ["name"]
    );
    assert_eq!(
        create(json!({ "name": "x", "colour": 1 }))
            .await
            .wrong_fields(),
        ["colour"]
    );
    let users = |count: usize| {
        (0..count)
            .map(|number| format!("user-{number}"))
            .collect::<Vec<_>>()
    };
    let many = create(json!({ "name": "x", "members": users(1001) })).await;
    assert_eq!(many.wrong_fields(), ["members"]);
    let with_owner = create(json!({ "name": "x", "members": users(1000) })).await;
    assert_eq!(
        with_owner.wrong_fields(),
        ["members"],
        "the owner is a member as well"
    );
    let full = create(json!({ "name": "x", "members": users(999) }))
        .await
        .expect(201);
    assert_eq!(
        (&full["members"], &full["number"]),
        (&json!(1000), &json!(1)),
        "no number was lost"
    );
    assert_eq!(join(&jane, 1, "one-more").await.wrong_fields(), ["members"]);
    assert_eq!(
        join(&jane, 1, "user-7").await.status,
        204,
        "a member is a member"
    );
    for path in ["/chats/0", "/chats/x", "/chats/9", "/chats/1/messages/1"] {
        jane.get(path).await.expect_problem(404, "not-found");
    }
    for path in [
        "/chats?limit=0",
        "/chats?limit=101",
        "/chats/1/members?limit=0",
    ] {
        jane.get(path).await.expect_problem(422, "invalid");
    }
    jane.get("/chats?after=x")
        .await
        .expect_problem(400, "malformed");
    jane.get("/chats/1/members?after=%00")
        .await
        .expect_problem(400, "malformed");
}

#[tokio::test]
async fn members_come_and_go_and_ownership_passes_on() {
    let (_database, replica) = service().await;
    let [jane, john, jim] = ["jane", "john", "jim"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &["john"]).await;
    join(&john, chat, "jim")
        .await
        .expect_problem(403, "forbidden");
    join(&jim, chat, "jim")
        .await
        .expect_problem(404, "not-found");
    assert_eq!(join(&jane, chat, "jim").await.status, 201);
    assert_eq!(join(&jane, chat, "jim").await.status, 204);
    let path = format!("/chats/{chat}/members");
    let members = jim.get(&path).await.expect(200);
    let names = |members: &Value| {
        let users = members["members"].as_array().unwrap().iter();
        users
            .map(|member| member["user"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&members), ["jane", "jim", "john"]);
    let page = jim.get(&format!("{path}?limit=2")).await.expect(200);
    assert_eq!(page["next"], "jim");
    assert_eq!(
        names(&jim.get(&format!("{path}?after=jim")).await.expect(200)),
        ["john"]
    );

    leave(&jim, chat, "john")
        .await
        .expect_problem(403, "forbidden");
    leave(&replica.user("joan"), chat, "jim")
        .await
        .expect_problem(404, "not-found");
    assert_eq!(
        leave(&jane, chat, "joan").await.status,
        204,
        "who is no member stays none"
    );
    assert_eq!(leave(&jane, chat, "jane").await.status, 204);
    assert_eq!(
        get_chat(&john, chat).await["owner"],
        "john",
        "he has been there longest"
    );
    jane.get(&format!("/chats/{chat}"))
        .await
        .expect_problem(404, "not-found");
    assert_eq!(leave(&john, chat, "john").await.status, 204);
    assert_eq!(leave(&jim, chat, "jim").await.status, 204);
    jim.get(&format!("/chats/{chat}"))
        .await
        .expect_problem(404, "not-found");
    let changes = timeline(&jim).await;
    assert_eq!(
        changes.len(),
        4,
        "joining, two others leaving, leaving: {changes:?}"
    );
}

async fn change_members(caller: &Client, chat: i64, body: Value) -> Reply {
    let path = format!("/chats/{chat}/members");
    caller.call(Method::PATCH, &path, body).await
}

#[tokio::test]
async fn members_are_added_and_removed_together_by_one_change() {
    let (_database, replica) = service().await;
    let [jane, john, jim, kim] = ["jane", "john", "jim", "kim"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &["john"]).await;
    let both = json!({ "add": ["jim", "kim", "jim"], "remove": ["john"] });
    let changed = change_members(&jane, chat, both.clone()).await.expect(200);
    assert_eq!(
        (&changed["members"], &changed["role"]),
        (&json!(3), &json!("owner"))
    );
    for user in [&jane, &john, &jim, &kim] {
        let last = timeline(user).await.pop();
        let expected = json!({ "chat": chat, "timestamp": changed["timestamp"] });
        assert_eq!(
            last,
            Some(expected),
            "everybody learns of it by the same entry"
        );
    }
    john.get(&format!("/chats/{chat}"))
        .await
        .expect_problem(404, "not-found");
    assert_eq!(get_chat(&kim, chat).await["members"], 3);
    let again = change_members(&jane, chat, both).await;
    assert_eq!(again.expect(200)["timestamp"], changed["timestamp"]);

    // Who is no owner adds nobody and removes nobody else, and leaves.
    for body in [
        json!({ "add": ["john"] }),
        json!({ "remove": ["jane"] }),
        json!({ "add": ["john"], "remove": ["kim"] }),
    ] {
        let refused = change_members(&kim, chat, body).await;
        refused.expect_problem(403, "forbidden");
    }
    let left = change_members(&kim, chat, json!({ "remove": ["kim"] })).await;
    assert_eq!(left.expect(200)["members"], 2);
    let stranger = change_members(&kim, chat, json!({ "add": ["kim"] })).await;
    stranger.expect_problem(404, "not-found");

    // All or nothing.
    let many: Vec<_> = (0..1000).map(|number| format!("member-{number}")).collect();
    let full = change_members(&jane, chat, json!({ "add": many, "remove": ["jim"] })).await;
    assert_eq!(full.wrong_fields(), ["members"]);
    assert_eq!(get_chat(&jane, chat).await["members"], 2);
    let fits = json!({ "add": many[1..], "remove": ["jim"] });
    let fits = change_members(&jane, chat, fits).await.expect(200);
    assert_eq!(fits["members"], 1000);
    let wrong = json!({ "add": ["a b"], "remove": [""] });
    let wrong = change_members(&jane, chat, wrong).await;
    assert_eq!(wrong.wrong_fields(), ["add", "remove"]);
    let in_both = json!({ "add": ["x", "y"], "remove": ["y"] });
    let in_both = change_members(&jane, chat, in_both).await;
    assert_eq!(in_both.wrong_fields(), ["remove"]);

    // The owner may be among those who leave.
    let gone = json!({ "remove": ["jane"], "add": ["eve"] });
    let gone = change_members(&jane, chat, gone).await.expect(200);
    assert_eq!(gone["owner"], "member-1");
}

#[tokio::test]
async fn messages_of_a_chat_are_numbered_and_have_what_personal_ones_have() {
    let (_database, replica) = service().await;
    let [jane, john, jim] = ["jane", "john", "jim"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &["john"]).await;
    let path = format!("/chats/{chat}/messages");
    let body = json!({ "text": "hi", "files": ["f"], "attributes": { "a": 1 } });
    let reply = john.call(Method::POST, &path, body).await;
    let first = reply.expect(201);
    assert_eq!(
        reply.header("content-type"),
        "application/vnd.chatMessage.v1+json"
    );
    assert_eq!(
        reply.header("location"),
        format!("/messages/{}", first["id"])
    );
    assert_eq!(
        (&first["chat"], &first["number"], &first["from"]),
        (&json!(chat), &json!(1), &json!("john"))
    );
    assert_eq!(first.get("to"), None);
    let answer = json!({ "text": "re", "replyTo": first["id"] });
    assert_eq!(
        jane.call(Method::POST, &path, answer.clone())
            .await
            .expect(201)["number"],
        2
    );
    let personal = jane.send("john", "between us").await;
    let elsewhere = json!({ "text": "re", "replyTo": personal["id"] });
    assert_eq!(
        jane.call(Method::POST, &path, elsewhere)
            .await
            .wrong_fields(),
        ["replyTo"]
    );
    jim.call(Method::POST, &path, answer)
        .await
        .expect_problem(404, "not-found");
    let with_to = jane
        .call(Method::POST, &path, json!({ "to": "john", "text": "x" }))
        .await;
    assert_eq!(with_to.wrong_fields(), ["to"]);

    let by_id = jane.get(&format!("/messages/{}", first["id"])).await;
    assert_eq!(
        by_id.header("content-type"),
        "application/vnd.chatMessage.v1+json"
    );
    assert_eq!(by_id.expect(200), first);
    assert_eq!(jane.get(&format!("{path}/1")).await.expect(200), first);
    jim.get(&format!("{path}/1"))
        .await
        .expect_problem(404, "not-found");
    jim.get(&format!("/messages/{}", first["id"]))
        .await
        .expect_problem(404, "not-found");

    let edit = |user: &Client, text: &str, tag: &Value| {
        let request = user
            .request(Method::PATCH, &format!("{path}/1"))
            .json(&json!({ "text": text }));
        Reply::of(request.header("If-Match", tag.to_string()))
    };
    edit(&jane, "mine", &first["timestamp"])
        .await
        .expect_problem(403, "forbidden");
    let edited = edit(&john, "ho", &first["timestamp"]).await.expect(200);
    let marked = jane.marks(&first["id"], true).await;
    marked.expect_problem(403, "forbidden");
    let deleted = jane
        .ask(
            Method::DELETE,
            &format!("{path}/1"),
            Some(&edited["timestamp"]),
        )
        .await;
    let tombstone = deleted.expect(200);
    let bare = json!({ "id": first["id"], "timestamp": tombstone["timestamp"], "deleted": true,
                       "chat": chat, "number": 1 });
    assert_eq!(
        tombstone, bare,
        "the owner may delete, and the number stays"
    );
    let second = jane.get(&format!("{path}/2")).await.expect(200);
    let denied = john
        .ask(
            Method::DELETE,
            &format!("{path}/2"),
            Some(&second["timestamp"]),
        )
        .await;
    denied.expect_problem(403, "forbidden");
    assert_eq!(get_chat(&jane, chat).await["messages"], 2);

    let ids = timeline(&john)
        .await
        .into_iter()
        .filter(|entry| entry["id"] == first["id"])
        .count();
    assert_eq!(ids, 3, "sent, edited, deleted");
}

#[tokio::test]
async fn keys_make_posts_into_chats_and_new_chats_safe_to_repeat() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let post = async |path: &str, key: &str, body: Value| {
        Reply::of(
            jane.request(Method::POST, path)
                .json(&body)
                .header("Idempotency-Key", key),
        )
        .await
    };
    let chat = post(
        "/chats",
        "c",
        json!({ "name": "Team", "members": ["jim", "john"] }),
    )
    .await
    .expect(201);
    let again = post(
        "/chats",
        "c",
        json!({ "name": "Team", "members": ["john", "jim", "jim"] }),
    )
    .await;
    assert_eq!(
        (again.header("idempotent-replayed"), again.expect(201)),
        ("true", chat)
    );
    let other = post(
        "/chats",
        "c",
        json!({ "name": "Crew", "members": ["john", "jim"] }),
    )
    .await;
    assert_eq!(other.wrong_fields(), ["Idempotency-Key"]);
    let sent = post("/chats/1/messages", "m", json!({ "text": "hi" }))
        .await
        .expect(201);
    let again = post("/chats/1/messages", "m", json!({ "text": "hi" })).await;
    assert_eq!(
        (again.header("idempotent-replayed"), again.expect(201)),
        ("true", sent)
    );
    for (path, key, body) in [
        ("/messages", "m", json!({ "to": "john", "text": "hi" })),
        ("/messages", "c", json!({ "to": "john", "text": "hi" })),
        ("/chats/1/messages", "c", json!({ "text": "hi" })),
        ("/chats", "m", json!({ "name": "hi" })),
    ] {
        assert_eq!(
            post(path, key, body).await.wrong_fields(),
            ["Idempotency-Key"],
            "{path} {key}"
        );
    }
    let minimal = jane
        .request(Method::POST, "/chats")
        .json(&json!({ "name": "x" }));
    let minimal = Reply::of(minimal.header("Prefer", "return=minimal")).await;
    assert_eq!(
        (
            minimal.status,
            minimal.text.as_str(),
            minimal.header("location")
        ),
        (201, "", "/chats/2")
    );
}

#[tokio::test]
async fn who_leaves_keeps_the_entries_and_loses_the_data() {
    let (_database, replica) = service().await;
    let [jane, john, jim] = ["jane", "john", "jim"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &["john"]).await;
    let before = jane.post_into(chat, "before").await;
    assert_eq!(join(&jane, chat, "jim").await.status, 201);
    let during = jim.post_into(chat, "during").await;
    let with_data = jim.sync("include=message").await;
    assert_eq!(with_data["messages"][1]["message"], during);
    let history = jim
        .get(&format!("/chats/{chat}/messages"))
        .await
        .expect(200);
    assert_eq!(
        history["messages"],
        json!([during, before]),
        "everything is in the history"
    );
    assert_eq!(leave(&jim, chat, "jim").await.status, 204);
    jane.post_into(chat, "after").await;
    let entries = timeline(&jim).await;
    assert_eq!(
        entries.len(),
        3,
        "joining, the message, leaving: {entries:?}"
    );
    assert_eq!(entries[1]["id"], during["id"]);
    let without_data = jim.sync("include=message").await;
    assert_eq!(
        without_data["messages"],
        json!(entries),
        "entries stay, without data"
    );
    for path in [
        format!("/messages/{}", during["id"]),
        format!("/chats/{chat}/messages"),
        format!("/chats/{chat}/messages/2"),
        format!("/chats/{chat}/members"),
    ] {
        jim.get(&path).await.expect_problem(404, "not-found");
    }
    let edit = jim
        .patch(
            &during["id"],
            &during["timestamp"],
            json!({ "text": "mine" }),
        )
        .await;
    edit.expect_problem(404, "not-found");
    assert_eq!(join(&jane, chat, "jim").await.status, 201);
    assert_eq!(
        jim.sync("include=message").await["messages"][1]["message"],
        during,
        "he is back"
    );
    assert_eq!(
        timeline(&john).await.len(),
        7,
        "who was there all the time has every entry"
    );
}

#[tokio::test]
async fn a_stream_learns_of_a_new_chat_without_reconnecting() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let mut stream = john.stream("include=message").await;
    stream.begin_current().await;
    let chat = jane.chat("Team", &["john"]).await;
    assert_eq!(stream.event("update").await.data["chat"], chat);
    let sent = jane.post_into(chat, "hi").await;
    assert_eq!(stream.event("update").await.data["message"], sent);
    assert_eq!(leave(&jane, chat, "john").await.status, 204);
    assert_eq!(stream.event("update").await.data["chat"], chat);
    let page = john
        .sync(&format!("after={}&wait=1", john.sync("").await["latest"]))
        .await;
    assert_eq!(page["total"], 0);
}

#[tokio::test]
async fn joining_sending_and_leaving_may_fall_into_one_batch() {
    let (database, replica) = service().await;
    let [jane, jim] = ["jane", "jim"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &["john"]).await;
    let lane = database.block_lane().await;
    let path = format!("/chats/{chat}/members/jim");
    let mut calls = Vec::new();
    let messages = format!("/chats/{chat}/messages");
    let steps = [
        (Method::POST, &messages),
        (Method::PUT, &path),
        (Method::POST, &messages),
        (Method::DELETE, &path),
        (Method::POST, &messages),
        (Method::PUT, &path),
    ];
    for (waiting, (method, path)) in (1..).zip(steps) {
        let request = jane.request(method, path).json(&json!({ "text": "hi" }));
        calls.push(tokio::spawn(Reply::of(request)));
        replica.until_waiting("timeline", f64::from(waiting)).await;
    }
    crate::support::open_lane(lane).await;
    let mut replies = Vec::new();
    for call in calls {
        replies.push(call.await.unwrap());
    }
    assert_eq!(
        replies.iter().map(|reply| reply.status).collect::<Vec<_>>(),
        [201, 201, 201, 204, 201, 201]
    );
    let entries = timeline(&jim).await;
    let expected = [
        json!({ "chat": chat }),
        json!({ "id": replies[2].json()["id"] }),
        json!({ "chat": chat }),
        json!({ "chat": chat }),
    ];
    assert_eq!(entries.len(), 4, "{entries:?}");
    for (entry, expected) in entries.iter().zip(expected) {
        assert_eq!(
            (entry.get("chat"), entry.get("id")),
            (expected.get("chat"), expected.get("id"))
        );
    }
    let chat = get_chat(&jim, chat).await;
    assert_eq!(
        (&chat["messages"], &chat["members"]),
        (&json!(3), &json!(3))
    );
}

/// The numbers of a chat's messages by its history.
async fn numbers(user: &Client, chat: i64) -> Vec<i64> {
    let (mut numbers, mut after) = (Vec::new(), 0);
    loop {
        let page = user
            .get(&format!("/chats/{chat}/messages?after={after}&limit=100"))
            .await
            .expect(200);
        let messages = page["messages"].as_array().unwrap().iter();
        numbers.extend(messages.map(|message| message["number"].as_i64().unwrap()));
        let Some(next) = page["next"].as_i64() else {
            return numbers;
        };
        after = next;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_have_no_gap_whoever_sends_and_whichever_replica_dies() {
    const SENDS: i64 = 300;
    let database = Database::fresh().await;
    let mut victim = Replica::start(&database, Settings::default()).await;
    let other = Replica::start(&database, Settings::default()).await;
    let chat = other.user("jane").chat("Team", &[]).await;
    let mut sending = tokio::task::JoinSet::new();
    for number in 0..SENDS {
        let jane = if number % 2 == 0 {
            victim.user("jane")
        } else {
            other.user("jane")
        };
        let elsewhere = other.user("jane");
        sending.spawn(async move {
            let path = format!("/chats/{chat}/messages");
            let request = |client: &Client| {
                let request = client
                    .request(Method::POST, &path)
                    .json(&json!({ "text": "hi" }));
                request.header("Idempotency-Key", number.to_string())
            };
            // Whoever gets no answer repeats the request elsewhere.
            match Reply::try_of(request(&jane)).await {
                Ok(reply) if reply.status == 201 => reply,
                _ => Reply::of(request(&elsewhere)).await,
            }
        });
    }
    let mut sent = BTreeSet::new();
    while let Some(reply) = sending.join_next().await {
        if sent.len() == 30 {
            victim.kill();
        }
        assert!(sent.insert(reply.unwrap().expect(201)["number"].as_i64().unwrap()));
    }
    assert_eq!(sent, (1..=SENDS).collect());
    assert_eq!(
        numbers(&other.user("jane"), chat).await,
        (1..=SENDS).collect::<Vec<_>>()
    );
    let mut chats = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let jane = other.user("jane");
        chats.spawn(async move { jane.chat("more", &["john"]).await });
    }
    let chats: BTreeSet<_> = chats.join_all().await.into_iter().collect();
    assert_eq!(chats, (2..=51).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_member_misses_a_change_and_no_other_sees_one() {
    let database = Database::fresh().await;
    let one = Replica::start(&database, Settings::default()).await;
    let other = Replica::start(&database, Settings::default()).await;
    let chat = one.user("jane").chat("Team", &["john"]).await;
    let ways = [Way::Page, Way::Poll, Way::Stream];
    let clients = || vec![one.user("john"), other.user("john")];
    let mut load = Load::start(ways.map(|way| Watcher::new(way, clients())));
    for number in 0..8 {
        let replica = if number % 2 == 0 { &one } else { &other };
        let (jane, guest) = (replica.user("jane"), format!("guest-{number}"));
        load.add_writer(move |done, acknowledged| async move {
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                assert_eq!(join(&jane, chat, &guest).await.status, 201);
                for _ in 0..3 {
                    let sent = jane.post_into(chat, "hi").await;
                    acknowledged.add(sent["timestamp"].as_i64().unwrap());
                }
                assert_eq!(leave(&jane, chat, &guest).await.status, 204);
            }
        });
    }
    load.until_more(1500).await;
    load.finish().await;
    // A guest sees exactly what lies within its memberships, its comings and goings included.
    for number in 0..8 {
        let wrong = database
            .count(&format!(
                "WITH expected AS (
                     SELECT u.timestamp FROM updates AS u
                     WHERE u.user_id = 'john' AND EXISTS (
                         SELECT FROM chat_members AS m WHERE m.user_id = 'guest-{number}'
                         AND u.timestamp BETWEEN m.joined AND coalesce(m.departed, u.timestamp))
                 ), seen AS (SELECT timestamp FROM updates WHERE user_id = 'guest-{number}')
                 SELECT count(*) FROM expected FULL JOIN seen USING (timestamp)
                 WHERE (expected IS NULL) <> (seen IS NULL)"
            ))
            .await;
        assert_eq!(wrong, 0, "guest-{number}");
        let guest = one.user(&format!("guest-{number}"));
        let seen = database
            .count(&format!(
                "SELECT count(*) FROM updates WHERE user_id = 'guest-{number}'"
            ))
            .await;
        assert!(seen > 5 && guest.sync("limit=1").await["total"] == 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_large_chats_is_split_and_every_member_gets_its_entries() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let members: Vec<_> = (0..999).map(|number| format!("user-{number}")).collect();
    let members: Vec<_> = members.iter().map(String::as_str).collect();
    let chat = jane.chat("Crowd", &members).await;
    let lane = database.block_lane().await;
    let sends = (0..50).map(|_| {
        let jane = jane.clone();
        tokio::spawn(async move { jane.post_into(chat, "hi").await })
    });
    let sends: Vec<_> = sends.collect();
    replica.until_waiting("timeline", 50.0).await;
    crate::support::open_lane(lane).await;
    for send in sends {
        send.await.unwrap();
    }
    assert_eq!(numbers(&jane, chat).await, (1..=50).collect::<Vec<_>>());
    assert_eq!(
        database
            .count("SELECT count(*) FROM updates WHERE user_id = 'user-7'")
            .await,
        51
    );
    let batches = database
        .count("SELECT count(DISTINCT created) FROM changes")
        .await;
    // The chat took one.
    assert!(
        batches >= 4,
        "20,000 rows a transaction at the most: {batches}"
    );
}
