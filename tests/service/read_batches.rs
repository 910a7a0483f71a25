//! Callers who wait are answered by one query.

use messages::{
    store::{self, Purpose},
    sync::READERS,
};
use reqwest::Method;
use sqlx::{Connection, Executor, PgConnection, Row};

use crate::support::{Client, Database, Replica, Reply, Settings, eventually, service};

/// Locks a table against every reader until the connection is closed.
async fn lock(database: &Database, table: &str) -> PgConnection {
    let mut connection = database.connect().await;
    connection.execute("BEGIN").await.unwrap();
    let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
    connection.execute(sqlx::AssertSqlSafe(lock)).await.unwrap();
    connection
}

/// Begins a request; `path` is read as `client`.
fn begin(client: &Client, path: &str) -> tokio::task::JoinHandle<Reply> {
    let request = client.request(Method::GET, path);
    tokio::spawn(Reply::of(request))
}

/// Keeps every reader busy with one caller each, so that whoever comes now waits.
async fn occupy(
    database: &Database,
    client: &Client,
    path: &str,
) -> Vec<tokio::task::JoinHandle<Reply>> {
    let mut busy = Vec::new();
    for count in 1..=READERS as i64 {
        busy.push(begin(client, path));
        eventually("a reader waits for the table", async || {
            let waiting = database
                .count(
                    "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'
                       AND application_name = 'messages reader'",
                )
                .await;
            (waiting == count).then_some(())
        })
        .await;
    }
    busy
}

#[tokio::test]
async fn callers_who_wait_share_one_query_and_each_gets_its_own_page() {
    let (database, replica) = service().await;
    let (jane, mut sent) = (replica.user("jane"), Vec::new());
    for number in 0..30 {
        let user = format!("user-{number}");
        sent.push(jane.send(&user, &number.to_string()).await);
    }
    let table = lock(&database, "updates").await;
    let busy = occupy(&database, &jane, "/messages").await;
    let waiting: Vec<_> = (0..30)
        .map(|number| {
            begin(
                &replica.user(&format!("user-{number}")),
                "/messages?limit=7",
            )
        })
        .collect();
    replica.until_waiting("pages", 30.0).await;
    table.close().await.unwrap();
    for reply in busy {
        reply.await.unwrap().expect(200);
    }
    for (message, reply) in sent.iter().zip(waiting) {
        let page = reply.await.unwrap().expect(200);
        assert_eq!(page["total"], 1);
        // A timeline may have gaps.
        assert_eq!(page["next"], message["timestamp"]);
    }
    let queries = replica
        .metric("messages_batch_size_count", "queue=\"pages\"")
        .await;
    assert_eq!(queries, READERS as f64 + 1.0, "the thirty were one query");
}

/// What is long is read for all of them by a second query.
#[tokio::test]
async fn callers_who_share_a_query_each_get_their_own_long_messages() {
    let (database, replica) = service().await;
    let text = |number: usize| number.to_string().repeat([1, 3_000, 5_000][number % 3]);
    let jane = replica.user("jane");
    for number in 0..9 {
        let user = format!("user-{number}");
        jane.send(&user, &text(number)).await;
        jane.send(&user, &format!("and {}", text(number))).await;
    }
    let path = "/messages?include=message&limit=1000";
    let table = lock(&database, "updates").await;
    let busy = occupy(&database, &jane, path).await;
    let waiting: Vec<_> = (0..9)
        .map(|number| begin(&replica.user(&format!("user-{number}")), path))
        .collect();
    replica.until_waiting("pages_with_messages", 9.0).await;
    table.close().await.unwrap();
    for reply in busy {
        reply.await.unwrap().expect(200);
    }
    for (number, reply) in waiting.into_iter().enumerate() {
        let page = reply.await.unwrap().expect(200);
        let texts = [0, 1].map(|entry| page["messages"][entry]["message"]["text"].clone());
        let expected = [text(number), format!("and {}", text(number))];
        assert_eq!(texts, expected.map(serde_json::Value::from));
    }
}

