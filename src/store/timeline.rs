//! The sequences of the service and the record of what each writer committed last.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Lane, Result,
    updates::NewUpdate,
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

/// The last statement of a batch: inserts the updates of its personal messages, records in its own
/// transaction that `writer` commits its batch number `batch`, and wakes with the commit whoever waits
/// for one of its changes.
pub async fn finish_batch(
    lane: &mut Lane,
    writer: Uuid,
    batch: i64,
    updates: &[NewUpdate<'_>],
    concerned: impl Iterator<Item = WakeKey>,
) -> Result<()> {
    let applications: Vec<_> = updates.iter().map(|update| update.application.0).collect();
    let users: Vec<_> = updates.iter().map(|update| update.user.as_str()).collect();
    let timestamps: Vec<_> = updates.iter().map(|update| update.timestamp.0).collect();
    let messages: Vec<_> = updates.iter().map(|update| update.message.0).collect();
    sqlx::query!(
        r#"
        WITH recorded AS (
            INSERT INTO writers (writer, batch, committed)
            VALUES ($1, $2, clock_timestamp())
            ON CONFLICT (writer)
                DO UPDATE SET batch = excluded.batch, committed = excluded.committed
        ),
        told AS (
            INSERT INTO updates (application_id, user_id, timestamp, message_id)
            SELECT * FROM unnest($5::bigint[], $6::text[], $7::bigint[], $8::bigint[])
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
        &applications,
        &users as &[&str],
        &timestamps,
        &messages,
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// The number of the batch that `writer` committed last. It is final: whoever holds the lane knows
/// that every transaction that held it before has ended.
pub async fn last_batch(lane: &mut Lane, writer: Uuid) -> Result<Option<i64>> {
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
pub async fn advance(lane: &mut Lane, count: i64) -> Result<(Timestamp, Timestamp)> {
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
