//! How PostgreSQL runs the queries of the service, whatever it knows of the tables. A plan is kept until
//! the table is analyzed again, however large the table becomes meanwhile.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
};

use messages::{
    domain::Erasure,
    store::{self, Erasing, Leadership, PgConnection, Purpose},
};
use serde_json::Value;
use sqlx::{Executor, Row};

use crate::support::{Database, service};

/// Tables that grow without bound.
const LARGE: [&str; 16] = [
    "changes",
    "messages",
    "updates",
    "conversations",
    "chat_members",
    "search_entries",
    "mentions",
    "conversation_settings",
    "reports",
    "reactions",
    "reaction_counts",
    "pins",
    "chat_bans",
    "user_restrictions",
    "importing_members",
    "erasures",
];

/// What reads a table to its end on purpose: the rebuilding of the index; or a small index of what is to be
/// done.
const WHOLE_TABLES: [&str; 5] = [
    "FROM messages WHERE NOT deleted",
    "FROM conversations WHERE to_clear",
    "FROM reaction_counts WHERE to_clear",
    "FROM erasures WHERE user_id IS NOT NULL",
    "FROM erasures WHERE application_id = $1 AND user_id IS NOT NULL",
];

/// Every query of the service, with the number of its parameters.
fn described() -> impl Iterator<Item = (String, usize)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    fs::read_dir(directory).unwrap().map(|file| {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let description: Value = serde_json::from_str(&text).unwrap();
        let parameters = description["describe"]["parameters"]["Left"].as_array();
        let query = description["query"].as_str().unwrap().to_owned();
        (query, parameters.map_or(0, Vec::len))
    })
}

fn queries_of_any_kind() -> Vec<String> {
    described().map(|(query, _)| query).collect()
}

/// Every query of the service that has a plan.
fn queries() -> Vec<(String, usize)> {
    let has_plan = |query: &str| {
        let words = ["VACUUM", "LOCK", "TRUNCATE"];
        !words
            .iter()
            .any(|word| query.trim_start().starts_with(word))
    };
    described().filter(|(query, _)| has_plan(query)).collect()
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

/// The second part of the key of each index. The first one is the application.
type SecondParts = HashMap<String, String>;

async fn second_parts(database: &Database) -> SecondParts {
    let parts =
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid, 2, true) FROM pg_index
                 WHERE indnkeyatts > 1 AND indrelid::regclass::text = ANY ($1)";
    let tables = LARGE.map(str::to_owned);
    let rows = sqlx::query(parts).bind(tables.as_slice());
    let rows = rows.fetch_all(&mut database.connect().await).await.unwrap();
    let parts: SecondParts = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(parts.len() > 10, "{parts:?}");
    parts
}

/// Whether a condition on an index says more than the application: it names the next part of the
/// key. (A condition on a later part alone has the whole application's part of the index read.)
fn names_key(node: &Value, condition: &str, second: &SecondParts) -> bool {
    let index = node.get("Index Name").and_then(Value::as_str);
    match index.and_then(|index| second.get(index)) {
        Some(part) => condition.contains(&format!("({part} ")),
        None => condition.contains(" AND ") || !condition.starts_with("(application_id = "),
    }
}

/// Whether a node takes the newest row of an application, and no more, from an index.
fn is_newest(node: &Value) -> bool {
    let child = &node["Plans"][0];
    node["Node Type"] == "Limit" && child["Scan Direction"] == "Backward"
}

/// The nodes that read a large table without looking up a key.
fn scans(plan: &Value, second: &SecondParts, found: &mut Vec<String>) {
    match plan {
        Value::Array(plans) => plans.iter().for_each(|plan| scans(plan, second, found)),
        node if is_newest(node) => {}
        Value::Object(node) => {
            let is_scan = node
                .get("Node Type")
                .and_then(Value::as_str)
                .is_some_and(|kind| kind.ends_with("Scan"));
            let table = node.get("Relation Name").and_then(Value::as_str);
            let has_key = ["Index Cond", "TID Cond", "Recheck Cond"]
                .iter()
                .filter_map(|kind| node.get(*kind)?.as_str())
                .any(|condition| names_key(plan, condition, second));
            if is_scan && !has_key && table.is_some_and(|table| LARGE.contains(&table)) {
                found.push(format!("{} of {}", node["Node Type"], table.unwrap()));
            }
            node.values().for_each(|value| scans(value, second, found));
        }
        _ => {}
    }
}

