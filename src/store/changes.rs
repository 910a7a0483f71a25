//! The table `changes`: the timeline of each application.

use sqlx::PgConnection;

use super::{Lane, Result, sequences};
use crate::domain::{ApplicationId, ChangeKind, Timestamp};

/// The end of an application's timeline: no change that is committed has a larger timestamp.
pub async fn end(connection: &mut PgConnection, application: ApplicationId) -> Result<Timestamp> {
    let end = sqlx::query_scalar!(
        "SELECT timestamp FROM changes WHERE application_id = $1 ORDER BY timestamp DESC LIMIT 1",
        application.get(),
    );
    let end = end.fetch_optional(connection).await?;
    Ok(Timestamp::new(end.unwrap_or(0)))
}

/// Whether the change at `timestamp` is committed. The answer is final: while the lane is held, every
/// transaction that held it before has ended.
pub async fn is_committed(lane: &mut Lane<'_>, timestamp: Timestamp) -> Result<bool> {
    let application = lane.application().get();
    let found = sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM changes WHERE application_id = $1 AND timestamp = $2
        ) AS "found!"
        "#,
        application,
        timestamp.get(),
    );
    Ok(found.fetch_one(lane.connection()).await?)
}

/// Raises both sequences above the numbers of so many changes, a million at least. Returns the last
/// timestamp of the sequence before and after. Each timeline must be [raised](raise) after it.
pub async fn raise_sequences(
    connection: &mut PgConnection,
    changes: i64,
) -> Result<(Timestamp, Timestamp)> {
    super::in_transaction(connection, async |connection| {
        sequences::raise(connection, changes).await
    })
    .await
}

/// Ends the application's timeline at a number that is drawn now, so that every cursor from before
/// is on it; raises the number of its last chat by `chats`. The commit must notify everybody.
pub async fn raise(lane: &mut Lane<'_>, chats: i64) -> Result<()> {
    let application = lane.application();
    raise_timeline(lane.connection(), application, chats).await
}

/// As [`raise`]. Nobody may write meanwhile.
pub(super) async fn raise_timeline(
    connection: &mut PgConnection,
    application: ApplicationId,
    chats: i64,
) -> Result<()> {
    let timestamp = sqlx::query_scalar!(r#"SELECT nextval('timeline') AS "timestamp!""#)
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query!(
        "INSERT INTO changes (application_id, timestamp, kind, created)
         VALUES ($1, $2, $3::text::change_kind, clock_timestamp())",
        application.get(),
        timestamp,
        ChangeKind::TimelineRaised.name(),
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE applications SET last_chat = last_chat + $2 WHERE id = $1",
        application.get(),
        chats,
    )
    .execute(connection)
    .await?;
    Ok(())
}
