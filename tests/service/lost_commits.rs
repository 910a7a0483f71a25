//! A COMMIT that is lost on the way, or whose answer is.

use serde_json::{Value, json};
use sqlx::Executor;

use crate::support::{Cut, Database, Proxy, Replica, Reply, Settings, eventually};

/// Sends, edits and deletes whose batches' commits are cut, one after the other: every caller must
/// get the true result, and nothing may happen twice.
async fn every_caller_gets_the_true_result(cut: Cut) {
    let database = Database::fresh().await;
    let proxy = Proxy::start(&database.url, cut).await;
    let behind = Database::at(&proxy.url(&database.url));
    let replica = Replica::start(&behind, Settings::default()).await;
    let jane = replica.user("jane");
    jane.send("john", "the writer has a connection").await;
    for key in [None, Some("with a key".replace(' ', "-"))] {
        let body = json!({ "to": "john", "text": "once", "files": ["f"] });
        let request = jane.posting(body);
        proxy.arm();
        let request = match &key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        };
        let reply = Reply::of(request).await;
        let sent = reply.expect(201);
        assert_eq!(
            reply.header("idempotent-replayed"),
            "",
            "it was sent by this very request"
        );
        proxy.arm();
        let edited = jane
            .patch(&sent["id"], &sent["timestamp"], json!({ "text": "twice" }))
            .await
            .expect(200);
        proxy.arm();
        let gone = jane
            .delete(&sent["id"], &edited["timestamp"])
            .await
            .expect(200);
        let now = jane
            .get(&format!("/messages/{}", sent["id"]))
            .await
            .expect(200);
        assert_eq!(now, gone);
    }
    assert_eq!(proxy.cuts(), 6);
    assert_eq!(database.count("SELECT count(*) FROM messages").await, 3);
    assert_eq!(
        database
            .count("SELECT count(*) FROM updates WHERE user_id = 'jane'")
            .await,
        7
    );
    assert_eq!(database.waiting_events().await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_commit_is_found_out() {
    every_caller_gets_the_true_result(Cut::Answer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_commit_is_made_again() {
    every_caller_gets_the_true_result(Cut::Commit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_lost_while_the_other_writer_waits_for_the_lane() {
    let database = Database::fresh().await;
    let proxy = Proxy::start(&database.url, Cut::Answer).await;
    let behind = Database::at(&proxy.url(&database.url));
    let replica = Replica::start(&behind, Settings::default()).await;
    database
        .execute(
            "CREATE TABLE gate ();
             INSERT INTO gate DEFAULT VALUES;
             CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM FROM gate FOR UPDATE; RETURN NEW; END $$;
             CREATE TRIGGER pass BEFORE INSERT ON messages FOR EACH ROW
             WHEN (NEW.text = 'in the middle') EXECUTE FUNCTION pass()",
        )
        .await;
    let mut gate = database.connect().await;
    gate.execute("BEGIN; SELECT FROM gate FOR UPDATE")
        .await
        .unwrap();
    let send = |text: &'static str| {
        let jane = replica.user("jane");
        tokio::spawn(async move { jane.send("john", text).await })
    };
    let first = send("in the middle");
    eventually("a writer is in the middle of its batch", async || {
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name = 'messages writer'
                     AND wait_event_type = 'Lock' AND wait_event <> 'advisory'";
        (database.count(sql).await == 1).then_some(())
    })
    .await;
    let second = send("waits");
    database.until_writer_waits().await;
    proxy.arm();
    gate.execute("COMMIT").await.unwrap();
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!(proxy.cuts(), 1);
    assert!(first["timestamp"].as_i64() < second["timestamp"].as_i64());
    let page = replica.user("john").sync("").await;
    assert_eq!(page["messages"][0]["id"], first["id"]);
    assert_eq!(
        (&page["messages"][1]["id"], &page["total"]),
        (&second["id"], &json!(2))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn all_callers_of_a_batch_get_their_own_results() {
    let database = Database::fresh().await;
    let proxy = Proxy::start(&database.url, Cut::Answer).await;
    let behind = Database::at(&proxy.url(&database.url));
    let replica = Replica::start(&behind, Settings::default()).await;
    let jane = replica.user("jane");
    let first = jane.send("john", "first").await;
    let lane = database.block_lane().await;
    let sends: Vec<_> = (0..10)
        .map(|number| {
            let jane = jane.clone();
            tokio::spawn(async move { jane.send("john", &number.to_string()).await })
        })
        .collect();
    let edits = ["one", "two"].map(|text| {
        let (jane, first) = (jane.clone(), first.clone());
        tokio::spawn(async move {
            jane.patch(&first["id"], &first["timestamp"], json!({ "text": text }))
                .await
        })
    });
    replica.until_waiting("timeline", 12.0).await;
    proxy.arm();
    crate::support::open_lane(lane).await;
    let mut ids = std::collections::HashSet::new();
    for (number, send) in sends.into_iter().enumerate() {
        let sent: Value = send.await.unwrap();
        assert_eq!(sent["text"], number.to_string());
        assert!(ids.insert(sent["id"].as_i64()));
    }
    let mut statuses = Vec::new();
    for edit in edits {
        statuses.push(edit.await.unwrap().status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    assert_eq!(proxy.cuts(), 1);
    assert_eq!(database.count("SELECT count(*) FROM messages").await, 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_cannot_be_learnt_is_answered_as_unknown() {
    let database = Database::fresh().await;
    let proxy = Proxy::start(&database.url, Cut::Answer).await;
    let behind = Database::at(&proxy.url(&database.url));
    let replica = Replica::start(&behind, Settings::default()).await;
    let jane = replica.user("jane");
    jane.send("john", "the writer has a connection").await;
    proxy.close_after_cut();
    proxy.arm();
    let request = jane
        .posting(json!({ "to": "john", "text": "perhaps" }))
        .header("Idempotency-Key", "k");
    let reply = Reply::of(request).await;
    reply.expect_problem(503, "outcome-unknown");
    assert!(!reply.header("retry-after").is_empty());
    proxy.open();
    let request = || {
        jane.posting(json!({ "to": "john", "text": "perhaps" }))
            .header("Idempotency-Key", "k")
    };
    let reply = eventually("the service recovers", async || {
        let reply = Reply::of(request()).await;
        (reply.status != 503).then_some(reply)
    })
    .await;
    reply.expect(201);
    assert_eq!(
        reply.header("idempotent-replayed"),
        "true",
        "it had been sent"
    );
    assert_eq!(database.count("SELECT count(*) FROM messages").await, 2);
}
