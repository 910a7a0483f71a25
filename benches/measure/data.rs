//! What comes into an application and goes out of it, while others send: an import, the erasure of a user, and
//! messages that expire. Each round has data of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use messages::domain::ApplicationId;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::{
    fs,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    generators::{self, FOLDER},
    governed,
    service::{Service, call, exchange_typed, setting},
};

/// What comes in or goes out.
#[derive(Debug, Clone, Copy)]
pub enum Data {
    /// One caller imports messages of a chat, 1,000 lines with each call.
    Import,
    /// A user of 100 personal conversations is erased with the 1,000 messages of each.
    Erasure,
    /// As many messages of ten days ago expire in an application that keeps them for five, and are cleared.
    Expiry,
    /// When they are cleared, the timeline of the application is trimmed: 100,000 changes and 200,000 updates.
    Trimming,
}

/// The user who is erased. Once it is, its id is as new.
const LEAVER: &str = "leaver";

const LINES_AT_ONCE: usize = 1000;

/// Between two looks at how far it is.
const PERIOD: Duration = Duration::from_secs(1);

/// What is there before the row is measured.
pub async fn prepare(service: &Service, data: Data) {
    match data {
        Data::Import => {}
        Data::Erasure => generators::seed(ApplicationId::DEFAULT, LEAVER, 0),
        Data::Expiry | Data::Trimming => {
            let (id, token) = governed::application(service, "expiring").await;
            let file = format!("{FOLDER}/application-expiring");
            fs::write(file, token).await.unwrap();
            generators::seed(id, "reader", 10);
        }
    }
}

/// Begins. What is imported is counted in `done`.
pub async fn begin(service: &Service, data: Data, done: &Arc<AtomicU64>) -> JoinSet<()> {
    let mut connection = service.connect().await;
    let mut others = JoinSet::new();
    match data {
        Data::Import => {
            let (token, done) = (token("application").await, Arc::clone(done));
            others.spawn(async move {
                let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                let chat = format!("chat-{}", began.as_nanos());
                for first in (0..).step_by(LINES_AT_ONCE) {
                    let lines = lines(&chat, first);
                    let head = "POST /import HTTP/1.1\r\nContent-Type: application/x-ndjson";
                    let (status, answer) =
                        exchange_typed(&mut connection, head, &token, &lines).await;
                    let answer = String::from_utf8_lossy(&answer);
                    assert!(status == 200 && !answer.contains("problem"), "{answer}");
                    done.fetch_add(LINES_AT_ONCE as u64, Ordering::Relaxed);
                }
            });
        }
        Data::Erasure => {
            let token = token("application").await;
            let path = format!("/users/{LEAVER}?conversations=delete");
            call(&mut connection, "DELETE", &path, &token, "").await;
        }
        Data::Expiry | Data::Trimming => {
            let token = token("application-expiring").await;
            let policy = json!({ "policy": { "retentionDays": 5 } }).to_string();
            let path = "/applications/self";
            call(&mut connection, "PATCH", path, &token, &policy).await;
            // It begins with the next pass, once the index of search has followed.
            let mut database = PgConnection::connect(&setting("DATABASE_URL"))
                .await
                .unwrap();
            let table = match data {
                Data::Trimming => old("changes", "TRUE"),
                _ => old("messages", "NOT deleted"),
            };
            let sql = format!("SELECT {table}");
            let all = count(&mut database, &sql).await;
            while count(&mut database, &sql).await == all {
                sleep(PERIOD / 10).await;
            }
        }
    }
    others
}

/// Waits until nothing of it is left to be done, and prints how much that was.
pub async fn finish(service: &Service, data: Data) {
    match data {
        Data::Import => {}
        Data::Erasure => {
            let (mut connection, token) = (service.connect().await, token("application").await);
            let path = format!("/users/{LEAVER}/erasure");
            wait(async || {
                let erasure = call(&mut connection, "GET", &path, &token, "").await;
                (erasure["state"] != "done").then(|| erasure.to_string())
            })
            .await;
        }
        Data::Expiry | Data::Trimming => {
            let database = setting("DATABASE_URL");
            let mut database = PgConnection::connect(&database).await.unwrap();
            wait(async || {
                let (messages, changes) = (old("messages", "NOT deleted"), old("changes", "TRUE"));
                let sql = format!("SELECT {messages} || ' messages, ' || {changes} || ' changes'");
                let left: String = sqlx::query_scalar(AssertSqlSafe(sql))
                    .fetch_one(&mut database)
                    .await
                    .unwrap();
                (left != "0 messages, 0 changes").then_some(left)
            })
            .await;
        }
    }
}

async fn count(database: &mut PgConnection, sql: &str) -> i64 {
    let count = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
    count.fetch_one(database).await.unwrap()
}

/// Waits until there is nothing of what `left` returns.
async fn wait(mut left: impl AsyncFnMut() -> Option<String>) {
    let began = Instant::now();
    while let Some(left) = left().await {
        eprintln!("{:.1} s later: {left}", began.elapsed().as_secs_f64());
        sleep(PERIOD).await;
    }
    eprintln!("{:.1} s later it is done", began.elapsed().as_secs_f64());
}

/// The rows of a table that the newest application does not keep, and for which a condition holds: of the newest
/// messages of conversations the rows stay, without data.
fn old(table: &str, condition: &str) -> String {
    format!(
        "(SELECT count(*) FROM {table} WHERE {condition} AND created < now() - interval '5 days'
          AND application_id = (SELECT max(id) FROM applications))"
    )
}

/// Lines that import a chat, or more messages into it.
fn lines(chat: &str, first: usize) -> String {
    let text = "measure it ".repeat(9) + "x";
    let lines = (first..first + LINES_AT_ONCE).map(|number| {
        let line = match number {
            0 => json!({ "key": chat, "chat": { "name": "bench", "members": ["user-1"] } }),
            _ => json!({
                "key": number.to_string(),
                "message": {
                    "chat": chat, "from": "user-1", "created": "2019-03-01T10:00:00Z", "text": text
                }
            }),
        };
        format!("{line}\n")
    });
    lines.collect()
}

/// The token of an application, as `scripts/bench` or [`prepare`] has written it.
async fn token(name: &str) -> String {
    let token = fs::read_to_string(format!("{FOLDER}/{name}")).await;
    token.unwrap().trim_end().to_owned()
}
