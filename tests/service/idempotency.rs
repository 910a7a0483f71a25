//! `Idempotency-Key`.

use serde_json::{Value, json};

use crate::support::{Client, Database, Replica, Reply, Settings, service};

async fn post(client: &Client, key: &str, body: Value) -> Reply {
    Reply::of(client.posting(body).header("Idempotency-Key", key)).await
}

#[tokio::test]
async fn a_repeated_request_is_answered_with_the_message_as_it_is_now() {
    let (database, replica) = service().await;
    let other = Replica::start(&database, Settings::default()).await;
    let jane = replica.user("jane");
    let body = json!({ "to": "john", "text": "hi", "files": ["f"], "attributes": { "a": 1 } });
    let first = post(&jane, "k", body.clone()).await;
    assert_eq!(first.header("idempotent-replayed"), "");
    let sent = first.expect(201);
    for caller in [&jane, &other.user("jane")] {
        let again = post(caller, "k", body.clone()).await;
        assert_eq!(again.expect(201), sent);
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.header("location"), first.header("location"));
    }
    let edited = jane
        .patch(&sent["id"], &sent["timestamp"], json!({ "text": "ho" }))
        .await
        .expect(200);
    assert_eq!(post(&jane, "k", body.clone()).await.expect(201), edited);
    let tombstone = jane
        .delete(&sent["id"], &edited["timestamp"])
        .await
        .expect(200);
    let again = post(&jane, "k", body).await;
    assert_eq!(again.expect(201), tombstone);
    assert_eq!(
        again.header("etag"),
        format!("\"{}\"", tombstone["timestamp"])
    );
    assert_eq!(jane.sync("").await["total"], 3);
    assert_eq!(database.count("SELECT count(*) FROM messages").await, 1);
}

#[tokio::test]
async fn a_key_stands_for_one_request() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    post(&jane, "k", json!({ "to": "john", "text": "hi" }))
        .await
        .expect(201);
    for other in [
        json!({ "to": "jim", "text": "hi" }),
        json!({ "to": "john", "text": "ho" }),
        json!({ "to": "john", "text": "hi", "files": ["f"] }),
    ] {
        assert_eq!(
            post(&jane, "k", other).await.wrong_fields(),
            ["Idempotency-Key"]
        );
    }
    let same = json!({ "text": "  hi ", "to": "john", "files": [] });
    assert_eq!(
        post(&jane, "k", same).await.header("idempotent-replayed"),
        "true",
        "what is parsed counts"
    );
}

#[tokio::test]
async fn keys_of_other_senders_and_applications_are_others() {
    let (database, replica) = service().await;
    database
        .execute("INSERT INTO applications (id, name) VALUES (2, 'other')")
        .await;
    let body = json!({ "to": "joan", "text": "hi" });
    for caller in [
        replica.user("jane"),
        replica.user("john"),
        replica.user_of(2, "jane"),
    ] {
        let reply = post(&caller, "k", body.clone()).await;
        reply.expect(201);
        assert_eq!(reply.header("idempotent-replayed"), "");
    }
}

#[tokio::test]
async fn a_key_is_1_to_64_visible_characters_given_once() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let body = json!({ "to": "john", "text": "hi" });
    for key in ["a b", &"k".repeat(65), ""] {
        assert_eq!(
            post(&jane, key, body.clone()).await.wrong_fields(),
            ["Idempotency-Key"],
            "{key:?}"
        );
    }
    let twice = jane
        .posting(body.clone())
        .header("Idempotency-Key", "a")
        .header("Idempotency-Key", "b");
    assert_eq!(Reply::of(twice).await.wrong_fields(), ["Idempotency-Key"]);
    post(&jane, &"!".repeat(64), body).await.expect(201);
}

#[tokio::test]
async fn the_servers_default_isolation_does_not_matter() {
    let database = Database::fresh().await;
    database
        .execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable',
             current_database()); END $$",
        )
        .await;
    let one = Replica::start(&database, Settings::default()).await;
    let other = Replica::start(&database, Settings::default()).await;
    for pair in 0..100 {
        let (key, body) = (pair.to_string(), json!({ "to": "john", "text": "hi" }));
        let (first, second) = (one.user("jane"), other.user("jane"));
        let (first, second) =
            tokio::join!(post(&first, &key, body.clone()), post(&second, &key, body));
        assert_eq!(first.expect(201), second.expect(201));
    }
    assert_eq!(database.count("SELECT count(*) FROM messages").await, 100);
}

#[tokio::test]
async fn many_repetitions_at_once_send_one_message() {
    let database = Database::fresh().await;
    let one = Replica::start(&database, Settings::default()).await;
    let other = Replica::start(&database, Settings::default()).await;
    let body = json!({ "to": "john", "text": "hi" });
    let posting = (0..40).map(|turn| {
        let caller = if turn % 2 == 0 {
            one.user("jane")
        } else {
            other.user("jane")
        };
        let body = body.clone();
        async move { post(&caller, "k", body).await }
    });
    let replies = futures_util::future::join_all(posting).await;
    let ids: std::collections::HashSet<_> = replies
        .iter()
        .map(|reply| reply.expect(201)["id"].as_i64())
        .collect();
    assert_eq!(ids.len(), 1);
    let new = replies
        .iter()
        .filter(|reply| reply.header("idempotent-replayed").is_empty())
        .count();
    assert_eq!(new, 1);
    assert_eq!(database.count("SELECT count(*) FROM updates").await, 2);
}
