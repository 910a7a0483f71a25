//! The sequences from which timestamps and ids of messages are drawn.
//!
//! Both are of the whole service, so each number is given once. Within an application, numbers are
//! drawn and used under its lane, so they ascend. A backup that is restored may leave a sequence
//! behind the rows of an application: then it is raised before that application uses a number.

use sqlx::PgConnection;

use super::{Lane, Result, locks};
use crate::domain::{DrawnNumbers, MessageId, Timestamp};

/// By how much a sequence is raised at least: more than is drawn from it while it is being set.
const RAISE_MIN: i64 = 1_000_000;

/// Draws timestamps, and ids of messages, so many of each at least. Each is larger than all of the
/// application's before.
pub async fn draw(
    lane: &mut Lane<'_>,
    timestamps: usize,
    ids: usize,
    numbers: &mut DrawnNumbers,
) -> Result<()> {
    let blocks = [timestamps, ids].map(DrawnNumbers::blocks_for);
    let blocks = blocks.map(|blocks| i32::try_from(blocks).unwrap_or(i32::MAX));
    let newest = newest_message(lane).await?;
    let (mut timestamps, mut ids) = draw_blocks(lane, blocks).await?;
    let is_behind = |firsts: &[i64], last: i64| firsts.first().is_some_and(|first| *first <= last);
    if is_behind(&timestamps, lane.end().get()) || is_behind(&ids, newest.get()) {
        raise_above(lane, newest).await?;
        (timestamps, ids) = draw_blocks(lane, blocks).await?;
    }
    numbers.add(&timestamps, &ids);
    Ok(())
}

/// Names no table of a tenant: on a cluster (Citus) only the coordinator has the sequences.
async fn draw_blocks(
    lane: &mut Lane<'_>,
    [timestamps, ids]: [i32; 2],
) -> Result<(Vec<i64>, Vec<i64>)> {
    let drawn = sqlx::query!(
        r#"
        SELECT ARRAY(SELECT nextval('timeline') FROM generate_series(1, $1))    AS "timestamps!",
               ARRAY(SELECT nextval('message_ids') FROM generate_series(1, $2)) AS "ids!"
        "#,
        timestamps,
        ids,
    )
    .fetch_one(lane.connection())
    .await?;
    Ok((drawn.timestamps, drawn.ids))
}

/// The id of the application's newest message; zero if it has none.
async fn newest_message(lane: &mut Lane<'_>) -> Result<MessageId> {
    let application = lane.application().get();
    let newest = sqlx::query_scalar!(
        "SELECT id FROM messages WHERE application_id = $1 ORDER BY id DESC LIMIT 1",
        application,
    );
    let newest = newest.fetch_optional(lane.connection()).await?;
    Ok(MessageId::new(newest.unwrap_or(0)))
}

/// Raises the sequences above the end of the timeline, and above the id of the newest message.
async fn raise_above(lane: &mut Lane<'_>, id: MessageId) -> Result<()> {
    let (timestamp, connection) = (lane.end(), lane.connection());
    tracing::warn!(%timestamp, %id, "a sequence is behind the rows of an application: it is raised");
    lock(connection).await?;
    sqlx::query!(
        r#"
        SELECT setval('timeline', greatest(timeline.last_value, $1::bigint) + $3)       AS "timeline!",
               setval('message_ids', greatest(message_ids.last_value, $2::bigint) + $3) AS "ids!"
        FROM timeline, message_ids
        "#,
        timestamp.get(),
        id.get(),
        RAISE_MIN,
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// Raises both sequences above the numbers of `changes`, a million at least. Returns the last
/// timestamp of the sequence before and after.
pub(super) async fn raise(
    connection: &mut PgConnection,
    changes: i64,
) -> Result<(Timestamp, Timestamp)> {
    lock(connection).await?;
    let raised = sqlx::query!(
        r#"
        SELECT timeline.last_value AS "before!",
               setval('timeline', timeline.last_value + $1::bigint)       AS "after!",
               setval('message_ids', message_ids.last_value + $1::bigint) AS "ids!"
        FROM timeline, message_ids
        "#,
        DrawnNumbers::used_up_by(changes.max(RAISE_MIN)),
    )
    .fetch_one(connection)
    .await?;
    Ok((Timestamp::new(raised.before), Timestamp::new(raised.after)))
}

/// Between reading a sequence and setting it, nobody else sets it. (Drawing from it goes on.)
async fn lock(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!(
        r#"SELECT pg_advisory_xact_lock($1) AS "locked!: ()""#,
        locks::SEQUENCES
    )
    .execute(connection)
    .await?;
    Ok(())
}
