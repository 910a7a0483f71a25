//! Search among many messages: how soon each kind of query is answered, beside its SQL, how fast the
//! index grows, and what it costs those who send.
//!
//! The messages are those of benches/search.sql, in the database DATABASE_URL of the service.

use std::{sync::Arc, time::Duration};

use messages::{domain::ApplicationId, store::locks};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::service::{Sender, Service, call, execute, pending, percentile, setting, token};

/// Searches of each kind in each place.
const SEARCHES: usize = 300;

/// The load beside which the indexer has to keep up.
const SENDS_PER_SECOND: u32 = 4000;
const SENDERS: usize = 64;

/// Ends the connection of the indexer, and with it its lock.
const STOP_INDEXER: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                            WHERE application_name = 'messages indexer' AND datname = current_database()";

pub async fn measure(service: Arc<Service>) {
    let mut database = PgConnection::connect(&setting("DATABASE_URL"))
        .await
        .unwrap();
    let (start, count) = (Instant::now(), pending(&mut database).await);
    until_indexed(&mut database).await;
    let rate = count as f64 / start.elapsed().as_secs_f64();
    println!("indexed {count} messages, {rate:.0} a second with nothing else to do");
    execute(&mut database, "VACUUM ANALYZE").await;
    execute(&mut database, "CHECKPOINT").await;
    latencies(&service, &mut database).await;
    sends(&service, &mut database).await;
}

/// How soon every kind of query is answered in every place, and how long PostgreSQL takes for it.
async fn latencies(service: &Service, database: &mut PgConnection) {
    execute(
        database,
        "CREATE EXTENSION IF NOT EXISTS pg_stat_statements",
    )
    .await;
    println!(
        "{:44} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6}  {:>5}",
        "search", "p50 ms", "p99 ms", "max ms", "mean ms", "SQL ms", "ratio", "hits"
    );
    for (place, user, path) in [
        ("a user with few messages", "light", "/messages"),
        ("a user with many", "heavy", "/messages"),
        ("a chat", "heavy", "/chats/1000000/messages"),
    ] {
        for kind in [
            "rare word",
            "common word",
            "beginning",
            "short beginning",
            "phrase",
            "2 characters",
            "4 characters",
        ] {
            let queries = queries(database, kind, place, user).await;
            let mut connection = service.connect().await;
            let token = token(ApplicationId::DEFAULT, user);
            let (mut taken, mut hits) = (Vec::new(), 0);
            execute(database, "SELECT pg_stat_statements_reset()").await;
            for query in &queries {
                let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
                let start = Instant::now();
                let page = call(
                    &mut connection,
                    "GET",
                    &format!("{path}/search?q={encoded}"),
                    &token,
                    "",
                )
                .await;
                taken.push(start.elapsed());
                hits += page["hits"].as_array().unwrap().len();
            }
            let searches = queries.len() as f64;
            let sql_ms = statements_ms(database).await / searches;
            let mean_ms = taken.iter().sum::<Duration>().as_secs_f64() * 1000.0 / searches;
            taken.sort_unstable();
            println!(
                "{:44} {:8.2} {:8.2} {:8.2} {mean_ms:8.2} {sql_ms:8.2} {:6.2}  {:5.1}",
                format!("{kind}, {place}"),
                percentile(&taken, 50),
                percentile(&taken, 99),
                percentile(&taken, 100),
                mean_ms / sql_ms,
                hits as f64 / searches,
            );
        }
    }
}

/// How long PostgreSQL has executed statements of searches since the last reset, in milliseconds.
async fn statements_ms(database: &mut PgConnection) -> f64 {
    let sql = "SELECT coalesce(sum(total_exec_time), 0)
               FROM pg_stat_statements
               WHERE query LIKE '%FROM messages%' AND query NOT LIKE '%bench_words%'
                 AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
    sqlx::query_scalar(sql).fetch_one(database).await.unwrap()
}

