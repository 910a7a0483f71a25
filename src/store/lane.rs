//! The lane: the one lock under which the timeline is written.

use std::collections::HashSet;

use sqlx::{AssertSqlSafe, Executor, PgConnection, Row, postgres::PgRow};
use time::{Duration, OffsetDateTime};

use super::{Result, applications, locks};
use crate::domain::{ApplicationId, MessageId, NextNumbers, Timestamp};

/// Prepares the statements that every transaction begins with, once for a connection. To parse and
/// plan them each time would take a fifth of the database's time for a small batch.
fn prepare_statements() -> String {
    format!(
        "PREPARE take_lane AS SELECT pg_advisory_xact_lock({});
         PREPARE next_numbers AS
             SELECT (SELECT last_value + is_called::int FROM timeline) AS timestamp,
                    (SELECT last_value + is_called::int FROM message_ids) AS id,
                    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now",
        locks::LANE
    )
}

const UNPREPARE: &str = "DEALLOCATE take_lane; DEALLOCATE next_numbers";

/// The lock is taken by a statement of its own. At READ COMMITTED each statement has its own
/// snapshot, so the next statement sees everything that was committed under the lock. The snapshot
/// of a statement that waited for the lock would be older than the wait.
///
/// Several statements without parameters take one round trip. PostgreSQL answers them as text, so
/// the time is read as a number.
const ENTER: &str = "
    BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    EXECUTE take_lane;
    EXECUTE next_numbers";

/// Proof that this transaction holds the lane's lock. It is the only one, on any replica, that
/// takes timestamps.
///
/// The lock is taken before anything is read, and held to the end of the transaction. So a
/// timestamp is taken *and* committed under the lock, the order of commits is the order of
/// timestamps, and a reader who sees one timestamp sees every smaller one. While the lock is held,
/// nothing but the database is awaited.
///
/// Nothing calls `nextval` on the sequences. They are read here, and set by the batch that has
/// taken their numbers.
///
/// The lane owns its connection. If it is dropped without a commit, the connection is closed and
/// the server rolls back.
pub struct Lane {
    connection: PgConnection,
    existing: Existing,
    next: NextNumbers,
}

/// Applications that exist, according to reads on the same connection. They cannot cease to exist
/// while it lasts: a restore of an older database ends all connections.
pub type Existing = HashSet<ApplicationId>;

impl Lane {
    /// Prepares the statements of [`enter`](Self::enter) on a connection.
    pub async fn prepare(connection: &mut PgConnection) -> Result<()> {
        let prepare = sqlx::raw_sql(AssertSqlSafe(prepare_statements()));
        connection.execute(prepare).await?;
        Ok(())
    }

    /// Undoes [`prepare`](Self::prepare).
    pub(super) async fn unprepare(connection: &mut PgConnection) -> Result<()> {
        connection.execute(sqlx::raw_sql(UNPREPARE)).await?;
        Ok(())
    }

    /// Begins a transaction, waits for the lock, and reads which numbers are next: in one round
    /// trip.
    pub async fn enter(mut connection: PgConnection, existing: Existing) -> Result<Self> {
        let rows = connection.fetch_all(sqlx::raw_sql(ENTER)).await?;
        let next = next(rows.last().expect("a SELECT without FROM has a row"))?;
        Ok(Self {
            connection,
            existing,
            next,
        })
    }

    /// The numbers that were next when the lane was entered.
    pub fn next_numbers(&self) -> NextNumbers {
        self.next
    }

    /// Commits and frees the lock. Returns the connection, with the applications that exist. After
    /// an error the outcome is unknown.
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
        timestamp: Timestamp::new(row.try_get("timestamp")?),
        id: MessageId::new(row.try_get("id")?),
        now: OffsetDateTime::UNIX_EPOCH + Duration::microseconds(row.try_get("now")?),
    })
}
