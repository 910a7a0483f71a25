//! Webhooks: the feed of an application, brought to its servers.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, Client, Database, Hook, Posted, Replica, Settings, administered, eventually,
};

/// Settings of an administered replica that may call the servers of a test.
fn calling_loopback() -> Settings {
    administered().with("WEBHOOK_NETWORKS", "127.0.0.0/8")
}

async fn service() -> (Database, Replica, Client) {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, calling_loopback()).await;
    let application = replica.application().await;
    (database, replica, application)
}

fn path(webhook: &Value) -> String {
    format!("/webhooks/{}", webhook["id"])
}

async fn change(application: &Client, webhook: &Value, patch: Value) -> Value {
    let path = path(webhook);
    let changed = application.call(Method::PATCH, &path, patch);
    changed.await.expect(200)
}

async fn read(application: &Client, webhook: &Value) -> Value {
    application.get(&path(webhook)).await.expect(200)
}

/// Sends so many messages, and returns their timestamps.
async fn send(replica: &Replica, count: usize) -> Vec<i64> {
    let jane = replica.user("jane");
    let mut timestamps = Vec::new();
    for turn in 0..count {
        let sent = jane.send("john", &format!("turn {turn}")).await;
        timestamps.push(sent["timestamp"].as_i64().unwrap());
    }
    timestamps
}

/// Waits until the webhook has failed so often, and returns it.
async fn failed(application: &Client, webhook: &Value, times: i64) -> Value {
    eventually("the webhook fails", async || {
        let webhook = read(application, webhook).await;
        (webhook["failures"].as_i64() >= Some(times)).then_some(webhook)
    })
    .await
}

