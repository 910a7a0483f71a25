//! Connections that many callers share, one at a time.

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

/// How long a caller waits for a connection that others use: as long as these may take.
const WAIT_TIME_MAX: Duration = Duration::from_secs(6);

/// How long a query may take. A connection on which nothing arrives any more costs its caller this much.
const QUERY_TIME_MAX: Duration = Duration::from_secs(6);

/// A connection that was used longer ago is tried before it is given out: one that the server has closed
/// meanwhile would fail its next user.
const UNTRIED_TIME_MAX: Duration = Duration::from_secs(1);

/// How long it may take to try a connection: a dead one costs its caller this much.
const TRY_TIME_MAX: Duration = Duration::from_secs(1);

/// How long a caller waits for a connection, whatever the pool has to try or to make for it.
const TAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// Shares connections. Each is made when it is first needed.
///
/// A connection comes back only where its last use ended well. What was dropped in the middle of a
/// statement, by a caller that went away or by a limit of time, is closed at once: to wait until it has
/// ended would take a place for as long as nothing arrives on it.
#[derive(Clone)]
pub struct Pool {
    name: &'static str,
    connections: managed::Pool<Manager>,
}

struct Manager {
    database: Database,
    purpose: Purpose,
    /// When the last try began that has found a connection dead. Those that were used last before it most
    /// likely are as well: they are closed without a try, which would cost their callers the time of one
    /// each. (A server that is merely slow has its connections made anew.)
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
            return Err(RecycleError::message("others of its time are dead"));
        }
        if metrics.last_used() < UNTRIED_TIME_MAX {
            return Ok(());
        }
        let tried = Instant::now();
        let answer = in_time(TRY_TIME_MAX, async { Ok(connection.ping().await?) }).await;
        if answer.is_err() {
            let mut found_dead = self.found_dead();
            *found_dead = (*found_dead).max(Some(tried));
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
            // The limit for taking a connection is one for making it as well.
            create: None,
            // So have the tries.
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

    /// Takes a connection. In a box: every request would carry the room for making one.
    pub async fn take(&self) -> Result<Lease> {
        let taking = Box::pin(in_time(TAKE_TIME_MAX, async {
            self.connections.get().await.map_err(|error| match error {
                managed::PoolError::Backend(error) => error,
                _ => Error::timed_out("no connection to the database is free"),
            })
        }));
        Ok(Lease::new(self.name, taking.await?))
    }

    /// Runs one or a few statements on a connection, within a limit of time.
    pub async fn query<T>(
        &self,
        statements: impl AsyncFnOnce(&mut PgConnection) -> Result<T>,
    ) -> Result<T> {
        self.take().await?.run(statements).await
    }

    /// As [`query`](Self::query), for one statement that changes something and is its own transaction:
    /// where its outcome cannot be known the error says so.
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

/// A connection in use. It is closed when it is dropped, unless it was given back.
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

    /// Gives the connection to whoever needs it next: its last statement has ended.
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
