//! Replicas that die.

use std::collections::BTreeSet;

use sqlx::Row;

use crate::{
    events::first_deliveries,
    support::{Database, EventQueue, Load, Replica, Watcher, Way, eventually},
};

/// The files of all messages: each has one, which is named like the message's idempotency key.
async fn files_of_committed_messages(database: &Database) -> BTreeSet<String> {
    let mut connection = database.connect().await;
    let rows = sqlx::query("SELECT idempotency_key FROM messages")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    rows.iter().map(|row| row.get::<String, _>(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_replica_loses_nothing_for_any_watcher_and_no_event() {
    let database = Database::fresh().await;
    let queue = EventQueue::on_shared_broker();
    let mut victim = Replica::start(&database, queue.settings()).await;
    let other = Replica::start(&database, queue.settings()).await;
    let ways = [Way::Page, Way::Poll, Way::Stream, Way::Stream];
    let clients = || vec![victim.user("john"), other.user("john")];
    let mut load = Load::start(ways.map(|way| Watcher::new(way, clients())));
    load.add_writers(16, "john", &[&victim, &other]);
    for _ in 0..3 {
        load.until_more(300).await;
        victim.kill();
        load.until_more(50).await;
        let base = victim.base.clone();
        victim = Replica::start_again_at(&base, &database, queue.settings()).await;
    }
    load.finish().await;

    let files = files_of_committed_messages(&database).await;
    let deleted = database
        .count("SELECT count(*) FROM messages WHERE deleted")
        .await;
    let events = queue
        .consume_until(|events| {
            let uses = first_deliveries(events);
            uses.len() == files.len()
                && uses
                    .values()
                    .flatten()
                    .filter(|(_, in_use)| !in_use)
                    .count() as i64
                    == deleted
        })
        .await;
    let uses = first_deliveries(&events);
    assert_eq!(
        uses.keys().cloned().collect::<BTreeSet<_>>(),
        files,
        "every file was reported, and no other"
    );
    assert!(
        uses.values().all(|uses| uses.is_sorted() && uses[0].1),
        "a use begins before it ends"
    );
    database.until_events_are_published().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_stopped_answers_whoever_waits() {
    let database = Database::fresh().await;
    let mut replica = Replica::start(&database, Default::default()).await;
    let jane = replica.user("jane");
    let lane = database.block_lane().await;
    let send = |text: String| {
        let jane = jane.clone();
        tokio::spawn(async move { jane.send("john", &text).await })
    };
    let sends: Vec<_> = (0..20).map(|number| send(number.to_string())).collect();
    replica.until_waiting("timeline", 20.0).await;
    replica.signal_to_stop();
    eventually("the replica takes no more connections", async || {
        tokio::net::TcpStream::connect(replica.base.trim_start_matches("http://"))
            .await
            .is_err()
            .then_some(())
    })
    .await;
    crate::support::open_lane(lane).await;
    for send in sends {
        send.await.unwrap();
    }
    assert!(replica.ended().await.success());
    assert_eq!(database.count("SELECT count(*) FROM messages").await, 20);
}
