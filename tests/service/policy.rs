//! What an application allows its users, and what it forbids each of them.

use std::time::{Duration, SystemTime};

use reqwest::Method;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::support::{Client, Database, Replica, Reply, administered, eventually};

async fn set_policy(app: &Client, policy: Value) -> Reply {
    let body = json!({ "policy": policy });
    app.call(Method::PATCH, "/applications/self", body).await
}

async fn restrict(app: &Client, user: &str, restrictions: Value) -> Value {
    let path = format!("/users/{user}/restrictions");
    app.call(Method::PUT, &path, restrictions).await.expect(200)
}

async fn write(user: &Client, to: &str) -> Reply {
    user.post(json!({ "to": to, "text": "hi" })).await
}

fn in_an_hour() -> String {
    let then = OffsetDateTime::from(SystemTime::now() + Duration::from_secs(3600));
    then.format(&Rfc3339).unwrap()
}

/// An application, and its user's own token.
async fn minted(app: &Client, replica: &Replica, user: &str) -> Client {
    let token = app
        .call(Method::POST, "/tokens", json!({ "user": user }))
        .await
        .expect(201);
    replica.with_token(token["token"].as_str().unwrap())
}

#[tokio::test]
async fn a_policy_is_read_and_changed_name_by_name() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let at_first =
        json!({ "personal": "anyone", "createChats": "users", "addMembers": "moderators" });
    let own = app.get("/applications/self").await.expect(200);
    assert_eq!(own["policy"], at_first);
    let changed = set_policy(&app, json!({ "personal": "opened" }))
        .await
        .expect(200);
    assert_eq!(
        changed["policy"],
        json!({ "personal": "opened", "createChats": "users", "addMembers": "moderators" })
    );
    let path = format!("/applications/{}", own["id"]);
    let administrator = replica.administrator();
    let both =
        json!({ "name": "shop", "policy": { "createChats": "application", "personal": null } });
    let both = administrator
        .call(Method::PATCH, &path, both)
        .await
        .expect(200);
    assert_eq!(
        json!([both["name"], both["policy"]]),
        json!(["shop", { "personal": "anyone", "createChats": "application", "addMembers": "moderators" }])
    );
    assert_eq!(app.get("/applications/self").await.expect(200), both);
    let wrong = json!({ "personal": "friends", "createChats": 1 });
    assert_eq!(
        set_policy(&app, wrong).await.wrong_fields(),
        ["policy.createChats"]
    );
    let wrong = json!({ "personal": "friends", "addMembers": "all" });
    let fields = ["policy.personal", "policy.addMembers"];
    assert_eq!(set_policy(&app, wrong).await.wrong_fields(), fields);
    let nothing = app
        .call(Method::PATCH, "/applications/self", json!({}))
        .await;
    assert_eq!(nothing.wrong_fields(), ["body"]);
    let unknown = administrator
        .call(Method::PATCH, "/applications/99", json!({ "name": "x" }))
        .await;
    unknown.expect_problem(404, "not-found");
}

