//! What every request has in common, and what is no request at all.

use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Database, Replica, Reply, Settings, service};

async fn connect(replica: &Replica) -> TcpStream {
    TcpStream::connect(replica.base.trim_start_matches("http://"))
        .await
        .unwrap()
}

#[tokio::test]
async fn what_no_route_has_is_a_problem_like_any_other() {
    let (_database, replica) = service().await;
    let nobody = replica.nobody();
    nobody
        .get("/nothing")
        .await
        .expect_problem(404, "no-such-resource");
    nobody
        .get("/swagger-ui/nothing")
        .await
        .expect_problem(404, "no-such-resource");
    nobody
        .get("/messages/1/2")
        .await
        .expect_problem(404, "no-such-resource");
    for (method, path, allowed) in [
        (Method::PUT, "/messages", ["GET", "POST"]),
        (Method::POST, "/messages/1", ["PATCH", "DELETE"]),
        (Method::DELETE, "/health/live", ["GET", "HEAD"]),
    ] {
        let reply = Reply::of(nobody.request(method, path)).await;
        reply.expect_problem(405, "method-not-allowed");
        assert!(
            allowed
                .iter()
                .all(|method| reply.header("allow").contains(method)),
            "{:?}",
            reply.headers
        );
    }
}

#[tokio::test]
async fn a_request_id_is_taken_or_made_and_returned() {
    let (_database, replica) = service().await;
    let get = |id: &'static str| {
        Reply::of(
            replica
                .user("jane")
                .request(Method::GET, "/messages")
                .header("X-Request-Id", id),
        )
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
    let line = crate::support::eventually("a log line has the id", async || {
        replica.log().into_iter().find(|line| line.contains(id))
    })
    .await;
    let lines = replica.log();
    assert!(
        line.contains(trace) && line.contains("\"level\":\"ERROR\""),
        "{line}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.contains("elsewhere") || line.contains("updates")),
        "the log has the details"
    );
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let (_database, replica) = service().await;
    let mut connection = connect(&replica).await;
    let mut nothing = Vec::new();
    let closed = tokio::time::timeout(
        crate::support::PATIENCE,
        connection.read_to_end(&mut nothing),
    )
    .await;
    assert!(closed.is_ok(), "the connection stays open");
}

#[tokio::test]
async fn a_caller_who_takes_nothing_of_its_answer_is_cut_off() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, Settings::default().with("WRITE_MS_MAX", "1000")).await;
    let jane = replica.user("jane");
    for _ in 0..14 {
        jane.send("john", &"\u{1f600}".repeat(20_000)).await;
    }
    let token = crate::support::token(1, "jane", std::time::Duration::from_secs(600));
    let mut connection = connect(&replica).await;
    let request = format!(
        "GET /messages?include=message HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    connection
        .write_all(request.repeat(40).as_bytes())
        .await
        .unwrap();
    let open = async || replica.metric("messages_http_connections", "").await;
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
    connection
        .write_all(b"GET /messages HTTP/1.1\r\nHost: half")
        .await
        .unwrap();
    let mut rest = Vec::new();
    let closed =
        tokio::time::timeout(crate::support::PATIENCE, connection.read_to_end(&mut rest)).await;
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
    let length = tokio::time::timeout(crate::support::PATIENCE, reading)
        .await
        .expect("an answer")
        .unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn an_answer_does_not_wait_for_a_body_that_it_does_not_need() {
    let (_database, replica) = service().await;
    let token = crate::support::token(1, "jane", std::time::Duration::from_secs(600));
    for (head, status) in [
        (
            "POST /messages HTTP/1.1\r\nContent-Length: 1000".to_owned(),
            "401",
        ),
        (
            "PUT /messages HTTP/1.1\r\nContent-Length: 1000".to_owned(),
            "405",
        ),
        (
            format!(
                "POST /messages HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: application/json\r\nContent-Length: 600000"
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
        connection
            .write_all(format!("{head}\r\nHost: x\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = vec![0; 4096];
        let length = connection.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head}: {answer}"
        );
    }
}

#[tokio::test]
async fn an_encoding_that_is_not_there_is_no_reason_to_refuse_an_answer() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    for encodings in [
        "identity;q=0",
        "*;q=0",
        "zstd, *;q=0",
        "gzip;q=0, identity;q=0",
        "",
    ] {
        let request = jane
            .posting(json!({ "to": "john", "text": "hi" }))
            .header("Accept-Encoding", encodings);
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
    let request = jane
        .posting(json!({ "to": "john", "text": "hi" }))
        .header("Content-Encoding", "gzip");
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
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{hosts:?}: {answer}"
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
async fn answers_stay_out_of_shared_caches() {
    let (_database, replica) = service().await;
    let nobody = replica.nobody();
    for reply in [
        replica.user("jane").get("/messages").await,
        nobody.get("/messages").await,
        nobody.get("/nothing").await,
    ] {
        assert_eq!(reply.header("cache-control"), "private, no-cache");
        let vary: Vec<_> = reply.headers.get_all("vary").iter().collect();
        assert_eq!(vary, ["Accept, Accept-Encoding, Authorization, As-User"]);
    }
}

#[tokio::test]
async fn long_answers_are_compressed_for_whoever_accepts_it() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let sent = jane.send("john", &"again and again ".repeat(200)).await;
    let request = jane.request(Method::GET, &format!("/messages/{}", sent["id"]));
    let reply = request
        .header("Accept-Encoding", "gzip")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.headers()["content-encoding"], "gzip");
    assert!(reply.bytes().await.unwrap().len() < 1000);
}

#[tokio::test]
async fn pages_of_configured_origins_may_call() {
    let database = Database::fresh().await;
    let settings =
        Settings::default().with("CORS_ORIGINS", "https://app.example,https://other.example");
    let replica = Replica::start(&database, settings).await;
    let preflight = |origin: &'static str| {
        let request = replica
            .nobody()
            .request(Method::OPTIONS, "/messages")
            .header("Origin", origin);
        let request = request.header("Access-Control-Request-Method", "POST");
        Reply::of(request.header(
            "Access-Control-Request-Headers",
            "authorization,idempotency-key,if-match",
        ))
    };
    let allowed = preflight("https://app.example").await;
    assert_eq!(allowed.status, 200);
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        "https://app.example"
    );
    assert!(
        allowed
            .header("access-control-allow-headers")
            .contains("idempotency-key")
    );
    assert_eq!(
        preflight("https://evil.example")
            .await
            .header("access-control-allow-origin"),
        ""
    );
    let request = replica
        .nobody()
        .request(Method::GET, "/messages")
        .header("Origin", "https://app.example");
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
        "messages_outbox_events 0",
    ] {
        assert!(
            metrics.text.contains(name),
            "{name} is not in\n{}",
            metrics.text
        );
    }
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
    for secret in [
        "nobody's business",
        "Bearer",
        "not-a-token-at-all",
        crate::support::SECRET,
    ] {
        assert!(!log.contains(secret), "{secret}");
    }
}

