//! What chats allow: roles, who posts, what is read, who is kept out, and what changes tell of themselves.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Client, Database, Replica, Reply, Settings, administered, eventually, open_lane, service,
};

async fn get_chat(user: &Client, chat: i64) -> Value {
    user.get(&format!("/chats/{chat}")).await.expect(200)
}

/// Changes a chat as it is now.
async fn change(user: &Client, chat: i64, patch: Value) -> Reply {
    let tag = get_chat(user, chat).await["timestamp"].clone();
    let path = format!("/chats/{chat}");
    let request = user.request(Method::PATCH, &path).json(&patch);
    Reply::of(request.header("if-match", tag.to_string())).await
}

async fn alter(user: &Client, chat: i64, member: &str, patch: Value) -> Reply {
    let path = format!("/chats/{chat}/members/{member}");
    user.call(Method::PATCH, &path, patch).await
}

async fn change_members(user: &Client, chat: i64, patch: Value) -> Reply {
    let path = format!("/chats/{chat}/members");
    user.call(Method::PATCH, &path, patch).await
}

async fn ban(user: &Client, method: Method, chat: i64, whom: &str) -> Reply {
    user.ask(method, &format!("/chats/{chat}/bans/{whom}"), None)
        .await
}

async fn post(user: &Client, chat: i64, text: &str) -> Reply {
    let path = format!("/chats/{chat}/messages");
    user.call(Method::POST, &path, json!({ "text": text }))
        .await
}

async fn texts(user: &Client, chat: i64) -> Vec<String> {
    let page = user.get(&format!("/chats/{chat}/messages?after=0")).await;
    let page = page.expect(200);
    let messages = page["messages"].as_array().unwrap();
    let text = |message: &Value| message["text"].as_str().unwrap_or_default().to_owned();
    messages.iter().map(text).collect()
}

