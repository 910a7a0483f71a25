//! The sequences of the service and the record of what was committed.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Lane, Result, branch};
use crate::domain::Timestamp;

/// Whether `writer` has committed its batch `number`. It is final: whoever holds the lane knows that
/// every transaction that held it before has ended.
pub async fn has_committed(lane: &mut Lane, writer: Uuid, number: i64) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM batches WHERE writer = $1 AND batch = $2) AS "found!""#,
        writer,
        number,
    );
    Ok(found.fetch_one(lane.connection()).await?)
}

/// Where the sequence stands: no timestamp that anybody has seen is larger.
pub async fn last_given(connection: &mut PgConnection) -> Result<Timestamp> {
    let last = sqlx::query_scalar!(
        r#"SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS "last!" FROM timeline"#
    );
    Ok(Timestamp(last.fetch_one(connection).await?))
}

/// Forgets batches that were committed more than ten minutes ago: no writer takes longer to learn what
/// became of one.
pub async fn forget_batches(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!("DELETE FROM batches WHERE committed < clock_timestamp() - interval '10 minutes'")
        .execute(connection)
        .await?;
    Ok(())
}

/// Lifts every counter by `count`, so that no number that was given before a restore is given again,
/// and tells all replicas that nothing they have read counts any more. Returns the last timestamp
/// before and after.
pub async fn advance(lane: &mut Lane, count: i64) -> Result<(Timestamp, Timestamp)> {
    let before = last_given(lane.connection()).await?;
    branch::lift(lane, count, count).await?;
    let after = last_given(lane.connection()).await?;
    Ok((before, after))
}