/// Few chats and many pairs, each with a message, as the service stores them.
const FILL: &str = "
    INSERT INTO conversations (application_id, id, timestamp, created, chat_number, name, members)
    SELECT 1, n, n, now(), n, 'chat', 1 FROM generate_series(1, 30) AS n;
    INSERT INTO conversations
        (application_id, id, timestamp, created, least, greatest, least_read, greatest_read,
         least_as_of, greatest_as_of, least_blocks, greatest_blocks)
    SELECT 1, 100 + n, 100 + n, now(), 'a' || n, 'b', 0, 0, 0, 0, false, false
    FROM generate_series(1, 2000) AS n;
    INSERT INTO messages (application_id, id, conversation_id, number, timestamp, sender, recipient,
                          created, text, deleted)
    SELECT 1, n, 100 + n, 1, 100 + n, 'a' || n, 'b', now(), 'hello', false
    FROM generate_series(1, 2000) AS n;
    INSERT INTO changes (application_id, timestamp, kind, message_id, conversation_id, created)
    SELECT 1, 100 + n, 'message-created', n, 100 + n, now() FROM generate_series(1, 2000) AS n;
    INSERT INTO updates (application_id, user_id, timestamp, message_id)
    SELECT 1, 'b', 100 + n, n FROM generate_series(1, 2000) AS n;
    INSERT INTO chat_members (application_id, chat_number, user_id, joined)
    SELECT 1, 1 + n % 30, 'a' || n, 1 FROM generate_series(1, 2000) AS n;
    INSERT INTO chat_bans (application_id, chat_number, user_id, created)
    SELECT 1, 1 + n % 30, 'b' || n, now() FROM generate_series(1, 2000) AS n;
    INSERT INTO user_restrictions (application_id, user_id, timestamp)
    SELECT 1, 'a' || n, n FROM generate_series(1, 2000) AS n;
    INSERT INTO importing_members (application_id, chat_number, user_id, role)
    SELECT 1, 1 + n % 30, 'a' || n, 'member' FROM generate_series(1, 2000) AS n;
    INSERT INTO erasures
        (application_id, user_digest, pseudonym, timestamp, requested, deletes_others)
    SELECT 1, sha256(n::text::bytea), 'erased:' || n, n, now(), false FROM generate_series(1, 2000) AS n;
    INSERT INTO mentions (application_id, user_id, conversation_id, number)
    SELECT 1, 'b', 100 + n, 1 FROM generate_series(1, 2000) AS n;
    INSERT INTO conversation_settings
        (application_id, user_id, conversation_id, pinned, since, created)
    SELECT 1, 'b', 100 + n, true, 1, now() FROM generate_series(1, 2000) AS n;
    INSERT INTO reports (application_id, timestamp, message_id, reporter, reason, created)
    SELECT 1, 100 + n, n, 'b', 'spam', now() FROM generate_series(1, 2000) AS n;
    INSERT INTO reactions (application_id, message_id, number, user_id, key)
    SELECT 1, n, 1, 'a' || n, 'a' FROM generate_series(1, 2000) AS n;
    INSERT INTO reaction_counts (application_id, message_id, timestamp, last, keys, counts)
    SELECT 1, n, 100 + n, 1, '{a}', '{1}' FROM generate_series(1, 2000) AS n;
    INSERT INTO pins (application_id, chat_number, message_id, timestamp, created)
    SELECT 1, 1 + n % 30, n, 100 + n, now() FROM generate_series(1, 2000) AS n;
    INSERT INTO search_entries (application_id, message_id, terms, terms_version)
    SELECT 1, n, 'hello', 3 FROM generate_series(1, 2000) AS n";

