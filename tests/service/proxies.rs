//! What happens on the way: a real nginx between a caller and the service.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::support::{Database, Nginx, Replica, Settings, Stream, service};

#[tokio::test]
async fn a_held_answer_comes_before_a_proxy_gives_it_up() {
    let database = Database::fresh().await;
    // Three tenths of what is usual on both sides: less leaves a slow machine no time between them.
    let replica = Replica::start(
        &database,
        Settings::default().with("HELD_ANSWER_MS_MAX", "15000"),
    )
    .await;
    let nginx = Nginx::before(&replica, "proxy_read_timeout 18s;").await;
    let began = Instant::now();
    let reply = nginx.user("john").get("/messages?wait=60").await;
    assert_eq!(reply.expect(200)["messages"], json!([]));
    assert!(
        began.elapsed() >= Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(reply.header("cache-control"), "no-store, no-transform");
}

#[tokio::test]
async fn a_stream_passes_a_proxy_that_compresses_event_by_event() {
    let (_database, replica) = service().await;
    let settings = "gzip on; gzip_types *; gzip_proxied any; gzip_min_length 0;";
    let nginx = Nginx::before(&replica, settings).await;
    let john = nginx.user("john");
    let request = john
        .request(Method::GET, "/messages")
        .header("Accept-Encoding", "gzip");
    replica
        .user("jane")
        .send("john", &"long ".repeat(100))
        .await;
    let page = request.send().await.unwrap();
    assert_eq!(
        page.headers()["content-encoding"],
        "gzip",
        "nginx compresses"
    );
    let mut stream = Stream::open(john.streaming("/messages")).await;
    assert_eq!(stream.headers["cache-control"], "no-store, no-transform");
    stream.begin().await;
    stream.event("update").await;
    stream.event("current").await;
    for turn in 0..3 {
        let began = Instant::now();
        let sent = replica.user("jane").send("john", &turn.to_string()).await;
        assert_eq!(stream.event("update").await.data["id"], sent["id"]);
        assert!(
            began.elapsed() < Duration::from_secs(8),
            "{:?}",
            began.elapsed()
        );
    }
}
