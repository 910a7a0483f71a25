//! Events for the file service.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Database, Delivered, EventQueue, Replica, eventually, service};

#[tokio::test]
async fn the_use_of_each_file_begins_and_ends_with_its_message() {
    let database = Database::fresh().await;
    let queue = EventQueue::on_shared_broker();
    let replica = Replica::start(&database, queue.settings()).await;
    let jane = replica.user("jane");
    let sent = jane
        .post(json!({ "to": "john", "files": ["a", "b"] }))
        .await
        .expect(201);
    let edited = jane
        .patch(&sent["id"], &sent["timestamp"], json!({ "text": "x" }))
        .await
        .expect(200);
    let gone = jane
        .delete(&sent["id"], &edited["timestamp"])
        .await
        .expect(200);
    let events = queue.consume_until(|events| events.len() == 4).await;
    let expected = [
        ("a", true, &sent, 0),
        ("b", true, &sent, 1),
        ("a", false, &gone, 0),
        ("b", false, &gone, 1),
    ];
    for (event, (file, in_use, change, index)) in events.iter().zip(expected) {
        assert_eq!(event.body, json!({ "fileId": file, "inUse": in_use }));
        assert_eq!(event.message_id, format!("{}.{index}", change["timestamp"]));
        assert_eq!(event.application, 1);
        let properties = &event.properties;
        let text = |value: &Option<lapin::types::ShortString>| value.as_ref().unwrap().to_string();
        assert_eq!(text(properties.kind()), "fileUsage");
        assert_eq!(text(properties.app_id()), "messages");
        assert_eq!(text(properties.content_type()), "application/json");
        assert_eq!(*properties.delivery_mode(), Some(2), "persistent");
        assert!(properties.timestamp().unwrap() > 1_700_000_000);
    }
    database.until_events_are_published().await;
}

