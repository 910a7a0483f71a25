//! What one caller, or many, may hold at a time: requests under way, and answers that nobody takes.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::support::{Database, Replica, Reply, Settings, eventually, open_lane, token};

const MIB: u64 = 1024 * 1024;

/// Sends messages, of which the user's page has about a megabyte.
async fn fill_page_of(replica: &Replica, user: &str) {
    for _ in 0..14 {
        replica
            .user("writer")
            .send(user, &"\u{1f600}".repeat(20_000))
            .await;
    }
}

/// Requests the page of a user, on a connection of which nothing is read and into which little
/// fits.
async fn ask_and_take_nothing(replica: &Replica, user: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = replica.base.trim_start_matches("http://").parse().unwrap();
    let mut connection = socket.connect(address).await.unwrap();
    let request = format!(
        "GET /messages?include=message HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        token(1, user, Duration::from_secs(600))
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    connection
}

/// Takes the rest of an answer.
async fn take(mut connection: TcpStream) -> String {
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// Settings with which an answer may be left untaken for as long as a slow machine takes for a
/// test.
fn patient() -> Settings {
    Settings::default().with("WRITE_MS_MAX", "600000")
}

/// Requests a page as often as there are users, and waits until every answer was produced.
async fn slow_readers(replica: &Replica, users: impl Iterator<Item = String>) -> Vec<TcpStream> {
    let answered = async || {
        replica
            .metric("messages_http_request_seconds_count", "route=\"/messages\"")
            .await
    };
    let before = answered().await;
    let mut readers = Vec::new();
    for user in users {
        readers.push(ask_and_take_nothing(replica, &user).await);
    }
    eventually("everything is answered", async || {
        (answered().await == before + readers.len() as f64).then_some(())
    })
    .await;
    readers
}

fn is_whole_page(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200 ") && answer.ends_with('}') && answer.len() as u64 > MIB / 2
}

#[tokio::test]
async fn one_users_slow_readers_hold_as_many_answers_as_one_user_may_have() {
    let database = Database::fresh().await;
    // The share of a user is as large as all that may be pending for 64 requests.
    let settings = patient().with("REQUESTS_PER_USER_MAX", "64");
    let replica = Replica::start(&database, settings.with("PENDING_ANSWERS_MIB_MAX", "512")).await;
    fill_page_of(&replica, "john").await;
    let warm = slow_readers(&replica, (0..4).map(|_| "john".to_owned())).await;
    for reader in warm {
        assert!(is_whole_page(&take(reader).await));
    }
    let before = replica.resident_bytes();
    let refusals = async || {
        replica
            .metric("messages_http_request_seconds_count", "status=\"429\"")
            .await
    };
    let mut readers = Vec::new();
    while refusals().await < 100.0 {
        readers.extend(slow_readers(&replica, (0..8).map(|_| "john".to_owned())).await);
        let grown = replica.resident_bytes().saturating_sub(before) / MIB;
        assert!(
            grown < 100,
            "{grown} MiB for {} slow readers",
            readers.len()
        );
    }
    let john = replica.user("john");
    let refused = john.get("/messages").await;
    refused.expect_problem(429, "too-many-requests");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
    assert_eq!(
        replica.user("jane").get("/messages").await.status,
        200,
        "others go on"
    );
    let mut pages = 0;
    for reader in readers {
        let answer = take(reader).await;
        pages += usize::from(is_whole_page(&answer));
        // On a slow machine the queue of reads may shed one.
        let is_refused = ["HTTP/1.1 429 ", "HTTP/1.1 503 "]
            .iter()
            .any(|status| answer.starts_with(status));
        assert!(is_whole_page(&answer) || is_refused, "{answer:.100}");
    }
    // Where the last eight were too slow for the queue of reads, they have left their places.
    assert!((57..=64).contains(&pages), "{pages}");
    assert_eq!(john.get("/messages").await.status, 200);
}

#[tokio::test]
async fn answers_that_nobody_takes_have_a_budget_of_their_own_for_all_users() {
    let database = Database::fresh().await;
    let settings = patient().with("PENDING_ANSWERS_MIB_MAX", "8");
    let replica = Replica::start(&database, settings).await;
    let users = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for user in users {
        fill_page_of(&replica, user).await;
    }
    let mut readers = Vec::new();
    for _ in 0..5 {
        readers.extend(slow_readers(&replica, users.map(str::to_owned).into_iter()).await);
    }
    let pending = async || {
        replica
            .metric("messages_http_pending_answer_bytes", "")
            .await
    };
    let held = pending().await;
    assert!(
        held > 6.0 * MIB as f64 && held <= 8.0 * MIB as f64,
        "{held}"
    );
    let page = replica.user("a").get("/messages?include=message").await;
    page.expect_problem(503, "overloaded");
    assert!(page.header("retry-after").parse::<u32>().unwrap() > 0);
    assert_eq!(
        replica.user("a").sync("").await["total"],
        14,
        "a small answer needs no room"
    );
    replica
        .user("a")
        .send("b", &"\u{1f600}".repeat(20_000))
        .await;
    let mut pages = 0;
    for reader in readers {
        let answer = take(reader).await;
        assert!(
            is_whole_page(&answer) || answer.starts_with("HTTP/1.1 503 "),
            "{answer:.100}"
        );
        pages += usize::from(is_whole_page(&answer));
    }
    assert!((6..=8).contains(&pages), "{pages}");
    eventually("what was taken is not counted any more", async || {
        (pending().await == 0.0).then_some(())
    })
    .await;
    assert_eq!(
        replica
            .user("a")
            .get("/messages?include=message")
            .await
            .status,
        200
    );
    let gzip = replica
        .user("a")
        .request(Method::GET, "/messages?include=message");
    assert_eq!(
        Reply::of(gzip.header("Accept-Encoding", "gzip"))
            .await
            .status,
        200
    );
    eventually("encoded answers are given back too", async || {
        (pending().await == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_user_cannot_use_up_the_budget_of_all() {
    let database = Database::fresh().await;
    let settings = patient().with("PENDING_ANSWERS_MIB_MAX", "8");
    let replica = Replica::start(&database, settings).await;
    for user in ["greedy", "john"] {
        fill_page_of(&replica, user).await;
    }
    let readers = slow_readers(&replica, (0..20).map(|_| "greedy".to_owned())).await;
    let page = replica.user("john").get("/messages?include=message").await;
    assert_eq!(page.status, 200, "there is room for others");
    let mut pages = 0;
    for reader in readers {
        pages += usize::from(is_whole_page(&take(reader).await));
    }
    assert!((1..=2).contains(&pages), "a quarter of it: {pages}");
}

#[tokio::test]
async fn requests_under_way_are_limited_for_each_user_and_live_ones_apart() {
    let database = Database::fresh().await;
    let replica = Replica::start(
        &database,
        Settings::default().with("REQUESTS_PER_USER_MAX", "3"),
    )
    .await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(jane.stream("").await);
    }
    let held: Vec<_> = (0..5)
        .map(|_| {
            let jane = jane.clone();
            tokio::spawn(async move { jane.get("/messages?wait=60").await })
        })
        .collect();
    eventually("the answers are held", async || {
        (replica
            .metric("messages_live_connections", "kind=\"poll\"")
            .await
            == 5.0)
            .then_some(())
    })
    .await;
    let lane = database.block_lane().await;
    let sends: Vec<_> = (0..3)
        .map(|number| {
            let jane = jane.clone();
            tokio::spawn(async move { jane.send("jim", &number.to_string()).await })
        })
        .collect();
    replica.until_waiting("timeline", 3.0).await;
    let refused = jane.post(json!({ "to": "jim", "text": "one more" })).await;
    refused.expect_problem(429, "too-many-requests");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
    assert_eq!(john.sync("").await["total"], 0);
    open_lane(lane).await;
    for send in sends {
        send.await.unwrap();
    }
    assert_eq!(
        replica.user("jim").sync("").await["total"],
        3,
        "what was refused was not sent"
    );
    for answer in held {
        let answer = answer.await.unwrap();
        assert!([200, 429].contains(&answer.status), "{}", answer.text);
    }
    jane.send("jim", "again").await;
}