#[tokio::test]
async fn users_write_in_conversations_that_the_application_has_opened() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let [jane, john] = ["jane", "john"].map(|user| app.acting_as(user));
    let sent = jane.send("john", "before").await;
    set_policy(&app, json!({ "personal": "opened" }))
        .await
        .expect(200);
    write(&jane, "john")
        .await
        .expect_problem(403, "not-accepted");
    let edit = jane
        .patch(&sent["id"], &sent["timestamp"], json!({ "text": "x" }))
        .await;
    edit.expect_problem(403, "not-accepted");
    write(&jane, "jane").await.expect(201);

    let open = async |method: Method, pair: &str| {
        app.ask(method, &format!("/conversations/{pair}"), None)
            .await
    };
    assert_eq!(open(Method::PUT, "kim/jane").await.status, 201);
    assert_eq!(open(Method::PUT, "jane/kim").await.status, 204);
    assert_eq!(
        open(Method::PUT, "jane/a b").await.wrong_fields(),
        ["other"]
    );
    // Both learn of it, and find it among their conversations.
    let kim = app.acting_as("kim");
    let entry = kim.sync("").await["messages"][0].clone();
    assert_eq!(entry["with"], "jane");
    let listed = kim.get("/conversations").await.expect(200)["conversations"][0].clone();
    assert_eq!(
        json!([
            listed["with"],
            listed["messages"],
            listed["unread"],
            listed["timestamp"]
        ]),
        json!(["jane", 0, 0, entry["timestamp"]])
    );
    assert_eq!(kim.get("/users/jane").await.expect(200), listed);
    write(&kim, "jane").await.expect(201);
    write(&jane, "kim").await.expect(201);
    write(&john, "jane")
        .await
        .expect_problem(403, "not-accepted");

    assert_eq!(open(Method::DELETE, "jane/kim").await.status, 204);
    write(&jane, "kim")
        .await
        .expect_problem(403, "not-accepted");
    assert_eq!(kim.get("/users/jane").await.expect(200)["messages"], 2);
    set_policy(&app, json!({ "personal": "nobody" }))
        .await
        .expect(200);
    write(&john, "jane")
        .await
        .expect_problem(403, "not-accepted");
    // Only the application may.
    let by_user = jane
        .ask(Method::PUT, "/conversations/jane/john", None)
        .await;
    assert_eq!(
        by_user.status, 201,
        "an application's own token opens, whoever it acts as"
    );
    let own = minted(&app, &replica, "jane").await;
    let refused = own.ask(Method::PUT, "/conversations/jane/john", None).await;
    refused.expect_problem(403, "forbidden");
    // It is no part of the feed.
    let feed = app.get("/feed").await.expect(200);
    let kinds: Vec<_> = feed["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["kind"].clone())
        .collect();
    assert_eq!(kinds, vec![json!("message.created"); 4]);
}

/// The conversation with another user, wherever a user reads it.
async fn views(user: &Client, other: &str) -> [Value; 3] {
    let list = user.get("/conversations").await.expect(200);
    let mut listed = list["conversations"].as_array().unwrap().iter();
    let listed = listed.find(|it| it["with"] == other).unwrap().clone();
    let page = user.sync("include=conversation").await;
    let entry = page["messages"].as_array().unwrap().last().unwrap();
    assert_eq!(entry["with"], other);
    let named = user.get(&format!("/users/{other}")).await.expect(200);
    [listed, entry["conversation"].clone(), named]
}

#[tokio::test]
async fn both_users_read_whether_their_conversation_is_open() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let [jane, john, kim] = ["jane", "john", "kim"].map(|user| app.acting_as(user));
    let chat = jane.chat("Team", &["john"]).await;
    jane.send("john", "before").await;
    let before = john.get("/users/jane").await.expect(200);
    assert_eq!(before.get("opened"), None);
    let mut stream = john.stream("after=latest&include=conversation").await;
    stream.begin_current().await;
    for (method, status) in [
        (Method::PUT, 201),
        (Method::DELETE, 204),
        (Method::PUT, 201),
    ] {
        let opened = (status == 201).then_some(json!(true));
        let changed = app.ask(method, "/conversations/john/jane", None).await;
        assert_eq!(changed.status, status, "{}", changed.text);
        let block = stream.update().await;
        let mut seen = vec![block.data["conversation"].clone()];
        for (user, other) in [(&jane, "john"), (&john, "jane")] {
            seen.extend(views(user, other).await);
        }
        for seen in seen {
            assert_eq!(seen["messages"], 1, "{seen}");
            assert_eq!(seen.get("opened").cloned(), opened, "{seen}");
        }
    }
    let chat = john.get(&format!("/chats/{chat}")).await.expect(200);
    assert_eq!(chat.get("opened"), None);

    // Without a message it is there while it is open.
    let path = "/conversations/jane/kim";
    assert_eq!(app.ask(Method::PUT, path, None).await.status, 201);
    assert_eq!(kim.get("/users/jane").await.expect(200)["opened"], true);
    assert_eq!(app.ask(Method::DELETE, path, None).await.status, 204);
    let gone = kim.get("/users/jane").await;
    gone.expect_problem(404, "not-found");
}