#[tokio::test]
async fn a_chat_has_attributes_and_rules_which_are_changed_one_by_one() {
    let (_database, replica) = service().await;
    let [jane, john] = ["jane", "john"].map(|user| replica.user(user));
    let body =
        json!({ "name": "Team", "members": ["john"], "attributes": { "topic": { "a": 1 } } });
    let made = jane.call(Method::POST, "/chats", body).await.expect(201);
    assert_eq!(made["attributes"], json!({ "topic": { "a": 1 } }));
    let patch = json!({
        "attributes": { "topic": { "b": 2 }, "color": "red" }, "posting": "moderators",
        "frozen": true, "history": "joined", "slowMode": 30
    });
    let changed = change(&jane, 1, patch.clone()).await.expect(200);
    let rules = |chat: &Value| {
        let names = [
            "attributes",
            "posting",
            "frozen",
            "history",
            "slowMode",
            "name",
        ];
        json!(names.map(|name| chat[name].clone()))
    };
    let expected = json!([
        { "color": "red", "topic": { "a": 1, "b": 2 } }, "moderators", true, "joined", 30, "Team"
    ]);
    for seen in [
        changed.clone(),
        get_chat(&john, 1).await,
        john.get("/conversations").await.expect(200)["conversations"][0].clone(),
        john.get("/chats").await.expect(200)["chats"][0].clone(),
    ] {
        assert_eq!(rules(&seen), expected);
    }
    // The same again is no change, however stale.
    let stale = jane.request(Method::PATCH, "/chats/1").json(&patch);
    let stale = Reply::of(stale.header("if-match", made["timestamp"].to_string())).await;
    assert_eq!(stale.expect(200)["timestamp"], changed["timestamp"]);

    let reset = json!({
        "attributes": null, "posting": null, "frozen": null, "history": null, "slowMode": null
    });
    let reset = change(&jane, 1, reset).await.expect(200);
    assert_eq!(rules(&reset), json!([null, null, null, null, null, "Team"]));
    assert_eq!(john.sync("").await["total"], 3, "every change is told");

    let wrong = json!({
        "posting": "nobody", "history": "none", "slowMode": 86401, "attributes": [], "owner": "a b",
        "message": {}
    });
    let fields = [
        "attributes",
        "posting",
        "history",
        "slowMode",
        "owner",
        "message",
    ];
    assert_eq!(change(&jane, 1, wrong).await.wrong_fields(), fields);
    assert_eq!(change(&jane, 1, json!({})).await.wrong_fields(), ["body"]);
    let large = "x".repeat(9000);
    for name in ["a", "b"] {
        let reply = change(&jane, 1, json!({ "attributes": { name: large } })).await;
        match name {
            "a" => drop(reply.expect(200)),
            _ => assert_eq!(reply.wrong_fields(), ["attributes"], "16 KiB at the most"),
        }
    }
    let refused = change(&john, 1, json!({ "frozen": true })).await;
    refused.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn members_have_roles_and_are_silenced() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let [jane, john, jim] = ["jane", "john", "jim"].map(|user| app.acting_as(user));
    let chat = jane.chat("Team", &["john", "jim", "kim"]).await;
    let altered = alter(&jane, chat, "john", json!({ "role": "moderator" })).await;
    let altered = altered.expect(200);
    alter(&john, chat, "jim", json!({ "role": "reader" }))
        .await
        .expect(200);
    let until = "2999-01-01T00:00:00.000000Z";
    alter(&john, chat, "kim", json!({ "mutedUntil": until }))
        .await
        .expect(200);

    let members = jim.get(&format!("/chats/{chat}/members")).await.expect(200);
    let roles = members["members"].as_array().unwrap().iter();
    let roles: Vec<_> = roles
        .map(|member| json!([member["user"], member["role"], member["mutedUntil"]]))
        .collect();
    let expected = json!([
        ["jane", "owner", null],
        ["jim", "reader", null],
        ["john", "moderator", null],
        ["kim", "member", until]
    ]);
    assert_eq!(json!(roles), expected);
    assert_eq!(get_chat(&jim, chat).await["role"], "reader");
    let kim = app.acting_as("kim");
    assert_eq!(get_chat(&kim, chat).await["mutedUntil"], until);
    for silent in [&jim, &kim] {
        post(silent, chat, "hi")
            .await
            .expect_problem(403, "may-not-post");
        assert_eq!(texts(silent, chat).await, Vec::<String>::new(), "it reads");
    }
    // The feed tells who was altered, and by whom.
    let feed = app.get("/feed?kinds=member.changed").await.expect(200);
    let entry = &feed["entries"][0];
    assert_eq!(
        json!([
            entry["timestamp"],
            entry["user"],
            entry["actor"],
            entry["chat"]
        ]),
        json!([altered["timestamp"], "john", "jane", chat])
    );
    assert_eq!(feed["entries"].as_array().unwrap().len(), 3);

    alter(&john, chat, "kim", json!({ "mutedUntil": null }))
        .await
        .expect(200);
    post(&kim, chat, "hi").await.expect(201);
    for (patch, fields) in [
        (json!({}), vec!["body"]),
        (json!({ "role": "owner" }), vec!["role"]),
        (json!({ "role": 1 }), vec!["role"]),
        (json!({ "mutedUntil": "soon", "loud": true }), vec!["loud"]),
        (json!({ "mutedUntil": "soon" }), vec!["mutedUntil"]),
    ] {
        assert_eq!(
            alter(&jane, chat, "kim", patch).await.wrong_fields(),
            fields
        );
    }
    let owners = alter(&app, chat, "jane", json!({ "role": "member" })).await;
    assert_eq!(owners.wrong_fields(), ["role"]);
}

