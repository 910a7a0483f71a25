//! The terms of a connection: the settings that the service relies on, and the proof that they
//! hold.
//!
//! They are set by statements after connecting, and not by startup parameters, which connection
//! poolers refuse or drop. Then they are read back in another transaction: a pooler in transaction
//! mode may run it in another server process, where they do not hold. So every setting that the
//! service's promise depends on (`synchronous_commit`, the isolation, the time limits) is proved.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

use super::{Error, Purpose, Result, Unfit};

/// A setting and its value.
type Setting = (&'static str, String);

/// Time limits in seconds, zero for none. [`Purpose::Writing`] explains their order.
struct TimeLimits {
    idle_in_transaction: u32,
    statement: u32,
    lock: u32,
}

impl Purpose {
    fn time_limits(self) -> TimeLimits {
        let (idle_in_transaction, statement, lock) = match self {
            Self::Writing | Self::Announcing => (5, 10, 15),
            Self::Reading | Self::Publishing | Self::Measuring | Self::Presence => (5, 10, 10),
            Self::Searching => (5, 5, 0),
            Self::Indexing => (30, 30, 30),
            Self::Migrating => (0, 0, 0),
            Self::Listening => (60, 60, 60),
        };
        TimeLimits {
            idle_in_transaction,
            statement,
            lock,
        }
    }
}

fn settings(purpose: Purpose) -> Vec<Setting> {
    let limits = purpose.time_limits();
    let seconds = |limit: u32| format!("{limit}s");
    let mut settings = vec![
        ("default_transaction_isolation", "read committed".to_owned()),
        (
            "synchronous_commit",
            if purpose == Purpose::Indexing {
                "off"
            } else {
                "on"
            }
            .to_owned(),
        ),
        // With these, the server finds out whether this host is still alive.
        ("tcp_keepalives_idle", seconds(10)),
        ("tcp_keepalives_interval", seconds(5)),
        ("tcp_keepalives_count", "3".to_owned()),
        ("tcp_user_timeout", seconds(20)),
        ("timezone", "UTC".to_owned()),
        (
            "idle_in_transaction_session_timeout",
            seconds(limits.idle_in_transaction),
        ),
        ("statement_timeout", seconds(limits.statement)),
        ("lock_timeout", seconds(limits.lock)),
    ];
    if !matches!(purpose, Purpose::Migrating | Purpose::Listening) {
        // Every statement here looks up a few rows by key. Planning it takes longer than running
        // it. And the statistics of a young table must not make the planner read the whole table.
        let planner = [
            ("plan_cache_mode", "force_generic_plan"),
            ("jit", "off"),
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
        ];
        settings.extend(planner.map(|(name, value)| (name, value.to_owned())));
    }
    if purpose == Purpose::Reading {
        // A read seldom looks up a key twice, so to remember what was found takes time (2 ms of a page
        // of 1,000 messages) and saves little. Only the UPDATE statements of writers need it: without
        // it, they read the whole of a small table.
        settings.push(("enable_memoize", "off".to_owned()));
    }
    settings
}

/// Applies the settings of `purpose` to the session. Proves that they hold, and that the server is
/// a primary.
pub async fn settle(connection: &mut PgConnection, purpose: Purpose) -> Result<()> {
    let settings = settings(purpose);
    let set = list(&settings, |(name, value)| {
        format!("set_config('{name}', '{value}', false)")
    });
    let set = connection
        .fetch_one(sqlx::raw_sql(AssertSqlSafe(set)))
        .await?;
    let read = list(&settings, |(name, _)| format!("current_setting('{name}')"));
    let read = connection
        .fetch_one(sqlx::raw_sql(AssertSqlSafe(read)))
        .await?;
    let (set_by, read_by): (i32, i32) = (set.try_get(0)?, read.try_get(0)?);
    if set_by != read_by {
        return Err(Unfit::SharedSession.into());
    }
    for (index, (name, _)) in (2..).zip(&settings) {
        let [set, read] = [&set, &read].map(|row| row.try_get::<String, _>(index));
        if set? != read? {
            return Err(Unfit::SettingLost { setting: name }.into());
        }
    }
    if read.try_get::<bool, _>(1)? {
        Err(Unfit::Standby.into())
    } else {
        Ok(())
    }
}

/// A statement that selects the server process, whether the server is a standby, and an expression
/// for each setting. Names and values are constants of this module, so the text is safe.
fn list(settings: &[Setting], expression: impl Fn(&Setting) -> String) -> String {
    let expressions: Vec<_> = settings.iter().map(expression).collect();
    format!(
        "SELECT pg_backend_pid(), pg_is_in_recovery(), {}",
        expressions.join(", ")
    )
}

/// How often two sessions are compared. Behind a pooler in transaction mode, the first comparison
/// finds one server process for both, if nobody else uses the pooler. Otherwise, one of them sooner
/// or later has another process than before.
const COMPARISONS: usize = 8;

/// Proves that each of two connections, open at the same time, has a server process of its own and
/// keeps it.
pub async fn require_own_sessions(one: &mut PgConnection, other: &mut PgConnection) -> Result<()> {
    let first = (process(one).await?, process(other).await?);
    for _ in 0..COMPARISONS {
        if first.0 == first.1 || first != (process(one).await?, process(other).await?) {
            return Err(Unfit::SharedSession.into());
        }
    }
    Ok(())
}

/// Proves that the database stores text unchanged.
pub async fn require_encoding(connection: &mut PgConnection) -> Result<()> {
    let query = sqlx::raw_sql("SELECT current_setting('server_encoding')");
    let encoding: String = connection.fetch_one(query).await?.try_get(0)?;
    if encoding == "UTF8" {
        Ok(())
    } else {
        Err(Unfit::Encoding(encoding).into())
    }
}

/// The server process that answers. A prepared statement would belong to one process, so none is
/// used.
pub async fn process(connection: &mut PgConnection) -> Result<i32> {
    let row = connection
        .fetch_one(sqlx::raw_sql("SELECT pg_backend_pid()"))
        .await?;
    Ok(row.try_get(0)?)
}

/// Waits for the database for at most `limit`. The server enforces its own limits; this limit is
/// for a connection on which nothing arrives any more. After it the connection must be discarded.
pub async fn in_time<T>(limit: Duration, step: impl Future<Output = Result<T>>) -> Result<T> {
    let answer = tokio::time::timeout(limit, step).await;
    answer.unwrap_or_else(|_| Err(Error::timed_out("no answer from the database")))
}
