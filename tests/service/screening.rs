//! The hook of an application: it judges what users send, before it is sent.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{Answer, Client, Database, Hook, Replica, Reply, administered, eventually};

const HOOK: &str = "/applications/self/hook";

async fn service() -> (Database, Replica, Client) {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered().calling_loopback()).await;
    let application = replica.application().await;
    (database, replica, application)
}

/// Has the application's messages judged by a server. Returns the hook.
async fn judged_by(application: &Client, server: &Hook, settings: Value) -> Value {
    let mut hook = settings;
    hook["url"] = json!(server.url);
    let set = application.call(Method::PUT, HOOK, hook).await;
    assert!(matches!(set.status, 200 | 201), "{}", set.text);
    set.json()
}

fn says(verdict: Value) -> Answer {
    Answer::Says(verdict.to_string())
}

/// The questions that a server was asked.
fn asked(server: &Hook) -> Vec<Value> {
    let posted = server.posted();
    posted.iter().map(|posted| posted.json()).collect()
}

#[tokio::test]
async fn a_hook_is_set_read_changed_and_removed() {
    let (_database, replica, app) = service().await;
    app.get(HOOK).await.expect_problem(404, "not-found");
    let url = "http://127.0.0.1:1/judge";
    let reply = app.call(Method::PUT, HOOK, json!({ "url": url })).await;
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("location"), HOOK);
    let set = reply.expect(201);
    assert!(set["secret"].as_str().unwrap().starts_with("whsec_"));
    let mut shown = app.get(HOOK).await.expect(200);
    assert_eq!(
        shown,
        json!({ "url": url, "timeoutMs": 2000, "onFailure": "accept", "created": set["created"] })
    );
    let other = "http://127.0.0.1:2/judge";
    let new = json!({ "url": other, "timeoutMs": 5000, "onFailure": "reject" });
    let changed = app.call(Method::PUT, HOOK, new.clone()).await.expect(200);
    for field in ["url", "timeoutMs", "onFailure"] {
        shown[field] = new[field].clone();
    }
    assert_eq!(changed, shown);

    let wrong = json!({ "url": "shop", "timeoutMs": 5001, "onFailure": "drop" });
    let wrong = app.call(Method::PUT, HOOK, wrong).await;
    assert_eq!(wrong.wrong_fields(), ["url", "timeoutMs", "onFailure"]);
    let wrong = app
        .call(Method::PUT, HOOK, json!({ "timeoutMs": 0, "x": 1 }))
        .await;
    assert_eq!(wrong.wrong_fields(), ["x"]);
    for caller in [replica.user("jane"), replica.administrator()] {
        caller.get(HOOK).await.expect_problem(403, "forbidden");
    }
    assert_eq!(app.get(HOOK).await.expect(200), shown);

    assert_eq!(app.ask(Method::DELETE, HOOK, None).await.status, 204);
    for method in [Method::GET, Method::DELETE] {
        let gone = app.ask(method, HOOK, None).await;
        gone.expect_problem(404, "not-found");
    }
    let again = app.call(Method::PUT, HOOK, new).await.expect(201);
    assert_ne!(again["secret"], set["secret"]);
}

