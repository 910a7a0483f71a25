//! A database under strain: a full disk, a full queue of notifications, an old snapshot, a lock
//! that somebody keeps.

use serde_json::{Value, json};
use sqlx::Executor;

use crate::support::{Database, Replica, Settings, eventually, service};

/// Makes every message that is inserted fail with a code, from now on.
async fn fail_inserts(database: &Database, code: &str) {
    database
        .execute(&format!(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE 'no' USING ERRCODE = '{code}'; END $$;
             CREATE TRIGGER fail BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION fail()"
        ))
        .await;
}

async fn readiness(replica: &Replica) -> (u16, Value) {
    let reply = replica.nobody().get("/health/ready").await;
    (reply.status, reply.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_by_readiness() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    jane.send("john", "there is room").await;
    assert_eq!(readiness(&replica).await.1["writes"], "available");
    fail_inserts(&database, "53100").await;
    jane.post(json!({ "to": "john", "text": "no room" }))
        .await
        .expect_problem(503, "database-unavailable");
    let (status, health) = readiness(&replica).await;
    assert_eq!(
        (status, &health["writes"], &health["database"]),
        (503, &json!("diskFull"), &json!("available"))
    );
    assert!(
        replica
            .metric("messages_batch_failures_total", "disk_full")
            .await
            > 0.0
    );
    database.execute("DROP TRIGGER fail ON messages").await;
    jane.send("john", "there is room again").await;
    assert_eq!(readiness(&replica).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_the_server_is_no_fault_of_the_request() {
    let (database, replica) = service().await;
    fail_inserts(&database, "54001").await;
    let reply = replica
        .user("jane")
        .post(json!({ "to": "john", "text": "hello" }))
        .await;
    reply.expect_problem(503, "database-unavailable");
    assert!(!reply.header("retry-after").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_says_that_changes_wait_for_a_lock_that_somebody_keeps() {
    let database = Database::fresh().await;
    let settings = Settings::default().with("WRITE_WAIT_MS_MAX", "5000");
    let replica = Replica::start(&database, settings).await;
    let lane = database.block_lane().await;
    let jane = replica.user("jane");
    let sending =
        tokio::spawn(async move { jane.post(json!({ "to": "john", "text": "hello" })).await });
    eventually("readiness says that nothing is committed", async || {
        let (status, health) = readiness(&replica).await;
        let is_stalled = ["stalled", "failing"]
            .map(Value::from)
            .contains(&health["writes"]);
        (status == 503 && is_stalled).then_some(())
    })
    .await;
    sending.await.unwrap().expect_problem(503, "overloaded");
    crate::support::open_lane(lane).await;
    replica.user("jane").send("john", "hello").await;
    assert_eq!(readiness(&replica).await.0, 200);
}

/// PostgreSQL refuses the COMMIT of whoever has notified while its queue is full, which takes 8 GB
/// of notifications. Here a function of the same name shadows the real one and has the same effect.
const FULL_QUEUE: &str = "
    CREATE TABLE full_queue (is_full boolean);
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE 'too many notifications in the NOTIFY queue' USING ERRCODE = '54000';
    END $$;
    CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON full_queue DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION refuse();
    CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS
        'BEGIN INSERT INTO full_queue VALUES (true); END';";

#[tokio::test(flavor = "multi_thread")]
async fn with_a_full_queue_of_notifications_changes_are_written_and_followed() {
    let (database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    jane.send("john", "before").await;
    let mut stream = john.stream("after=0").await;
    stream.update().await;
    database.execute(FULL_QUEUE).await;
    let name = database.url.rsplit('/').next().unwrap();
    database
        .execute(&format!(
            "ALTER DATABASE {name} SET search_path = public, pg_catalog"
        ))
        .await;
    // What is connected has the old path.
    database
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    let mut sent = Vec::new();
    for count in 0..5 {
        let body = json!({ "to": "john", "text": format!("meanwhile {count}"), "files": ["f"] });
        let reply = eventually("the message is sent", async || {
            let reply = jane.post(body.clone()).await;
            (reply.status != 503).then_some(reply)
        })
        .await;
        sent.push(reply.expect(201)["timestamp"].clone());
    }
    for timestamp in &sent {
        assert_eq!(
            &json!(stream.update().await.id.unwrap()),
            timestamp,
            "who follows misses nothing"
        );
    }
    let page = john.sync("").await;
    assert_eq!(page["total"], 6, "nothing was written twice");
    assert!(
        replica
            .log()
            .iter()
            .any(|line| line.contains("notify nobody")),
        "the log says it"
    );
    database.execute("DROP FUNCTION public.pg_notify").await;
    jane.send("john", "afterwards").await;
    stream.update().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_batch_rewrites_a_row_that_the_next_one_rewrites_again() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let chat = jane.chat("Team", &["john"]).await;
    let mut snapshot = database.connect().await;
    snapshot
        .execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM messages")
        .await
        .unwrap();
    for count in 1..=50 {
        assert_eq!(jane.post_into(chat, "hello").await["number"], count);
        jane.send("john", "hello").await;
    }
    assert_eq!(
        jane.get(&format!("/chats/{chat}")).await.expect(200)["messages"],
        50
    );
    // A connection reports its statistics some time after its last statement.
    eventually("all inserts are counted", async || {
        let sql = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'messages'";
        (database.count(sql).await == 100).then_some(())
    })
    .await;
    // A replica says every two seconds that it lives, whatever is written.
    let sql = "SELECT sum(n_tup_upd)::bigint FROM pg_stat_user_tables
               WHERE relname NOT IN ('applications', 'followers', 'replicas', '_sqlx_migrations')";
    assert_eq!(database.count(sql).await, 0, "no batch has changed a row");
}
