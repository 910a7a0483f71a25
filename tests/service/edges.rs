//! What every request has in common, and what is no request at all.

use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Database, Replica, Reply, Settings, service};

async fn connect(replica: &Replica) -> TcpStream {
    TcpStream::connect(replica.base.trim_start_matches("http://")).await.unwrap()
}

#[tokio::test]
async fn what_no_route_has_is_a_problem_like_any_other() {
    let (_database, replica) = service().await;
    let nobody = replica.nobody();
    nobody.get("/nothing").await.expect_problem(404, "no-such-resource");
    nobody.get("/swagger-ui/nothing").await.expect_problem(404, "no-such-resource");
    nobody.get("/messages/1/2").await.expect_problem(404, "no-such-resource");
    for (method, path, allowed) in [
        (Method::PUT, "/messages", ["GET", "POST"]),
        (Method::POST, "/messages/1", ["PATCH", "DELETE"]),
        (Method::DELETE, "/health/live", ["GET", "HEAD"]),
    ] {
        let reply = Reply::of(nobody.request(method, path)).await;
        reply.expect_problem(405, "method-not-allowed");
        assert!(
            allowed.iter().all(|method| reply.header("allow").contains(method)),
            "{:?}",
            reply.headers
        );
    }
}

#[tokio::test]
async fn a_request_id_is_taken_or_made_and_returned() {
    let (_database, replica) = service().await;
    let get = |id: &'static str| {
        Reply::of(replica.user("jane").request(Method::GET, "/messages").header("X-Request-Id", id))
    };
    assert_eq!(get("order-66").await.header("x-request-id"), "order-66");
    assert_eq!(get("not for a log").await.header("x-request-id").len(), 36);
    let made = replica.nobody().get("/messages").await;
    made.expect_problem(401, "unauthorized");
    assert_eq!(made.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn a_failure_is_logged_under_the_id_that_the_caller_gets() {
    let (database, replica) = service().await;
    database.execute("ALTER TABLE updates RENAME TO elsewhere").await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let request = replica.user("jane").request(Method::GET, "/messages");
    let request = request.header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    let reply = Reply::of(request).await;
    let problem = reply.expect_problem(500, "internal");
    assert!(!reply.text.contains("updates"), "no internals: {problem}");
    let id = problem["requestId"].as_str().unwrap();
    let line = crate::support::eventually("a log line has the id", async || {
        replica.log().into_iter().find(|line| line.contains(id))
    })
    .await;
    let lines = replica.log();
    assert!(line.contains(trace) && line.contains("\"level\":\"ERROR\""), "{line}");
    assert!(
        lines.iter().any(|line| line.contains("elsewhere") || line.contains("updates")),
        "the log has the details"
    );
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let (_database, replica) = service().await;
    let mut connection = connect(&replica).await;
    let mut nothing = Vec::new();
    let closed =
        tokio::time::timeout(crate::support::PATIENCE, connection.read_to_end(&mut nothing)).await;
    assert!(closed.is_ok(), "the connection stays open");
}

#[tokio::test]
async fn a_caller_who_takes_nothing_of_its_answer_is_cut_off() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    for _ in 0..14 {
        jane.send("john", &"\u{1f600}".repeat(20_000)).await;
    }
    let token = crate::support::token(1, "jane", std::time::Duration::from_secs(600));
    let mut connection = connect(&replica).await;
    let request = format!(
        "GET /messages?include=message HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    connection.write_all(request.repeat(40).as_bytes()).await.unwrap();
    let open = async || replica.metric("http_connections", "").await;
    let before = open().await;
    crate::support::eventually("the connection is closed", async || {
        (open().await < before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn half_a_request_head_does_not_keep_its_connection() {
    let (_database, replica) = service().await;
    let mut connection = connect(&replica).await;
    connection.write_all(b"GET /messages HTTP/1.1\r\nHost: half").await.unwrap();
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(crate::support::PATIENCE, connection.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "the connection stays open");
}

#[tokio::test]
async fn half_a_body_is_not_waited_for() {
    let (_database, replica) = service().await;
    let token = crate::support::token(1, "jane", std::time::Duration::from_secs(600));
    let mut connection = connect(&replica).await;
    let head = format!(
        "POST /messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{\"to\":"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let reading = connection.read(&mut answer);
    let length =
        tokio::time::timeout(crate::support::PATIENCE, reading).await.expect("an answer").unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn an_answer_does_not_wait_for_a_body_that_it_does_not_need() {
    let (_database, replica) = service().await;
    let token = crate::support::token(1, "jane", std::time::Duration::from_secs(600));
    for (head, status) in [
        ("POST /messages HTTP/1.1\r\nContent-Length: 1000".to_owned(), "401"),
        ("PUT /messages HTTP/1.1\r\nContent-Length: 1000".to_owned(), "405"),
        (
            format!(
                "POST /messages HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: application/json\r\nContent-Length: 300000"
            ),
            "413",
        ),
        (
            format!(
                "POST /messages HTTP/1.1\r\nAuthorization: Bearer {token}\r\nExpect: 100-continue\r\n\
                 Content-Type: application/json\r\nContent-Length: 99999999"
            ),
            "413",
        ),
    ] {
        let mut connection = connect(&replica).await;
        connection.write_all(format!("{head}\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let length = connection.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer}");
    }
}

#[tokio::test]
async fn an_encoding_that_is_not_there_is_no_reason_to_refuse_an_answer() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    for encodings in ["identity;q=0", "*;q=0", "zstd, *;q=0", "gzip;q=0, identity;q=0", ""] {
        let request =
            jane.posting(json!({ "to": "john", "text": "hi" })).header("Accept-Encoding", encodings);
        let reply = Reply::of(request).await;
        reply.expect(201);
        assert_eq!(reply.header("content-encoding"), "", "{encodings}");
    }
    assert_eq!(jane.sync("").await["total"], 5);
}

#[tokio::test]
async fn an_encoded_body_is_not_supported() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let request = jane.posting(json!({ "to": "john", "text": "hi" })).header("Content-Encoding", "gzip");
    let reply = Reply::of(request).await;
    reply.expect_problem(415, "unsupported-media-type");
    assert_eq!(reply.header("accept-encoding"), "identity");
}

#[tokio::test]
async fn a_request_names_its_host_once() {
    let (_database, replica) = service().await;
    for (hosts, status) in [
        ("", "400"),
        ("Host: a\r\nHost: b\r\n", "400"),
        ("Host: a b\r\n", "400"),
        ("Host: a:8080\r\n", "200"),
    ] {
        let mut connection = connect(&replica).await;
        let request = format!("GET /health/live HTTP/1.1\r\n{hosts}\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let length = connection.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{hosts:?}: {answer}");
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
    assert!(metrics.contains("method=\"other\"") && !metrics.contains("M7"), "{metrics}");
}

#[tokio::test]
async fn answers_stay_out_of_shared_caches() {
    let (_database, replica) = service().await;
    let nobody = replica.nobody();
    for reply in [
        replica.user("jane").get("/messages").await,
        nobody.get("/messages").await,
        nobody.get("/nothing").await,
    ] {
        assert_eq!(reply.header("cache-control"), "private, no-cache");
        let vary: Vec<_> =
            reply.headers.get_all("vary").iter().map(|line| line.to_str().unwrap()).collect();
        assert!(vary.join(", ").contains("Accept, Authorization, As-User"), "{vary:?}");
    }
}

#[tokio::test]
async fn long_answers_are_compressed_for_whoever_accepts_it() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let sent = jane.send("john", &"again and again ".repeat(200)).await;
    let request = jane.request(Method::GET, &format!("/messages/{}", sent["id"]));
    let reply = request.header("Accept-Encoding", "gzip").send().await.unwrap();
    assert_eq!(reply.headers()["content-encoding"], "gzip");
    assert!(reply.bytes().await.unwrap().len() < 1000);
}

#[tokio::test]
async fn pages_of_configured_origins_may_call() {
    let database = Database::fresh().await;
    let settings = Settings::default().with("CORS_ORIGINS", "https://app.example,https://other.example");
    let replica = Replica::start(&database, settings).await;
    let preflight = |origin: &'static str| {
        let request = replica.nobody().request(Method::OPTIONS, "/messages").header("Origin", origin);
        let request = request.header("Access-Control-Request-Method", "POST");
        Reply::of(
            request.header("Access-Control-Request-Headers", "authorization,idempotency-key,if-match"),
        )
    };
    let allowed = preflight("https://app.example").await;
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("access-control-allow-origin"), "https://app.example");
    assert!(allowed.header("access-control-allow-headers").contains("idempotency-key"));
    assert_eq!(preflight("https://evil.example").await.header("access-control-allow-origin"), "");
    let request =
        replica.nobody().request(Method::GET, "/messages").header("Origin", "https://app.example");
    let refused = Reply::of(request).await;
    refused.expect_problem(401, "unauthorized");
    assert_eq!(
        refused.header("access-control-allow-origin"),
        "https://app.example",
        "errors can be read too"
    );
}

#[tokio::test]
async fn health_and_metrics_need_no_token() {
    let (_database, replica) = service().await;
    let nobody = replica.nobody();
    assert_eq!(nobody.get("/health/live").await.expect(200), json!({ "status": "up" }));
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
        "# HELP http_request_seconds",
        "http_request_seconds_count{method=\"POST\",route=\"/messages\",status=\"201\"} 1",
        "messages_batch_size_bucket{queue=\"timeline\",le=\"1\"} 1",
        "messages_batch_seconds_count 1",
        "messages_queue_waiting{queue=\"timeline\"} 0",
        "messages_outbox_events 0",
    ] {
        assert!(metrics.text.contains(name), "{name} is not in\n{}", metrics.text);
    }
}

#[tokio::test]
async fn no_log_line_holds_a_token_or_a_text() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, Settings::default().with("LOG_FILTER", "debug")).await;
    replica.user("jane").send("john", "a secret that is nobody's business").await;
    replica.with_token("not-a-token-at-all").get("/messages").await.expect_problem(401, "unauthorized");
    let log = replica.log().join("\n");
    assert!(log.contains("answered"), "requests are logged");
    for secret in ["nobody's business", "Bearer", "not-a-token-at-all", crate::support::SECRET] {
        assert!(!log.contains(secret), "{secret}");
    }
}
