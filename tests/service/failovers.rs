//! Whether what answers at the database's address is what it was before: standbys, and primaries
//! that have lost commits or were replaced.

use serde_json::{Value, json};

use crate::support::{
    Client, Database, EventQueue, Replica, Reply, Servers, Settings, Wire, administered, eventually,
};

async fn servers() -> (Servers, Servers) {
    tokio::task::spawn_blocking(|| {
        let primary = Servers::start("postgres");
        let standby = primary.standby();
        (primary, standby)
    })
    .await
    .unwrap()
}

/// Waits until the standby has everything that the primary has.
async fn until_caught_up(primary: &Database, standby: &Database) {
    let mut connection = primary.connect().await;
    let position: String = sqlx::query_scalar("SELECT pg_current_wal_flush_lsn()::text")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    eventually("the standby has caught up", async || {
        let sql = format!("SELECT count(*) WHERE pg_last_wal_replay_lsn() >= '{position}'");
        (standby.count(&sql).await == 1).then_some(())
    })
    .await;
}

async fn until_ready(replica: &Replica) {
    eventually("the replica is ready", async || {
        (replica.nobody().get("/health/ready").await.status == 200).then_some(())
    })
    .await;
}

/// Sends until it succeeds; returns the message.
async fn send(client: &Client, to: &str, text: &str) -> Value {
    let body = json!({ "to": to, "text": text, "files": ["f"] });
    eventually("the message is sent", async || {
        let request = client
            .posting(body.clone())
            .header("Idempotency-Key", text.replace(' ', "-"));
        let reply = Reply::of(request).await;
        (reply.status == 201).then(|| reply.json())
    })
    .await
}

