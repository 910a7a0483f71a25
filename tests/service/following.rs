//! Live followers whose wake-ups are lost, who are slow, or who take nothing any more.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::support::{
    Database, Follower, Load, Replica, Settings, Way, eventually, service, token,
};

/// Terminates the listeners of both replicas once both are there; gives how many it was.
async fn terminate_listeners(database: &Database) -> i64 {
    let terminate = "WITH listeners AS (
                         SELECT pid FROM pg_stat_activity
                         WHERE datname = current_database() AND application_name = 'messages listener'
                     )
                     SELECT count(pg_terminate_backend(pid)) FROM listeners
                     WHERE (SELECT count(*) FROM listeners) = 2";
    database.count(terminate).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_loses_its_connection_loses_nothing_for_its_followers() {
    let database = Database::fresh().await;
    let one = Replica::start(&database, Settings::default()).await;
    let other = Replica::start(&database, Settings::default()).await;
    let ways = [Way::Poll, Way::Poll, Way::Stream, Way::Stream];
    let clients = || vec![one.user("john"), other.user("john")];
    let mut load = Load::start(ways.map(|way| Follower::new(way, clients())));
    load.add_writers(8, "john", &[&one, &other]);
    let woken = async || {
        one.metric("messages_wakeups_total", "who=\"everybody\"")
            .await
    };
    let before = woken().await;
    for losses in 1..=5 {
        load.until_more(100).await;
        eventually("both listeners are terminated", async || {
            (terminate_listeners(&database).await == 2).then_some(())
        })
        .await;
        eventually("everybody was woken after each loss", async || {
            (woken().await >= before + f64::from(losses)).then_some(())
        })
        .await;
    }
    load.finish().await;
    // Only what a wake-up has brought is measured: so the listener listens again.
    let deliveries = async || one.metric("messages_delivery_seconds_count", "").await;
    let before = deliveries().await;
    let (jane, mut stream) = (
        one.user("jane"),
        one.user("jim").stream("after=latest").await,
    );
    stream.begin_current().await;
    eventually("a wake-up brings a change", async || {
        jane.send("jim", "hello").await;
        stream.event("update").await;
        (deliveries().await > before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_change_that_no_wake_up_tells_of_is_found_all_the_same() {
    let (database, replica) = service().await;
    let john = replica.user("john");
    let mut stream = john.stream("").await;
    stream.begin_current().await;
    let silently = "INSERT INTO updates (application_id, user_id, timestamp, message_id)
                    VALUES (1, 'john', nextval('timeline'), nextval('message_ids'))";
    database.execute(silently).await;
    let told = stream.event("update").await.id;
    let polling = tokio::spawn({
        let john = john.clone();
        async move { john.sync(&format!("after={}&wait=60", told.unwrap())).await }
    });
    eventually("the answer is held", async || {
        (replica.metric("messages_live_connections", "poll").await > 0.0).then_some(())
    })
    .await;
    database.execute(silently).await;
    assert_eq!(polling.await.unwrap()["total"], 1);
    assert!(
        replica.metric("messages_lost_wakeups_total", "").await >= 2.0,
        "that is measured"
    );
}

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

/// Reads on until the data of `count` updates have come; gives their timestamps.
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

/// Sends `count` messages of the longest text to john; gives their timestamps.
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

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_waits_for_a_database_that_is_away() {
    let servers = tokio::task::spawn_blocking(|| crate::support::Servers::start("postgres"))
        .await
        .unwrap();
    let database = Database::at(&servers.database_url);
    let replica = Replica::start(&database, Settings::default()).await;
    let jane = replica.user("jane");
    let mut stream = replica.user("john").stream("").await;
    stream.begin_current().await;
    tokio::task::block_in_place(|| servers.crash("postgres"));
    let mut opened_meanwhile = replica.user("john").stream("after=latest").await;
    assert!(opened_meanwhile.block().await.unwrap().comment);
    tokio::task::block_in_place(|| servers.start_again("postgres"));
    let sent = eventually("the service recovers", async || {
        let reply = jane.post(json!({ "to": "john", "text": "hello" })).await;
        (reply.status == 201).then(|| reply.json())
    })
    .await;
    assert_eq!(stream.event("update").await.id, sent["timestamp"].as_i64());
    let from: Value = opened_meanwhile.told().await.id.into();
    assert!(from == 0 || from == sent["timestamp"], "{from}");
}
