//! Streams and held answers of the feed: they end with the token of the application, and are limited.

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::{
    feed::{administered_service, feed},
    support::{Client, Database, Replica, Reply, Stream, administered, eventually},
};

/// Begins a call and returns once its answer is held.
async fn hold(replica: &Replica, client: &Client, path: &str) -> JoinHandle<Reply> {
    let before = held(replica).await;
    let polling = tokio::spawn(Reply::of(client.request(Method::GET, path)));
    eventually("the answer is held", async || {
        (held(replica).await > before).then_some(())
    })
    .await;
    polling
}

async fn held(replica: &Replica) -> f64 {
    let name = "messages_live_connections";
    replica.metric(name, "kind=\"poll\"").await
}

#[tokio::test]
async fn streams_and_held_answers_end_with_a_token_that_is_replaced() {
    let (database, one) = administered_service().await;
    let other = Replica::start(&database, administered()).await;
    let app = one.application().await;
    let elsewhere = app.at(&other.base);
    let mut streams = Vec::new();
    for caller in [&app, &elsewhere] {
        let mut stream = Stream::open(caller.streaming("/feed")).await;
        stream.begin_current().await;
        streams.push(stream);
    }
    // This one begins first and is held as long at the most. So whatever ends before it has not waited to the end.
    let jane = hold(&one, &one.user("jane"), "/messages?wait=60").await;
    let path = "/feed?after=latest&wait=60";
    let polling = [
        hold(&one, &app, path).await,
        hold(&other, &elsewhere, path).await,
    ];
    let new = one.application().await;
    for polling in polling {
        // The answer that was held is an answer to the token as it was.
        let page = polling.await.unwrap().expect(200);
        assert_eq!(page["entries"], json!([]));
    }
    assert!(!jane.is_finished(), "they have waited to the end");
    jane.abort();
    for stream in &mut streams {
        while stream.try_block().await.unwrap().is_some() {}
    }
    for (base, caller) in [(&one.base, &app), (&other.base, &elsewhere)] {
        let late = Reply::of(caller.streaming("/feed")).await;
        late.expect_problem(401, "unauthorized");
        let late = caller.get("/feed?wait=60").await;
        late.expect_problem(401, "unauthorized");
        let mut stream = Stream::open(new.at(base).streaming("/feed")).await;
        stream.begin_current().await;
    }
}

#[tokio::test]
async fn they_count_for_the_limits_of_the_application_and_of_the_service() {
    let database = Database::fresh().await;
    let settings = administered()
        .with("LIVE_CONNECTIONS_MAX", "3")
        .with("LIVE_CONNECTIONS_PER_USER_MAX", "2");
    let replica = Replica::start(&database, settings).await;
    let (app, jane) = (replica.application().await, replica.user("jane"));
    let first = hold(&replica, &app, "/feed?wait=60").await;
    let mut second = Stream::open(app.streaming("/feed")).await;
    second.begin_current().await;
    for reply in [
        app.get("/feed?wait=60").await,
        Reply::of(app.streaming("/feed?kinds=chat.created")).await,
    ] {
        reply.expect_problem(429, "too-many-live-connections");
        assert!(reply.header("retry-after").parse::<u32>().unwrap() > 0);
    }
    // What does not wait is not limited.
    feed(&app, "").await;
    // The limit of the application is no limit of its users, but that of the service is one for all.
    let mut third = jane.stream("").await;
    third.begin_current().await;
    let reply = jane.get("/messages?wait=60").await;
    reply.expect_problem(503, "overloaded");
    first.abort();
    eventually("no answer is held", async || {
        (held(&replica).await == 0.0).then_some(())
    })
    .await;
    let mut again = Stream::open(app.streaming("/feed")).await;
    again.begin_current().await;
}