/// Queries of a kind; phrases and parts are taken from messages that the search may find.
async fn queries(database: &mut PgConnection, kind: &str, place: &str, user: &str) -> Vec<String> {
    let own = match place {
        "a chat" => "chat_number = 1000000".to_owned(),
        _ => format!("sender = '{user}'"),
    };
    let text = |of: &str, part: &str| {
        format!(
            "SELECT {part} FROM (
                 SELECT text FROM messages WHERE {own} AND text {of} '^[a-z]' ORDER BY random() LIMIT {SEARCHES}
             ) AS texts"
        )
    };
    let word = |part: &str, ranks: &str| {
        format!(
            "SELECT {part} FROM bench_words, generate_series(1, 100) WHERE {ranks} ORDER BY random() LIMIT {SEARCHES}"
        )
    };
    let sql = match kind {
        "rare word" => word("word", "rank BETWEEN 5000 AND 19999 AND length(word) > 4"),
        "common word" => word("word", "rank BETWEEN 1 AND 20"),
        "beginning" => word(
            "left(word, 4)",
            "rank BETWEEN 1 AND 2000 AND length(word) > 4",
        ),
        "short beginning" => word("left(word, 2)", "rank BETWEEN 1 AND 2000"),
        "phrase" => text(
            "~",
            r#"'"' || split_part(text, ' ', 2) || ' ' || split_part(text, ' ', 3) || '"'"#,
        ),
        "2 characters" => text("!~", "substr(text, 3, 2)"),
        "4 characters" => text("!~", "substr(text, 3, 4)"),
        other => panic!("{other} is no kind of query"),
    };
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_all(database)
        .await
        .unwrap()
}

/// What the indexer costs those who send, and how far it is behind meanwhile.
async fn sends(service: &Arc<Service>, database: &mut PgConnection) {
    for round in [
        "warm-up",
        "with the indexer",
        "without it",
        "with the indexer",
        "without it",
    ] {
        let mut lock = None;
        if round == "without it" {
            // Whoever holds the lock is the indexer; this one does nothing.
            let mut connection = PgConnection::connect(&setting("DATABASE_URL"))
                .await
                .unwrap();
            execute(database, STOP_INDEXER).await;
            execute(
                &mut connection,
                &format!("SELECT pg_advisory_lock({})", locks::INDEXER),
            )
            .await;
            lock = Some(connection);
        }
        execute(database, "CHECKPOINT").await;
        let mut sending = JoinSet::new();
        for number in 0..SENDERS {
            let service = Arc::clone(service);
            let pause =
                Some(Duration::from_secs(1) * u32::try_from(SENDERS).unwrap() / SENDS_PER_SECOND);
            let sender = Sender {
                application: ApplicationId::DEFAULT,
                number,
                senders: SENDERS,
                pause,
                time: service.time_of_row(),
            };
            sending.spawn(async move { service.send(sender, message).await });
        }
        let (mut behind_max, mut taken) = (0, Vec::new());
        while !sending.is_empty() {
            behind_max = behind_max.max(pending(database).await);
            sleep(Duration::from_millis(200)).await;
            while let Some(sent) = sending.try_join_next() {
                taken.extend(sent.unwrap().into_iter().map(|sent| sent.latency));
            }
        }
        taken.sort_unstable();
        println!(
            "{:44} {:8.2} {:8.2} {:8.2}  {behind_max} pending at the most",
            format!("{SENDS_PER_SECOND} sends/s, {round}"),
            percentile(&taken, 50),
            percentile(&taken, 99),
            percentile(&taken, 100),
        );
        drop(lock);
        until_indexed(database).await;
    }
}

/// A message of 14 words.
fn message(turn: usize) -> (String, String) {
    let words: Vec<_> = (0..14)
        .map(|index| format!("{:x}", (turn * 31 + index * 7919) % 20_000))
        .collect();
    (format!("user-{}", turn % 1000), words.join(" "))
}

async fn until_indexed(database: &mut PgConnection) {
    while pending(database).await > 0 {
        sleep(Duration::from_millis(100)).await;
    }
}