#[tokio::test]
async fn an_address_that_is_not_public_is_no_hook() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    for url in ["http://127.0.0.1:1/", "http://localhost/", "http://[::1]/"] {
        let refused = app.call(Method::PUT, HOOK, json!({ "url": url })).await;
        assert_eq!(refused.wrong_fields(), ["url"], "{url}");
    }
    app.get(HOOK).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn every_message_and_edit_of_a_user_is_shown_to_it() {
    let (_database, replica, app) = service().await;
    let server = Hook::start().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let chat = jane.chat("Team", &["john"]).await;
    let hook = judged_by(&app, &server, json!({})).await;

    let first = jane.send("john", "hello").await;
    let whole = json!({
        "text": "see", "files": ["f1"], "attributes": { "a": 1 }, "mentions": ["john"],
        "mentionsAll": true
    });
    let path = format!("/chats/{chat}/messages");
    let sent = jane.call(Method::POST, &path, whole).await.expect(201);
    let reply = json!({ "to": "jane", "text": "hi", "replyTo": first["id"] });
    app.acting_as("john").post(reply).await.expect(201);
    let edit = json!({ "text": "ho" });
    jane.patch(&first["id"], &first["timestamp"], edit)
        .await
        .expect(200);
    let request = jane
        .request(Method::PATCH, &format!("/messages/{}", sent["id"]))
        .header("if-match", sent["timestamp"].to_string())
        .header("content-type", "application/merge-patch+json")
        .json(&json!({ "attributes": null, "text": null }));
    Reply::of(request).await.expect(200);
    let mentions = json!({ "mentions": [], "mentionsAll": false });
    let edited = jane.get(&format!("/messages/{}", sent["id"])).await;
    let edited = edited.expect(200)["timestamp"].clone();
    let path = format!("/chats/{chat}/messages/{}", sent["number"]);
    let request = jane.request(Method::PATCH, &path).json(&mentions);
    let request = request.header("if-match", edited.to_string());
    Reply::of(request).await.expect(200);
    let role = json!({ "role": "moderator", "message": { "text": "john moderates" } });
    let member = format!("/chats/{chat}/members/john");
    jane.call(Method::PATCH, &member, role).await.expect(200);
    let adding = json!({ "add": ["jim"], "message": { "text": "jane adds jim" } });
    let members = format!("/chats/{chat}/members");
    jane.call(Method::PATCH, &members, adding).await.expect(200);

    // Nothing of this is a message or an edit of a user.
    john.marks(&first["id"], true).await.expect(200);
    app.post_into(chat, "from the application").await;
    let latest = jane.get(&format!("/messages/{}", first["id"])).await;
    let deleted = jane
        .delete(&first["id"], &latest.expect(200)["timestamp"])
        .await;
    deleted.expect(200);

    let expected = [
        json!({ "type": "message.create", "user": "jane", "to": "john", "text": "hello" }),
        json!({
            "type": "message.create", "user": "jane", "chat": chat, "text": "see", "files": ["f1"],
            "attributes": { "a": 1 }, "mentions": ["john"], "mentionsAll": true
        }),
        json!({
            "type": "message.create", "user": "john", "to": "jane", "text": "hi",
            "replyTo": first["id"]
        }),
        json!({ "type": "message.edit", "user": "jane", "id": first["id"], "text": "ho" }),
        json!({
            "type": "message.edit", "user": "jane", "id": sent["id"], "text": "", "attributes": null
        }),
        json!({
            "type": "message.edit", "user": "jane", "id": sent["id"], "mentions": [],
            "mentionsAll": false
        }),
        json!({
            "type": "message.create", "user": "jane", "chat": chat, "system": true,
            "text": "john moderates"
        }),
        json!({
            "type": "message.create", "user": "jane", "chat": chat, "system": true,
            "text": "jane adds jim"
        }),
    ];
    let expected = expected.map(|mut question| {
        question["application"] = json!(1);
        question
    });
    assert_eq!(asked(&server), expected);
    let posted = server.posted();
    assert!(
        posted
            .iter()
            .all(|posted| posted.is_signed_with(&hook["secret"]))
    );
    let mut ids: Vec<_> = posted.iter().map(|posted| &posted.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), posted.len());
}

#[tokio::test]
async fn what_it_says_is_done() {
    let (_database, replica, app) = service().await;
    let server = Hook::start().await;
    let jane = replica.user("jane");
    let chat = jane.chat("Team", &["john"]).await;
    judged_by(&app, &server, json!({})).await;

    server.answers(says(json!({ "action": "accept" })));
    let sent = jane.send("john", "darn").await;
    assert_eq!(sent["text"], "darn");

    server.answers(says(
        json!({ "action": "replace", "text": "d***", "attributes": { "by": "hook" } }),
    ));
    let masked = jane.send("john", "darn").await;
    assert_eq!(masked["text"], "d***");
    assert_eq!(masked["attributes"], json!({ "by": "hook" }));
    let edit = json!({ "text": "darn" });
    let edited = jane.patch(&sent["id"], &sent["timestamp"], edit.clone());
    let edited = edited.await.expect(200);
    assert_eq!(edited["text"], "d***");
    // The same edit again is masked again, and so it changes nothing.
    let again = jane.patch(&sent["id"], &sent["timestamp"], edit).await;
    assert_eq!(again.expect(200)["timestamp"], edited["timestamp"]);
    let renaming = json!({ "name": "Crew", "message": { "text": "darn" } });
    let timestamp = jane.get(&format!("/chats/{chat}")).await.expect(200)["timestamp"].clone();
    let renamed = jane
        .request(Method::PATCH, &format!("/chats/{chat}"))
        .header("if-match", timestamp.to_string())
        .json(&renaming);
    Reply::of(renamed).await.expect(200);
    let posted = jane.get(&format!("/chats/{chat}/messages")).await;
    assert_eq!(posted.expect(200)["messages"][0]["text"], "d***");

    server.answers(says(
        json!({ "reject": { "detail": "mind your language" } }),
    ));
    let end = jane.sync("after=0").await["latest"].clone();
    let refused = jane.post(json!({ "to": "john", "text": "darn" })).await;
    let problem = refused.expect_problem(422, "rejected");
    assert_eq!(problem["detail"], "mind your language");
    assert!(refused.headers.get("retry-after").is_none(), "it is final");
    let edit = json!({ "text": "darn!" });
    let refused = jane.patch(&sent["id"], &edited["timestamp"], edit).await;
    refused.expect_problem(422, "rejected");
    let path = format!("/chats/{chat}/members");
    let adding = json!({ "add": ["jim"], "message": { "text": "darn" } });
    let refused = jane.call(Method::PATCH, &path, adding).await;
    refused.expect_problem(422, "rejected");
    assert_eq!(
        jane.sync("after=0").await["latest"],
        end,
        "nothing is changed"
    );

    server.answers(Answer::Status(500));
    assert_eq!(jane.send("john", "darn").await["text"], "darn");
    // One for each that the server was shown above.
    for (outcome, count) in [
        ("accepted", 1.0),
        ("replaced", 4.0),
        ("rejected", 3.0),
        ("failed", 1.0),
    ] {
        let label = format!("outcome=\"{outcome}\"");
        let measured = replica.metric("messages_hook_seconds_count", &label).await;
        assert_eq!(measured, count, "{outcome}");
    }
    assert_eq!(server.posted().len(), 9);
}

