//! How PostgreSQL runs the queries of the service, whatever it knows of the tables. A plan is kept until
//! the table is analyzed again, however large the table becomes meanwhile.

use std::{fs, path::Path};

use messages::store::{self, PgConnection, Purpose};
use serde_json::Value;
use sqlx::{Executor, Row};

use crate::support::service;

/// Tables that grow without bound.
const LARGE: [&str; 5] = [
    "messages",
    "updates",
    "conversations",
    "chat_members",
    "search_entries",
];

/// What reads a table to its end on purpose: the rebuilding of the index.
const WHOLE_TABLES: [&str; 1] = ["FROM messages WHERE text IS NOT NULL"];

/// Every query of the service that has a plan.
fn queries() -> Vec<(String, usize)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let described = fs::read_dir(directory).unwrap().map(|file| {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let description: Value = serde_json::from_str(&text).unwrap();
        let parameters = description["describe"]["parameters"]["Left"].as_array();
        let query = description["query"].as_str().unwrap().to_owned();
        (query, parameters.map_or(0, Vec::len))
    });
    let has_plan = |query: &str| {
        let words = ["VACUUM", "LOCK", "TRUNCATE"];
        !words
            .iter()
            .any(|word| query.trim_start().starts_with(word))
    };
    described.filter(|(query, _)| has_plan(query)).collect()
}

async fn plan(connection: &mut PgConnection, query: &str, parameters: usize) -> Value {
    let nulls = vec!["NULL"; parameters].join(", ");
    let run = match parameters {
        0 => "EXECUTE query".to_owned(),
        _ => format!("EXECUTE query ({nulls})"),
    };
    let prepare = sqlx::raw_sql(sqlx::AssertSqlSafe(format!("PREPARE query AS {query}")));
    let prepared = connection.execute(prepare).await;
    prepared.unwrap_or_else(|error| panic!("{error}: {query}"));
    let explain = format!("EXPLAIN (FORMAT JSON) {run}");
    let row = connection
        .fetch_one(sqlx::query(sqlx::AssertSqlSafe(explain)))
        .await
        .unwrap();
    connection.execute("DEALLOCATE query").await.unwrap();
    row.get(0)
}

/// Whether a condition narrows a lookup down to an application and no further.
fn is_tenant_alone(condition: &str) -> bool {
    condition.starts_with("(application_id = ") && !condition.contains(" AND ")
}

/// The nodes that read a large table without looking up a key.
fn scans(plan: &Value, found: &mut Vec<String>) {
    match plan {
        Value::Array(plans) => plans.iter().for_each(|plan| scans(plan, found)),
        Value::Object(node) => {
            let is_scan = node
                .get("Node Type")
                .and_then(Value::as_str)
                .is_some_and(|kind| kind.ends_with("Scan"));
            let table = node.get("Relation Name").and_then(Value::as_str);
            let has_key = ["Index Cond", "TID Cond", "Recheck Cond"]
                .iter()
                .filter_map(|kind| node.get(*kind)?.as_str())
                .any(|condition| !is_tenant_alone(condition));
            if is_scan && !has_key && table.is_some_and(|table| LARGE.contains(&table)) {
                found.push(format!("{} of {}", node["Node Type"], table.unwrap()));
            }
            node.values().for_each(|value| scans(value, found));
        }
        _ => {}
    }
}

/// Few chats and many pairs, each with a message, as the service stores them.
const FILL: &str = "
    INSERT INTO conversations (application_id, id, timestamp, created, chat_number, name, members)
    SELECT 1, n, n, now(), n, 'chat', 1 FROM generate_series(1, 30) AS n;
    INSERT INTO conversations
        (application_id, id, timestamp, created, least, greatest, least_read, greatest_read)
    SELECT 1, 100 + n, 100 + n, now(), 'a' || n, 'b', 0, 0 FROM generate_series(1, 2000) AS n;
    INSERT INTO messages (application_id, id, conversation_id, number, timestamp, sender, recipient,
                          created, text, deleted)
    SELECT 1, n, 100 + n, 1, 100 + n, 'a' || n, 'b', now(), 'hello', false
    FROM generate_series(1, 2000) AS n;
    INSERT INTO updates (application_id, user_id, timestamp, message_id)
    SELECT 1, 'b', 100 + n, n FROM generate_series(1, 2000) AS n;
    INSERT INTO chat_members (application_id, chat_number, user_id, joined)
    SELECT 1, 1 + n % 30, 'a' || n, 1 FROM generate_series(1, 2000) AS n;
    INSERT INTO search_entries (application_id, message_id, terms, terms_version)
    SELECT 1, n, 'hello', 2 FROM generate_series(1, 2000) AS n";

/// The queries that do not look up keys in large tables.
async fn slow_queries(connection: &mut PgConnection) -> Vec<String> {
    let queries = queries();
    assert!(queries.len() > 40, "{}", queries.len());
    let mut slow = Vec::new();
    for (query, parameters) in queries {
        let mut found = Vec::new();
        scans(&plan(connection, &query, parameters).await, &mut found);
        let is_meant = WHOLE_TABLES.iter().any(|part| query.contains(part));
        if !found.is_empty() && !is_meant {
            slow.push(format!("{found:?}: {query}"));
        }
    }
    slow
}

#[tokio::test]
async fn every_query_looks_up_keys_whatever_the_planner_knows() {
    let (database, _replica) = service().await;
    // The terms of this connection have PostgreSQL plan without regard to the parameters.
    let mut session = store::Database::at(&database.url)
        .unwrap()
        .session(Purpose::Writing);
    let connection = session.connection().await.unwrap();
    for (knowledge, statements) in [
        ("nothing", vec![]),
        ("how large the tables are", vec![FILL, "ANALYZE"]),
    ] {
        for statement in statements {
            database.execute(statement).await;
        }
        let slow = slow_queries(connection).await;
        assert!(
            slow.is_empty(),
            "the planner knows {knowledge}: {}",
            slow.join("\n\n")
        );
    }
}
