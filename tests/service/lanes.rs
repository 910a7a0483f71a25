//! Applications side by side: each has its own lane and its own turn, and what a process knows of one
//! it does not read again.

use std::time::Duration;

use messages::{domain::ApplicationId, store::locks};
use serde_json::json;
use tokio::time::timeout;

use crate::support::{Database, EventQueue, PATIENCE, Replica, eventually, service};

const OTHER: i64 = 2;

async fn add_application(database: &Database) {
    database
        .execute(
            "INSERT INTO applications (id, name) VALUES (2, 'other');
             INSERT INTO followers (application_id, name, cursor)
             VALUES (2, 'file-events', 0), (2, 'search-index', 0)",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_does_not_wait_for_the_lane_of_another() {
    let (database, replica) = service().await;
    add_application(&database).await;
    let lane = database.block_lane().await;
    let jane = replica.user("jane");
    let waiting = tokio::spawn(async move { jane.send("john", "waits").await });
    database.until_writer_waits().await;
    let ann = replica.user_of(OTHER, "ann");
    for count in 1..=3 {
        assert_eq!(ann.send("bob", "goes on").await["number"], count);
    }
    let page = ann.sync("after=0").await;
    assert_eq!(page["total"], 3, "its reads go on as well");
    assert!(!waiting.is_finished());
    crate::support::open_lane(lane).await;
    waiting.await.unwrap();
}

#[tokio::test]
async fn timestamps_of_two_applications_differ_and_each_ends_where_it_ends() {
    let (database, replica) = service().await;
    add_application(&database).await;
    let (jane, ann) = (replica.user("jane"), replica.user_of(OTHER, "ann"));
    let mut timestamps = Vec::new();
    for _ in 0..3 {
        for user in [&jane, &ann] {
            timestamps.push(user.send("john", "hi").await["timestamp"].as_i64().unwrap());
        }
    }
    let distinct: std::collections::BTreeSet<_> = timestamps.iter().collect();
    assert_eq!(distinct.len(), 6, "{timestamps:?}");
    let last_of_jane = timestamps[4];
    assert_eq!(
        jane.sync(&format!("after={last_of_jane}")).await["total"],
        0
    );
    let ahead = jane
        .get(&format!("/messages?after={}", timestamps[5]))
        .await;
    ahead.expect_problem(410, "cursor-ahead");
}

#[tokio::test]
async fn sends_into_hot_conversations_read_no_conversation() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let chat = jane.chat("Team", &["john"]).await;
    let send = async || {
        jane.send("john", "hello").await;
        jane.post_into(chat, "hello").await;
    };
    send().await;
    // The server counts with some delay, the reads and the inserts at once.
    let until_counted = async |inserts: i64| {
        let counted = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'messages'";
        eventually("the inserts are counted", async || {
            (database.count(counted).await == inserts).then_some(())
        })
        .await;
        let reads = "SELECT sum(idx_scan + seq_scan)::bigint FROM pg_stat_user_tables
                     WHERE relname = 'conversations'";
        database.count(reads).await
    };
    let before = until_counted(2).await;
    for _ in 0..100 {
        send().await;
    }
    // Each writer's first connection has both conversations read once more.
    let reads = until_counted(202).await - before;
    assert!(reads < 50, "{reads} for 200 sends");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_was_told_of_is_followed_however_busy_another_application_is() {
    let database = Database::fresh().await;
    let queue = EventQueue::on_shared_broker();
    let replica = Replica::start(&database, queue.settings()).await;
    add_application(&database).await;
    let jane = replica.user("jane");
    let busy = tokio::spawn(async move {
        loop {
            jane.post(json!({ "to": "john", "files": ["busy"] }))
                .await
                .expect(201);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    database
        .execute(
            "INSERT INTO changes (application_id, timestamp, kind, message_id, created, files)
             VALUES (2, nextval('timeline'), 'message-created', nextval('message_ids'), now(), '{silent}')",
        )
        .await;
    let arrival = queue.consume_until(|events| events.iter().any(|event| event.file == "silent"));
    timeout(PATIENCE, arrival).await.unwrap();
    busy.abort();
}

#[test]
fn each_application_has_a_lock_of_its_own() {
    let locks = [1, 2, (1 << 53) - 1].map(|id| locks::lane(ApplicationId::new(id)));
    assert!(locks.is_sorted_by(|one, other| one < other), "{locks:?}");
}
