//! Notifications of commits: whom each names, and what becomes of watchers when one is lost.

use std::collections::BTreeSet;

use messages::{
    domain::{ApplicationId, UserId},
    notifications::{Concerned, Notification, UserKey},
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::PgListener;
use tokio::time::timeout;

use crate::support::{
    Database, Load, PATIENCE, Replica, Reply, Settings, Watcher, Way, eventually, service,
};

/// Receives notifications until the timeline has come to `last`; returns whom its commits
/// concerned.
async fn concerned_until(listener: &mut PgListener, last: i64) -> BTreeSet<UserKey> {
    let mut concerned = BTreeSet::new();
    loop {
        let received = timeout(PATIENCE, listener.recv())
            .await
            .expect("a commit notifies")
            .unwrap();
        let notification = Notification::parse(received.payload());
        let Concerned::Users(keys) = notification.concerned else {
            panic!("a commit names whom it concerns")
        };
        concerned.extend(keys);
        let commit = notification.commit.expect("its commit is known");
        if !commit.continues && commit.range.last.get() == last {
            return concerned;
        }
    }
}

#[tokio::test]
async fn every_commit_names_everybody_whom_it_concerns() {
    let (database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let mut listener = PgListener::connect(&database.url).await.unwrap();
    listener.listen("updates").await.unwrap();
    let mut checked = 0;
    let mut check = async || {
        let last = database.count("SELECT max(timestamp) FROM changes").await;
        let mut connection = database.connect().await;
        let rows = "SELECT DISTINCT application_id, user_id FROM updates WHERE timestamp > $1";
        let listed: Vec<(i64, String)> = sqlx::query_as(rows)
            .bind(checked)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let key = |(application, user): (i64, String)| {
            UserKey::of(ApplicationId::new(application), &UserId::trusted(&user))
        };
        let listed: BTreeSet<_> = listed.into_iter().map(key).collect();
        assert!(!listed.is_empty());
        assert_eq!(concerned_until(&mut listener, last).await, listed);
        checked = last;
    };

    let sent = jane.send("john", "hi").await;
    check().await;
    let edit = json!({ "text": "hello" });
    let edited = jane
        .patch(&sent["id"], &sent["timestamp"], edit)
        .await
        .expect(200);
    check().await;
    john.marks(&sent["id"], true).await.expect(200);
    check().await;
    john.delete(&sent["id"], &edited["timestamp"])
        .await
        .expect(200);
    check().await;
    let members: Vec<_> = (0..1000).map(|number| format!("member-{number}")).collect();
    let members: Vec<_> = members.iter().map(String::as_str).collect();
    let chat = jane.chat("team", &members[..999]).await;
    check().await;
    jane.post_into(chat, "hi").await;
    check().await;
    let membership = format!("/chats/{chat}/members/member-7");
    jane.call(Method::DELETE, &membership, Value::Null)
        .await
        .expect(204);
    check().await;
    jane.call(Method::PUT, &membership, Value::Null)
        .await
        .expect(201);
    check().await;
    let timestamp = jane.get(&format!("/chats/{chat}")).await.expect(200)["timestamp"].clone();
    let renaming = jane.request(Method::PATCH, &format!("/chats/{chat}"));
    let renaming = renaming
        .header("If-Match", timestamp.to_string())
        .json(&json!({ "name": "crew" }));
    Reply::of(renaming).await.expect(200);
    check().await;
}

/// Terminates the listeners of both replicas once both are there; returns how many it was.
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
async fn a_listener_that_loses_its_connection_loses_nothing_for_its_watchers() {
    let database = Database::fresh().await;
    let one = Replica::start(&database, Settings::default()).await;
    let other = Replica::start(&database, Settings::default()).await;
    let ways = [Way::Poll, Way::Poll, Way::Stream, Way::Stream];
    let clients = || vec![one.user("john"), other.user("john")];
    let mut load = Load::start(ways.map(|way| Watcher::new(way, clients())));
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
async fn a_change_without_a_notification_is_found_all_the_same() {
    let (database, replica) = service().await;
    let john = replica.user("john");
    let mut stream = john.stream("").await;
    stream.begin_current().await;
    let silently = "
        WITH change AS (
            INSERT INTO changes (application_id, timestamp, kind, message_id, created)
            VALUES (1, nextval('timeline'), 'message-created', nextval('message_ids'), now())
            RETURNING timestamp, message_id
        )
        INSERT INTO updates (application_id, user_id, timestamp, message_id)
        SELECT 1, 'john', timestamp, message_id FROM change";
    database.execute(silently).await;
    let read = stream.event("update").await.id;
    let polling = tokio::spawn({
        let john = john.clone();
        async move { john.sync(&format!("after={}&wait=60", read.unwrap())).await }
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