/// Whether it is a time in RFC 3339 with six digits of a second, in UTC.
fn has_six_digits(time: &serde_json::Value) -> bool {
    let shape: String = time
        .as_str()
        .unwrap()
        .chars()
        .map(|character| {
            if character.is_ascii_digit() {
                '0'
            } else {
                character
            }
        })
        .collect();
    shape == "0000-00-00T00:00:00.000000Z"
}

#[tokio::test]
async fn every_time_has_six_digits_of_a_second() {
    let database = Database::fresh().await;
    let first = Replica::start(&database, crate::support::administered()).await;
    let jane = first.user("jane");
    let sent = jane.send("john", "hi").await;
    jane.patch(&sent["id"], &sent["timestamp"], json!({ "text": "edited" }))
        .await
        .expect(200);
    let chat = jane.chat("round", &["john"]).await;
    for table in ["messages", "chats", "applications"] {
        database
            .execute(&format!(
                "UPDATE {table} SET created = date_trunc('second', created)"
            ))
            .await;
    }
    database
        .execute("UPDATE messages SET edited = date_trunc('second', edited) + interval '0.1 s'")
        .await;
    let replica = Replica::start(&database, crate::support::administered()).await;
    let (jane, administrator) = (replica.user("jane"), replica.administrator());
    let created = administrator
        .call(Method::POST, "/applications", json!({ "name": "shop" }))
        .await
        .expect(201);
    let shop = replica.with_token(created["token"].as_str().unwrap());
    let message = jane
        .get(&format!("/messages/{}", sent["id"]))
        .await
        .expect(200);
    for time in [
        &message["created"],
        &message["edited"],
        &jane.sync("include=message").await["messages"][1]["message"]["created"],
        &jane.get("/users/john/messages").await.expect(200)["messages"][0]["edited"],
        &jane.get(&format!("/chats/{chat}")).await.expect(200)["created"],
        &administrator.get("/applications/1").await.expect(200)["created"],
        &created["created"],
        &shop
            .call(Method::POST, "/tokens", json!({ "user": "jane" }))
            .await
            .expect(201)["expires"],
        &jane
            .call(Method::POST, "/tickets", json!({}))
            .await
            .expect(201)["expires"],
    ] {
        assert!(has_six_digits(time), "{time}");
    }
}

