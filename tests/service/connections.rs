//! Connections and what comes over them: requests that do not arrive whole, and bytes that are no
//! request.

use std::time::Duration;

use messages::http::HttpTimeLimits;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Database, PATIENCE, Replica, Settings, eventually, service, token};

async fn connect(replica: &Replica) -> TcpStream {
    TcpStream::connect(replica.base.trim_start_matches("http://"))
        .await
        .unwrap()
}

/// A replica on which a limit of time is one second.
async fn replica_with_one_second(setting: &'static str) -> (Database, Replica) {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, Settings::default().with(setting, "1000")).await;
    (database, replica)
}

/// What comes on a connection until the service closes it.
async fn until_closed(mut connection: TcpStream) -> String {
    let mut answer = String::new();
    let reading = connection.read_to_string(&mut answer);
    let closed = tokio::time::timeout(PATIENCE, reading).await;
    closed.expect("the connection ends").unwrap();
    answer
}

/// The beginning of an answer.
async fn answer_on(connection: &mut TcpStream) -> String {
    let mut answer = vec![0; 4096];
    let reading = tokio::time::timeout(PATIENCE, connection.read(&mut answer)).await;
    let length = reading.expect("an answer").unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let (_database, replica) = replica_with_one_second("HEAD_MS_MAX").await;
    assert_eq!(until_closed(connect(&replica).await).await, "");
    let mut connection = connect(&replica).await;
    let request = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    connection.write_all(request).await.unwrap();
    let answer = until_closed(connection).await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
}

#[tokio::test]
async fn half_a_request_head_does_not_keep_its_connection() {
    let (_database, replica) = replica_with_one_second("HEAD_MS_MAX").await;
    let mut connection = connect(&replica).await;
    let half = b"GET /messages HTTP/1.1\r\nHost: half";
    connection.write_all(half).await.unwrap();
    until_closed(connection).await;
}

#[tokio::test]
async fn half_a_body_is_not_waited_for() {
    let (_database, replica) = replica_with_one_second("BODY_MS_MAX").await;
    let token = token(1, "jane", Duration::from_secs(600));
    let mut connection = connect(&replica).await;
    let head = format!(
        "POST /messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{\"to\":"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let answer = answer_on(&mut connection).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_caller_who_takes_nothing_of_its_answer_is_cut_off() {
    let database = Database::fresh().await;
    // No other connection ends meanwhile.
    let settings = Settings::default()
        .with("WRITE_MS_MAX", "1000")
        .with("HEAD_MS_MAX", "600000");
    let replica = Replica::start(&database, settings).await;
    let jane = replica.user("jane");
    for _ in 0..14 {
        jane.send("john", &"\u{1f600}".repeat(20_000)).await;
    }
    let open = async || replica.metric("messages_http_connections", "").await;
    let before = open().await;
    let token = token(1, "jane", Duration::from_secs(600));
    let mut connection = connect(&replica).await;
    let request = format!(
        "GET /messages?include=message HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    connection
        .write_all(request.repeat(40).as_bytes())
        .await
        .unwrap();
    // It is being answered. By the time that its connections are counted, it may be closed already.
    connection.read_u8().await.unwrap();
    eventually("the connection is closed", async || {
        (open().await <= before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_answer_does_not_wait_for_a_body_that_it_does_not_need() {
    let (_database, replica) = service().await;
    let token = token(1, "jane", Duration::from_secs(600));
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
        let answer = answer_on(&mut connection).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head}: {answer}"
        );
    }
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
        let answer = answer_on(&mut connection).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{hosts:?}: {answer}"
        );
    }
}

/// What comes back for these bytes, to the end of the connection: the status, the head and the
/// body.
async fn answer_to(replica: &Replica, request: &[u8]) -> (u16, String, Value) {
    let mut connection = connect(replica).await;
    connection.write_all(request).await.unwrap();
    let answer = until_closed(connection).await;
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
async fn each_request_of_a_connection_has_an_answer_of_its_own() {
    let (_database, replica) = service().await;
    let mut connection = connect(&replica).await;
    for _ in 0..2 {
        connection
            .write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let answer = answer_on(&mut connection).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    connection
        .write_all(b"GET /health/live HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let answer = answer_on(&mut connection).await;
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("Host must be given once"),
        "{answer}"
    );
    connection.write_all(b"nonsense\r\n\r\n").await.unwrap();
    let rest = until_closed(connection).await;
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

/// The other tests set shorter ones.
#[test]
fn the_documented_limits_of_time_are_the_real_ones() {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let limits = HttpTimeLimits::default();
    let seconds = |limit: Duration| limit.as_secs();
    for words in [
        format!("| a body | 512 KiB, within {} s |", seconds(limits.body)),
        format!("an idle one is closed after {} s", seconds(limits.head)),
        format!(
            "takes nothing of its answer after {} s |",
            seconds(limits.write)
        ),
        format!("| a held answer | {} s,", seconds(limits.held_answer)),
        format!(
            "its idle timeout above {}\nseconds",
            seconds(limits.comment_period)
        ),
    ] {
        assert!(readme.contains(&words), "the README does not say: {words}");
    }
}
