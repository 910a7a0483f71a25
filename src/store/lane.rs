//! The lane: the one lock under which the timeline is written.

use std::collections::HashSet;

use sqlx::{Executor, PgConnection, Row, postgres::PgRow};
use time::{Duration, OffsetDateTime};

use super::{Result, applications};
use crate::domain::{ApplicationId, MessageId, NextNumbers, Timestamp};

/// Prepares what every transaction begins with, once for a connection: to parse and plan it took a fifth
/// of the database's time for a small batch.
const PREPARE: &str = "
    PREPARE take_lane AS SELECT pg_advisory_xact_lock(7305808869231650168);
    PREPARE next_numbers AS
        SELECT (SELECT last_value + is_called::int FROM timeline) AS timestamp,
               (SELECT last_value + is_called::int FROM message_ids) AS id,
               (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now";

const UNPREPARE: &str = "DEALLOCATE take_lane; DEALLOCATE next_numbers";

/// The lock stands in a statement of its own: each statement has its own snapshot, so what is read
/// after it sees everything that was committed under it. (A snapshot taken while waiting would be
/// older than the wait; hence READ COMMITTED, whatever the server's default is.)
///
/// Statements without parameters may stand behind each other. Their answers are text, in which a time
/// is read most safely as a number.
const ENTER: &str = "
    BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    EXECUTE take_lane;
    EXECUTE next_numbers";

/// Proof that this transaction holds the lane's lock, and so is the only one, on any replica, that
/// gives timestamps.
///
/// The lock is taken before anything is read and is held to the end of the transaction. So a
/// timestamp is given *and* committed under it, the order of commits is the order of timestamps,
/// and whoever sees one timestamp sees every smaller one. Nothing but the database is awaited
/// while it is held.
///
/// Nobody calls `nextval` on these sequences: they are read here, and set by the batch that has given
/// their numbers.
///
/// It owns its connection: dropped without a commit, it closes it, and the server rolls back.
pub struct Lane {
    connection: PgConnection,
    existing: Existing,
}

/// Applications that were found on a connection. They never cease to exist on it: a database that is
/// replaced by an older one ends its connections.
pub type Existing = HashSet<ApplicationId>;

impl Lane {
    /// Makes a connection one that can [enter](Self::enter).
    pub async fn prepare(connection: &mut PgConnection) -> Result<()> {
        connection.execute(sqlx::raw_sql(PREPARE)).await?;
        Ok(())
    }

    /// Makes it one that has yet to be prepared.
    pub(super) async fn unprepare(connection: &mut PgConnection) -> Result<()> {
        connection.execute(sqlx::raw_sql(UNPREPARE)).await?;
        Ok(())
    }

    /// Begins a transaction, waits for the lock, and reads which numbers are next: in one round trip.
    pub async fn enter(
        mut connection: PgConnection,
        existing: Existing,
    ) -> Result<(Self, NextNumbers)> {
        let rows = connection.fetch_all(sqlx::raw_sql(ENTER)).await?;
        let next = next(rows.last().expect("a SELECT without FROM has a row"))?;
        Ok((
            Self {
                connection,
                existing,
            },
            next,
        ))
    }

    /// Commits and frees the lock; returns the connection with what was found on it. After an error the
    /// outcome is not known.
    pub async fn commit(mut self) -> Result<(PgConnection, Existing)> {
        self.connection.execute(sqlx::raw_sql("COMMIT")).await?;
        Ok((self.connection, self.existing))
    }

    /// Those of the applications that do not exist.
    pub async fn missing(&mut self, applications: Existing) -> Result<Existing> {
        let unseen: Vec<_> = applications.difference(&self.existing).copied().collect();
        if unseen.is_empty() {
            return Ok(Existing::new());
        }
        self.existing
            .extend(applications::existing(&mut self.connection, &unseen).await?);
        Ok(applications.difference(&self.existing).copied().collect())
    }

    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

fn next(row: &PgRow) -> sqlx::Result<NextNumbers> {
    Ok(NextNumbers {
        timestamp: Timestamp(row.try_get("timestamp")?),
        id: MessageId(row.try_get("id")?),
        now: OffsetDateTime::UNIX_EPOCH + Duration::microseconds(row.try_get("now")?),
    })
}