#[tokio::test]
async fn a_webhook_is_created_read_changed_and_removed() {
    let (_database, replica, app) = service().await;
    let url = "http://127.0.0.1:1/hook";
    let new = json!({ "url": url, "kinds": ["message.created"], "include": ["message"] });
    let reply = app.call(Method::POST, "/webhooks", new).await;
    assert_eq!(reply.header("cache-control"), "no-store");
    let location = reply.header("location").to_owned();
    let created = reply.expect(201);
    assert_eq!(location, path(&created));
    let secret = created["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_"), "{secret}");

    let shown = read(&app, &created).await;
    assert_eq!(
        shown,
        json!({
            "id": created["id"], "url": url, "kinds": ["message.created"], "include": ["message"],
            "created": created["created"], "cursor": 0, "lag": { "changes": 0, "seconds": 0.0 }
        })
    );
    let all = app.get("/webhooks").await.expect(200);
    assert_eq!(all, json!({ "webhooks": [shown] }));

    let other = "http://127.0.0.1:2/hook";
    let patch = json!({ "url": other, "kinds": null, "include": "recipients", "paused": true });
    let changed = change(&app, &created, patch).await;
    assert_eq!(
        changed,
        json!({
            "id": created["id"], "url": other, "include": ["recipients"], "paused": true,
            "created": created["created"], "cursor": 0, "lag": { "changes": 0, "seconds": 0.0 }
        })
    );
    send(&replica, 2).await;
    assert_eq!(read(&app, &created).await["lag"]["changes"], 2);

    let removed = app.call(Method::DELETE, &path(&created), Value::Null).await;
    assert_eq!((removed.status, removed.text.as_str()), (204, ""));
    for method in [Method::GET, Method::DELETE] {
        let gone = app.call(method, &path(&created), Value::Null).await;
        gone.expect_problem(404, "not-found");
    }
    let gone = app.call(Method::PATCH, &path(&created), json!({})).await;
    gone.expect_problem(404, "not-found");
    let all = app.get("/webhooks").await.expect(200);
    assert_eq!(all, json!({ "webhooks": [] }));
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_changes_nothing() {
    let (_database, replica, app) = service().await;
    let url = "http://127.0.0.1:1/hook";
    for caller in [replica.user("jane"), replica.administrator()] {
        let refused = caller.get("/webhooks").await;
        refused.expect_problem(403, "forbidden");
    }
    let post = async |body: Value| app.call(Method::POST, "/webhooks", body).await;
    let wrong =
        json!({ "url": "shop", "kinds": ["message.sent"], "include": ["text"], "after": -1 });
    let wrong = post(wrong).await;
    assert_eq!(wrong.wrong_fields(), ["url", "kinds", "include", "after"]);
    let ahead = post(json!({ "url": url, "after": 1 })).await;
    assert_eq!(ahead.wrong_fields(), ["after"]);
    let mut last = Value::Null;
    for _ in 0..10 {
        last = post(json!({ "url": url })).await.expect(201);
    }
    let too_many = post(json!({ "url": url })).await;
    assert_eq!(too_many.wrong_fields(), ["url"]);
    let patch = json!({ "after": 1, "paused": true });
    let refused = app.call(Method::PATCH, &path(&last), patch).await;
    assert_eq!(refused.wrong_fields(), ["after"]);
    assert_eq!(read(&app, &last).await.get("paused"), None);
    let all = app.get("/webhooks").await.expect(200);
    assert_eq!(all["webhooks"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn each_entry_of_the_feed_comes_signed_and_in_order() {
    let (_database, replica, app) = service().await;
    send(&replica, 1).await;
    let hook = Hook::start().await;
    let include = json!({ "include": ["message", "recipients"] });
    let webhook = hook.register(&app, include).await;
    let timestamps = send(&replica, 3).await;
    let taken = hook.until_taken(timestamps[2]).await;
    assert_eq!(taken, timestamps, "those from then on");
    let posted = hook.posted();
    for posted in &posted {
        assert!(posted.is_signed_with(&webhook["secret"]), "{posted:?}");
        let sent = posted.timestamps();
        let ends = (sent.first().unwrap(), sent.last().unwrap());
        assert_eq!(posted.id, format!("{}-{}", ends.0, ends.1));
        assert_eq!(posted.headers["content-type"], "application/json");
        assert_eq!(posted.json()["application"], 1);
    }
    // The last one alone is computed at the end.
    let path = format!("/feed?include=message,recipients&after={}", timestamps[1]);
    let page = app.get(&path).await.expect(200);
    let last = posted.last().unwrap().entries().pop().unwrap();
    assert_eq!(last, page["entries"][0]);
    eventually("the cursor is moved", async || {
        let webhook = read(&app, &webhook).await;
        (webhook["cursor"] == timestamps[2] && webhook["lag"]["changes"] == 0).then_some(())
    })
    .await;
    let taken = replica
        .metric("messages_webhook_requests_total", "outcome=\"taken\"")
        .await;
    assert!((1.0..=3.0).contains(&taken), "{taken}");
    let lag = replica
        .metric("messages_follower_lag_changes", "follower=\"webhooks\"")
        .await;
    assert!(lag <= 3.0);
}

#[tokio::test]
async fn a_filter_moves_the_cursor_on_where_nothing_of_its_kinds_happens() {
    let (_database, replica, app) = service().await;
    let hook = Hook::start().await;
    let kinds = json!({ "kinds": ["chat.created"] });
    let webhook = hook.register(&app, kinds).await;
    let timestamps = send(&replica, 3).await;
    eventually("the cursor is moved", async || {
        (read(&app, &webhook).await["cursor"] == timestamps[2]).then_some(())
    })
    .await;
    let chat = replica.user("jane").chat("Team", &[]).await;
    let posted = hook.until(1).await;
    assert_eq!(posted[0].entries()[0]["chat"], chat);
    assert_eq!(posted.len(), 1);
}

#[tokio::test]
async fn a_batch_has_up_to_a_hundred_entries_or_256_kibibytes() {
    let (_database, replica, app) = service().await;
    let timestamps = send(&replica, 250).await;
    let hook = Hook::start().await;
    hook.register(&app, json!({ "after": 0 })).await;
    assert_eq!(hook.until_taken(timestamps[249]).await, timestamps);
    let sizes = |posted: &[Posted]| {
        let sizes = posted.iter().map(|posted| posted.timestamps().len());
        sizes.collect::<Vec<_>>()
    };
    assert_eq!(sizes(&hook.posted()), [100, 100, 50]);

    let jane = replica.user("jane");
    let long = "\u{1d54f}".repeat(20_000);
    let mut last = Value::Null;
    for _ in 0..7 {
        last = jane.send("john", &long).await;
    }
    let hook = Hook::start().await;
    let with_messages = json!({ "after": timestamps[249], "include": ["message"] });
    hook.register(&app, with_messages).await;
    hook.until_taken(last["timestamp"].as_i64().unwrap()).await;
    for posted in hook.posted() {
        assert!(posted.body.len() <= 256 * 1024, "{}", posted.body.len());
        for entry in posted.entries() {
            assert_eq!(entry["message"]["text"], long, "each has its message");
        }
    }
}

#[tokio::test]
async fn a_webhook_that_is_down_gets_the_same_request_again_and_then_catches_up() {
    let (_database, replica, app) = service().await;
    let hook = Hook::start().await;
    hook.answers(Answer::Status(500));
    let webhook = hook.register(&app, json!({})).await;
    let mut timestamps = send(&replica, 2).await;
    let failing = failed(&app, &webhook, 1).await;
    let failure = &failing["lastFailure"];
    assert_eq!(failure["detail"], "the answer is 500 Internal Server Error");
    assert_eq!(failing["cursor"], webhook["cursor"]);
    timestamps.extend(send(&replica, 120).await);
    failed(&app, &webhook, 2).await;
    hook.answers(Answer::Takes);
    assert_eq!(hook.until_taken(timestamps[121]).await, timestamps);
    let posted = hook.posted();
    let again: Vec<_> = posted
        .iter()
        .filter(|sent| sent.id == posted[0].id)
        .collect();
    assert!(again.len() >= 3, "{}", again.len());
    assert!(again.iter().all(|sent| sent.body == posted[0].body));
    eventually("it has not failed since", async || {
        let webhook = read(&app, &webhook).await;
        let is_well = webhook.get("failures").is_none() && webhook["lag"]["changes"] == 0;
        (is_well && webhook["lastFailure"]["detail"].is_string()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whatever_a_webhook_does_hurts_no_other_one() {
    let database = Database::fresh().await;
    let settings = calling_loopback().with("WEBHOOK_ANSWER_MS_MAX", "300");
    let replica = Replica::start(&database, settings).await;
    let app = replica.application().await;
    let target = Hook::start().await;
    let answers = [
        Answer::Hangs,
        Answer::Status(500),
        Answer::RedirectsTo(target.url.clone()),
    ];
    let mut bad = Vec::new();
    for answer in answers {
        let hook = Hook::start().await;
        hook.answers(answer);
        bad.push((hook.register(&app, json!({})).await, hook));
    }
    let closed = json!({ "url": "http://127.0.0.1:1/hook" });
    let closed = app
        .call(Method::POST, "/webhooks", closed)
        .await
        .expect(201);
    let endless = Hook::start().await;
    endless.answers(Answer::WithoutEnd);
    endless.register(&app, json!({})).await;
    let good = Hook::start().await;
    good.register(&app, json!({})).await;
    let timestamps = send(&replica, 5).await;
    assert_eq!(good.until_taken(timestamps[4]).await, timestamps);
    // Its status is 200, and nobody waits for the rest.
    assert_eq!(endless.until_taken(timestamps[4]).await, timestamps);
    let details = [
        "no answer within 0.3 s",
        "the answer is 500 Internal Server Error",
        "the answer is a redirect (307), which is not followed",
    ];
    for ((webhook, hook), detail) in bad.iter().zip(details) {
        let failing = failed(&app, webhook, 1).await;
        assert_eq!(failing["lastFailure"]["detail"], detail);
        let ids: BTreeSet<_> = hook.posted().into_iter().map(|posted| posted.id).collect();
        assert_eq!(ids.len(), 1, "one request at a time");
    }
    let failing = failed(&app, &closed, 1).await;
    assert_eq!(
        failing["lastFailure"]["detail"],
        "no connection can be made"
    );
    assert_eq!(target.posted(), []);
}

#[tokio::test]
async fn a_webhook_can_be_paused_and_sent_back() {
    let (_database, replica, app) = service().await;
    let hook = Hook::start().await;
    let webhook = hook.register(&app, json!({})).await;
    let mut timestamps = send(&replica, 3).await;
    hook.until_taken(timestamps[2]).await;
    change(&app, &webhook, json!({ "paused": true })).await;
    timestamps.extend(send(&replica, 2).await);
    let lag = async || read(&app, &webhook).await["lag"]["changes"].clone();
    assert_eq!(lag().await, 2);
    let count = hook.posted().len();
    // Another one is sent to meanwhile.
    let other = Hook::start().await;
    other.register(&app, json!({ "after": 0 })).await;
    assert_eq!(other.until_taken(timestamps[4]).await, timestamps);
    assert_eq!(hook.posted().len(), count);
    change(&app, &webhook, json!({ "paused": false })).await;
    hook.until_taken(timestamps[4]).await;

    let count = hook.posted().len();
    let again = change(&app, &webhook, json!({ "after": timestamps[0] })).await;
    assert_eq!(again["cursor"], timestamps[0]);
    let posted = hook.until(count + 1).await;
    assert_eq!(posted[count].timestamps(), timestamps[1..]);
}

#[tokio::test]
async fn a_webhook_that_failed_is_tried_again_at_once_when_it_is_changed() {
    let (database, replica, app) = service().await;
    let hook = Hook::start().await;
    hook.answers(Answer::Status(503));
    let webhook = hook.register(&app, json!({})).await;
    let timestamps = send(&replica, 1).await;
    failed(&app, &webhook, 1).await;
    // As after many failures.
    database
        .execute("UPDATE webhooks SET failures = 20, retry_at = now() + interval '5 min'")
        .await;
    let moved = Hook::start().await;
    change(&app, &webhook, json!({ "url": moved.url })).await;
    assert_eq!(moved.until_taken(timestamps[0]).await, timestamps);
}

#[tokio::test]
async fn for_a_day_requests_are_signed_with_the_secret_before_too() {
    let (database, replica, app) = service().await;
    let hook = Hook::start().await;
    let webhook = hook.register(&app, json!({})).await;
    let path = format!("{}/secret", path(&webhook));
    let renewed = app.call(Method::POST, &path, Value::Null).await;
    assert_eq!(renewed.header("cache-control"), "no-store");
    let renewed = renewed.expect(201);
    let timestamps = send(&replica, 1).await;
    hook.until_taken(timestamps[0]).await;
    let both = &hook.posted()[0];
    assert_ne!(webhook["secret"], renewed["secret"]);
    assert!(both.is_signed_with(&webhook["secret"]));
    assert!(both.is_signed_with(&renewed["secret"]));
    database
        .execute("UPDATE webhooks SET before_until = before_until - interval '24 hours'")
        .await;
    let timestamps = send(&replica, 1).await;
    hook.until_taken(timestamps[0]).await;
    let posted = hook.posted();
    let last = posted.last().unwrap();
    assert!(!last.is_signed_with(&webhook["secret"]));
    assert!(last.is_signed_with(&renewed["secret"]));
}

#[tokio::test]
async fn no_address_is_called_that_is_not_public() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, calling_loopback()).await;
    let app = replica.application().await;
    let hook = Hook::start().await;
    // It is allowed now, and not after the restart.
    let port = hook.url.rsplit(':').next().unwrap();
    let named = json!({ "url": format!("http://localhost:{port}"), "after": 0 });
    let named = app.call(Method::POST, "/webhooks", named).await.expect(201);
    let literal = hook.register(&app, json!({})).await;
    let timestamps = send(&replica, 1).await;
    hook.until_taken(timestamps[0]).await;
    let count = hook.until(2).await.len();
    drop(replica);
    let replica = Replica::start(&database, administered()).await;
    let app = app.at(&replica.base);
    send(&replica, 1).await;
    for webhook in [named, literal] {
        let failing = failed(&app, &webhook, 1).await;
        let detail = &failing["lastFailure"]["detail"];
        assert_eq!(detail, "must have a host with a public address");
    }
    assert_eq!(hook.posted().len(), count);
    for url in [
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://localhost/",
        "http://a.localhost./",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00:ec2::254]/",
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "http://0.0.0.0/",
    ] {
        let refused = app
            .call(Method::POST, "/webhooks", json!({ "url": url }))
            .await;
        assert_eq!(refused.wrong_fields(), ["url"], "{url}");
    }
    // A name that cannot be resolved may be resolved later.
    let later = json!({ "url": "https://nowhere.invalid/hook" });
    app.call(Method::POST, "/webhooks", later).await.expect(201);
}
