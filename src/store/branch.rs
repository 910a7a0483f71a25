//! Detects that the database has another history than before, and keeps numbers from being used
//! twice.
//!
//! A failover to a standby that lagged, or a restore to an earlier point of time, loses
//! acknowledged commits and sets the counters back with them. Without a remedy, the service would
//! use the same timestamps and ids again, for other changes: clients would miss these changes, and
//! an old ETag would match another state of a message.
//!
//! PostgreSQL shows when that may have happened. Every server has a system identifier, and every
//! promotion and every recovery to a point of time begins a new *branch* of its history (PostgreSQL
//! calls it a timeline). A row of the database remembers the last branch. Every new connection
//! compares it with the server's branch, before it does anything else. If they differ, it raises
//! the sequences by more than can have been lost, ends every application's timeline there, and
//! remembers the new branch, in one transaction under a lock. So nothing is written on a branch
//! before its numbers are raised.
//!
//! Three cases cannot be detected: a dump that is restored into the same server, a copy of the
//! server's files that is put back, and a backup by a version that remembered no branch. After
//! these, the operator runs `messages timeline advance`.

use sqlx::{Executor, PgConnection, Row};

use super::{
    Result, applications, changes, in_transaction, locks,
    notify::{self, UPDATES_CHANNEL},
    sequences,
};

/// How many changes may have been lost: more than are made in days at the highest rate. Their numbers
/// are 30,000 times fewer than exist.
const LOST_CHANGES_MAX: i64 = 10_000_000_000;

/// By how much the last chat number of each application is raised.
const LOST_CHATS_MAX: i64 = 1_000;

/// A branch of a server's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Branch {
    /// Identifies the server with all its standbys, from `initdb` on.
    pub system: i64,
    /// What PostgreSQL calls the timeline: 1, and larger after each promotion.
    pub timeline: i32,
}

impl Branch {
    /// Whether it is a later branch of the same history.
    pub fn is_newer_than(self, other: Self) -> bool {
        self.system == other.system && self.timeline > other.timeline
    }
}

/// The branch of the server that answers, which must be a primary. No table is needed.
///
/// The timeline is read from the name of the current WAL file. The control file has it only after
/// the first checkpoint on the new timeline.
pub async fn of_server(connection: &mut PgConnection) -> Result<Branch> {
    // Without a prepared statement: the session may still turn out to be shared by a pooler.
    let query = sqlx::raw_sql(
        "SELECT (SELECT system_identifier FROM pg_control_system()),
                ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer",
    );
    let row = connection.fetch_one(query).await?;
    Ok(Branch {
        system: row.try_get(0)?,
        timeline: row.try_get(1)?,
    })
}

/// The branch on which the service used the database last. `None` if it was never remembered.
pub async fn remembered(connection: &mut PgConnection) -> Result<Option<Branch>> {
    let branch = sqlx::query_as!(Branch, "SELECT system, timeline FROM branch");
    Ok(branch.fetch_optional(connection).await?)
}

/// Remembers `branch`. If another branch was remembered, raises all numbers and notifies every
/// replica that nothing it has cached is valid; returns whether that was so. Ids of applications
/// contain the time, so they are never used twice.
pub async fn adopt(connection: &mut PgConnection, branch: Branch) -> Result<bool> {
    in_transaction(connection, async |connection| {
        sqlx::query!(
            r#"SELECT pg_advisory_xact_lock($1) AS "locked!: ()""#,
            locks::BRANCH
        )
        .execute(&mut *connection)
        .await?;
        // Another replica may have adopted the branch already.
        let before = remembered(connection).await?;
        if before == Some(branch) {
            return Ok(false);
        }
        remember(connection, branch).await?;
        if before.is_some() {
            sequences::raise(connection, LOST_CHANGES_MAX).await?;
            for application in applications::ids(connection).await? {
                changes::raise_timeline(connection, application, LOST_CHATS_MAX).await?;
            }
            notify::send(connection, UPDATES_CHANNEL, "").await?;
        }
        Ok(before.is_some())
    })
    .await
}

async fn remember(connection: &mut PgConnection, branch: Branch) -> Result<()> {
    sqlx::query!(
        "INSERT INTO branch (system, timeline) VALUES ($1, $2)
         ON CONFLICT (is_the_only_row)
         DO UPDATE SET system = excluded.system, timeline = excluded.timeline, since = clock_timestamp()",
        branch.system,
        branch.timeline,
    )
    .execute(connection)
    .await?;
    Ok(())
}
