//! The lane: the lock under which the timeline of an application is written.

use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};
use time::{Duration, OffsetDateTime};

use super::{Result, locks, notify::UPDATES_CHANNEL};
use crate::domain::{ApplicationId, Timestamp};

/// Prepares the statements that every transaction begins with, once for a connection. To parse and
/// plan them each time would take a fifth of the database's time for a small batch.
fn prepare_statements() -> String {
    format!(
        "
    PREPARE take_lane (bigint) AS SELECT pg_advisory_xact_lock($1);
    PREPARE end_of_timeline (bigint) AS
        SELECT timestamp FROM changes WHERE application_id = $1 ORDER BY timestamp DESC LIMIT 1;
    PREPARE notify (text) AS SELECT pg_notify('{UPDATES_CHANNEL}', $1);
    PREPARE present AS SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now"
    )
}

/// Proof that this transaction holds the lane's lock. It is the only one, on any replica, that
/// takes timestamps of the application.
///
/// The lock is taken before anything is read, and held to the end of the transaction. So a
/// timestamp is taken *and* committed under the lock, the order of commits is the order of
/// timestamps, and a reader who sees one timestamp sees every smaller one. While the lock is held,
/// nothing but the database is awaited.
///
/// The lane owns its connection. If it is dropped without a commit, the connection is closed and
/// the server rolls back.
pub struct Lane {
    connection: PgConnection,
    application: ApplicationId,
    end: Timestamp,
    now: OffsetDateTime,
}

impl Lane {
    /// Prepares the statements of [`enter`](Self::enter) on a connection.
    pub async fn prepare(connection: &mut PgConnection) -> Result<()> {
        let prepare = sqlx::raw_sql(AssertSqlSafe(prepare_statements()));
        connection.execute(prepare).await?;
        Ok(())
    }

    /// Begins a transaction, waits for the lock, and reads where the timeline ends: in one round
    /// trip.
    ///
    /// The lock is taken by a statement of its own. At READ COMMITTED each statement has its own
    /// snapshot, so the next statement sees everything that was committed under the lock. The
    /// snapshot of a statement that waited for the lock would be older than the wait.
    ///
    /// Several statements without parameters take one round trip. PostgreSQL answers them as text,
    /// so the time is read as a number.
    pub async fn enter(mut connection: PgConnection, application: ApplicationId) -> Result<Self> {
        let (id, key) = (application.get(), locks::lane(application));
        let statements = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
             EXECUTE take_lane({key}); EXECUTE end_of_timeline({id}); EXECUTE present"
        );
        let entering = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(statements)));
        let rows = entering.await?;
        let (end, present) = match rows.as_slice() {
            [_, present] => (0, present),
            [_, end, present] => (end.try_get("timestamp")?, present),
            _ => return Err(sqlx::Error::RowNotFound.into()),
        };
        Ok(Self {
            application,
            end: Timestamp::new(end),
            now: OffsetDateTime::UNIX_EPOCH + Duration::microseconds(present.try_get("now")?),
            connection,
        })
    }

    pub fn application(&self) -> ApplicationId {
        self.application
    }

    /// The end of the application's timeline when the lane was entered: no change that is committed
    /// has a larger timestamp.
    pub fn end(&self) -> Timestamp {
        self.end
    }

    /// When the lane was entered, by the clock of the database.
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// Notifies every replica of the commit, commits and frees the lock: in one round trip. Returns
    /// the connection. After an error the outcome is unknown.
    pub async fn commit(mut self, notifications: &[String]) -> Result<PgConnection> {
        let mut statements = String::new();
        for payload in notifications {
            let quoted = payload.replace('\'', "''");
            statements.push_str(&format!("EXECUTE notify('{quoted}');"));
        }
        statements.push_str("COMMIT");
        let committing = sqlx::raw_sql(AssertSqlSafe(statements));
        self.connection.execute(committing).await?;
        Ok(self.connection)
    }

    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
