//! Pools: connections that many callers share, each used by one caller at a time.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use deadpool::{
    Runtime,
    managed::{self, Metrics, Object, RecycleError, RecycleResult, Timeouts},
};
use sqlx::{Connection, PgConnection};

use super::{Database, Error, Purpose, Result, in_time};

/// How long a caller waits while others use all connections: as long as their queries may take.
const WAIT_TIME_MAX: Duration = Duration::from_secs(6);

/// How long a query may take. A connection on which nothing arrives any more delays its caller this
/// long.
const QUERY_TIME_MAX: Duration = Duration::from_secs(6);

/// A connection that was idle for longer is tested before it is used again: the server may have
/// closed it.
const UNTESTED_TIME_MAX: Duration = Duration::from_secs(1);

/// How long the test of a connection may take. A dead connection delays its caller this long.
const TEST_TIME_MAX: Duration = Duration::from_secs(1);

/// How long a caller waits for a connection, including tests and new connections.
const TAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// Shares connections. Each is made when it is first needed.
///
/// A connection returns to the pool only if its last use ended well. If a caller or a time limit
/// drops it in the middle of a statement, it is closed at once: waiting for the end of the
/// statement would occupy a place of the pool for as long as nothing arrives.
#[derive(Clone)]
pub struct Pool {
    name: &'static str,
    connections: managed::Pool<Manager>,
}

struct Manager {
    database: Database,
    purpose: Purpose,
    /// When the last test that found a dead connection began. Connections that were last used
    /// before that are most likely dead too. They are closed without a test, because each test
    /// would delay a caller. (If the server was only slow, its connections are made again.)
    found_dead: Mutex<Option<Instant>>,
}

impl Manager {
    fn found_dead(&self) -> MutexGuard<'_, Option<Instant>> {
        self.found_dead
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl managed::Manager for Manager {
    type Type = PgConnection;
    type Error = Error;

    async fn create(&self) -> Result<PgConnection> {
        self.database.connect(self.purpose).await
    }

    async fn recycle(
        &self,
        connection: &mut PgConnection,
        metrics: &Metrics,
    ) -> RecycleResult<Error> {
        let last_used = metrics.recycled.unwrap_or(metrics.created);
        if self.found_dead().is_some_and(|found| last_used <= found) {
            return Err(RecycleError::message(
                "connections of the same age are dead",
            ));
        }
        if metrics.last_used() < UNTESTED_TIME_MAX {
            return Ok(());
        }
        let start = Instant::now();
        let answer = in_time(TEST_TIME_MAX, async { Ok(connection.ping().await?) }).await;
        if answer.is_err() {
            let mut found_dead = self.found_dead();
            *found_dead = (*found_dead).max(Some(start));
        }
        answer.map_err(RecycleError::Backend)
    }
}

impl Pool {
    pub(super) fn new(
        name: &'static str,
        database: Database,
        purpose: Purpose,
        connections_max: usize,
    ) -> Self {
        let timeouts = Timeouts {
            wait: Some(WAIT_TIME_MAX),
            // `TAKE_TIME_MAX` limits these two.
            create: None,
            recycle: None,
        };
        let connections = managed::Pool::builder(Manager {
            database,
            purpose,
            found_dead: Mutex::default(),
        })
        .max_size(connections_max)
        .timeouts(timeouts)
        .runtime(Runtime::Tokio1)
        .build()
        .expect("a runtime is given for the limits of time");
        Self { name, connections }
    }

    /// Takes a connection. The future is boxed, or else every request would reserve the memory that
    /// making a connection needs.
    pub async fn take(&self) -> Result<Lease> {
        let taking = Box::pin(in_time(TAKE_TIME_MAX, async {
            self.connections.get().await.map_err(|error| match error {
                managed::PoolError::Backend(error) => error,
                _ => Error::timed_out("no connection to the database is free"),
            })
        }));
        Ok(Lease::new(self.name, taking.await?))
    }

    /// Runs one or a few statements on a connection, within a time limit.
    pub async fn query<T>(
        &self,
        statements: impl AsyncFnOnce(&mut PgConnection) -> Result<T>,
    ) -> Result<T> {
        self.take().await?.run(statements).await
    }

    /// As [`query`](Self::query), for one statement that changes something and is its own
    /// transaction. If its outcome is unknown, the error says so.
    pub async fn change<T>(
        &self,
        statement: impl AsyncFnOnce(&mut PgConnection) -> Result<T>,
    ) -> Result<T> {
        self.take()
            .await?
            .run(statement)
            .await
            .map_err(Error::of_change)
    }
}

/// A connection in use. Dropping it closes it, unless it was given back.
pub struct Lease {
    pool: &'static str,
    connection: Option<Object<Manager>>,
}

impl Lease {
    fn new(pool: &'static str, connection: Object<Manager>) -> Self {
        metrics::gauge!("messages_database_connections_in_use", "pool" => pool).increment(1.0);
        Self {
            pool,
            connection: Some(connection),
        }
    }

    async fn run<T>(
        mut self,
        statements: impl AsyncFnOnce(&mut PgConnection) -> Result<T>,
    ) -> Result<T> {
        let result = in_time(QUERY_TIME_MAX, statements(self.connection())).await;
        if !result.as_ref().is_err_and(Error::is_unavailable) {
            self.give_back();
        }
        result
    }

    pub fn connection(&mut self) -> &mut PgConnection {
        self.connection
            .as_mut()
            .expect("it is there until this is dropped")
    }

    /// Returns the connection to the pool. Its last statement must have ended.
    pub fn give_back(mut self) {
        drop(self.connection.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
        let in_use = metrics::gauge!("messages_database_connections_in_use", "pool" => self.pool);
        in_use.decrement(1.0);
    }
}
