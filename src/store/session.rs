//! Connections, and what is set on each.

use std::{str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

use super::{Error, Lane, Result, timeline::Next};

/// How long a connection may take to come about before the database counts as away.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// Connections for plain reads (history, lists) and for what is rare: health, metrics, administration.
const POOL_CONNECTIONS_MAX: u32 = 8;

/// Connections for searches, so that expensive ones hold up nothing else.
const SEARCH_CONNECTIONS_MAX: u32 = 4;

/// A pooled connection that has been idle for longer is tried before it is given out: one that the
/// server has closed meanwhile would fail its first user.
const POOL_UNTRIED_IDLE_MAX: Duration = Duration::from_secs(1);

/// What a connection is for; it decides about its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Writes the timeline. It holds the lane's lock, so neither a stalled process nor a dead host
    /// may keep it: idle in a transaction < a statement < waiting for the lock.
    Writing,
    /// Says how far the timeline has come, which takes the lane's lock as well.
    Announcing,
    /// Answers reads of many callers at once.
    Reading,
    /// Publishes the outbox, under a lock of its own.
    Publishing,
    /// Answers a search, which reads more than others and has an end all the same.
    Searching,
    /// Moves pending changes into the index of search, under a lock of its own. What it has committed
    /// may be lost in a crash: it is pending again then.
    Indexing,
    /// Changes the schema, which takes as long as it takes; others who start wait for it.
    Migrating,
    /// Hears notifications.
    Listening,
}

/// Seconds, zero for none; see [`Purpose::Writing`] for their order.
struct TimeLimits {
    idle_in_transaction: u32,
    statement: u32,
    lock: u32,
}

impl Purpose {
    fn time_limits(self) -> TimeLimits {
        let (idle_in_transaction, statement, lock) = match self {
            Self::Writing | Self::Announcing => (5, 10, 15),
            Self::Reading | Self::Publishing => (5, 10, 10),
            Self::Searching => (5, 5, 0),
            Self::Indexing => (30, 30, 30),
            Self::Migrating => (0, 0, 0),
            Self::Listening => (60, 60, 60),
        };
        TimeLimits { idle_in_transaction, statement, lock }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Writing => "messages writer",
            Self::Announcing => "messages announcer",
            Self::Reading => "messages reader",
            Self::Publishing => "messages publisher",
            Self::Searching => "messages search",
            Self::Indexing => "messages indexer",
            Self::Migrating => "messages migration",
            Self::Listening => "messages listener",
        }
    }
}

/// Reads `url` and adds what the service relies on, whatever the server's own settings are.
pub fn connect_options(url: &str, purpose: Purpose) -> Result<PgConnectOptions> {
    let limits = purpose.time_limits();
    let seconds = |limit: u32| format!("{limit}s");
    let options = PgConnectOptions::from_str(url)?
        .application_name(purpose.name())
        .log_statements(tracing::log::LevelFilter::Trace)
        .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(1))
        .options([
            ("default_transaction_isolation", "read committed"),
            ("synchronous_commit", if purpose == Purpose::Indexing { "off" } else { "on" }),
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
            ("tcp_user_timeout", "20000"),
            ("timezone", "UTC"),
        ])
        .options([
            ("idle_in_transaction_session_timeout", seconds(limits.idle_in_transaction)),
            ("statement_timeout", seconds(limits.statement)),
            ("lock_timeout", seconds(limits.lock)),
        ]);
    if matches!(purpose, Purpose::Migrating | Purpose::Listening) {
        return Ok(options);
    }
    // Every statement here looks up a few rows by key. Planning each anew costs more than running
    // it, and no statistics of a young table may talk the planner into reading all of it.
    Ok(options.options([
        ("plan_cache_mode", "force_generic_plan"),
        ("jit", "off"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
    ]))
}

/// A pool for plain reads and for what is rare. It connects when it is first used.
pub fn pool(url: &str) -> Result<PgPool> {
    pool_of(url, Purpose::Reading, POOL_CONNECTIONS_MAX)
}

/// A pool for searches.
pub fn search_pool(url: &str) -> Result<PgPool> {
    pool_of(url, Purpose::Searching, SEARCH_CONNECTIONS_MAX)
}

fn pool_of(url: &str, purpose: Purpose, connections_max: u32) -> Result<PgPool> {
    let options = connect_options(url, purpose)?;
    Ok(PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(CONNECT_TIME_MAX)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > POOL_UNTRIED_IDLE_MAX {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options))
}

/// One worker's connection: made when it is needed, thrown away when anything on it fails.
///
/// Dropping a connection ends its transaction on the server and frees its locks, so a failure
/// leaves nothing behind that the next attempt could trip over.
pub struct Session {
    options: PgConnectOptions,
    connected: Option<Connected>,
}

struct Connected {
    connection: PgConnection,
    /// Whether it can enter the lane.
    is_prepared: bool,
}

impl Session {
    pub fn new(url: &str, purpose: Purpose) -> Result<Self> {
        Ok(Self { options: connect_options(url, purpose)?, connected: None })
    }

    pub fn is_connected(&self) -> bool {
        self.connected.is_some()
    }

    /// The connection, made anew where there is none.
    pub async fn connection(&mut self) -> Result<&mut PgConnection> {
        Ok(&mut self.connected().await?.connection)
    }

    async fn connected(&mut self) -> Result<&mut Connected> {
        if self.connected.is_none() {
            let connecting = timeout(CONNECT_TIME_MAX, self.options.connect());
            let connection =
                connecting.await.map_err(|_| Error::timed_out("no connection within 3 s"))??;
            self.connected = Some(Connected { connection, is_prepared: false });
        }
        Ok(self.connected.as_mut().expect("it was made above"))
    }

    /// Enters the lane. The lane has the connection until it is [given back](Self::give_back).
    pub async fn enter_lane(&mut self) -> Result<(Lane, Next)> {
        self.connected().await?;
        let Connected { mut connection, is_prepared } =
            self.connected.take().expect("it was made above");
        if !is_prepared {
            Lane::prepare(&mut connection).await?;
        }
        Lane::enter(connection).await
    }

    /// Takes a connection back that has left the lane.
    pub fn give_back(&mut self, connection: PgConnection) {
        self.connected = Some(Connected { connection, is_prepared: true });
    }

    /// Throws the connection away.
    pub fn discard(&mut self) {
        self.connected = None;
    }
}

/// Waits for the database for at most `limit`. The server's own limits are shorter; this one is for a
/// connection on which nothing arrives any more. After it the connection must be thrown away.
pub async fn in_time<T>(limit: Duration, step: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(limit, step).await.unwrap_or_else(|_| Err(Error::timed_out("no answer from the database")))
}
