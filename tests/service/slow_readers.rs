//! Readers of streams that are slow, or take nothing any more.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::support::{Database, Replica, Settings, eventually, service, token};

/// A stream of whole messages over a connection that takes little and is not read.
async fn open_unread(replica: &Replica, user: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = replica.base.trim_start_matches("http://").parse().unwrap();
    let mut connection = socket.connect(address).await.unwrap();
    let token = token(1, user, Duration::from_secs(3600));
    let request = format!(
        "GET /messages?include=message HTTP/1.1\r\nHost: localhost\r\n\
         Accept: text/event-stream\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    connection
}

/// Reads on until the data of `count` updates have come; returns their timestamps.
async fn read_updates(connection: &mut TcpStream, count: usize) -> Vec<i64> {
    let (mut text, mut buffer) = (String::new(), vec![0; 64 * 1024]);
    while text.matches("event: current").count() == 0 {
        let length = connection.read(&mut buffer).await.unwrap();
        assert!(length > 0, "the stream goes on");
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    let ids = text.split("event: update\nid: ").skip(1);
    let seen: Vec<_> = ids
        .map(|rest| rest.lines().next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(seen.len(), count);
    seen
}

/// Sends `count` messages of the longest text to john; returns their timestamps.
async fn send_long(replica: &Replica, count: usize) -> Vec<i64> {
    let (jane, text) = (replica.user("jane"), "x".repeat(20_000));
    let mut sent = Vec::new();
    for _ in 0..count {
        sent.push(
            jane.send("john", &text).await["timestamp"]
                .as_i64()
                .unwrap(),
        );
    }
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_take_nothing_cost_no_memory_and_miss_nothing() {
    const READERS: usize = 40;
    // However long the others take, the first reader's connection is not cut for taking nothing.
    let database = Database::fresh().await;
    let replica = Replica::start(
        &database,
        Settings::default().with("WRITE_MS_MAX", "600000"),
    )
    .await;
    let sent = send_long(&replica, 200).await;
    // One reader that reads shows how far the others might have come, and warms everything up.
    let mut first = open_unread(&replica, "john").await;
    assert_eq!(read_updates(&mut first, 200).await, sent);
    let before = replica.resident_bytes();
    let mut unread = Vec::new();
    for _ in 0..READERS {
        unread.push(open_unread(&replica, "john").await);
    }
    let mut fast = open_unread(&replica, "john").await;
    assert_eq!(read_updates(&mut fast, 200).await, sent);
    let grown = replica.resident_bytes().saturating_sub(before);
    // Each would have 4 MB to get.
    assert!(
        grown < READERS as u64 * 1024 * 1024,
        "{grown} bytes for {READERS} readers"
    );
    for slow in unread.iter_mut().take(3) {
        assert_eq!(
            read_updates(slow, 200).await,
            sent,
            "it reads on where it was"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_whose_reader_takes_nothing_for_too_long() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, Settings::default().with("WRITE_MS_MAX", "1000")).await;
    send_long(&replica, 100).await;
    let _unread = open_unread(&replica, "john").await;
    let is_open = async || {
        replica
            .metric("messages_live_connections", "kind=\"stream\"")
            .await
            > 0.0
    };
    eventually("the stream is open", async || is_open().await.then_some(())).await;
    eventually("the stream ends", async || (!is_open().await).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_does_not_hold_up_the_end_of_the_service() {
    let (_database, mut replica) = service().await;
    send_long(&replica, 500).await;
    let _unread = open_unread(&replica, "john").await;
    eventually("the stream is open", async || {
        (replica.metric("messages_live_connections", "stream").await > 0.0).then_some(())
    })
    .await;
    replica.signal_to_stop();
    assert!(replica.ended().await.success());
    assert!(
        !replica.log().iter().any(|line| line.contains("cut off")),
        "{:?}",
        replica.log()
    );
}
