//! The sequences of the service and the record of what each writer committed last.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Lane, Result,
    wakeups::{self, WakeKey},
};
use crate::domain::{MessageId, Timestamp};

/// A timestamp and an id that nobody else will get, and the time at which they were drawn.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    pub timestamp: Timestamp,
    pub id: MessageId,
    pub now: OffsetDateTime,
}

/// Draws for `count` changes, in ascending order. What is not used is a gap that nobody sees.
pub async fn draw(lane: &mut Lane<'_>, count: usize) -> Result<Vec<Draw>> {
    let drawn = sqlx::query!(
        r#"
        SELECT nextval('timeline')    AS "timestamp!",
               nextval('message_ids') AS "id!",
               clock_timestamp()      AS "now!"
        FROM generate_series(1, $1::bigint)
        "#,
        count as i64,
    )
    .map(|row| Draw { timestamp: Timestamp(row.timestamp), id: MessageId(row.id), now: row.now })
    .fetch_all(lane.connection())
    .await?;
    Ok(drawn)
}

/// The last statement of a batch: records in its own transaction that `writer` commits its batch
/// number `batch`, and wakes with the commit whoever waits for one of its changes.
pub async fn record_batch(
    lane: &mut Lane<'_>,
    writer: Uuid,
    batch: i64,
    concerned: impl Iterator<Item = WakeKey>,
) -> Result<()> {
    sqlx::query!(
        r#"
        WITH recorded AS (
            INSERT INTO writers (writer, batch, committed)
            VALUES ($1, $2, clock_timestamp())
            ON CONFLICT (writer)
                DO UPDATE SET batch = excluded.batch, committed = excluded.committed
        )
        SELECT pg_notify(
            $3, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint || ' ' || users
        ) AS "woken!: ()"
        FROM unnest($4::text[]) AS users
        "#,
        writer,
        batch,
        wakeups::CHANNEL,
        &wakeups::lists(concerned),
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// The number of the batch that `writer` committed last. It is final: whoever holds the lane knows
/// that every transaction that held it before has ended.
pub async fn last_batch(lane: &mut Lane<'_>, writer: Uuid) -> Result<Option<i64>> {
    let batch = sqlx::query_scalar!("SELECT batch FROM writers WHERE writer = $1", writer)
        .fetch_optional(lane.connection())
        .await?;
    Ok(batch)
}

/// Forgets writers that have committed nothing for a week: no process waits that long to learn
/// what became of a batch.
pub async fn forget_writers(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!("DELETE FROM writers WHERE committed < clock_timestamp() - interval '7 days'")
        .execute(connection)
        .await?;
    Ok(())
}

/// Lifts both sequences by `count`, so that nothing that was given out before a restore is given
/// out again. Returns the last timestamp before and after.
pub async fn advance(lane: &mut Lane<'_>, count: i64) -> Result<(Timestamp, Timestamp)> {
    let lifted = sqlx::query!(
        r#"
        SELECT timeline.last_value                                       AS "before!",
               setval('timeline', timeline.last_value + $1::bigint)       AS "after!",
               setval('message_ids', message_ids.last_value + $1::bigint) AS "ids!"
        FROM timeline, message_ids
        "#,
        count,
    )
    .fetch_one(lane.connection())
    .await?;
    Ok((Timestamp(lifted.before), Timestamp(lifted.after)))
}
