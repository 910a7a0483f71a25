//! The sequences of the service and the record of what each writer committed last.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Lane, Result, wakeups};
use crate::domain::{MessageId, Timestamp};

/// The next timestamp and the next id, which the holder of the lane may give, and the time.
#[derive(Debug, Clone, Copy)]
pub struct Next {
    pub timestamp: Timestamp,
    pub id: MessageId,
    pub now: OffsetDateTime,
}

/// The number of the batch that `writer` committed last. It is final: whoever holds the lane knows
/// that every transaction that held it before has ended.
pub async fn last_batch(lane: &mut Lane, writer: Uuid) -> Result<Option<i64>> {
    let batch = sqlx::query_scalar!("SELECT batch FROM writers WHERE writer = $1", writer)
        .fetch_optional(lane.connection())
        .await?;
    Ok(batch)
}

/// Where the sequence stands: no timestamp that anybody has seen is larger.
pub async fn last_given(connection: &mut PgConnection) -> Result<Timestamp> {
    let last = sqlx::query_scalar!(
        r#"SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS "last!" FROM timeline"#
    );
    Ok(Timestamp(last.fetch_one(connection).await?))
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
/// out again, and tells all replicas that what they know may be of another history. Returns the last
/// timestamp before and after.
pub async fn advance(lane: &mut Lane, count: i64) -> Result<(Timestamp, Timestamp)> {
    let lifted = sqlx::query!(
        r#"
        SELECT timeline.last_value                                       AS "before!",
               setval('timeline', timeline.last_value + $1::bigint)       AS "after!",
               setval('message_ids', message_ids.last_value + $1::bigint) AS "ids!",
               pg_notify($2, $3)                                          AS "woken!: ()"
        FROM timeline, message_ids
        "#,
        count,
        wakeups::CHANNEL,
        wakeups::EVERYBODY,
    )
    .fetch_one(lane.connection())
    .await?;
    Ok((Timestamp(lifted.before), Timestamp(lifted.after)))
}
