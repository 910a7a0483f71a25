//! The events of files: what the timeline says about their use.

use time::OffsetDateTime;

use super::{Leadership, Publishing, Result};
use crate::domain::{ApplicationId, FileId, Timestamp};

/// An event: the use of a file begins or ends, as number `index`, from 0, of the change at
/// `timestamp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub application: ApplicationId,
    pub timestamp: Timestamp,
    pub index: i32,
    pub file: FileId,
    pub in_use: bool,
    pub created: OffsetDateTime,
}

/// The events of up to `limit` changes of an application after one timestamp, in the order of the
/// timeline.
pub async fn after(
    leader: &mut Leadership<Publishing>,
    application: ApplicationId,
    timestamp: Timestamp,
    limit: i64,
) -> Result<Vec<Event>> {
    let changes = sqlx::query!(
        r#"
        SELECT timestamp, kind IN ('message-created', 'message-imported') AS "in_use!", created, files AS "files!"
        FROM changes
        WHERE application_id = $1 AND timestamp > $2 AND files IS NOT NULL
        ORDER BY timestamp
        LIMIT $3
        "#,
        application.get(),
        timestamp.get(),
        limit,
    )
    .fetch_all(leader.connection())
    .await?;
    let events = changes.into_iter().flat_map(|change| {
        (0..).zip(change.files).map(move |(index, file)| Event {
            application,
            timestamp: Timestamp::new(change.timestamp),
            index,
            file: FileId::trusted(&file),
            in_use: change.in_use,
            created: change.created,
        })
    });
    Ok(events.collect())
}
