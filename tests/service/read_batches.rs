//! Callers who wait are answered by one query.

use std::collections::BTreeSet;

use messages::{
    store::{self, Purpose},
    sync::{DATA_BATCH_MAX, READERS},
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection, Row};

use crate::support::{
    Client, Database, Replica, Reply, Settings, administered, eventually, service,
};

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
        assert_eq!(texts, expected.map(Value::from));
    }
}

/// A service whose application has more entries in its feed than a query has callers, of several kinds.
async fn service_with_a_feed() -> (Database, Replica, Client) {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let mut sent = Vec::new();
    for number in 0..DATA_BATCH_MAX {
        sent.push(jane.send("john", &number.to_string()).await);
    }
    let edit = json!({ "text": "edited" });
    let edited = jane.patch(&sent[3]["id"], &sent[3]["timestamp"], edit);
    edited.await.expect(200);
    let deleted = jane.delete(&sent[4]["id"], &sent[4]["timestamp"]);
    deleted.await.expect(200);
    let read = json!({ "number": 5 });
    let read = john.call(Method::PUT, "/users/jane/read", read);
    read.await.expect(200);
    let chat = jane.chat("Team", &["john"]).await;
    jane.post_into(chat, "hi").await;
    let jim = format!("/chats/{chat}/members/jim");
    jane.ask(Method::PUT, &jim, None).await.expect(201);
    jane.ask(Method::DELETE, &jim, None).await.expect(204);
    (database, replica, app)
}

/// How many queries for pages of the feed there were so far.
async fn feed_queries(replica: &Replica) -> f64 {
    let name = "messages_batch_size_count";
    replica.metric(name, "queue=\"feed\"").await
}

/// Asks for pages of the feed, first one after the other, and then while nobody can read the log: one query must
/// answer all who wait, each with the page that it gets alone. Returns the pages.
async fn one_query_answers(
    (database, replica, app): &(Database, Replica, Client),
    paths: &[String],
) -> Vec<Value> {
    let mut alone = Vec::new();
    for path in paths {
        alone.push(app.get(path).await.expect(200));
    }
    let before = feed_queries(replica).await;
    let table = lock(database, "changes").await;
    let busy = occupy(database, app, "/feed").await;
    let waiting: Vec<_> = paths.iter().map(|path| begin(app, path)).collect();
    replica.until_waiting("feed", paths.len() as f64).await;
    table.close().await.unwrap();
    for reply in busy {
        reply.await.unwrap().expect(200);
    }
    for (reply, page) in waiting.into_iter().zip(&alone) {
        assert_eq!(reply.await.unwrap().expect(200), *page);
    }
    let queries = feed_queries(replica).await - before;
    assert_eq!(queries, READERS as f64 + 1.0, "who waited were one query");
    // A query that fails is followed by one for each caller.
    let mut log = replica.log().into_iter();
    assert!(!log.any(|line| line.contains("a query for many callers failed")));
    alone
}

#[tokio::test]
async fn callers_of_the_feed_who_wait_at_one_cursor_share_one_query() {
    let service = service_with_a_feed().await;
    let path = "/feed?limit=7&include=message,recipients";
    let paths = vec![path.to_owned(); DATA_BATCH_MAX];
    let pages = one_query_answers(&service, &paths).await;
    assert_eq!(pages[0]["entries"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn callers_of_the_feed_who_wait_for_different_pages_share_one_query() {
    let service = service_with_a_feed().await;
    let all = service.2.get("/feed?limit=1000").await.expect(200);
    let kinds = [
        "message.created",
        "message.edited,member.added",
        "conversation.read",
        "chat.created,member.removed",
    ];
    let includes = [
        "",
        "&include=message",
        "&include=recipients",
        "&include=message,recipients",
    ];
    let path = |place: usize| {
        let after = &all["entries"][place]["timestamp"];
        let (limit, pair) = (1 + place % 5, place / 2 % 4);
        let include = includes[pair];
        let path = format!("/feed?after={after}&limit={limit}{include}");
        match place % 2 {
            0 => path,
            _ => format!("{path}&kinds={}", kinds[pair]),
        }
    };
    let mut paths: Vec<_> = (0..DATA_BATCH_MAX).map(path).collect();
    paths[DATA_BATCH_MAX - 1] = "/feed?after=latest".to_owned();
    let pages = one_query_answers(&service, &paths).await;
    // Those of all kinds begin with different entries.
    let pages: BTreeSet<_> = pages.iter().map(Value::to_string).collect();
    assert!(pages.len() >= DATA_BATCH_MAX / 2, "{pages:?}");
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
        async move { jane.post(json!({ "to": "john", "text": "hi" })).await }
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
