//! What was read before is the answer again, but only where a read would find the same.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Database, Replica, Reply, Settings, eventually, service};

/// Repeats a request until its answer comes without a query of its kind: from the cache.
async fn until_cached(replica: &Replica, client: &Client, path: &str, kind: &str) -> Reply {
    let queue = format!("queue=\"{kind}\"");
    let queries = async || replica.metric("messages_batch_size_count", &queue).await;
    eventually("the answer is cached", async || {
        let before = queries().await;
        let reply = client.get(path).await;
        (queries().await == before).then_some(reply)
    })
    .await
}

/// Two replicas over one database.
async fn replicas() -> (Database, Replica, Replica) {
    let database = Database::fresh().await;
    let one = Replica::start(&database, Settings::default()).await;
    let other = Replica::start(&database, Settings::default()).await;
    (database, one, other)
}

/// Closes the connections on which replicas listen; they pause before they connect again.
async fn close_listeners(database: &Database) {
    let closed = database
        .count(
            "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'messages listener'",
        )
        .await;
    assert!(closed > 0, "a replica listens");
}

#[tokio::test]
async fn who_is_up_to_date_is_answered_from_the_cache_whatever_the_query() {
    let (_database, replica) = service().await;
    let john = replica.user("john");
    let nothing = |next: &Value, latest: &Value| json!({ "total": 0, "messages": [], "next": next, "latest": latest });
    let empty = until_cached(&replica, &john, "/messages", "pages").await;
    assert_eq!(empty.expect(200), nothing(&json!(0), &json!(0)));

    let sent = replica.user("jane").send("john", "hi").await;
    let newest = &sent["timestamp"];
    for query in [format!("after={newest}"), "after=latest".to_owned()] {
        let reply = until_cached(&replica, &john, &format!("/messages?{query}"), "pages").await;
        assert_eq!(reply.expect(200), nothing(newest, newest));
    }
    let path = format!("/messages?after={newest}&include=message");
    let reply = until_cached(&replica, &john, &path, "pages_with_messages").await;
    assert_eq!(reply.expect(200), nothing(newest, newest));

    replica.user("jim").send("jane", "others go on").await;
    let later = newest.as_i64().unwrap() + 1;
    let reply = until_cached(
        &replica,
        &john,
        &format!("/messages?after={later}"),
        "pages",
    )
    .await;
    assert_eq!(reply.expect(200), nothing(&json!(later), &json!(later)));
    let ahead = format!("/messages?after={}", later + 1);
    until_cached(&replica, &john, &ahead, "pages")
        .await
        .expect_problem(410, "cursor-ahead");
}

#[tokio::test]
async fn a_change_is_listed_at_once_on_a_replica_that_has_cached_that_there_is_none() {
    let (_database, one, other) = replicas().await;
    let (jane, john) = (one.user("jane"), other.user("john"));
    let mut after = json!(0);
    for number in 0..50 {
        until_cached(&other, &john, &format!("/messages?after={after}"), "pages")
            .await
            .expect(200);
        let sent = jane.send("john", &number.to_string()).await;
        let page = john.sync(&format!("after={after}")).await;
        assert_eq!(
            page["messages"],
            json!([{ "id": sent["id"], "timestamp": sent["timestamp"] }])
        );
        after = page["next"].clone();
    }
}

#[tokio::test]
async fn a_message_is_cached_until_it_changes_on_whatever_replica() {
    let (_database, one, other) = replicas().await;
    let (jane, john) = (one.user("jane"), other.user("john"));
    let mut message = jane.send("john", "hi").await;
    let path = format!("/messages/{}", message["id"]);
    for number in 0..20 {
        let cached = until_cached(&other, &john, &path, "messages").await;
        assert_eq!(cached.expect(200), message);
        assert_eq!(
            cached.header("etag"),
            format!("\"{}\"", message["timestamp"])
        );
        let text = json!({ "text": number.to_string() });
        message = jane
            .patch(&message["id"], &message["timestamp"], text)
            .await
            .expect(200);
        assert_eq!(john.get(&path).await.expect(200), message);
    }
    other
        .user("jim")
        .get(&path)
        .await
        .expect_problem(404, "not-found");
    jane.delete(&message["id"], &message["timestamp"])
        .await
        .expect(200);
    assert_eq!(john.get(&path).await.expect(200)["deleted"], true);
}

#[tokio::test]
async fn a_cached_message_of_a_chat_is_found_by_its_members_alone_and_while_they_are_members() {
    let (_database, one, other) = replicas().await;
    let (jane, john) = (one.user("jane"), other.user("john"));
    let chat = jane.chat("team", &["john"]).await;
    let message = jane.post_into(chat, "hi").await;
    let path = format!("/messages/{}", message["id"]);
    let membership = format!("/chats/{chat}/members/john");
    for _ in 0..10 {
        assert_eq!(
            until_cached(&other, &john, &path, "messages")
                .await
                .expect(200),
            message
        );
        other
            .user("jim")
            .get(&path)
            .await
            .expect_problem(404, "not-found");
        jane.call(Method::DELETE, &membership, Value::Null)
            .await
            .expect(204);
        john.get(&path).await.expect_problem(404, "not-found");
        jane.call(Method::PUT, &membership, Value::Null)
            .await
            .expect(201);
        assert_eq!(john.get(&path).await.expect(200), message);
    }
}

#[tokio::test]
async fn a_replica_without_notifications_answers_nothing_from_its_cache() {
    let (database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let message = jane.send("john", "hi").await;
    let path = format!("/messages/{}", message["id"]);
    for round in 0..3 {
        let after = until_cached(&replica, &john, "/messages?after=latest", "pages")
            .await
            .expect(200);
        until_cached(&replica, &john, &path, "messages")
            .await
            .expect(200);
        close_listeners(&database).await;
        let current = john.get(&path).await.expect(200);
        let text = json!({ "text": round.to_string() });
        let edited = jane
            .patch(&current["id"], &current["timestamp"], text)
            .await
            .expect(200);
        let page = john.sync(&format!("after={}", after["next"])).await;
        assert_eq!(
            page["messages"],
            json!([{ "id": edited["id"], "timestamp": edited["timestamp"] }])
        );
        assert_eq!(john.get(&path).await.expect(200), edited);
    }
}

#[tokio::test]
async fn answers_come_from_the_cache_again_after_every_disturbance() {
    let (database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let message = jane.send("john", "hi").await;
    let path = format!("/messages/{}", message["id"]);
    let cut = |name: &str| {
        format!(
            "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'messages {name}'"
        )
    };
    let disturbances = [
        cut("listener"),
        cut("reader"),
        "SELECT pg_notify('updates', '1 *')".to_owned(),
    ];
    for disturbance in disturbances {
        until_cached(&replica, &john, "/messages?after=latest", "pages")
            .await
            .expect(200);
        let epochs = async || replica.metric("messages_wakeups_total", "everybody").await;
        let before = epochs().await;
        database.execute(&disturbance).await;
        if !disturbance.contains("reader") {
            eventually("the replica has received it", async || {
                (epochs().await > before).then_some(())
            })
            .await;
        }
        // No commit announces how far the timeline has come, so the replica has it announced.
        let page = until_cached(&replica, &john, "/messages?after=latest", "pages")
            .await
            .expect(200);
        assert_eq!(page["latest"], message["timestamp"]);
        assert_eq!(
            until_cached(&replica, &john, &path, "messages")
                .await
                .expect(200),
            message
        );
    }
}