#[tokio::test]
async fn the_largest_message_that_the_limits_of_its_fields_allow_is_accepted() {
    let (_database, replica) = service().await;
    let text = "\\uD83D\\uDE00".repeat(20_000);
    let attributes = format!(r#"{{"a":"{}"}}"#, "x".repeat(16 * 1024 - 8));
    let files: Vec<_> = (0..100).map(|number| format!("\"{number:064}\"")).collect();
    let body = format!(
        r#"{{"to":"john","text":"{text}","files":[{}],"attributes":{attributes}}}"#,
        files.join(",")
    );
    let send = |body: String| {
        let request = replica.user("jane").request(Method::POST, "/messages");
        Reply::of(
            request
                .header("Content-Type", "application/json")
                .body(body),
        )
    };
    let sent = send(body.clone()).await.expect(201);
    assert_eq!(sent["text"].as_str().unwrap().chars().count(), 20_000);
    let blanks = |length: usize| body.clone() + &" ".repeat(length - body.len());
    send(blanks(512 * 1024)).await.expect(201);
    send(blanks(512 * 1024 + 1))
        .await
        .expect_problem(413, "body-too-large");
}

/// What comes back for these bytes, to the end of the connection: the status, the head and the body.
async fn answer_to(replica: &Replica, request: &[u8]) -> (u16, String, serde_json::Value) {
    let mut connection = connect(replica).await;
    connection.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let reading = connection.read_to_end(&mut answer);
    tokio::time::timeout(crate::support::PATIENCE, reading)
        .await
        .expect("the connection ends")
        .unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (
        status,
        head.to_owned(),
        serde_json::from_str(body).unwrap_or_default(),
    )
}

#[tokio::test]
async fn what_cannot_be_read_as_a_request_is_a_problem_like_any_other() {
    let (_database, replica) = service().await;
    let fields = "X-Field: x\r\n".repeat(101);
    for (request, status, name) in [
        ("nonsense\r\n\r\n".to_owned(), 400, "malformed"),
        ("\0\0\0\0\r\n\r\n".to_owned(), 400, "malformed"),
        ("GET /health/live\r\n\r\n".to_owned(), 400, "malformed"),
        (
            "GET /health/live HTTP/9.9\r\n\r\n".to_owned(),
            400,
            "malformed",
        ),
        (
            "GET /\u{7f} HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            400,
            "malformed",
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nno field\r\n\r\n".to_owned(),
            400,
            "malformed",
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(),
            400,
            "malformed",
        ),
        (
            format!(
                "GET /{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                "x".repeat(32 * 1024)
            ),
            414,
            "target-too-long",
        ),
        (
            format!(
                "GET /{} HTTP/1.1\r\nHost: x\r\n\r\n",
                "x".repeat(100 * 1024)
            ),
            414,
            "target-too-long",
        ),
        (
            format!("GET / HTTP/1.1\r\n{fields}\r\n"),
            431,
            "head-too-large",
        ),
        (
            format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100 * 1024)),
            431,
            "head-too-large",
        ),
        (
            format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(100 * 1024)),
            431,
            "head-too-large",
        ),
    ] {
        let (given, head, problem) = answer_to(&replica, request.as_bytes()).await;
        assert_eq!(given, status, "{request:.60}: {head}");
        assert!(
            head.contains("content-type: application/problem+json"),
            "{request:.60}: {head}"
        );
        assert_eq!(
            (&problem["type"], &problem["status"]),
            (&json!(format!("/problems/{name}")), &json!(status))
        );
        let id = problem["requestId"].as_str().unwrap();
        assert!(
            head.contains(&format!("x-request-id: {id}")) && head.contains("date: "),
            "{head}"
        );
    }
}

#[tokio::test]
async fn what_follows_a_good_request_is_told_apart_from_its_answer() {
    let (_database, replica) = service().await;
    let mut connection = connect(&replica).await;
    let mut answer = vec![0; 4096];
    for _ in 0..2 {
        connection
            .write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let length = connection.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 "));
    }
    connection
        .write_all(b"GET /health/live HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let length = connection.read(&mut answer).await.unwrap();
    let ours = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(
        ours.starts_with("HTTP/1.1 400 ") && ours.contains("Host must be given once"),
        "{ours}"
    );
    connection.write_all(b"nonsense\r\n\r\n").await.unwrap();
    let mut rest = String::new();
    connection.read_to_string(&mut rest).await.unwrap();
    assert!(
        rest.starts_with("HTTP/1.1 400 ") && rest.contains("is not a request of HTTP/1.1"),
        "{rest}"
    );
}

#[tokio::test]
async fn the_documented_limit_of_a_head_is_the_real_one() {
    let (_database, replica) = service().await;
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    assert!(readme.contains("| a head of a request | 64 KiB, 100 fields, a target of 32 KiB |"));
    let begin = "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let of_size = |bytes: usize| {
        format!(
            "{begin}X: {}\r\n\r\n",
            "x".repeat(bytes - begin.len() - "X: \r\n\r\n".len())
        )
    };
    let of_fields = |count: usize| format!("{begin}{}\r\n", "X: x\r\n".repeat(count - 2));
    let of_target = |bytes: usize| {
        let path = "/health/live?";
        begin.replace(
            "/health/live",
            &format!("{path}{}", "x".repeat(bytes - path.len())),
        ) + "\r\n"
    };
    for (request, status) in [
        (of_size(64 * 1024), 200),
        (of_size(64 * 1024 + 1), 431),
        (of_fields(100), 200),
        (of_fields(101), 431),
        (of_target(32 * 1024), 200),
        (of_target(32 * 1024 + 1), 414),
    ] {
        assert_eq!(
            answer_to(&replica, request.as_bytes()).await.0,
            status,
            "{} bytes",
            request.len()
        );
    }
}