/// The queries that do not look up keys in large tables, on a connection for `purpose`.
async fn slow_queries(
    connection: &mut PgConnection,
    purpose: Purpose,
    second: &SecondParts,
) -> Vec<String> {
    let queries = queries();
    assert!(queries.len() > 40, "{}", queries.len());
    let mut slow = Vec::new();
    for (query, parameters) in queries {
        let writes = ["INSERT INTO", "UPDATE ", "DELETE FROM"]
            .iter()
            .any(|word| query.contains(word));
        if writes && purpose == Purpose::Reading {
            continue;
        }
        let mut found = Vec::new();
        let plan = plan(connection, &query, parameters).await;
        scans(&plan, second, &mut found);
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
    let second = second_parts(&database).await;
    // The terms of these connections have PostgreSQL plan without regard to the parameters.
    let mut sessions = [Purpose::Writing, Purpose::Reading].map(|purpose| {
        let database = store::Database::at(&database.url).unwrap();
        (purpose, database.session(purpose))
    });
    for (knowledge, statements) in [
        ("nothing", vec![]),
        ("that the tables are empty", vec!["ANALYZE"]),
        ("how large the tables are", vec![FILL, "ANALYZE"]),
    ] {
        for statement in statements {
            database.execute(statement).await;
        }
        for (purpose, session) in &mut sessions {
            let connection = session.connection().await.unwrap();
            let slow = slow_queries(connection, *purpose, &second).await;
            assert!(
                slow.is_empty(),
                "{purpose:?}, the planner knows {knowledge}: {}",
                slow.join("\n\n")
            );
        }
    }
}

/// How many rows the scans of a table have read, with those that they have left out, and by which indexes.
fn rows_read(plan: &Value, table: &str, indexes: &mut BTreeSet<String>) -> f64 {
    match plan {
        Value::Array(plans) => {
            let read = plans.iter().map(|plan| rows_read(plan, table, indexes));
            read.sum()
        }
        Value::Object(node) => {
            let below = node.values().map(|value| rows_read(value, table, indexes));
            let below: f64 = below.sum();
            if node.get("Relation Name").and_then(Value::as_str) != Some(table) {
                return below;
            }
            let index = node.get("Index Name").and_then(Value::as_str);
            indexes.insert(index.unwrap_or("none").to_owned());
            let number = |name: &str| node.get(name).and_then(Value::as_f64).unwrap_or(0.0);
            let rows = number("Actual Rows") + number("Rows Removed by Filter");
            below + rows * number("Actual Loops")
        }
        _ => 0.0,
    }
}

/// Conversations of a pseudonym, whose other users come before it and after it in turns.
const FILL_PSEUDONYM: &str = "
    INSERT INTO conversations
        (application_id, id, timestamp, created, least, greatest, least_read, greatest_read,
         least_as_of, greatest_as_of, least_blocks, greatest_blocks)
    SELECT 1, 10000 + n, 10000 + n, now(), least(peer, $pseudonym), greatest(peer, $pseudonym),
           0, 0, 0, 0, false, false
    FROM (
        SELECT n, CASE WHEN n % 2 = 0 THEN 'a' ELSE 'z' END || n AS peer
        FROM generate_series(1, 4000) AS n
    ) AS peers";

/// So erasing a user takes time in proportion to its conversations.
#[tokio::test]
async fn an_erasure_reads_no_conversation_again_for_the_next_ones() {
    let (database, replica) = service().await;
    drop(replica);
    let (walk, _) = queries()
        .into_iter()
        .find(|(query, _)| query.contains("starts_with(least, 'erased:')"))
        .expect("the walk is one of the queries");
    let pseudonym = Erasure::pseudonym(7);
    let pseudonym = format!("'{}'", pseudonym.as_str());
    let store = store::Database::at(&database.url).unwrap();
    let mut leader = Leadership::<Erasing>::acquire(&store).await.unwrap();
    let connection = leader.connection();
    let fill = FILL_PSEUDONYM.replace("$pseudonym", &pseudonym);
    for statements in [
        vec![],
        vec![fill.as_str()],
        vec!["ANALYZE"],
        vec![FILL, "ANALYZE"],
    ] {
        for statement in statements {
            database.execute(statement).await;
        }
        let prepare = format!("PREPARE walk AS {walk}");
        connection
            .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(prepare)))
            .await
            .unwrap();
        for from in [0, 12_000, 13_900, 14_001] {
            let explain =
                format!("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE walk (1, {pseudonym}, {from}, 64)");
            let row = connection
                .fetch_one(sqlx::query(sqlx::AssertSqlSafe(explain)))
                .await
                .unwrap();
            let (plan, mut indexes): (Value, _) = (row.get(0), BTreeSet::new());
            let read = rows_read(&plan, "conversations", &mut indexes);
            assert!(read <= 2.0 * 64.0, "from {from}, {read} rows: {plan:#}");
            let walked = [
                "conversations_of_erased_greatest",
                "conversations_of_erased_least",
            ];
            assert_eq!(Vec::from_iter(indexes), walked, "{plan:#}");
            let found = plan[0]["Plan"]["Actual Rows"].as_f64().unwrap();
            let is_filled = database.count("SELECT count(*) FROM conversations").await > 0;
            let expected = if is_filled && from < 14_001 {
                64.0
            } else {
                0.0
            };
            assert_eq!(found, expected, "from {from}");
        }
        connection.execute("DEALLOCATE walk").await.unwrap();
    }
}

