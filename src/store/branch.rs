//! Which history the database has, and what happens when it is another one than before.
//!
//! A failover to a standby that lagged, or a restore to an earlier point of time, loses commits that
//! were acknowledged. The counters are set back with them, so the same timestamps and ids would be given
//! again, to other changes: clients would step over these, and an old ETag would fit another message.
//!
//! PostgreSQL tells when that may have happened: every server has a system identifier, and every
//! promotion and every recovery to a point of time begins a new *branch* of its history (PostgreSQL
//! calls it a timeline). The last branch is remembered in a row, and compared with the server's on every
//! connection, before anything else is done on it. Whoever finds another one lifts every counter by
//! more than can have been lost, and remembers the new branch, in one transaction under the lane's lock.
//! So nothing is written on a branch before its counters are lifted.
//!
//! What it cannot see: a dump that is restored into the same server, a copy of the server's files that is
//! put back, and a backup by a version that remembered no branch. There the operator runs `messages timeline
//! advance`.

use sqlx::{Executor, PgConnection, Row};

use super::{Lane, Result, notify::UPDATES_CHANNEL};

/// By how much timestamps and ids are lifted: more than are given in days at the highest rate, and almost a
/// million times less than there are.
const LOST_CHANGES_MAX: i64 = 10_000_000_000;

/// By how much each application's numbers of chats are lifted.
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

/// The branch of the server that answers, which must be a primary. It is told whatever the schema is.
///
/// The name of the file that is written to begins with the timeline: the control file tells it only
/// after the first checkpoint on it.
pub async fn of_server(connection: &mut PgConnection) -> Result<Branch> {
    // Without a prepared statement: it is not known yet whether the session is a whole one.
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

/// The branch on which the database was used last; `None` for one that was used by no version of the
/// service that remembers it.
pub async fn remembered(connection: &mut PgConnection) -> Result<Option<Branch>> {
    let branch = sqlx::query_as!(Branch, "SELECT system, timeline FROM branch");
    Ok(branch.fetch_optional(connection).await?)
}

/// Makes `branch` the remembered one. Where another one was, every counter is lifted and every replica
/// is told that nothing it has read counts any more; returns whether that was so.
pub async fn adopt(lane: &mut Lane, branch: Branch) -> Result<bool> {
    // Another replica may have been faster.
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
        lift(lane, LOST_CHANGES_MAX, LOST_CHATS_MAX).await?;
    }
    Ok(before.is_some())
}

/// Lifts the sequences by `changes` and the numbers of chats by `chats`, and tells every replica that
/// nothing it has read counts any more. Ids of applications hold the time, so none is ever given again.
pub async fn lift(lane: &mut Lane, changes: i64, chats: i64) -> Result<()> {
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
