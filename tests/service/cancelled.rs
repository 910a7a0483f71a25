//! Callers who go away at random moments.

use std::time::Duration;

use messages::store::locks;
use serde_json::json;

use crate::support::{Acknowledged, Client, PATIENCE, Reply, eventually, missed, service};

/// Requests, most of which are cancelled.
const REQUESTS: u64 = 3000;

/// Requests that are under way at a time.
const AT_ONCE: u64 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_cancelled_requests_leave_nothing_behind() {
    let (database, replica) = service().await;
    let acknowledged = Acknowledged::default();
    let mut callers = Vec::new();
    for caller in 0..AT_ONCE {
        let client = replica.user(&format!("caller-{caller}"));
        callers.push(tokio::spawn(begin_and_cancel(
            client,
            caller,
            acknowledged.clone(),
        )));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(acknowledged.len() > 50, "some requests come to their end");
    let everything = acknowledged.all();

    // Some followers hold the locks that are left out, for as long as they lead.
    eventually("no transaction is open and no lock is held", async || {
        let open = database
            .count(&format!(
                "SELECT (SELECT count(*) FROM pg_stat_activity
                         WHERE datname = current_database() AND state LIKE 'idle in transaction%')
                      + (SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database
                         WHERE locktype = 'advisory' AND d.datname = current_database()
                           AND (classid::bigint << 32 | objid::bigint) NOT IN ({}, {}, {}, {}, {}))",
                locks::INDEXER,
                locks::DELIVERER,
                locks::CLEARER,
                locks::ERASER,
                locks::EXPIRER,
            ))
            .await;
        (open == 0).then_some(())
    })
    .await;
    let john = replica.user("john");
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let page = john.sync(&format!("after={after}&limit=1000")).await;
        let entries = page["messages"].as_array().unwrap();
        seen.extend(
            entries
                .iter()
                .map(|entry| entry["timestamp"].as_i64().unwrap()),
        );
        after = page["next"].as_i64().unwrap();
        if page["next"].as_i64() >= page["latest"].as_i64() {
            break;
        }
    }
    assert_eq!(missed(&everything, &seen), Vec::<i64>::new());
    replica
        .user("jane")
        .send("john", "the service goes on")
        .await;
}

/// Begins sends and syncs in turn, and cancels each after up to 30 ms; every tenth is left to come
/// to its end.
async fn begin_and_cancel(client: Client, caller: u64, acknowledged: Acknowledged) {
    for turn in 0..REQUESTS / AT_ONCE {
        let moment = Duration::from_micros((turn * 7919 + caller * 104_729) % 30_000);
        let patience = if turn % 10 == 1 { PATIENCE } else { moment };
        let request = if turn % 3 == 0 {
            client.request(reqwest::Method::GET, "/messages?include=message")
        } else {
            client.posting(json!({ "to": "john", "text": "hi", "files": ["f"] }))
        };
        if let Ok(Ok(reply)) = tokio::time::timeout(patience, Reply::try_of(request)).await
            && reply.status == 201
        {
            acknowledged.add(reply.json()["timestamp"].as_i64().unwrap());
        }
    }
}
