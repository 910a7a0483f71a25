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
    let mut drawn = draw_blocks(lane, blocks).await?;
    let is_behind = |firsts: &[i64], last: i64| firsts.first().is_some_and(|first| *first <= last);
    if is_behind(&drawn.timestamps, lane.end().get()) || is_behind(&drawn.ids, drawn.newest) {
        raise_above(lane, MessageId::new(drawn.newest)).await?;
        drawn = draw_blocks(lane, blocks).await?;
    }
    numbers.add(&drawn.timestamps, &drawn.ids);
    Ok(())
}

/// The first numbers of the blocks that were drawn.
struct DrawnBlocks {
    timestamps: Vec<i64>,
    ids: Vec<i64>,
    /// The id of the application's newest message; zero if it has none.
    newest: i64,
}

async fn draw_blocks(lane: &mut Lane<'_>, [timestamps, ids]: [i32; 2]) -> Result<DrawnBlocks> {
    Ok(sqlx::query_as!(
        DrawnBlocks,
        r#"
        SELECT ARRAY(SELECT nextval('timeline') FROM generate_series(1, $2))    AS "timestamps!",
               ARRAY(SELECT nextval('message_ids') FROM generate_series(1, $3)) AS "ids!",
               coalesce(
                   (SELECT id FROM messages WHERE application_id = $1 ORDER BY id DESC LIMIT 1), 0
               ) AS "newest!"
        "#,
        lane.application().get(),
        timestamps,
        ids,
    )
    .fetch_one(lane.connection())
    .await?)
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
