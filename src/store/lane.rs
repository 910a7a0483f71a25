//! The lane: the lock under which the timeline of an application is written.

use sqlx::{AssertSqlSafe, Executor, PgConnection, Row, postgres::PgRow};
use time::{Duration, OffsetDateTime};

use super::{Result, locks, notify::UPDATES_CHANNEL};
use crate::domain::{ApplicationId, Timestamp};

/// Prepares the statements that every transaction begins with, once for a connection. To parse and
/// plan them each time would take a fifth of the database's time for a small batch.
fn prepare_statements() -> String {
    format!(
        "
    PREPARE take_lane (bigint) AS SELECT pg_advisory_xact_lock($1);
    PREPARE take_free_lane (bigint) AS SELECT pg_try_advisory_xact_lock($1) AS is_taken;
    PREPARE end_of_timeline (bigint) AS
        SELECT coalesce(
            (SELECT timestamp FROM changes WHERE application_id = $1 ORDER BY timestamp DESC LIMIT 1), 0
        ) AS timestamp;
    PREPARE notify (text) AS SELECT pg_notify('{UPDATES_CHANNEL}', $1);
    PREPARE present AS SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now"
    )
}

/// A transaction that holds the locks of lanes, of one at least. It owns its connection: if it is
/// dropped without a commit, the connection is closed and the server rolls back.
pub struct Transaction {
    connection: PgConnection,
    held: Vec<Held>,
}

/// A lane whose lock is held.
#[derive(Clone, Copy)]
struct Held {
    application: ApplicationId,
    end: Timestamp,
    now: OffsetDateTime,
}

/// Proof that a transaction holds the lane's lock. It is the only one, on any replica, that takes
/// timestamps of the application.
///
/// The lock is taken before anything is read, and held to the end of the transaction. So a
/// timestamp is taken *and* committed under the lock, the order of commits is the order of
/// timestamps, and a reader who sees one timestamp sees every smaller one. While the lock is held,
/// nothing but the database is awaited.
pub struct Lane<'a> {
    connection: &'a mut PgConnection,
    held: Held,
}

impl Transaction {
    /// Prepares the statements of transactions on a connection.
    pub(super) async fn prepare(connection: &mut PgConnection) -> Result<()> {
        let prepare = sqlx::raw_sql(AssertSqlSafe(prepare_statements()));
        connection.execute(prepare).await?;
        Ok(())
    }

    /// Begins a transaction, waits for the lock of a lane, and reads where the timeline ends: in one
    /// round trip.
    ///
    /// The lock is taken by a statement of its own. At READ COMMITTED each statement has its own
    /// snapshot, so the next statement sees everything that was committed under the lock. The
    /// snapshot of a statement that waited for the lock would be older than the wait.
    ///
    /// Several statements without parameters take one round trip. PostgreSQL answers them as text,
    /// so the time is read as a number.
    pub(super) async fn begin(
        mut connection: PgConnection,
        application: ApplicationId,
    ) -> Result<Self> {
        let (id, key) = (application.get(), locks::lane(application));
        let statements = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
             EXECUTE take_lane({key}); EXECUTE end_of_timeline({id}); EXECUTE present"
        );
        let entering = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(statements)));
        let rows = entering.await?;
        let [_, end, present] = rows.as_slice() else {
            return Err(sqlx::Error::RowNotFound.into());
        };
        let held = Held {
            application,
            end: end_of_timeline(end)?,
            now: now(present)?,
        };
        Ok(Self {
            connection,
            held: vec![held],
        })
    }

    /// Enters the lanes that nobody holds, in one round trip. None of them may be entered already.
    ///
    /// It waits for none: a transaction that holds a lane and waits for another one would make the
    /// callers of both wait. Returns for each application whether its lane is entered. After an
    /// error the transaction is rolled back.
    pub async fn enter_free_lanes(
        mut self,
        applications: &[ApplicationId],
    ) -> Result<(Self, Vec<bool>)> {
        let mut statements = String::new();
        for application in applications {
            let (id, key) = (application.get(), locks::lane(*application));
            statements.push_str(&format!(
                "EXECUTE take_free_lane({key}); EXECUTE end_of_timeline({id});"
            ));
        }
        statements.push_str("EXECUTE present");
        let entering = self
            .connection
            .fetch_all(sqlx::raw_sql(AssertSqlSafe(statements)));
        let rows = entering.await?;
        let Some((present, answers)) = rows.split_last() else {
            return Err(sqlx::Error::RowNotFound.into());
        };
        let now = now(present)?;
        let mut are_entered = Vec::new();
        for (answer, application) in answers.chunks(2).zip(applications) {
            let is_entered = answer[0].try_get("is_taken")?;
            if is_entered {
                self.held.push(Held {
                    application: *application,
                    end: end_of_timeline(&answer[1])?,
                    now,
                });
            }
            are_entered.push(is_entered);
        }
        Ok((self, are_entered))
    }

    /// The application's lane, which the transaction has entered.
    ///
    /// # Panics
    /// If it has not.
    pub fn lane(&mut self, application: ApplicationId) -> Lane<'_> {
        let mut held = self.held.iter();
        let held = held.find(|held| held.application == application);
        Lane {
            held: *held.expect("a lane is used after it is entered"),
            connection: &mut self.connection,
        }
    }

    /// Notifies every replica of the commit, commits and frees the locks: in one round trip. Returns
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
}

impl Lane<'_> {
    pub fn application(&self) -> ApplicationId {
        self.held.application
    }

    /// The end of the application's timeline when the lane was entered: no change that is committed
    /// has a larger timestamp.
    pub fn end(&self) -> Timestamp {
        self.held.end
    }

    /// When the lane was entered, by the clock of the database.
    pub fn now(&self) -> OffsetDateTime {
        self.held.now
    }

    pub fn connection(&mut self) -> &mut PgConnection {
        self.connection
    }
}

/// Reads the answer of `end_of_timeline`.
fn end_of_timeline(row: &PgRow) -> Result<Timestamp> {
    Ok(Timestamp::new(row.try_get("timestamp")?))
}

/// Reads the answer of `present`.
fn now(row: &PgRow) -> Result<OffsetDateTime> {
    Ok(OffsetDateTime::UNIX_EPOCH + Duration::microseconds(row.try_get("now")?))
}