#[tokio::test]
async fn a_policy_may_leave_chats_and_their_members_to_the_application() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let jane = app.acting_as("jane");
    let chat = jane.chat("Team", &["john"]).await;
    let policy = json!({ "createChats": "application", "addMembers": "application" });
    set_policy(&app, policy).await.expect(200);
    let body = json!({ "name": "Mine", "members": [] });
    let refused = jane.call(Method::POST, "/chats", body.clone()).await;
    refused.expect_problem(403, "forbidden");
    let users = json!({ "createChats": "users" });
    set_policy(&app, users).await.expect(200);
    jane.call(Method::POST, "/chats", body.clone())
        .await
        .expect(201);
    let with_others = json!({ "name": "Ours", "members": ["kim"] });
    let refused = jane.call(Method::POST, "/chats", with_others).await;
    refused.expect_problem(403, "forbidden");
    app.call(Method::POST, "/chats", body).await.expect(201);
    let path = format!("/chats/{chat}/members/kim");
    jane.ask(Method::PUT, &path, None)
        .await
        .expect_problem(403, "forbidden");
    assert_eq!(app.ask(Method::PUT, &path, None).await.status, 201);
    assert_eq!(jane.ask(Method::DELETE, &path, None).await.status, 204);
}

#[tokio::test]
async fn a_suspended_user_reads_and_does_not_write() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let jane = minted(&app, &replica, "jane").await;
    let once = || {
        let request = jane.posting(json!({ "to": "john", "text": "hi" }));
        request.header("idempotency-key", "k")
    };
    let sent = Reply::of(once()).await.expect(201);
    let until = in_an_hour();
    let set = restrict(&app, "jane", json!({ "suspendedUntil": until })).await;
    assert!(set["suspendedUntil"].is_string() && set["tokensSince"].is_null());
    let read = app.get("/users/jane/restrictions").await.expect(200);
    assert_eq!(read["suspendedUntil"], set["suspendedUntil"]);
    write(&jane, "john").await.expect_problem(403, "suspended");
    write(&app.acting_as("jane"), "john")
        .await
        .expect_problem(403, "suspended");
    let deleted = jane.delete(&sent["id"], &sent["timestamp"]).await;
    deleted.expect_problem(403, "suspended");
    let chat = json!({ "name": "x", "members": [] });
    jane.call(Method::POST, "/chats", chat)
        .await
        .expect_problem(403, "suspended");
    assert_eq!(Reply::of(once()).await.expect(201), sent);
    assert_eq!(jane.sync("").await["total"], 1);
    jane.get(&format!("/messages/{}", sent["id"]))
        .await
        .expect(200);
    jane.call(Method::POST, "/tickets", json!({})).await;
    let john = app.acting_as("john");
    john.send("jane", "ho").await;
    jane.call(Method::PUT, "/users/john/read", json!({ "number": 2 }))
        .await
        .expect(200);
    let pinned = json!({ "pinned": true });
    jane.call(Method::PATCH, "/users/john/settings", pinned)
        .await
        .expect(200);

    assert_eq!(restrict(&app, "jane", json!({})).await, json!({}));
    write(&jane, "john").await.expect(201);
    let soon = SystemTime::now() + Duration::from_secs(2);
    let soon = OffsetDateTime::from(soon).format(&Rfc3339).unwrap();
    restrict(&app, "jane", json!({ "suspendedUntil": soon })).await;
    write(&jane, "john").await.expect_problem(403, "suspended");
    eventually("the suspension ends by itself", async || {
        (write(&jane, "john").await.status == 201).then_some(())
    })
    .await;
    let path = "/users/jane/restrictions";
    let wrong = json!({ "suspendedUntil": "soon", "tokensSince": "x" });
    let wrong = app.call(Method::PUT, path, wrong).await;
    assert_eq!(wrong.wrong_fields(), ["suspendedUntil", "tokensSince"]);
    jane.call(Method::PUT, path, json!({}))
        .await
        .expect_problem(403, "forbidden");
}