#[tokio::test]
async fn a_repeated_request_reports_nothing_again() {
    let database = Database::fresh().await;
    let queue = EventQueue::on_shared_broker();
    let replica = Replica::start(&database, queue.settings()).await;
    let jane = replica.user("jane");
    for (key, file) in [("k", "a"), ("k", "a"), ("l", "b")] {
        let request = jane
            .posting(json!({ "to": "john", "files": [file] }))
            .header("Idempotency-Key", key);
        crate::support::Reply::of(request).await.expect(201);
    }
    let events = queue
        .consume_until(|events| events.iter().any(|event| event.file == "b"))
        .await;
    assert_eq!(
        events
            .iter()
            .map(|event| event.file.as_str())
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
}

#[tokio::test]
async fn events_wait_where_no_broker_is_configured_and_the_log_says_so_once() {
    let (database, replica) = service().await;
    for _ in 0..3 {
        replica
            .user("jane")
            .post(json!({ "to": "john", "files": ["a"] }))
            .await
            .expect(201);
    }
    assert_eq!(database.waiting_events().await, 3);
    let warnings = replica
        .log()
        .iter()
        .filter(|line| line.contains("AMQP_URL is not set"))
        .count();
    assert_eq!(warnings, 1);
    assert_eq!(
        replica.nobody().get("/health/ready").await.expect(200)["broker"],
        "notConfigured"
    );
    eventually("the backlog is measured", async || {
        (replica
            .metric("messages_follower_lag_changes", "file-events")
            .await
            == 3.0)
            .then_some(())
    })
    .await;
    drop(replica);

    let queue = EventQueue::on_shared_broker();
    let _replica = Replica::start(&database, queue.settings()).await;
    queue.consume_until(|events| events.len() == 3).await;
}

#[tokio::test]
async fn a_queue_that_disappears_is_declared_anew_and_loses_nothing_further() {
    let database = Database::fresh().await;
    let queue = EventQueue::on_shared_broker();
    let replica = Replica::start(&database, queue.settings()).await;
    let jane = replica.user("jane");
    jane.post(json!({ "to": "john", "files": ["before"] }))
        .await
        .expect(201);
    queue.consume_until(|events| events.len() == 1).await;
    let connection = queue.connect().await;
    let channel = connection.create_channel().await.unwrap();
    channel
        .queue_delete(queue.name.as_str().into(), Default::default())
        .await
        .unwrap();
    jane.post(json!({ "to": "john", "files": ["after"] }))
        .await
        .expect(201);
    // The broker returns the event, the publisher begins anew and declares the queue first.
    eventually("the event is published in the end", async || {
        (database.waiting_events().await == 0).then_some(())
    })
    .await;
    let events = queue.consume_until(|events| !events.is_empty()).await;
    assert_eq!(events[0].file, "after");
}

#[tokio::test]
async fn one_replica_publishes_and_another_takes_over() {
    let database = Database::fresh().await;
    let queue = EventQueue::on_shared_broker();
    let mut replicas = Vec::new();
    for _ in 0..2 {
        replicas.push(Replica::start(&database, queue.settings()).await);
    }
    let publishing = async |replica: &Replica| {
        replica.nobody().get("/health/ready").await.expect(200)["broker"] == "publishing"
    };
    let leader = eventually("one replica publishes", async || {
        let (first, second) = (
            publishing(&replicas[0]).await,
            publishing(&replicas[1]).await,
        );
        (first != second).then_some(usize::from(second))
    })
    .await;
    replicas[leader].kill();
    let survivor = &replicas[1 - leader];
    survivor
        .user("jane")
        .post(json!({ "to": "john", "files": ["a"] }))
        .await
        .expect(201);
    let events = queue.consume_until(|events| !events.is_empty()).await;
    assert_eq!(events[0].file, "a");
    eventually("the other publishes", async || {
        publishing(survivor).await.then_some(())
    })
    .await;
}

/// Waits until the publisher has failed `times` more.
async fn until_publishing_failed(replica: &Replica, times: usize) {
    let failures = || {
        replica
            .log()
            .iter()
            .filter(|line| line.contains("a follower pauses") && line.contains("file-events"))
            .count()
    };
    let before = failures();
    eventually("the publisher fails", async || {
        (failures() >= before + times).then_some(())
    })
    .await;
}

const RAISE: &str = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql \
                     AS $$ BEGIN RAISE EXCEPTION 'no cursor may be moved'; END $$";

/// How moves of the cursor are refused while the service runs, how they are allowed again, and whether the
/// failure shows before anything is published.
const REFUSALS: [(&str, &[&str], &[&str], bool); 4] = [
    (
        "the database becomes read-only",
        &[
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$",
        ],
        &[
            "SET TRANSACTION READ WRITE",
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$",
        ],
        true,
    ),
    (
        "a trigger refuses each row",
        &[
            RAISE,
            "CREATE TRIGGER refusing BEFORE INSERT OR UPDATE ON followers FOR EACH ROW \
                 WHEN (NEW.name = 'file-events') EXECUTE FUNCTION refuse()",
        ],
        &["DROP TRIGGER refusing ON followers"],
        true,
    ),
    (
        "a trigger refuses the statement",
        &[
            RAISE,
            "CREATE TRIGGER refusing BEFORE INSERT OR UPDATE ON followers EXECUTE FUNCTION refuse()",
        ],
        &["DROP TRIGGER refusing ON followers"],
        true,
    ),
    (
        "the commit fails",
        &[
            RAISE,
            "CREATE CONSTRAINT TRIGGER refusing AFTER INSERT OR UPDATE ON followers DEFERRABLE \
                 INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.name = 'file-events') \
                 EXECUTE FUNCTION refuse()",
        ],
        &["DROP TRIGGER refusing ON followers"],
        false,
    ),
];

#[tokio::test]
async fn events_whose_cursor_cannot_be_moved_are_published_once_and_not_again_and_again() {
    // Each takes several pauses of the publisher. A database is dropped by a call that blocks,
    // which the others must not wait for, so all are dropped together in the end.
    let _databases = join_all(REFUSALS.map(async |(what, refuse, allow, shows_before)| {
        let database = Database::fresh().await;
        let queue = EventQueue::on_shared_broker();
        let replica = Replica::start(&database, queue.settings()).await;
        let jane = replica.user("jane");
        let send = async |files: &[&str]| {
            jane.post(json!({ "to": "john", "files": files }))
                .await
                .expect(201);
        };
        send(&["before"]).await;
        database.until_events_are_published().await;
        database.execute(&refuse.join(";")).await;
        // What is set for a database holds for new connections.
        database.end_connections_of("messages publisher").await;
        send(&["a", "b", "c"]).await;
        until_publishing_failed(&replica, 4).await;
        send(&["d"]).await;
        until_publishing_failed(&replica, 2).await;
        let published = if shows_before { 1 } else { 4 };
        assert_eq!(queue.waiting().await, published, "{what}");
        database.execute(&allow.join(";")).await;
        database.end_connections_of("messages publisher").await;
        database.until_events_are_published().await;
        let events = queue.consume_until(|events| events.len() >= 5).await;
        let files: Vec<_> = events.iter().map(|event| event.file.as_str()).collect();
        assert_eq!(files, ["before", "a", "b", "c", "d"], "{what}");
        assert_eq!(
            replica.metric("messages_events_published_total", "").await,
            5.0,
            "{what}"
        );
        database
    }))
    .await;
}

/// The first delivery of each event, by file, in order: repeats are dropped as a consumer would.
pub fn first_deliveries(events: &[Delivered]) -> BTreeMap<String, Vec<(i64, bool)>> {
    let mut seen = std::collections::HashSet::new();
    let mut files: BTreeMap<String, Vec<(i64, bool)>> = BTreeMap::new();
    for event in events
        .iter()
        .filter(|event| seen.insert(event.message_id.clone()))
    {
        files
            .entry(event.file.clone())
            .or_default()
            .push((event.timestamp, event.in_use));
    }
    files
}

#[tokio::test]
async fn the_events_of_one_file_come_in_the_order_of_its_changes() {
    let database = Database::fresh().await;
    let queue = EventQueue::on_shared_broker();
    let replica = Replica::start(&database, queue.settings()).await;
    let jane = replica.user("jane");
    for _ in 0..20 {
        let sent = jane
            .post(json!({ "to": "john", "files": ["hot", "cold"] }))
            .await
            .expect(201);
        jane.delete(&sent["id"], &sent["timestamp"])
            .await
            .expect(200);
    }
    let events = queue.consume_until(|events| events.len() >= 80).await;
    for (file, uses) in first_deliveries(&events) {
        assert!(uses.is_sorted(), "{file}: {uses:?}");
        assert!(
            uses.iter()
                .enumerate()
                .all(|(index, (_, in_use))| *in_use == (index % 2 == 0)),
            "{file}"
        );
    }
}
