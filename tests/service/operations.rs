//! What an operator sees: health, metrics, the log.

use reqwest::Method;
use serde_json::json;

use crate::support::{Database, Replica, Reply, SECRET, Settings, eventually, service};

#[tokio::test]
async fn health_and_metrics_need_no_token() {
    let (_database, replica) = service().await;
    let nobody = replica.nobody();
    assert_eq!(
        nobody.get("/health/live").await.expect(200),
        json!({ "status": "up" })
    );
    let ready = nobody.get("/health/ready").await.expect(200);
    let broker = "notConfigured";
    assert_eq!(
        ready,
        json!({ "status": "up", "database": "available", "writes": "available", "broker": broker })
    );
    replica.user("jane").send("john", "hi").await;
    let metrics = nobody.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain"));
    for name in [
        "# HELP messages_http_request_seconds",
        "messages_http_request_seconds_count{method=\"POST\",route=\"/messages\",status=\"201\"} 1",
        "messages_batch_size_bucket{queue=\"timeline\",le=\"1\"} 1",
        "messages_batch_seconds_count 1",
        "messages_queue_waiting{queue=\"timeline\"} 0",
        "messages_follower_lag_changes{follower=\"file-events\"} 0",
    ] {
        assert!(
            metrics.text.contains(name),
            "{name} is not in\n{}",
            metrics.text
        );
    }
}

#[tokio::test]
async fn invented_methods_do_not_fill_the_metrics() {
    let (_database, replica) = service().await;
    for number in 0..20 {
        let method = Method::from_bytes(format!("M{number}").as_bytes()).unwrap();
        Reply::of(replica.nobody().request(method, "/messages"))
            .await
            .expect_problem(405, "method-not-allowed");
    }
    let metrics = replica.nobody().get("/metrics").await.text;
    assert!(
        metrics.contains("method=\"other\"") && !metrics.contains("M7"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_failure_is_logged_under_the_id_that_the_caller_gets() {
    let (database, replica) = service().await;
    database
        .execute("ALTER TABLE updates RENAME TO elsewhere")
        .await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let request = replica.user("jane").request(Method::GET, "/messages");
    let request = request.header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    let reply = Reply::of(request).await;
    let problem = reply.expect_problem(500, "internal");
    assert!(!reply.text.contains("updates"), "no internals: {problem}");
    let id = problem["requestId"].as_str().unwrap();
    let line = eventually("a log line has the id", async || {
        replica.log().into_iter().find(|line| line.contains(id))
    })
    .await;
    assert!(
        line.contains(trace) && line.contains("\"level\":\"ERROR\""),
        "{line}"
    );
    // A query answers many requests, so its own failure has the id of none.
    let details = "relation \\\"updates\\\" does not exist";
    assert!(
        replica.log().iter().any(|line| line.contains(details)),
        "the log has the details"
    );
}

#[tokio::test]
async fn no_log_line_holds_a_token_or_a_text() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, Settings::default().with("LOG_FILTER", "debug")).await;
    replica
        .user("jane")
        .send("john", "a secret that is nobody's business")
        .await;
    replica
        .with_token("not-a-token-at-all")
        .get("/messages")
        .await
        .expect_problem(401, "unauthorized");
    let log = replica.log().join("\n");
    assert!(log.contains("answered"), "requests are logged");
    for secret in ["nobody's business", "Bearer", "not-a-token-at-all", SECRET] {
        assert!(!log.contains(secret), "{secret}");
    }
}