#[tokio::test]
async fn a_user_reads_what_it_may_do_and_not_what_another_one_may() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let jane = minted(&app, &replica, "jane").await;
    let path = "/users/jane/restrictions";
    let policy =
        json!({ "personal": "anyone", "createChats": "users", "addMembers": "moderators" });
    assert_eq!(
        jane.get(path).await.expect(200),
        json!({ "policy": policy })
    );

    let policy =
        json!({ "personal": "nobody", "createChats": "application", "addMembers": "owner" });
    let limits = json!({ "sendsPerMinute": 600, "retentionDays": 7 });
    for patch in [&policy, &limits] {
        set_policy(&app, patch.clone()).await.expect(200);
    }
    let set = restrict(&app, "jane", json!({ "suspendedUntil": in_an_hour() })).await;
    let expected = json!({ "policy": policy, "suspendedUntil": set["suspendedUntil"] });
    for reader in [&jane, &app.acting_as("jane"), &app] {
        assert_eq!(reader.get(path).await.expect(200), expected);
    }
    let john = minted(&app, &replica, "john").await;
    for reader in [&john, &app.acting_as("john")] {
        reader.get(path).await.expect_problem(403, "forbidden");
    }
}

/// A user writes through one replica while the application suspends it through another one: whatever was
/// accepted has its place in the timeline where the user was not suspended.
#[tokio::test]
async fn a_suspension_and_a_send_are_decided_by_the_timeline() {
    const TURNS: usize = 300;
    let database = Database::fresh().await;
    let one = Replica::start(&database, administered()).await;
    let other = Replica::start(&database, administered()).await;
    let app = one.application().await;
    let (done, is_done) = tokio::sync::watch::channel(false);
    let suspending = async {
        for turn in 0..TURNS {
            let until = (turn % 2 == 0).then(in_an_hour);
            restrict(&app, "jane", json!({ "suspendedUntil": until })).await;
        }
        done.send(true).unwrap();
    };
    let writing = |base: &str| {
        let (jane, is_done) = (app.acting_as("jane").at(base), is_done.clone());
        async move {
            let mut accepted = Vec::new();
            while !*is_done.borrow() {
                let reply = write(&jane, "john").await;
                if reply.status == 201 {
                    accepted.push(reply.json()["timestamp"].as_i64().unwrap());
                } else {
                    reply.expect_problem(403, "suspended");
                }
            }
            accepted
        }
    };
    let ((), by_one, by_other) = tokio::join!(suspending, writing(&one.base), writing(&other.base));
    // Each second change of her restrictions frees her again.
    let suspended = "SELECT count(*) FROM changes AS sent
        WHERE kind = 'message-created' AND (
            SELECT count(*) FROM changes AS before
            WHERE before.application_id = sent.application_id AND before.kind = 'user-restricted'
              AND before.timestamp < sent.timestamp
        ) % 2 = 1";
    assert_eq!(database.count(suspended).await, 0);
    assert!(by_one.len() + by_other.len() > TURNS / 4);
}