#[tokio::test]
async fn a_slow_chat_says_how_long_to_wait_and_a_repetition_never_waits() {
    let (_database, replica) = service().await;
    let [jane, john] = ["jane", "john"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &["john"]).await;
    change(&jane, chat, json!({ "slowMode": 3600 }))
        .await
        .expect(200);
    let keyed = || {
        let path = format!("/chats/{chat}/messages");
        let request = john
            .request(Method::POST, &path)
            .json(&json!({ "text": "hi" }));
        request.header("idempotency-key", "k")
    };
    let first = Reply::of(keyed()).await.expect(201);
    let refused = post(&john, chat, "ho").await;
    refused.expect_problem(429, "slow-mode");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((3590..=3600).contains(&wait), "{wait}");
    assert_eq!(Reply::of(keyed()).await.expect(201), first);
    // A moderator does not wait, nor does who has not posted.
    for _ in 0..2 {
        post(&jane, chat, "hi").await.expect(201);
    }
    // What the state of the writers has forgotten, the database knows.
    drop(replica);
    let replica = Replica::start(&_database, Settings::default()).await;
    let refused = post(&replica.user("john"), chat, "ho").await;
    refused.expect_problem(429, "slow-mode");
    let jane = replica.user("jane");
    change(&jane, chat, json!({ "slowMode": 1 }))
        .await
        .expect(200);
    let john = replica.user("john");
    eventually("the wait is over", async || {
        (post(&john, chat, "ho").await.status == 201).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_joins_late_reads_what_came_since_where_the_chat_says_so() {
    let (database, replica) = service().await;
    let [jane, john] = ["jane", "john"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &[]).await;
    let secret = jane.post_into(chat, "the old secret").await;
    change(&jane, chat, json!({ "history": "joined" }))
        .await
        .expect(200);
    change_members(&jane, chat, json!({ "add": ["john"] }))
        .await
        .expect(200);
    let seen = get_chat(&john, chat).await;
    assert_eq!(
        json!([seen["message"], seen["read"], seen["unread"]]),
        json!([null, 1, 0])
    );
    let members = john.get(&format!("/chats/{chat}/members")).await;
    let members = members.expect(200)["members"].clone();
    assert_eq!(
        json!([members[0].get("since"), members[1].get("since")]),
        json!([null, 1])
    );
    let since = john.sync("").await["latest"].clone();

    let new = jane.post_into(chat, "the new plan").await;
    let edit = json!({ "text": "the old secret, again" });
    jane.patch(&secret["id"], &secret["timestamp"], edit)
        .await
        .expect(200);
    database.until_indexed().await;
    let hidden = async |john: &Client| {
        john.get(&format!("/messages/{}", secret["id"]))
            .await
            .status
            == 404
    };
    assert!(hidden(&john).await);
    let by_number = john.get(&format!("/chats/{chat}/messages/1")).await;
    by_number.expect_problem(404, "not-found");
    assert_eq!(texts(&john, chat).await, ["the new plan"]);
    let newest = john
        .get(&format!("/chats/{chat}/messages?limit=5"))
        .await
        .expect(200);
    assert_eq!(newest["messages"].as_array().unwrap().len(), 1);
    for query in [
        "/messages/search?q=the".to_owned(),
        format!("/messages/search?q=the&chat={chat}"),
        format!("/chats/{chat}/messages/search?q=the"),
    ] {
        let hits = john.get(&query).await.expect(200);
        assert_eq!(hits["hits"].as_array().unwrap().len(), 1, "{query}");
    }
    let ids = format!("/messages?ids={},{}", secret["id"], new["id"]);
    let found = john.get(&ids).await.expect(200);
    assert_eq!(found["messages"].as_array().unwrap().len(), 1);
    // A change of a message that it does not read does not concern it.
    let page = john.sync(&format!("after={since}&include=message")).await;
    let told: Vec<_> = page["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["id"].clone())
        .collect();
    assert_eq!(told, [new["id"].clone()]);
    let reply = json!({ "text": "what?", "replyTo": secret["id"] });
    let path = format!("/chats/{chat}/messages");
    let reply = john.call(Method::POST, &path, reply).await;
    assert_eq!(reply.wrong_fields(), ["replyTo"]);
    let path = format!("/messages/{}/reports", secret["id"]);
    let report = john
        .call(Method::POST, &path, json!({ "reason": "x" }))
        .await;
    report.expect_problem(404, "not-found");
    let path = format!("/chats/{chat}/read");
    let back = json!({ "number": 0, "back": true });
    assert_eq!(
        john.call(Method::PUT, &path, back).await.expect(200)["number"],
        1
    );
    assert_eq!(get_chat(&john, chat).await["unread"], 1);

    // Whoever comes back reads from then on; and all of it once the chat says so.
    change_members(&jane, chat, json!({ "remove": ["john"] }))
        .await
        .expect(200);
    change_members(&jane, chat, json!({ "add": ["john"] }))
        .await
        .expect(200);
    assert_eq!(texts(&john, chat).await, Vec::<String>::new());
    let page = john.sync("include=message").await;
    let with_data = page["messages"].as_array().unwrap().iter();
    let with_data = with_data.filter(|entry| !entry["message"].is_null());
    assert_eq!(with_data.count(), 0, "{page}");
    change(&jane, chat, json!({ "history": "all" }))
        .await
        .expect(200);
    assert_eq!(texts(&john, chat).await.len(), 2);
    assert!(!hidden(&john).await);
    assert_eq!(texts(&jane, chat).await.len(), 2);
}

#[tokio::test]
async fn a_banned_user_is_removed_and_kept_out() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let [jane, john, jim] = ["jane", "john", "jim"].map(|user| app.acting_as(user));
    let chat = jane.chat("Team", &["john", "jim"]).await;
    alter(&jane, chat, "john", json!({ "role": "moderator" }))
        .await
        .expect(200);
    assert_eq!(ban(&john, Method::PUT, chat, "jim").await.status, 201);
    assert_eq!(ban(&john, Method::PUT, chat, "jim").await.status, 204);
    assert_eq!(ban(&jane, Method::PUT, chat, "eve").await.status, 201);
    jim.get(&format!("/chats/{chat}"))
        .await
        .expect_problem(404, "not-found");
    let path = format!("/chats/{chat}/members/jim");
    let refused = jane.ask(Method::PUT, &path, None).await;
    refused.expect_problem(403, "banned");
    let refused = change_members(&john, chat, json!({ "add": ["kim", "jim"] })).await;
    refused.expect_problem(403, "banned");
    assert_eq!(get_chat(&jane, chat).await["members"], 2, "all or nothing");

    let bans = john
        .get(&format!("/chats/{chat}/bans?limit=1"))
        .await
        .expect(200);
    assert_eq!(
        json!([bans["bans"][0]["user"], bans["next"]]),
        json!(["eve", "eve"])
    );
    let rest = john
        .get(&format!("/chats/{chat}/bans?after=eve"))
        .await
        .expect(200);
    assert_eq!(
        json!([rest["bans"][0]["user"], rest["next"]]),
        json!(["jim", null])
    );
    change_members(&jane, chat, json!({ "add": ["kim"] }))
        .await
        .expect(200);
    let member = app
        .acting_as("kim")
        .get(&format!("/chats/{chat}/bans"))
        .await;
    member.expect_problem(403, "forbidden");

    let feed = app.get("/feed").await.expect(200);
    let kinds = feed["entries"].as_array().unwrap().iter();
    let kinds: Vec<_> = kinds
        .map(|entry| json!([entry["kind"], entry["user"]]))
        .collect();
    assert_eq!(
        json!(kinds[2..4]),
        json!([["member.removed", "jim"], ["chat.changed", "eve"]])
    );
    assert_eq!(ban(&jane, Method::DELETE, chat, "jim").await.status, 204);
    assert_eq!(jane.ask(Method::PUT, &path, None).await.status, 201);
    // The application lifts a ban by adding the user.
    let path = format!("/chats/{chat}/members/eve");
    assert_eq!(app.ask(Method::PUT, &path, None).await.status, 201);
    let bans = jane.get(&format!("/chats/{chat}/bans")).await.expect(200);
    assert_eq!(bans, json!({ "bans": [] }));
}

#[tokio::test]
async fn a_change_carries_a_message_of_the_system() {
    let (database, replica) = service().await;
    let [jane, john] = ["jane", "john"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &["john"]).await;
    let message = json!({ "text": " jane has renamed it ", "attributes": { "kind": "rename" } });
    let patch = json!({ "name": "Crew", "message": message });
    let renamed = change(&jane, chat, patch).await.expect(200);
    let entries = john.sync("include=message").await;
    let told = &entries["messages"][2];
    let posted = &told["message"];
    assert_eq!(entries["messages"][1]["timestamp"], renamed["timestamp"]);
    assert_eq!(
        *posted,
        json!({
            "id": told["id"], "timestamp": told["timestamp"], "chat": chat, "number": 1,
            "created": posted["created"], "text": "jane has renamed it",
            "attributes": { "kind": "rename" }, "system": true
        })
    );
    let added = json!({ "add": ["kim"], "message": { "text": "kim is here" } });
    change_members(&jane, chat, added.clone()).await.expect(200);
    let again = change_members(&jane, chat, added).await.expect(200);
    assert_eq!(again["messages"], 2, "what changes nothing carries nothing");
    let role = json!({ "role": "moderator", "message": { "text": "kim moderates" } });
    alter(&jane, chat, "kim", role).await.expect(200);
    jane.post_into(chat, "hi").await;
    let seen = get_chat(&john, chat).await;
    assert_eq!(json!([seen["messages"], seen["unread"]]), json!([4, 1]));
    let kim = replica.user("kim");
    let told = kim.sync("include=message").await;
    assert_eq!(told["messages"][1]["message"]["text"], "kim is here");

    database.until_indexed().await;
    let hits = john.get("/messages/search?q=moderates").await.expect(200);
    let hit = hits["hits"][0]["message"].clone();
    assert_eq!(hit["system"], true);
    // Nobody has sent it: it is for moderators to delete, and for nobody else to edit.
    let edit = john
        .patch(&hit["id"], &hit["timestamp"], json!({ "text": "x" }))
        .await;
    edit.expect_problem(403, "forbidden");
    let deleted = john.delete(&hit["id"], &hit["timestamp"]).await;
    deleted.expect_problem(403, "forbidden");
    kim.delete(&hit["id"], &hit["timestamp"]).await.expect(200);
    assert_eq!(get_chat(&john, chat).await["unread"], 1);
}

#[tokio::test]
async fn attributes_of_a_message_are_replaced_by_its_sender_and_by_the_application() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let [jane, john] = ["jane", "john"].map(|user| app.acting_as(user));
    let chat = jane.chat("Team", &["john"]).await;
    let sent = jane.post_into(chat, "see example.org").await;
    let preview = json!({ "attributes": { "title": "Example" } });
    let refused = john
        .patch(&sent["id"], &sent["timestamp"], preview.clone())
        .await;
    refused.expect_problem(403, "forbidden");
    let set = app
        .patch(&sent["id"], &sent["timestamp"], preview)
        .await
        .expect(200);
    assert_eq!(set["attributes"], json!({ "title": "Example" }));
    let both = json!({ "text": "no", "attributes": {} });
    let refused = app.patch(&sent["id"], &set["timestamp"], both).await;
    refused.expect_problem(403, "forbidden");
    let own = json!({ "attributes": { "a": 1 }, "text": "see example.com" });
    let own = jane
        .patch(&sent["id"], &set["timestamp"], own)
        .await
        .expect(200);
    assert_eq!(
        json!([own["attributes"], own["text"]]),
        json!([{ "a": 1 }, "see example.com"])
    );
    // Another edit leaves them.
    let text = jane
        .patch(&sent["id"], &own["timestamp"], json!({ "text": "x" }))
        .await;
    let text = text.expect(200);
    assert_eq!(text["attributes"], json!({ "a": 1 }));
    let path = format!("/messages/{}", sent["id"]);
    let none = jane
        .request(Method::PATCH, &path)
        .header("if-match", text["timestamp"].to_string());
    let none = none.header("content-type", "application/merge-patch+json");
    let none = Reply::of(none.body(r#"{"attributes":null}"#))
        .await
        .expect(200);
    assert_eq!(none["attributes"], Value::Null);
}

#[tokio::test]
async fn a_chat_is_handed_on() {
    let (_database, replica) = service().await;
    let [jane, john] = ["jane", "john"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &["john"]).await;
    let stranger = change(&jane, chat, json!({ "owner": "eve" })).await;
    assert_eq!(stranger.wrong_fields(), ["owner"]);
    let changed = change(&jane, chat, json!({ "owner": "john" }))
        .await
        .expect(200);
    assert_eq!(
        json!([changed["owner"], changed["role"]]),
        json!(["john", "member"])
    );
    assert_eq!(get_chat(&john, chat).await["role"], "owner");
    let refused = change(&jane, chat, json!({ "name": "Mine" })).await;
    refused.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn a_deleted_chat_is_gone_and_its_messages_are_cleared_with_their_events() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let id = app.get("/applications/self").await.expect(200)["id"].clone();
    let [jane, john] = ["jane", "john"].map(|user| app.acting_as(user));
    let create = async || {
        let body = json!({ "name": "Team", "members": ["john"] });
        let request = jane.request(Method::POST, "/chats").json(&body);
        Reply::of(request.header("idempotency-key", "k"))
            .await
            .expect(201)["number"]
            .as_i64()
            .unwrap()
    };
    let chat = create().await;
    let path = format!("/chats/{chat}/messages");
    let with_file = json!({ "files": ["f1", "f2"], "text": "two files" });
    let filed = john.call(Method::POST, &path, with_file).await.expect(201);
    for number in 0..150 {
        jane.post_into(chat, &format!("number {number}")).await;
    }
    let path = format!("/chats/{chat}");
    let tag = get_chat(&jane, chat).await["timestamp"].clone();
    let refused = john.ask(Method::DELETE, &path, Some(&tag)).await;
    refused.expect_problem(403, "forbidden");
    let refused = jane.ask(Method::DELETE, &path, None).await;
    refused.expect_problem(428, "precondition-required");
    let refused = jane.ask(Method::DELETE, &path, Some(&json!(999))).await;
    refused.expect_problem(412, "stale");
    let mut stream = john.stream("after=latest").await;
    stream.begin_current().await;
    assert_eq!(
        jane.ask(Method::DELETE, &path, Some(&tag)).await.status,
        204
    );

    // Everybody learns of it by one last entry.
    let told = stream.update().await;
    let last = told.data.clone();
    assert_eq!(last["chat"], chat);
    let page = john.sync("limit=1000&include=message").await;
    assert_eq!(*page["messages"].as_array().unwrap().last().unwrap(), last);
    assert!(
        page["messages"]
            .as_array()
            .unwrap()
            .iter()
            .all(|entry| entry["message"].is_null())
    );
    for caller in [&jane, &john, &app] {
        for path in [
            format!("/chats/{chat}"),
            format!("/chats/{chat}/members"),
            format!("/chats/{chat}/messages"),
            format!("/chats/{chat}/messages/1"),
            format!("/messages/{}", filed["id"]),
        ] {
            caller.get(&path).await.expect_problem(404, "not-found");
        }
        post(caller, chat, "hi")
            .await
            .expect_problem(404, "not-found");
    }
    for caller in [&jane, &app] {
        assert_eq!(
            caller.get("/chats").await.expect(200),
            json!({ "chats": [] })
        );
    }
    assert_eq!(app.get("/applications/self").await.expect(200)["chats"], 0);
    let unread = app.get("/unread?users=john").await.expect(200);
    assert_eq!(unread["users"][0]["unread"]["messages"], 0);

    // Its messages are cleared one by one, and the use of the files ends.
    let left = "SELECT count(*) FROM messages WHERE NOT deleted OR text IS NOT NULL";
    eventually("its messages are cleared", async || {
        (database.count(left).await == 0).then_some(())
    })
    .await;
    let to_clear = "SELECT count(*) FROM conversations WHERE to_clear";
    eventually("nothing is to be done", async || {
        (database.count(to_clear).await == 0).then_some(())
    })
    .await;
    let ended = "SELECT count(*) FROM changes WHERE kind = 'message-deleted' AND files = '{f1,f2}'";
    assert_eq!(database.count(ended).await, 1);
    let feed = app.get("/feed?limit=1000").await.expect(200);
    let kinds = feed["entries"].as_array().unwrap().iter();
    let mut counts = BTreeMap::<_, i64>::new();
    kinds.for_each(|entry| *counts.entry(entry["kind"].as_str().unwrap()).or_default() += 1);
    let expected = [
        ("chat.created", 1),
        ("chat.deleted", 1),
        ("message.created", 151),
        ("message.deleted", 151),
    ];
    assert_eq!(counts, BTreeMap::from(expected), "{id}");
    // The key of the request lived as long as the chat, and its number is not used again.
    assert_eq!(create().await, chat + 1);
}

#[tokio::test]
async fn who_dies_while_a_chat_is_cleared_leaves_the_rest_to_the_next() {
    let database = Database::fresh().await;
    let mut first = Replica::start(&database, Settings::default()).await;
    let jane = first.user("jane");
    let chat = jane.chat("Team", &[]).await;
    for number in 0..5 {
        jane.post_into(chat, &format!("number {number}")).await;
    }
    let tag = get_chat(&jane, chat).await["timestamp"].clone();
    let path = format!("/chats/{chat}");
    assert_eq!(
        jane.ask(Method::DELETE, &path, Some(&tag)).await.status,
        204
    );
    first.kill();
    let left = "SELECT count(*) FROM messages WHERE NOT deleted";
    let _second = Replica::start(&database, Settings::default()).await;
    eventually("the next one clears it", async || {
        (database.count(left).await == 0).then_some(())
    })
    .await;
}

/// A user posts through one replica while the owner silences and frees it through another one. The timeline
/// decides: whatever was accepted has its place where the user was a member.
#[tokio::test]
async fn a_role_and_its_use_are_decided_by_the_timeline() {
    const TURNS: usize = 400;
    let database = Database::fresh().await;
    let one = Replica::start(&database, Settings::default()).await;
    let other = Replica::start(&database, Settings::default()).await;
    let jane = one.user("jane");
    let chat = jane.chat("Team", &["john"]).await;
    let altering = async {
        let mut turns = Vec::new();
        for turn in 0..TURNS {
            let may_post = turn % 2 == 1;
            let changed = match turn % 8 {
                0 | 1 => {
                    let role = if may_post { "member" } else { "reader" };
                    alter(&jane, chat, "john", json!({ "role": role }))
                        .await
                        .expect(200)
                }
                2 | 3 => {
                    let until = (!may_post).then_some("2999-01-01T00:00:00Z");
                    alter(&jane, chat, "john", json!({ "mutedUntil": until }))
                        .await
                        .expect(200)
                }
                4 | 5 => change(&jane, chat, json!({ "frozen": !may_post }))
                    .await
                    .expect(200),
                6 => {
                    assert_eq!(ban(&jane, Method::PUT, chat, "john").await.status, 201);
                    get_chat(&jane, chat).await
                }
                _ => {
                    ban(&jane, Method::DELETE, chat, "john").await;
                    change_members(&jane, chat, json!({ "add": ["john"] }))
                        .await
                        .expect(200)
                }
            };
            turns.push((changed["timestamp"].as_i64().unwrap(), may_post));
        }
        turns
    };
    let (done, is_done) = tokio::sync::watch::channel(false);
    let posting = |replica: &Replica| {
        let (john, is_done) = (replica.user("john"), is_done.clone());
        async move {
            let (mut accepted, mut refused) = (Vec::new(), 0);
            while !*is_done.borrow() {
                let reply = post(&john, chat, "hi").await;
                match reply.status {
                    201 => accepted.push(reply.json()["timestamp"].as_i64().unwrap()),
                    403 | 404 => refused += 1,
                    other => panic!("{other}: {}", reply.text),
                }
            }
            (accepted, refused)
        }
    };
    let altering = async {
        let turns = altering.await;
        done.send(true).unwrap();
        turns
    };
    let (turns, by_one, by_other, by_both) =
        tokio::join!(altering, posting(&one), posting(&other), posting(&other));
    let mut accepted = 0;
    for (timestamps, refused) in [by_one, by_other, by_both] {
        assert!(refused > 0, "some are refused");
        for timestamp in timestamps {
            let before = turns.iter().rev().find(|(at, _)| *at < timestamp);
            assert!(
                before.is_none_or(|(_, may_post)| *may_post),
                "{timestamp}: {before:?}"
            );
            accepted += 1;
        }
    }
    assert!(accepted > TURNS / 4, "{accepted}");
}

/// In one batch: nothing of the chat's members is read between the two commands.
#[tokio::test]
async fn a_chat_that_is_handed_on_and_left_at_once_has_an_owner() {
    let (database, replica) = service().await;
    let [jane, john] = ["jane", "john"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &["john", "kim"]).await;
    let tag = get_chat(&jane, chat).await["timestamp"].clone();
    let lane = database.block_lane().await;
    let handing_on = tokio::spawn({
        let path = format!("/chats/{chat}");
        let request = jane
            .request(Method::PATCH, &path)
            .json(&json!({ "owner": "john" }));
        Reply::of(request.header("if-match", tag.to_string()))
    });
    replica.until_waiting("timeline", 1.0).await;
    let leaving = tokio::spawn(async move {
        let path = format!("/chats/{chat}/members/john");
        john.ask(Method::DELETE, &path, None).await
    });
    replica.until_waiting("timeline", 2.0).await;
    open_lane(lane).await;
    handing_on.await.unwrap().expect(200);
    assert_eq!(leaving.await.unwrap().status, 204);
    assert_eq!(get_chat(&jane, chat).await["owner"], "jane");
}

#[tokio::test]
async fn whoever_may_not_post_announces_nothing_either() {
    let (_database, replica) = service().await;
    let [jane, john, kim] = ["jane", "john", "kim"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &["john", "kim"]).await;
    alter(&jane, chat, "john", json!({ "role": "reader" }))
        .await
        .expect(200);
    let leaving = json!({ "remove": ["john"], "message": { "text": "believe me" } });
    let refused = change_members(&john, chat, leaving).await;
    refused.expect_problem(403, "may-not-post");
    assert_eq!(
        get_chat(&john, chat).await["members"],
        3,
        "nothing was changed"
    );
    change_members(&john, chat, json!({ "remove": ["john"] }))
        .await
        .expect(200);
    let leaving = json!({ "remove": ["kim"], "message": { "text": "kim has left" } });
    change_members(&kim, chat, leaving).await.expect(200);
    assert_eq!(texts(&jane, chat).await, ["kim has left"]);
    let alone = change_members(&jane, chat, json!({ "message": { "text": "hi" } })).await;
    assert_eq!(alone.wrong_fields(), ["message"]);
}

/// A chat that is created and changed by one batch has its rules on every replica.
#[tokio::test]
async fn rules_of_a_new_chat_are_stored() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let lane = database.block_lane().await;
    let creating = tokio::spawn({
        let jane = jane.clone();
        async move { jane.chat("Team", &[]).await }
    });
    replica.until_waiting("timeline", 1.0).await;
    let freezing = tokio::spawn({
        let request = jane
            .request(Method::PATCH, "/chats/1")
            .json(&json!({ "frozen": true }));
        Reply::of(request.header("if-match", "1"))
    });
    replica.until_waiting("timeline", 2.0).await;
    open_lane(lane).await;
    assert_eq!(creating.await.unwrap(), 1);
    freezing.await.unwrap().expect(200);
    let frozen = "SELECT count(*) FROM conversations WHERE frozen";
    assert_eq!(database.count(frozen).await, 1);
}
