//! Webhooks: the feed of an application, brought to its servers.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Database, Hook, Posted, Replica, administered, eventually};

async fn service() -> (Database, Replica, Client) {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered().calling_loopback()).await;
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

/// Waits until the webhook has failed for this reason.
async fn failed_for(application: &Client, webhook: &Value, reason: &str) {
    eventually(reason, async || {
        let webhook = read(application, webhook).await;
        (webhook["lastFailure"]["detail"] == reason).then_some(())
    })
    .await;
}

/// Waits until the webhook has taken everything up to a timestamp.
async fn until_at(application: &Client, webhook: &Value, timestamp: i64) {
    eventually("the cursor is moved", async || {
        let webhook = read(application, webhook).await;
        (webhook["cursor"] == timestamp && webhook["lag"]["changes"] == 0).then_some(())
    })
    .await;
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
            "created": created["created"], "cursor": 0
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
    until_at(&app, &webhook, timestamps[2]).await;
    let requests = hook.posted().len() as f64;
    eventually("the requests are counted", async || {
        let name = "messages_webhook_requests_total";
        (replica.metric(name, "outcome=\"taken\"").await == requests).then_some(())
    })
    .await;
    hook.answers(Answer::Status(500));
    send(&replica, 7).await;
    eventually("the lag is measured", async || {
        let lag = replica.metric("messages_follower_lag_changes", "follower=\"webhooks\"");
        (lag.await == 7.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_filter_moves_the_cursor_on_where_nothing_of_its_kinds_happens() {
    let (_database, replica, app) = service().await;
    let hook = Hook::start().await;
    let kinds = json!({ "kinds": ["chat.created"] });
    let webhook = hook.register(&app, kinds).await;
    let timestamps = send(&replica, 3).await;
    until_at(&app, &webhook, timestamps[2]).await;
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

    // With recipients it is more than was read for it at first.
    let name = "n".repeat(60);
    let members: Vec<_> = (1000..1999)
        .map(|number| format!("{name}{number}"))
        .collect();
    let members: Vec<_> = members.iter().map(String::as_str).collect();
    let chat = jane.chat("Everybody", &members).await;
    let mut in_chat = Vec::new();
    for _ in 0..3 {
        let posted = jane.post_into(chat, &long).await;
        in_chat.push(posted["timestamp"].as_i64().unwrap());
    }
    let hook = Hook::start().await;
    let with_all = json!({
        "after": last["timestamp"], "kinds": ["message.created"], "include": ["message", "recipients"]
    });
    hook.register(&app, with_all).await;
    assert_eq!(hook.until_taken(in_chat[2]).await, in_chat);
    for posted in hook.posted() {
        let count = posted.entries().len();
        assert!(count == 1 || posted.body.len() <= 256 * 1024, "{count}");
        for entry in posted.entries() {
            assert_eq!(entry["message"]["text"], long);
            assert_eq!(entry["recipients"].as_array().unwrap().len(), 999);
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

/// What users set for themselves is in the log, and no webhook is told of it.
#[tokio::test]
async fn the_same_request_comes_again_with_changes_in_between_that_nobody_is_told_of() {
    let (_database, replica, app) = service().await;
    let jane = replica.user("jane");
    let mut timestamps = Vec::new();
    for pinned in [true, false, true] {
        timestamps.extend(send(&replica, 1).await);
        let path = "/users/john/settings";
        let set = jane
            .call(Method::PATCH, path, json!({ "pinned": pinned }))
            .await;
        set.expect(200);
    }
    let hook = Hook::start().await;
    hook.answers(Answer::Status(500));
    let webhook = hook.register(&app, json!({ "after": 0 })).await;
    failed(&app, &webhook, 2).await;
    hook.answers(Answer::Takes);
    assert_eq!(hook.until_taken(timestamps[2]).await, timestamps);
    let posted = hook.posted();
    assert!(posted.len() >= 3, "{}", posted.len());
    let is_same = |sent: &Posted| sent.id == posted[0].id && sent.body == posted[0].body;
    assert!(posted.iter().all(is_same));
}

#[tokio::test]
async fn whatever_a_webhook_does_hurts_no_other_one() {
    let database = Database::fresh().await;
    let settings = administered()
        .calling_loopback()
        .with("WEBHOOK_ANSWER_MS_MAX", "300");
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
        failed_for(&app, webhook, detail).await;
        let ids: BTreeSet<_> = hook.posted().into_iter().map(|posted| posted.id).collect();
        assert_eq!(ids.len(), 1, "none before the one before is taken");
    }
    failed_for(&app, &closed, "no connection can be made").await;
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
    assert!(read(&app, &webhook).await["lag"]["changes"].as_i64() >= Some(2));
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
    // As if the answer had been lost.
    let again = app.call(Method::POST, &path, Value::Null).await.expect(201);
    let timestamps = send(&replica, 1).await;
    hook.until_taken(timestamps[0]).await;
    let posted = &hook.posted()[0];
    assert_ne!(webhook["secret"], renewed["secret"]);
    for secret in [&webhook, &renewed, &again].map(|made| &made["secret"]) {
        assert!(posted.is_signed_with(secret), "{secret}");
    }
    database
        .execute(
            "UPDATE webhooks SET old_secrets_until[2] = old_secrets_until[2] - interval '24 hours'",
        )
        .await;
    // The next request is signed as things are when it begins.
    let timestamps = send(&replica, 1).await;
    hook.until_taken(timestamps[0]).await;
    let posted = hook.posted();
    let last = posted.last().unwrap();
    assert!(last.is_signed_with(&renewed["secret"]));
    assert!(last.is_signed_with(&again["secret"]));
    assert!(!last.is_signed_with(&webhook["secret"]));
}

#[tokio::test]
async fn no_address_is_called_that_is_not_public() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered().calling_loopback()).await;
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

#[tokio::test]
async fn what_an_application_changes_while_a_request_is_under_way_counts_with_the_next_one() {
    let (_database, replica, app) = service().await;
    let jane = replica.user("jane");
    let hook = Hook::start().await;
    hook.answers(Answer::Hangs);
    let kinds = json!({ "kinds": ["chat.created"] });
    let webhook = hook.register(&app, kinds).await;
    jane.chat("Team", &[]).await;
    let mut timestamps = send(&replica, 2).await;
    hook.until(1).await;
    change(&app, &webhook, json!({ "kinds": null })).await;
    // It takes the request for the chat alone, and that moves no cursor any more.
    hook.releases();
    let taken = hook.until_taken(timestamps[1]).await;
    assert_eq!(taken[taken.len() - 2..], timestamps);

    // Where it has moved to another server, this one gets what the old one has taken since.
    hook.answers(Answer::Hangs);
    let count = hook.posted().len();
    timestamps.extend(send(&replica, 1).await);
    hook.until(count + 1).await;
    let moved = Hook::start().await;
    change(&app, &webhook, json!({ "url": moved.url })).await;
    hook.releases();
    let again = moved.until_taken(timestamps[2]).await;
    assert_eq!(again, timestamps[2..]);

    // A webhook that is removed in the meantime is gone.
    moved.answers(Answer::Hangs);
    let count = moved.posted().len();
    send(&replica, 1).await;
    moved.until(count + 1).await;
    let removed = app.call(Method::DELETE, &path(&webhook), Value::Null).await;
    assert_eq!(removed.status, 204);
    moved.releases();
    let other = Hook::start().await;
    other
        .register(&app, json!({ "after": timestamps[2] }))
        .await;
    other.until(1).await;
    assert_eq!(moved.posted().len(), count + 1);
}

/// Webhooks are looked at all the time, and have their turns all the same.
#[tokio::test]
async fn a_busy_webhook_goes_on_while_webhooks_are_changed() {
    let (_database, replica, app) = service().await;
    let hook = Hook::start().await;
    hook.register(&app, json!({})).await;
    let idle = Hook::start().await;
    let idle = idle
        .register(&app, json!({ "kinds": ["chat.changed"] }))
        .await;
    let mut last = 0;
    for turn in 0..40 {
        change(&app, &idle, json!({ "paused": turn % 2 == 0 })).await;
        last = send(&replica, 3).await[2];
        if turn % 10 == 0 {
            hook.until_taken(last).await;
        }
    }
    hook.until_taken(last).await;
}

#[tokio::test]
async fn the_next_leader_sends_what_was_under_way_as_it_was() {
    let database = Database::fresh().await;
    let mut victim = Replica::start(&database, administered().calling_loopback()).await;
    eventually("it leads", async || {
        let mut log = victim.log().into_iter();
        log.any(|line| line.contains("follows the timelines") && line.contains("\"webhooks\""))
            .then_some(())
    })
    .await;
    let other = Replica::start(&database, administered().calling_loopback()).await;
    let app = victim.application().await;
    let hook = Hook::start().await;
    hook.answers(Answer::Hangs);
    hook.register(&app, json!({})).await;
    send(&victim, 3).await;
    let first = hook.until(1).await.remove(0);
    let timestamps = send(&victim, 3).await;
    victim.kill();
    hook.answers(Answer::Takes);
    hook.until_taken(timestamps[2]).await;
    let again = hook.posted().remove(1);
    assert_eq!((&again.id, &again.body), (&first.id, &first.body));
    drop(other);
}

/// A row that cannot be read is the failure of one webhook, and not of all.
#[tokio::test]
async fn a_page_that_cannot_be_read_delays_no_other_application() {
    let (database, replica, app) = service().await;
    let administrator = replica.administrator();
    let shop = administrator.call(Method::POST, "/applications", json!({ "name": "shop" }));
    let shop = shop.await.expect(201);
    let owner = replica.with_token(shop["token"].as_str().unwrap());
    let last = send(&replica, 1).await[0];
    database
        .execute(
            "ALTER TABLE messages DROP CONSTRAINT messages_conversation;
             UPDATE messages SET sender = NULL",
        )
        .await;
    let broken = Hook::start().await;
    let everything = json!({ "after": 0, "include": ["message"] });
    let webhook = broken.register(&app, everything).await;
    failed_for(&app, &webhook, "the service could not read what comes next").await;
    let hook = Hook::start().await;
    hook.register(&owner, json!({})).await;
    let sent = replica
        .user_of(shop["id"].as_i64().unwrap(), "owner")
        .send("guest", "hi")
        .await;
    hook.until_taken(sent["timestamp"].as_i64().unwrap()).await;
    assert_eq!(broken.posted(), []);
    database
        .execute("UPDATE messages SET sender = 'jane' WHERE application_id = 1")
        .await;
    broken.until_taken(last).await;
}