/// What belongs to tenants.
const OF_TENANTS: [&str; 19] = [
    "changes",
    "chat_bans",
    "chat_members",
    "conversations",
    "conversation_settings",
    "erasures",
    "followers",
    "hooks",
    "importing_members",
    "mentions",
    "messages",
    "pins",
    "reaction_counts",
    "reactions",
    "reports",
    "search_entries",
    "updates",
    "user_restrictions",
    "webhooks",
];

/// Statements about all applications: where a follower has something to do, what an operator
/// requests, and what follows a lost history.
const OF_ALL_APPLICATIONS: [&str; 10] = [
    "FROM erasures WHERE user_id IS NOT NULL",
    "FROM reaction_counts WHERE to_clear",
    "FROM conversations WHERE to_clear",
    "SELECT application_id, cursor FROM followers WHERE name = $1",
    "TRUNCATE search_entries",
    "LOCK TABLE search_entries",
    "UPDATE followers SET cursor = 0 WHERE name = $1",
    "FROM messages WHERE NOT deleted",
    "FROM webhooks WHERE NOT paused GROUP BY application_id",
    // It looks for changes of the application of each webhook, which are on the same server.
    "c.application_id = webhooks.application_id AND c.timestamp > webhooks.cursor",
];

/// Whether a statement names the application of every tenant's table as its first parameter. A
/// distributed database refuses a statement that takes it from an array or from a row.
fn names_one_application(query: &str) -> bool {
    let words: Vec<_> = query.split_whitespace().collect();
    let naming = ["FROM", "JOIN", "UPDATE", "INTO"];
    let named = words.windows(2).filter(|pair| {
        naming.contains(&pair[0]) && OF_TENANTS.contains(&pair[1].trim_end_matches([',', ')']))
    });
    let (tables, text) = (named.count(), words.join(" "));
    let conditions = text.matches("application_id = $1").count();
    let rows = ["SELECT $1,", "SELECT $1 ,", "VALUES ($1,"].map(|row| text.matches(row).count());
    let from_array = text.split("unnest(").skip(1).any(|rest| {
        let columns = rest.split(" AS ").nth(1).unwrap_or_default();
        let columns = columns.split(')').next().unwrap_or_default();
        columns.contains("application_id")
    });
    // On a cluster (Citus), a statement on a tenant's table runs where the sequences are not.
    let draws = tables > 0 && (text.contains("nextval(") || text.contains("setval("));
    conditions + rows.iter().sum::<usize>() >= tables && !from_array && !draws
}

#[test]
fn every_statement_on_a_tenants_table_names_one_application() {
    let (all, mut checked) = (queries_of_any_kind(), 0);
    for query in &all {
        let is_of_all = OF_ALL_APPLICATIONS.iter().any(|part| query.contains(part));
        if !is_of_all {
            checked += 1;
            assert!(names_one_application(query), "{query}");
        }
    }
    assert!(checked > 40 && all.len() - checked < 12, "{checked}");
    assert!(!names_one_application(
        "SELECT m.id FROM unnest($1::bigint[]) AS a (application_id) JOIN messages AS m USING (application_id)"
    ));
    assert!(!names_one_application(
        "SELECT id FROM messages WHERE id = $1"
    ));
    assert!(!names_one_application(
        "SELECT nextval('message_ids'), id FROM messages WHERE application_id = $1"
    ));
}
