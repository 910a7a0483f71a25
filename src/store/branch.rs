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
//! every counter by more than can have been lost and remembers the new branch, in one transaction
//! under the lane's lock. So nothing is written on a branch before its counters are raised.
//!
//! Three cases cannot be detected: a dump that is restored into the same server, a copy of the
//! server's files that is put back, and a backup by a version that remembered no branch. After
//! these, the operator runs `messages timeline advance`.

use sqlx::{Executor, PgConnection, Row};

use super::{Lane, Result, notify::UPDATES_CHANNEL};

/// By how much timestamps and ids are raised: more than are used in days at the highest rate, and
/// almost a million times fewer than exist.
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

/// Remembers `branch`. If another branch was remembered, raises every counter and notifies every
/// replica that nothing it has cached is valid; returns whether that was so.
pub async fn adopt(lane: &mut Lane, branch: Branch) -> Result<bool> {
    // Another replica may have adopted the branch already.
    let before = remembered(lane.connection()).await?;
    if before == Some(branch) {
        return Ok(false);
    }
    sqlx::query!(
        "INSERT INTO branch (system, timeline) VALUES ($1, $2)
         ON CONFLICT (is_the_only_row)
         DO UPDATE SET system = excluded.system, timeline = excluded.timeline, since = clock_timestamp()",
        branch.system,
        branch.timeline,
    )
    .execute(lane.connection())
    .await?;
    if before.is_some() {
        raise_counters(lane, LOST_CHANGES_MAX, LOST_CHATS_MAX).await?;
    }
    Ok(before.is_some())
}

/// Raises the sequences by `changes` and the last chat numbers by `chats`, and notifies every
/// replica that nothing it has cached is valid. Ids of applications contain the time, so they are
/// never used twice.
pub async fn raise_counters(lane: &mut Lane, changes: i64, chats: i64) -> Result<()> {
    sqlx::query!("UPDATE applications SET last_chat = last_chat + $1", chats)
        .execute(lane.connection())
        .await?;
    sqlx::query!(
        r#"
        SELECT setval('timeline', timeline.last_value + $1::bigint)       AS "timeline!",
               setval('message_ids', message_ids.last_value + $1::bigint) AS "ids!",
               pg_notify($2, '')                                          AS "notified!: ()"
        FROM timeline, message_ids
        "#,
        changes,
        UPDATES_CHANNEL,
    )
    .fetch_one(lane.connection())
    .await?;
    Ok(())
}
