//! The promise: whoever repeats `GET /messages?after=<last>` misses nothing.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use sqlx::Connection;

use crate::support::{
    Acknowledged, Database, Fault, FeedDelivery, Load, Replica, Settings, Watcher, Way,
    administered, faults, feed_log, missed, timestamp_of,
};

const WRITERS: usize = 48;
const WATCHERS: usize = 6;

/// Enough for thousands of meetings at the lane's lock.
const CHANGES: usize = 6000;

#[tokio::test(flavor = "multi_thread")]
async fn no_watcher_misses_a_change_of_48_writers_over_two_replicas() {
    let database = Database::fresh().await;
    let replicas = [
        Replica::start(&database, Settings::default()).await,
        Replica::start(&database, Settings::default()).await,
    ];
    let watcher = |number: usize| {
        let mut clients = vec![replicas[0].user("john"), replicas[1].user("john")];
        clients.rotate_left(number % 2);
        Watcher::new([Way::Page, Way::Poll, Way::Stream][number % 3], clients)
    };
    let mut load = Load::start((0..WATCHERS).map(watcher));
    load.add_writers(WRITERS, "john", &[&replicas[0], &replicas[1]]);
    load.until_more(CHANGES).await;
    let (acknowledged, seen) = load.stop().await;
    for seen in seen {
        assert_eq!(missed(&acknowledged, &seen), Vec::<i64>::new());
        assert_eq!(
            seen.len(),
            acknowledged.len(),
            "nothing is seen that was not acknowledged"
        );
    }
}

/// The same checker, fed by writers that do without the lock, must find what they lose: otherwise
/// the test above proves nothing. So must the checker of the feed.
#[tokio::test(flavor = "multi_thread")]
async fn the_checker_finds_what_writers_without_the_lock_lose() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let mut load = Load::start([
        Watcher::new(Way::Page, vec![replica.user("john")]),
        Watcher::of_feed(Way::Page, vec![app]),
    ]);
    for _ in 0..16 {
        let url = database.url.clone();
        load.add_writer(|done, acknowledged| write_without_the_lock(url, done, acknowledged));
    }
    load.until_more(1000).await;
    let (acknowledged, mut received) = load.stop_with_entries().await;
    let of_feed = received.pop().unwrap();
    let seen: Vec<_> = received[0].iter().map(timestamp_of).collect();
    assert!(!seen.is_empty(), "the watcher watches");
    let missed = missed(&acknowledged, &seen);
    assert!(
        !missed.is_empty(),
        "the checker is blind: nothing is missed without the lock"
    );
    assert!(!of_feed.is_empty(), "the follower follows");
    let log = feed_log(&database).await;
    let faults = faults(&log, &FeedDelivery::one_by_one(of_feed));
    let is_loss = |fault: &Fault| match fault {
        Fault::Missing(timestamp) => acknowledged.contains(timestamp),
        _ => false,
    };
    assert!(
        !faults.is_empty() && faults.iter().all(is_loss),
        "the checker of the feed finds losses, and nothing else: {faults:?}"
    );
}

/// One change a transaction, as almost everybody writes it.
async fn write_without_the_lock(url: String, done: Arc<AtomicBool>, acknowledged: Acknowledged) {
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    while !done.load(Ordering::SeqCst) {
        let mut transaction = connection.begin().await.unwrap();
        let timestamp: i64 = sqlx::query_scalar(
            "WITH change AS (
                 INSERT INTO changes (application_id, timestamp, kind, message_id, created)
                 VALUES (1, nextval('timeline'), 'message-created', nextval('message_ids'), now())
                 RETURNING timestamp, message_id
             )
             INSERT INTO updates (application_id, user_id, timestamp, message_id)
             SELECT 1, 'john', timestamp, message_id FROM change RETURNING timestamp",
        )
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
        // The rest of the transaction's work, which takes now less and now more.
        sqlx::query("SELECT pg_sleep(random() * 0.005)")
            .execute(&mut *transaction)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        acknowledged.add(timestamp);
    }
}

#[test]
fn the_checker_refuses_what_does_not_ascend() {
    let all = BTreeSet::from([1, 2, 3]);
    assert_eq!(missed(&all, &[1, 3, 5]), [2]);
    for seen in [[1, 1], [2, 1]] {
        assert!(std::panic::catch_unwind(|| missed(&all, &seen)).is_err());
    }
}
