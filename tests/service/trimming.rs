//! A timeline is trimmed no further than the slowest follower has come, whichever that is. Whoever has come as far
//! has no gap. That a webhook is waited for is in `retention`.

use serde_json::json;

use crate::{
    retention::{age, keep_for, passes, trimmed_up_to, until_first, until_trimmed_up_to},
    support::{Client, Database, Replica, eventually, publishing_to},
};

/// How many messages are sent before a follower is held, and as many again after that.
const MESSAGES: i64 = 3;

/// Sends messages with a text and a file each, so that every follower has work. Returns their timestamps.
async fn sent(jane: &Client) -> Vec<i64> {
    let mut timestamps = Vec::new();
    for number in 0..MESSAGES {
        let file = format!("file-{number}");
        let body = json!({ "to": "john", "text": "hello", "files": [file] });
        let message = jane.post(body).await.expect(201);
        timestamps.push(message["timestamp"].as_i64().unwrap());
    }
    timestamps
}

/// Waits until every follower has come so far.
async fn until_followed(database: &Database, timestamp: i64) {
    eventually("every follower has caught up", async || {
        let slowest = "SELECT min(cursor) FROM followers";
        (database.count(slowest).await >= timestamp).then_some(())
    })
    .await;
}

/// Keeps a follower where it is. It tries again and again.
async fn hold(database: &Database, follower: &str) {
    database
        .execute(&format!(
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'the follower is held'; END $$;
             CREATE TRIGGER hold BEFORE UPDATE ON followers FOR EACH ROW
             WHEN (NEW.name = '{follower}') EXECUTE FUNCTION hold()"
        ))
        .await;
}

async fn release(database: &Database) {
    database.execute("DROP TRIGGER hold ON followers").await;
}

/// Waits until no change up to a timestamp has a row.
async fn until_deleted_up_to(database: &Database, timestamp: i64) {
    let left = format!("SELECT count(*) FROM changes WHERE timestamp <= {timestamp}");
    eventually("changes are deleted", async || {
        (database.count(&left).await == 0).then_some(())
    })
    .await;
}

/// The timestamps on a page of somebody's timeline.
async fn timestamps(reader: &Client, path: &str, list: &str) -> Vec<i64> {
    let page = reader.get(path).await.expect(200);
    let entries = page[list].as_array().unwrap().iter();
    let timestamps = entries.map(|entry| entry["timestamp"].as_i64().unwrap());
    timestamps.collect()
}

async fn is_waited_for(follower: &str) {
    let database = Database::fresh().await;
    let exchange = format!("test.{}", uuid::Uuid::new_v4());
    let settings = publishing_to(&exchange).with("RETENTION_PERIOD", "1");
    let replica = Replica::start(&database, settings).await;
    let app = replica.application().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let held = *sent(&jane).await.last().unwrap();
    until_followed(&database, held).await;
    hold(&database, follower).await;
    let after = sent(&jane).await;

    // Everything is old enough to be trimmed. The other followers go on.
    age(&database, 3).await;
    keep_for(&app, json!(1)).await;
    until_first(&john, "/users/jane", 2 * MESSAGES + 1).await;
    until_trimmed_up_to(&database, held).await;
    until_deleted_up_to(&database, held).await;
    passes(&database, &replica, &jane).await;
    let trimmed = trimmed_up_to(&database).await;
    assert_eq!(trimmed, held, "the timeline is trimmed without {follower}");
    let feed = format!("/feed?after={held}&kinds=message.created");
    let found = timestamps(&app, &feed, "entries").await;
    assert!(found.starts_with(&after), "{found:?}: {after:?}");
    let own = format!("/messages?after={held}");
    let found = timestamps(&john, &own, "messages").await;
    assert!(found.starts_with(&after), "{found:?}: {after:?}");
    let behind = app.get(&format!("/feed?after={}", held - 1)).await;
    let behind = behind.expect_problem(410, "cursor-behind");
    assert_eq!(behind["trimmed"], held);

    release(&database).await;
    let last = *after.last().unwrap();
    until_trimmed_up_to(&database, last).await;
    until_deleted_up_to(&database, last).await;
    let behind = app.get(&feed).await;
    behind.expect_problem(410, "cursor-behind");
    let log = replica.log();
    let gap = "the exchange does not get the changes";
    assert!(!log.iter().any(|line| line.contains(gap)), "{log:#?}");
}

#[tokio::test]
async fn the_index_of_search_is_waited_for() {
    is_waited_for("search-index").await;
}

#[tokio::test]
async fn the_exchange_of_the_feed_is_waited_for() {
    is_waited_for("feed-exchange").await;
}

#[tokio::test]
async fn the_lag_of_the_exchange_is_measured_while_it_is_held_and_ends_once_it_has_caught_up() {
    let database = Database::fresh().await;
    let exchange = format!("test.{}", uuid::Uuid::new_v4());
    let replica = Replica::start(&database, publishing_to(&exchange)).await;
    let jane = replica.user("jane");
    until_followed(&database, *sent(&jane).await.last().unwrap()).await;
    hold(&database, "feed-exchange").await;
    // More than it was behind at any time before.
    sent(&jane).await;
    sent(&jane).await;
    let behind = 2.0 * MESSAGES as f64;
    let lag = async |unit: &str| {
        let name = format!("messages_follower_lag_{unit}");
        replica.metric(&name, "follower=\"feed-exchange\"").await
    };
    eventually("the lag is measured", async || {
        let (changes, seconds) = (lag("changes").await, lag("seconds").await);
        assert!(changes <= behind, "nothing else is counted: {changes}");
        (changes == behind && seconds > 0.0).then_some(())
    })
    .await;
    release(&database).await;
    eventually("the lag has ended", async || {
        (lag("changes").await == 0.0 && lag("seconds").await == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_events_of_files_are_waited_for() {
    is_waited_for("file-events").await;
}