#[tokio::test]
async fn a_repeated_request_is_not_judged_again() {
    let (_database, replica, app) = service().await;
    let server = Hook::start().await;
    let jane = replica.user("jane");
    judged_by(&app, &server, json!({})).await;
    let send = async |key: &str, text: &str| {
        let request = jane.posting(json!({ "to": "john", "text": text }));
        Reply::of(request.header("idempotency-key", key)).await
    };
    server.answers(says(json!({ "action": "reject" })));
    send("k", "darn").await.expect_problem(422, "rejected");
    server.answers(says(json!({ "action": "replace", "text": "d***" })));
    let sent = send("k", "darn").await.expect(201);
    server.answers(Answer::Status(500));
    let again = send("k", "darn").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.expect(201), sent);
    // What is repeated is what was requested, not what was put in its place.
    for other in ["d***", "other"] {
        let reused = send("k", other).await;
        assert_eq!(reused.wrong_fields(), ["Idempotency-Key"]);
    }
    assert_eq!(server.posted().len(), 2);
}

#[tokio::test]
async fn what_it_does_not_judge_is_accepted_or_rejected_as_the_application_says() {
    let (_database, replica, app) = service().await;
    let jane = replica.user("jane");
    let (server, target) = (Hook::start().await, Hook::start().await);
    let long = "x".repeat(20_001);
    let failures = [
        (
            Answer::Status(500),
            "the answer is 500 Internal Server Error",
        ),
        (
            Answer::RedirectsTo(target.url.clone()),
            "the answer is a redirect (307), which is not followed",
        ),
        (Answer::WithoutEnd, "the answer is longer than 256 KiB"),
        (
            Answer::Says("ok".to_owned()),
            "the answer must be one verdict: accept, replace or reject",
        ),
        (
            says(json!({ "accept": false })),
            "the answer must be one verdict: accept, replace or reject",
        ),
        (
            Answer::Says(r#"{"action":"\u0000 what jane has written"}"#.to_owned()),
            "the answer is not JSON of the right shape: see line 1, column 40",
        ),
        (
            says(json!({ "action": "replace", "text": long })),
            "the answer's text must be at most 20,000 characters",
        ),
        (
            says(json!({ "replace": { "attributes": [1] } })),
            "the answer's attributes must be a JSON object",
        ),
        (Answer::Hangs, "no answer within 0.2 s"),
    ];
    for (answer, detail) in failures {
        server.answers(answer);
        let settings = |on_failure: &str| json!({ "timeoutMs": 200, "onFailure": on_failure });
        judged_by(&app, &server, settings("accept")).await;
        assert_eq!(jane.send("john", detail).await["text"], detail);
        judged_by(&app, &server, settings("reject")).await;
        let refused = jane.post(json!({ "to": "john", "text": detail })).await;
        refused.expect_problem(422, "rejected");
        assert_eq!(refused.header("retry-after"), "5", "it may pass later");
        // A failure is written down at most once a second.
        eventually(detail, async || {
            jane.post(json!({ "to": "john", "text": "again" })).await;
            let hook = app.get(HOOK).await.expect(200);
            (hook["lastFailure"]["detail"] == detail).then_some(())
        })
        .await;
    }
    let closed = json!({ "url": "http://127.0.0.1:1/", "onFailure": "reject" });
    app.call(Method::PUT, HOOK, closed).await.expect(200);
    let refused = jane.post(json!({ "to": "john", "text": "closed" })).await;
    refused.expect_problem(422, "rejected");
    assert_eq!(target.posted(), []);
    assert!(
        replica
            .metric("messages_hook_seconds_count", "outcome=\"failed\"")
            .await
            >= 16.0
    );
}

/// How many of an application's messages may be judged at a time, and of a user's.
const UNDER_WAY_MAX: usize = 256;
const UNDER_WAY_PER_USER_MAX: usize = 16;

/// Sends at the same time, each message by its own user.
fn send_at_once(replica: &Replica, users: usize) -> Vec<JoinHandle<Reply>> {
    let sending = (0..users).map(|turn| {
        let user = replica.user(&format!("user-{turn}"));
        tokio::spawn(async move { user.post(json!({ "to": "jane", "text": "hi" })).await })
    });
    sending.collect()
}

#[tokio::test]
async fn while_it_is_silent_nobody_else_waits() {
    let (_database, replica, app) = service().await;
    let server = Hook::start().await;
    let settings = json!({ "timeoutMs": 5000, "onFailure": "reject" });
    judged_by(&app, &server, settings.clone()).await;
    let administrator = replica.administrator();
    let shop = administrator.call(Method::POST, "/applications", json!({ "name": "shop" }));
    let shop = shop.await.expect(201);
    let shopper = replica.user_of(shop["id"].as_i64().unwrap(), "jane");
    // The other application is judged, too, by a server that answers.
    let owner = replica.with_token(shop["token"].as_str().unwrap());
    let other = Hook::start().await;
    judged_by(&owner, &other, settings).await;
    let jane = replica.user("jane");
    let chat = jane.chat("Team", &[]).await;
    // On a machine that is too busy, those who wait have to be done before the others are.
    eventually("others are served while the hook is silent", async || {
        server.answers(Answer::Hangs);
        let before = server.posted().len();
        let waiting = send_at_once(&replica, UNDER_WAY_MAX + 10);
        server.until(before + UNDER_WAY_MAX).await;
        shopper.send("john", "hello").await;
        app.post_into(chat, "hello").await;
        jane.get("/conversations").await.expect(200);
        let asked = server.posted().len() - before;
        let all_wait = waiting.iter().all(|sending| !sending.is_finished());
        server.releases();
        for sending in waiting {
            sending.await.unwrap();
        }
        (all_wait && asked == UNDER_WAY_MAX).then_some(())
    })
    .await;
    assert!(!other.posted().is_empty());
}

#[tokio::test]
async fn a_user_who_keeps_it_busy_pushes_nothing_past_it() {
    let (_database, replica, app) = service().await;
    let server = Hook::start().await;
    server.answers(Answer::Hangs);
    judged_by(&app, &server, json!({ "timeoutMs": 5000 })).await;
    let mallory = replica.user("mallory");
    let flood: Vec<_> = (0..UNDER_WAY_PER_USER_MAX + 10)
        .map(|_| {
            let mallory = mallory.clone();
            tokio::spawn(async move { mallory.post(json!({ "to": "jane", "text": "hi" })).await })
        })
        .collect();
    server.until(UNDER_WAY_PER_USER_MAX).await;
    server.answers(says(json!({ "action": "replace", "text": "h*" })));
    let sent = replica.user("jane").send("john", "hi").await;
    assert_eq!(sent["text"], "h*", "another user is judged");
    server.releases();
    let mut refused = 0;
    for sending in flood {
        let reply = sending.await.unwrap();
        if reply.status == 429 {
            reply.expect_problem(429, "too-many-requests");
            refused += 1;
        }
    }
    assert!(refused > 0);
}

#[tokio::test]
async fn a_failure_is_not_that_of_a_server_that_came_later() {
    let (_database, replica, app) = service().await;
    let server = Hook::start().await;
    server.answers(Answer::Status(500));
    judged_by(&app, &server, json!({})).await;
    replica.user("jane").send("john", "hi").await;
    let failed = app.get(HOOK).await.expect(200);
    assert!(failed["lastFailure"]["at"].is_string(), "{failed}");
    let other = Hook::start().await;
    judged_by(&app, &other, json!({})).await;
    assert_eq!(app.get(HOOK).await.expect(200).get("lastFailure"), None);
}

#[tokio::test]
async fn every_replica_asks_it_soon_and_stops_asking() {
    let database = Database::fresh().await;
    let (one, other) = (
        Replica::start(&database, administered().calling_loopback()).await,
        Replica::start(&database, administered().calling_loopback()).await,
    );
    let app = one.application().await;
    let jane = other.user("jane");
    jane.send("john", "before").await;
    let server = Hook::start().await;
    server.answers(says(json!({ "action": "reject" })));
    judged_by(&app, &server, json!({})).await;
    let send = async || {
        jane.post(json!({ "to": "john", "text": "hi" }))
            .await
            .status
    };
    eventually("the other replica asks the hook", async || {
        (send().await == 422).then_some(())
    })
    .await;
    assert_eq!(app.ask(Method::DELETE, HOOK, None).await.status, 204);
    eventually("the other replica asks it no more", async || {
        (send().await == 201).then_some(())
    })
    .await;
}
