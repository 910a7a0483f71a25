//! The table `followers`: how far each follower has followed the timelines.
//!
//! Commits come in the order of timestamps, so a cursor is enough: no change can appear before it
//! any more.

use sqlx::{Connection, PgConnection};

use super::{Leadership, Result, leadership::Duty};
use crate::domain::{ApplicationId, Timestamp};

/// How far a follower is behind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lag {
    /// Changes after its cursors, counted up to [`LAG_COUNT_MAX`].
    pub changes: i64,
    /// The age of the oldest of these.
    pub seconds: f64,
}

/// Where counting ends, so that a long lag is not counted to its end every few seconds.
pub const LAG_COUNT_MAX: i64 = 100_000;

/// The follower's cursor in an application's timeline: zero at first.
pub async fn cursor<R: Duty>(
    leader: &mut Leadership<R>,
    application: ApplicationId,
) -> Result<Timestamp> {
    read_cursor(leader.connection(), application, R::NAME).await
}

pub(super) async fn read_cursor(
    connection: &mut PgConnection,
    application: ApplicationId,
    follower: &str,
) -> Result<Timestamp> {
    let cursor = sqlx::query_scalar!(
        "SELECT cursor FROM followers WHERE application_id = $1 AND name = $2",
        application.get(),
        follower,
    );
    let cursor = cursor.fetch_optional(connection).await?;
    Ok(Timestamp::new(cursor.unwrap_or(0)))
}

/// Moves the follower's cursor, if it still is where it was; returns whether it was. (Another leader
/// may have moved it, or somebody has the follower begin anew.)
pub async fn move_cursor<R: Duty>(
    leader: &mut Leadership<R>,
    application: ApplicationId,
    from: Timestamp,
    to: Timestamp,
) -> Result<bool> {
    write_cursor(leader.connection(), application, R::NAME, from, to).await
}

pub(super) async fn write_cursor(
    connection: &mut PgConnection,
    application: ApplicationId,
    follower: &str,
    from: Timestamp,
    to: Timestamp,
) -> Result<bool> {
    let moved = sqlx::query!(
        "UPDATE followers SET cursor = $4 WHERE application_id = $1 AND name = $2 AND cursor = $3",
        application.get(),
        follower,
        from.get(),
        to.get(),
    )
    .execute(&mut *connection)
    .await?;
    if moved.rows_affected() > 0 || from > Timestamp::new(0) {
        return Ok(moved.rows_affected() > 0);
    }
    // An application from before the follower has no row yet.
    let begun = sqlx::query!(
        "INSERT INTO followers (application_id, name, cursor) VALUES ($1, $2, $3)
         ON CONFLICT (application_id, name) DO NOTHING",
        application.get(),
        follower,
        to.get(),
    )
    .execute(connection)
    .await?;
    Ok(begun.rows_affected() > 0)
}

/// Moves the cursor and rolls back. Fails when it cannot be moved: the session is read-only, the
/// right is missing, or a trigger or a policy forbids it. A failure of the commit alone is not
/// found.
pub async fn prove_movable<R: Duty>(
    leader: &mut Leadership<R>,
    application: ApplicationId,
    from: Timestamp,
    to: Timestamp,
) -> Result<bool> {
    let mut transaction = leader.connection().begin().await?;
    let moved = write_cursor(&mut transaction, application, R::NAME, from, to).await?;
    transaction.rollback().await?;
    Ok(moved)
}

/// Has the follower begin anew, at the first change of every application.
pub(super) async fn begin_anew(connection: &mut PgConnection, follower: &str) -> Result<()> {
    sqlx::query!("UPDATE followers SET cursor = 0 WHERE name = $1", follower)
        .execute(connection)
        .await?;
    Ok(())
}

/// The applications in whose timelines there is something to follow after the cursor.
pub async fn behind<R: Duty>(leader: &mut Leadership<R>) -> Result<Vec<ApplicationId>> {
    let mut behind = Vec::new();
    for (application, cursor) in cursors(leader.connection(), R::NAME).await? {
        let lag = lag_in::<R>(leader.connection(), application, cursor, 1).await?;
        behind.extend((lag.changes > 0).then_some(application));
    }
    Ok(behind)
}

/// Measures how far a follower is behind.
pub async fn lag<R: Duty>(connection: &mut PgConnection) -> Result<Lag> {
    let mut all = Lag::default();
    for (application, cursor) in cursors(connection, R::NAME).await? {
        let rest = LAG_COUNT_MAX - all.changes;
        let lag = lag_in::<R>(connection, application, cursor, rest).await?;
        all.changes += lag.changes;
        all.seconds = all.seconds.max(lag.seconds);
    }
    Ok(all)
}

/// The follower's cursors in all applications.
async fn cursors(
    connection: &mut PgConnection,
    follower: &str,
) -> Result<Vec<(ApplicationId, Timestamp)>> {
    let cursors = sqlx::query!(
        "SELECT application_id, cursor FROM followers WHERE name = $1",
        follower,
    )
    .map(|row| {
        (
            ApplicationId::new(row.application_id),
            Timestamp::new(row.cursor),
        )
    })
    .fetch_all(connection)
    .await?;
    Ok(cursors)
}

/// Counts up to `$3` changes of an application after a cursor for which `$condition` holds.
macro_rules! lag {
    ($condition:literal, $($argument:expr),*) => {
        sqlx::query_as!(
            Lag,
            r#"
            SELECT count(*) AS "changes!",
                   coalesce(extract(epoch FROM now() - min(created))::float8, 0) AS "seconds!"
            FROM (
                SELECT created FROM changes
                WHERE application_id = $1 AND timestamp > $2 AND "# + $condition + r#"
                ORDER BY timestamp
                LIMIT $3
            ) AS counted
            "#,
            $($argument),*
        )
    };
}

/// How far a follower is behind in one application, counted up to `count_max` changes.
async fn lag_in<R: Duty>(
    connection: &mut PgConnection,
    application: ApplicationId,
    cursor: Timestamp,
    count_max: i64,
) -> Result<Lag> {
    if !R::FOLLOWS_FILES {
        return lag_after(connection, application, cursor, count_max).await;
    }
    let (application, cursor) = (application.get(), cursor.get());
    let lag = lag!("files IS NOT NULL", application, cursor, count_max);
    Ok(lag.fetch_one(connection).await?)
}

/// The changes of an application after a cursor, counted up to `count_max`.
pub(super) async fn lag_after(
    connection: &mut PgConnection,
    application: ApplicationId,
    cursor: Timestamp,
    count_max: i64,
) -> Result<Lag> {
    let lag = lag!("TRUE", application.get(), cursor.get(), count_max);
    Ok(lag.fetch_one(connection).await?)
}
