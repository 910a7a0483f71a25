//! The sequences of the service, and the record of the batches that were committed.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Lane, Result, branch};
use crate::domain::Timestamp;

/// Whether `writer` has committed its batch `number`. The answer is final: while the lane is held,
/// every transaction that held it before has ended.
pub async fn has_committed(lane: &mut Lane, writer: Uuid, number: i64) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM batches WHERE writer = $1 AND batch = $2) AS "found!""#,
        writer,
        number,
    );
    Ok(found.fetch_one(lane.connection()).await?)
}

/// The end of the timeline: no change that is committed has a larger timestamp.
pub async fn end(connection: &mut PgConnection) -> Result<Timestamp> {
    let last = sqlx::query_scalar!(
        r#"SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS "last!" FROM timeline"#
    );
    Ok(Timestamp::new(last.fetch_one(connection).await?))
}

/// How long the record of a batch is kept, in seconds. No writer takes as long to learn an outcome.
const RECORD_SECONDS: f64 = 600.0;

/// Deletes the records of old batches.
pub async fn forget_batches(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!(
        "DELETE FROM batches WHERE committed < clock_timestamp() - make_interval(secs => $1)",
        RECORD_SECONDS,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Raises every counter by `count`, so that no number from before a restore is used again, and
/// notifies all replicas that nothing they have cached is valid. Returns the end of the timeline
/// before and after.
pub async fn advance(lane: &mut Lane, count: i64) -> Result<(Timestamp, Timestamp)> {
    let before = end(lane.connection()).await?;
    branch::raise_counters(lane, count, count).await?;
    let after = end(lane.connection()).await?;
    Ok((before, after))
}
