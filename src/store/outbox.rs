//! The table `outbox`: events that were committed with their changes and are not published yet.

use sqlx::{Connection, PgConnection};
use time::OffsetDateTime;

use super::{Lane, Leadership, Publishing, Result, columns, notify::EVENTS_CHANNEL};
use crate::domain::{ApplicationId, FileId, FileUse, Timestamp};

/// The events of one change.
pub struct NewEvents {
    pub application: ApplicationId,
    pub timestamp: Timestamp,
    pub created: OffsetDateTime,
    pub files: Vec<FileUse>,
}

/// An event that waits: number `index`, from 0, of the change at `timestamp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub application: ApplicationId,
    pub timestamp: Timestamp,
    pub index: i32,
    pub file: FileId,
    pub in_use: bool,
    pub created: OffsetDateTime,
}

/// How many events wait, and since when.
#[derive(Debug, Clone, Copy)]
pub struct Backlog {
    /// Counted up to [`BACKLOG_COUNT_MAX`].
    pub events: i64,
    pub oldest: Option<OffsetDateTime>,
    pub now: OffsetDateTime,
}

/// Where counting the backlog ends, so that a long one is not counted to its end every few seconds.
pub const BACKLOG_COUNT_MAX: i64 = 100_000;

/// Inserts the events of a batch. If it `notifies`, its commit wakes the publisher.
pub async fn insert(lane: &mut Lane, new: &[NewEvents], notifies: bool) -> Result<()> {
    let events = new.iter().flat_map(|change| {
        let indexed = (0..).zip(&change.files);
        indexed.map(move |(index, file_use)| (change, index, file_use))
    });
    columns!(for (change, index, file_use) in events => {
        applications: change.application.get(),
        timestamps: change.timestamp.get(),
        indexes: index,
        files: file_use.file.as_str(),
        in_use: file_use.in_use,
        created: change.created,
    });
    sqlx::query!(
        r#"
        WITH added AS (
            INSERT INTO outbox (application_id, timestamp, index, file_id, in_use, created)
            SELECT * FROM unnest(
                $1::bigint[], $2::bigint[], $3::integer[], $4::text[], $5::boolean[], $6::timestamptz[]
            )
        )
        SELECT pg_notify($7, '') AS "notified!: ()" WHERE $8
        "#,
        &applications,
        &timestamps,
        &indexes,
        &files as &[&str],
        &in_use,
        &created,
        EVENTS_CHANNEL,
        notifies,
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// The oldest events, in the order of the timeline.
pub async fn oldest(leader: &mut Leadership<Publishing>, limit: i64) -> Result<Vec<Event>> {
    let events = sqlx::query!(
        r#"
        SELECT application_id, timestamp, index, file_id, in_use, created
        FROM outbox
        ORDER BY timestamp, index
        LIMIT $1
        "#,
        limit,
    )
    .map(|row| Event {
        application: ApplicationId::new(row.application_id),
        timestamp: Timestamp::new(row.timestamp),
        index: row.index,
        file: FileId::trusted(&row.file_id),
        in_use: row.in_use,
        created: row.created,
    })
    .fetch_all(leader.connection())
    .await?;
    Ok(events)
}

/// Removes events that the broker has confirmed; returns how many there were. This needs no lead:
/// a confirmed event stays confirmed.
pub async fn delete(connection: &mut PgConnection, confirmed: &[Event]) -> Result<u64> {
    columns!(for event in confirmed => {
        applications: event.application.get(),
        timestamps: event.timestamp.get(),
        indexes: event.index,
    });
    let deleted = sqlx::query!(
        r#"
        DELETE FROM outbox AS o
        USING unnest($1::bigint[], $2::bigint[], $3::integer[]) AS done (application_id, timestamp, index)
        WHERE o.application_id = done.application_id
          AND o.timestamp = done.timestamp
          AND o.index = done.index
        "#,
        &applications,
        &timestamps,
        &indexes,
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}

/// Deletes an event and rolls back. Fails when events cannot be deleted: the session is read-only,
/// the right is missing, or a trigger or a policy forbids it. A failure of the commit alone is not
/// found.
pub async fn prove_deletable(leader: &mut Leadership<Publishing>, event: &Event) -> Result<()> {
    let mut transaction = leader.connection().begin().await?;
    let deleted = delete(&mut transaction, std::slice::from_ref(event)).await?;
    transaction.rollback().await?;
    if deleted == 0 {
        Err(sqlx::Error::RowNotFound.into())
    } else {
        Ok(())
    }
}

/// Measures the backlog.
pub async fn backlog(connection: &mut PgConnection) -> Result<Backlog> {
    let measured = sqlx::query!(
        r#"
        SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT $1) AS counted) AS "events!",
               (SELECT created FROM outbox ORDER BY timestamp, index LIMIT 1) AS oldest,
               clock_timestamp()                                              AS "now!"
        "#,
        BACKLOG_COUNT_MAX,
    )
    .fetch_one(connection)
    .await?;
    Ok(Backlog {
        events: measured.events,
        oldest: measured.oldest,
        now: measured.now,
    })
}
