//! `GET /messages?wait=`: the answer is held until there is something.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Database, Replica, Reply, Settings, eventually, service, token};

/// Begins to poll and returns once the answer is held.
async fn poll(replica: &Replica, client: &Client, query: &str) -> tokio::task::JoinHandle<Reply> {
    let before = held(replica).await;
    let request = client.request(Method::GET, &format!("/messages?{query}"));
    let polling = tokio::spawn(Reply::of(request));
    eventually("the answer is held", async || {
        (held(replica).await > before).then_some(())
    })
    .await;
    polling
}

async fn held(replica: &Replica) -> f64 {
    replica
        .metric("messages_live_connections", "kind=\"poll\"")
        .await
}

/// Makes a call that could be held, and asserts that it is answered although another one, which
/// began before it, is still held, and that no wake-up was needed.
async fn is_answered_at_once<T>(replica: &Replica, call: impl Future<Output = T>) -> T {
    let before = held(replica).await;
    let other = poll(
        replica,
        &replica.user("somebody-else"),
        "after=latest&wait=60",
    )
    .await;
    let answer = call.await;
    assert!(!other.is_finished(), "it was held as long as the other one");
    let lost = replica.metric("messages_lost_wakeups_total", "").await;
    assert!(lost == 0.0, "it waited until the replica read once more");
    other.abort();
    eventually("the other one is held no more", async || {
        (held(replica).await <= before).then_some(())
    })
    .await;
    answer
}

async fn until_none_is_held(replica: &Replica) {
    eventually("no answer is held", async || {
        (held(replica).await == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_held_until_there_is_something_on_whatever_replica() {
    let database = Database::fresh().await;
    let one = Replica::start(&database, Settings::default()).await;
    let other = Replica::start(&database, Settings::default()).await;
    let mut cursor = 0;
    for (held_by, written_by) in [(&one, &one), (&one, &other), (&other, &one)] {
        let john = held_by.user("john");
        let polling = poll(
            held_by,
            &john,
            &format!("after={cursor}&wait=60&include=message"),
        )
        .await;
        let sent = written_by.user("jane").send("john", "hello").await;
        let reply = polling.await.unwrap();
        let page = reply.expect(200);
        let entry = json!({ "id": sent["id"], "timestamp": sent["timestamp"], "message": sent });
        assert_eq!(page["messages"], json!([entry]));
        assert_eq!(reply.header("cache-control"), "no-store, no-transform");
        assert_eq!(
            reply.header("content-type"),
            "application/vnd.messageUpdates.v1+json"
        );
        cursor = page["next"].as_i64().unwrap();
        let lost = held_by.metric("messages_lost_wakeups_total", "").await;
        assert!(
            lost == 0.0,
            "a wake-up has brought it, and not a read every few seconds"
        );
    }
    until_none_is_held(&one).await;
}

#[tokio::test]
async fn what_is_there_is_answered_at_once() {
    let (_database, replica) = service().await;
    let sent = replica.user("jane").send("john", "hello").await;
    let john = replica.user("john");
    for query in ["wait=60", "wait=60&limit=1&after=0"] {
        let page = is_answered_at_once(&replica, john.sync(query)).await;
        assert_eq!(
            (&page["next"], &page["total"]),
            (&sent["timestamp"], &json!(1))
        );
    }
}

#[tokio::test]
async fn what_does_not_come_is_an_empty_page_with_the_cursor() {
    let (_database, replica) = service().await;
    let sent = replica.user("jane").send("john", "hello").await;
    let empty =
        |cursor: &Value| json!({ "total": 0, "messages": [], "next": cursor, "latest": cursor });
    let page = replica.user("john").sync("after=latest&wait=1").await;
    assert_eq!(page, empty(&sent["timestamp"]));
    let page = replica.user("nobody").sync("wait=1").await;
    assert_eq!(page, empty(&json!(0)));
}

#[tokio::test]
async fn from_now_on_means_from_the_moment_of_the_call() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let before = jane.send("john", "before").await;
    let polling = poll(&replica, &john, "after=latest&wait=60").await;
    eventually("something comes after the moment", async || {
        jane.send("john", "after").await;
        polling.is_finished().then_some(())
    })
    .await;
    let page = polling.await.unwrap().expect(200);
    assert!(page["total"].as_i64() > Some(0));
    assert!(
        page["messages"][0]["id"].as_i64() > before["id"].as_i64(),
        "{page}"
    );
}

#[tokio::test]
async fn a_cursor_ahead_and_bad_waits_are_refused_at_once() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    is_answered_at_once(&replica, jane.get("/messages?after=9&wait=60"))
        .await
        .expect_problem(410, "cursor-ahead");
    is_answered_at_once(&replica, jane.get("/messages?wait=soon"))
        .await
        .expect_problem(400, "malformed");
    for wait in [61, -1] {
        let path = format!("/messages?wait={wait}");
        let reply = is_answered_at_once(&replica, jane.get(&path)).await;
        assert_eq!(reply.wrong_fields(), ["wait"]);
    }
}

#[tokio::test]
async fn a_caller_that_has_gone_waits_no_more() {
    let (_database, replica) = service().await;
    let polling = poll(&replica, &replica.user("john"), "wait=60").await;
    polling.abort();
    until_none_is_held(&replica).await;
}

#[tokio::test]
async fn held_answers_end_with_the_token_and_with_the_service() {
    let (_database, mut replica) = service().await;
    let short = replica.with_token(&token(1, "john", Duration::from_secs(2)));
    let reply = short.get("/messages?wait=60").await;
    assert_eq!(
        reply.expect(200)["total"],
        0,
        "the token ended before the wait"
    );
    let polling = poll(&replica, &replica.user("john"), "wait=60").await;
    replica.signal_to_stop();
    assert_eq!(polling.await.unwrap().expect(200)["total"], 0);
    assert!(replica.ended().await.success());
}

#[tokio::test]
async fn held_answers_are_compressed_like_any_other() {
    let (_database, replica) = service().await;
    let john = replica.user("john");
    let request = john.request(Method::GET, "/messages?wait=60&include=message");
    let polling = tokio::spawn(request.header("Accept-Encoding", "gzip").send());
    eventually("the answer is held", async || {
        (held(&replica).await > 0.0).then_some(())
    })
    .await;
    replica
        .user("jane")
        .send("john", &"long ".repeat(100))
        .await;
    let response = polling.await.unwrap().unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert!(response.bytes().await.unwrap().starts_with(&[0x1f, 0x8b]));
}

#[tokio::test]
async fn live_connections_are_limited_for_the_service_and_for_each_user() {
    let database = Database::fresh().await;
    let settings = Settings::default()
        .with("LIVE_CONNECTIONS_MAX", "3")
        .with("LIVE_CONNECTIONS_PER_USER_MAX", "2");
    let replica = Replica::start(&database, settings).await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let first = poll(&replica, &jane, "wait=60").await;
    let _stream = jane.stream("").await;
    let reply = jane.get("/messages?wait=60").await;
    reply.expect_problem(429, "too-many-live-connections");
    assert!(reply.header("retry-after").parse::<u32>().unwrap() > 0);
    assert_eq!(
        jane.sync("").await["total"],
        0,
        "what does not wait is not limited"
    );
    let _third = john.stream("").await;
    let reply = Reply::of(replica.user("jim").streaming("/messages")).await;
    reply.expect_problem(503, "overloaded");
    assert!(reply.header("retry-after").parse::<u32>().unwrap() > 0);
    first.abort();
    until_none_is_held(&replica).await;
    jane.stream("").await;
}