#[tokio::test]
async fn a_query_that_fails_for_one_caller_is_run_again_for_the_others() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let mut paths = Vec::new();
    for text in ["one", "poison", "three"] {
        paths.push(format!("/messages/{}", jane.send("john", text).await["id"]));
    }
    database
        .execute(
            "ALTER TABLE messages RENAME TO stored;
             CREATE VIEW messages AS
             SELECT application_id, id, conversation_id, number, timestamp, sender, recipient, chat_number,
                    created, edited,
                    CASE WHEN text = 'poison' THEN (1 / (length(text) - 6))::text ELSE text END AS text,
                    files, attributes, reply_to, deleted, idempotency_key, request_digest, sent,
                    recipient_newest, mentions, mentions_all, system, import_key
             FROM stored",
        )
        .await;
    let table = lock(&database, "stored").await;
    let busy = occupy(&database, &jane, &paths[0]).await;
    let waiting: Vec<_> = paths.iter().map(|path| begin(&jane, path)).collect();
    replica.until_waiting("messages", 3.0).await;
    table.close().await.unwrap();
    for reply in busy {
        reply.await.unwrap();
    }
    let mut statuses = Vec::new();
    for reply in waiting {
        statuses.push(reply.await.unwrap().status);
    }
    assert_eq!(statuses, [200, 500, 200]);
}

#[tokio::test]
async fn a_full_queue_of_reads_sheds_load() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, Settings::default().with("READ_QUEUE_MAX", "3")).await;
    let jane = replica.user("jane");
    let table = lock(&database, "updates").await;
    let busy = occupy(&database, &jane, "/messages").await;
    let waiting: Vec<_> = (0..3).map(|_| begin(&jane, "/messages")).collect();
    replica.until_waiting("pages", 3.0).await;
    let shed = jane.get("/messages").await;
    shed.expect_problem(503, "overloaded");
    assert!(!shed.header("retry-after").is_empty());
    table.close().await.unwrap();
    for reply in busy.into_iter().chain(waiting) {
        reply.await.unwrap().expect(200);
    }
}

#[tokio::test]
async fn a_database_that_hangs_is_not_waited_for_without_end() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    // The lock is held until everybody has an answer.
    let table = lock(&database, "updates").await;
    let busy = occupy(&database, &jane, "/messages").await;
    let waiting: Vec<_> = (0..20).map(|_| begin(&jane, "/messages")).collect();
    let writing = tokio::spawn({
        let jane = jane.clone();
        async move {
            jane.post(serde_json::json!({ "to": "john", "text": "hi" }))
                .await
        }
    });
    for reply in busy.into_iter().chain(waiting).chain([writing]) {
        let reply = reply.await.unwrap();
        assert_eq!(reply.status, 503, "{}", reply.text);
    }
    table.close().await.unwrap();
    eventually("the service recovers", async || {
        (jane.get("/messages").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(
        jane.sync("").await["total"],
        0,
        "what was answered with 503 was not done"
    );
}

#[tokio::test]
async fn a_page_with_messages_looks_by_key_whatever_the_planner_believes() {
    let (database, _replica) = service().await;
    // A connection on the terms of a reader. The plan is made while the tables are empty, and was
    // never analyzed.
    let mut session = store::Database::at(&database.url)
        .unwrap()
        .session(Purpose::Reading);
    let connection = session.connection().await.unwrap();
    let page = include_str!("../../src/store/pages_with_messages.sql");
    let prepare = format!(
        "ALTER TABLE messages SET (autovacuum_enabled = off);
         ALTER TABLE updates SET (autovacuum_enabled = off);
         PREPARE page (bigint, text[], bigint[], bigint[], bigint[]) AS {page}"
    );
    connection
        .execute(sqlx::AssertSqlSafe(prepare))
        .await
        .unwrap();
    let run = "EXECUTE page (1, '{john}', '{0}', '{1000}', '{2000}')";
    connection.execute(run).await.unwrap();
    let fill =
        "INSERT INTO messages
                    (application_id, id, conversation_id, number, timestamp, sender, recipient, created, deleted)
                SELECT 1, n, 1, n, n, 'jane', 'john', now(), FALSE FROM generate_series(1, 2000) AS n;
                INSERT INTO updates (application_id, user_id, timestamp, message_id)
                SELECT 1, 'john', n, n FROM generate_series(1, 2000) AS n";
    connection.execute(fill).await.unwrap();
    let explain = format!("EXPLAIN (ANALYZE, TIMING off, COSTS off) {run}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(explain))
        .fetch_all(connection)
        .await
        .unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    assert!(
        plan.contains("Index Cond: ((application_id = $1) AND (id = "),
        "{plan}"
    );
    assert!(!plan.contains("hashed SubPlan"), "{plan}");
    assert!(
        !plan.contains("Sort"),
        "the first rows come at once: {plan}"
    );
    assert!(!plan.contains("Rows Removed by Join Filter"), "{plan}");
    assert!(!plan.contains("Rows Removed by Filter"), "{plan}");
}