fn number(message: &Value, field: &str) -> i64 {
    message[field].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_that_loses_commits_gives_no_number_twice() {
    let (old, new) = servers().await;
    let (before, after) = (
        Database::at(&old.database_url),
        Database::at(&new.database_url),
    );
    let wire = Wire::to(&before.url).await;
    let behind = Database::at(&wire.url(&before.url));
    let queue = EventQueue::on_shared_broker();
    let replica = Replica::start(&behind, queue.settings()).await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let kept = send(&jane, "john", "is kept").await;
    let chat = jane.chat("Kept", &["john"]).await;
    // The standby has that it is published, so it is not published again.
    before.until_events_are_published().await;
    until_caught_up(&before, &after).await;
    tokio::task::block_in_place(|| new.stop("postgres"));

    // Acknowledged by the old primary alone.
    let mut lost = Vec::new();
    for count in 0..5 {
        lost.push(send(&jane, "john", &format!("is lost {count}")).await);
    }
    let lost_chat = jane.chat("Lost", &["john"]).await;
    let cursor = number(&john.sync("").await, "next");
    // The events of what is lost are not: the queue has them.
    before.until_events_are_published().await;
    tokio::task::block_in_place(|| {
        old.crash("postgres");
        new.start_again("postgres");
        new.promote();
    });
    wire.lead_to(&after.url);

    let mut found = Vec::new();
    for count in 0..5 {
        found.push(send(&jane, "john", &format!("is new {count}")).await);
    }
    for field in ["id", "timestamp"] {
        let given: Vec<_> = lost.iter().map(|message| number(message, field)).collect();
        let again: Vec<_> = found.iter().map(|message| number(message, field)).collect();
        assert!(
            given.iter().max() < again.iter().min(),
            "{field}: {given:?}, then {again:?}"
        );
    }
    // A client that has read what was lost misses nothing of what comes.
    let page = john.sync(&format!("after={cursor}")).await;
    let listed: Vec<_> = page["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["id"])
        .collect();
    assert_eq!(
        listed,
        found
            .iter()
            .map(|message| &message["id"])
            .collect::<Vec<_>>()
    );
    // The id and the timestamp of a lost message fit no other one.
    let stale = &lost[2];
    let text = json!({ "text": "another" });
    jane.patch(&stale["id"], &stale["timestamp"], text)
        .await
        .expect_problem(404, "not-found");
    assert!(
        jane.chat("New", &["john"]).await > lost_chat,
        "nor does the number of a lost chat"
    );
    assert_eq!(
        jane.get(&format!("/messages/{}", kept["id"]))
            .await
            .expect(200)["text"],
        "is kept"
    );
    assert_eq!(
        jane.get(&format!("/chats/{chat}")).await.expect(200)["name"],
        "Kept"
    );
    // The consumer of events can still tell repeats from what is new.
    let count = 1 + lost.len() + found.len();
    let mut ids = std::collections::HashSet::new();
    for event in queue.consume_until(|events| events.len() == count).await {
        assert!(
            ids.insert(event.message_id.clone()),
            "{} was used twice",
            event.message_id
        );
    }
    assert_eq!(
        replica.metric("messages_history_branches_total", "").await,
        1.0
    );
    let is_logged = |line: &String| line.contains("ERROR") && line.contains("another history");
    assert!(replica.log().iter().any(is_logged), "the log says it");
    until_ready(&replica).await;

    // Who comes back to the primary that was replaced is not answered by it.
    tokio::task::block_in_place(|| old.start_again("postgres"));
    wire.lead_to(&before.url);
    jane.get("/chats")
        .await
        .expect_problem(503, "database-unavailable");
    assert_eq!(
        replica.nobody().get("/health/ready").await.expect(503)["database"],
        "unavailable"
    );
    wire.lead_to(&after.url);
    until_ready(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_never_read_from() {
    let (primary, standby) = servers().await;
    let (primary, standby) = (
        Database::at(&primary.database_url),
        Database::at(&standby.database_url),
    );
    let wire = Wire::to(&primary.url).await;
    let replica = Replica::start(&Database::at(&wire.url(&primary.url)), administered()).await;
    let jane = replica.user("jane");
    let sent = jane.send("john", "hello").await;
    let paths = [
        "/messages",
        "/messages/1",
        "/chats",
        "/users/john/messages",
        "/messages/search?q=hello",
    ];
    wire.lead_to(&standby.url);
    for path in paths {
        jane.get(path)
            .await
            .expect_problem(503, "database-unavailable");
    }
    assert_eq!(
        replica.nobody().get("/health/ready").await.expect(503)["database"],
        "unavailable"
    );
    assert!(
        replica
            .log()
            .iter()
            .any(|line| line.contains("is a standby")),
        "the log says why"
    );
    wire.lead_to(&primary.url);
    until_ready(&replica).await;
    for path in paths {
        eventually("reads succeed", async || {
            (jane.get(path).await.status == 200).then_some(())
        })
        .await;
    }
    assert_eq!(
        jane.get(&format!("/messages/{}", sent["id"]))
            .await
            .expect(200)["text"],
        "hello"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_servers_the_primary_is_used() {
    let (old, new) = servers().await;
    let host = |url: &str| url.split(['@', '/']).nth(3).unwrap().to_owned();
    let (old_host, new_host) = (host(&old.database_url), host(&new.database_url));
    // The standby first.
    let both = old
        .database_url
        .replace(&old_host, &format!("{new_host},{old_host}"));
    let both = format!("{both}?target_session_attrs=read-write");
    let replica = Replica::start(&Database::at(&both), Settings::default()).await;
    let jane = replica.user("jane");
    let sent = send(&jane, "john", "before").await;
    let (before, after) = (
        Database::at(&old.database_url),
        Database::at(&new.database_url),
    );
    until_caught_up(&before, &after).await;
    tokio::task::block_in_place(|| {
        old.crash("postgres");
        new.promote();
    });
    let later = send(&jane, "john", "after").await;
    assert!(number(&later, "timestamp") > number(&sent, "timestamp"));
    assert_eq!(
        jane.get(&format!("/messages/{}", sent["id"]))
            .await
            .expect(200)["text"],
        "before"
    );
    until_ready(&replica).await;

    // The primary that was replaced comes back, and answers while the new one restarts.
    tokio::task::block_in_place(|| {
        old.start_again("postgres");
        new.crash("postgres");
    });
    eventually("the one that was replaced is refused", async || {
        jane.get("/chats")
            .await
            .expect_problem(503, "database-unavailable");
        replica
            .log()
            .iter()
            .any(|line| line.contains("was replaced"))
            .then_some(())
    })
    .await;
    tokio::task::block_in_place(|| new.start_again("postgres"));
    until_ready(&replica).await;
    let last = send(&jane, "john", "at last").await;
    assert!(number(&last, "timestamp") > number(&later, "timestamp"));

    // Nor is it used by a replica that starts now, has seen nothing yet, and finds it first.
    let reversed = both.replace(
        &format!("{new_host},{old_host}"),
        &format!("{old_host},{new_host}"),
    );
    let late = Replica::start(&Database::at(&reversed), Settings::default()).await;
    send(&late.user("jane"), "john", "through another").await;
    let is_written = "SELECT count(*) FROM messages WHERE text IN ('at last', 'through another')";
    assert_eq!(
        (
            before.count(is_written).await,
            after.count(is_written).await
        ),
        (0, 2)
    );
}