#[tokio::test]
async fn what_a_user_sends_within_a_minute_is_limited_and_told() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let jane = minted(&app, &replica, "jane").await;
    let free = write(&jane, "john").await;
    let sent = free.expect(201);
    assert!(
        !free.headers.contains_key("ratelimit"),
        "nothing is limited"
    );
    let changed = set_policy(&app, json!({ "sendsPerMinute": 3 }))
        .await
        .expect(200);
    assert_eq!(changed["policy"]["sendsPerMinute"], 3);
    for (left, full_in) in [(2, 20), (1, 40)] {
        let reply = write(&jane, "john").await;
        reply.expect(201);
        assert_eq!(reply.header("ratelimit-policy"), "\"user\";q=3;w=60");
        assert_eq!(
            reply.header("ratelimit"),
            format!("\"user\";r={left};t={full_in}")
        );
    }
    // An edit counts, whoever acts for her; what is refused for another reason tells what is left, too.
    let acting = app.acting_as("jane");
    let stale = acting
        .patch(&sent["id"], &json!(999), json!({ "text": "x" }))
        .await;
    stale.expect_problem(412, "stale");
    assert_eq!(stale.header("ratelimit"), "\"user\";r=0;t=60");
    let refused = write(&jane, "john").await;
    refused.expect_problem(429, "too-many-requests");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(
        refused.header("ratelimit"),
        format!("\"user\";r=0;t={wait}")
    );
    let edit = jane
        .patch(&sent["id"], &sent["timestamp"], json!({ "text": "x" }))
        .await;
    edit.expect_problem(429, "too-many-requests");
    // Others are not concerned, nor is what is no sending; nor is the application itself.
    let john = minted(&app, &replica, "john").await;
    let johns = write(&john, "jane").await.expect(201);
    let edit = json!({ "text": "ho" });
    let edited = john.patch(&johns["id"], &johns["timestamp"], edit).await;
    edited.expect(200);
    assert_eq!(edited.header("ratelimit"), "\"user\";r=1;t=40");
    let mark = json!({ "read": true });
    john.patch(&sent["id"], &sent["timestamp"], mark)
        .await
        .expect(200);
    let chat = jane.chat("Team", &["john"]).await;
    let announced = json!({ "add": ["kim"], "message": { "text": "jane has added kim" } });
    let path = format!("/chats/{chat}/members");
    let announced = jane.call(Method::PATCH, &path, announced).await;
    announced.expect_problem(429, "too-many-requests");
    for _ in 0..5 {
        app.post_into(chat, "hi").await;
    }
    set_policy(&app, json!({ "sendsPerMinute": null }))
        .await
        .expect(200);
    write(&jane, "john").await.expect(201);
    for wrong in [json!(0), json!(-1), json!(1_000_001), json!("3")] {
        let wrong = set_policy(&app, json!({ "sendsPerMinute": wrong })).await;
        assert_eq!(wrong.wrong_fields(), ["policy.sendsPerMinute"]);
    }
}

#[tokio::test]
async fn the_configuration_limits_users_and_applications() {
    let database = Database::fresh().await;
    let settings = administered()
        .with("USER_SENDS_PER_MINUTE", "2")
        .with("APPLICATION_SENDS_PER_MINUTE", "4");
    let replica = Replica::start(&database, settings).await;
    let app = replica.application().await;
    // A policy allows no more than the configuration.
    set_policy(&app, json!({ "sendsPerMinute": 100 }))
        .await
        .expect(200);
    let [jane, john] = ["jane", "john"].map(|user| app.acting_as(user));
    let first = write(&jane, "john").await;
    first.expect(201);
    assert_eq!(
        first.header("ratelimit-policy"),
        "\"user\";q=2;w=60, \"application\";q=4;w=60"
    );
    assert_eq!(
        first.header("ratelimit"),
        "\"user\";r=1;t=30, \"application\";r=3;t=15"
    );
    write(&jane, "john").await.expect(201);
    // A flood of hers takes nothing from the others.
    for _ in 0..20 {
        write(&jane, "john")
            .await
            .expect_problem(429, "too-many-requests");
    }
    write(&john, "jane").await.expect(201);
    write(&john, "jane").await.expect(201);
    let jim = app.acting_as("jim");
    let refused = write(&jim, "jane").await;
    refused.expect_problem(429, "too-many-requests");
    assert!(
        refused
            .header("ratelimit")
            .contains("\"application\";r=0;t=1")
    );
    // Another application has its own.
    let shop = json!({ "name": "shop" });
    let shop = replica
        .administrator()
        .call(Method::POST, "/applications", shop)
        .await
        .expect(201);
    let shop = replica.with_token(shop["token"].as_str().unwrap());
    write(&shop.acting_as("jane"), "john").await.expect(201);
}
