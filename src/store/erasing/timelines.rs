//! The timelines that name a user who is being erased: its own, those of others, and that of the application.

use sqlx::PgConnection;

use super::{Place, RunningErasure};
use crate::{
    domain::{ApplicationId, ConversationId, MessageId, Pair, Timestamp, UserId},
    store::{Duty, Erasing, Indexing, Leadership, Result},
};

/// Deletes the user's own timeline after the place, up to `limit` entries of it. Returns where it has come to;
/// `None` at its end.
pub async fn delete_updates(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    limit: i64,
) -> Result<Option<Place>> {
    let (application, user) = (running.application.get(), running.erasure.user.as_str());
    let connection = leader.connection();
    let last = last_update(connection, application, user, running.at.place, limit).await?;
    sqlx::query!(
        "DELETE FROM updates
         WHERE application_id = $1 AND user_id = $2 AND timestamp > $3 AND timestamp <= $4",
        application,
        user,
        running.at.place,
        last.unwrap_or(i64::MAX),
    )
    .execute(connection)
    .await?;
    Ok(last.map(|place| Place {
        place,
        ..running.at
    }))
}

/// The entry of a user's timeline that ends a window after a timestamp; `None` if fewer are left.
async fn last_update(
    connection: &mut PgConnection,
    application: i64,
    user: &str,
    after: i64,
    window: i64,
) -> Result<Option<i64>> {
    let last = sqlx::query_scalar!(
        "SELECT timestamp FROM updates
         WHERE application_id = $1 AND user_id = $2 AND timestamp > $3
         ORDER BY timestamp OFFSET $4 LIMIT 1",
        application,
        user,
        after,
        window - 1,
    );
    Ok(last.fetch_optional(connection).await?)
}

/// The next personal conversations that have the pseudonym, from the place on: their ids, in order, and their
/// users.
///
/// Their ids stay as they are: a walk by the names of the other users would miss some that are erased meanwhile.
pub async fn renamed_conversations(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    limit: i64,
) -> Result<Vec<(ConversationId, Pair)>> {
    let rows = sqlx::query!(
        r#"
        SELECT id AS "id!", other AS "other!" FROM (
            (
                SELECT id, greatest AS other FROM conversations
                WHERE application_id = $1 AND chat_number IS NULL AND starts_with(least, 'erased:')
                  AND (substr(least, 8), id) >= (substr($2, 8), $3)
                  AND substr(least, 8) <= substr($2, 8)
                ORDER BY substr(least, 8), id LIMIT $4
            )
            UNION ALL
            (
                SELECT id, least FROM conversations
                WHERE application_id = $1 AND chat_number IS NULL AND least <> greatest
                  AND starts_with(greatest, 'erased:')
                  AND (substr(greatest, 8), id) >= (substr($2, 8), $3)
                  AND substr(greatest, 8) <= substr($2, 8)
                ORDER BY substr(greatest, 8), id LIMIT $4
            )
        ) AS found
        ORDER BY id LIMIT $4
        "#,
        running.application.get(),
        running.erasure.pseudonym.as_str(),
        running.at.place,
        limit,
    );
    let rows = rows.fetch_all(leader.connection()).await?;
    let conversations = rows.into_iter().map(|row| {
        let pair = Pair::new(&running.erasure.pseudonym, &UserId::trusted(&row.other));
        (ConversationId::new(row.id), pair)
    });
    Ok(conversations.collect())
}

/// Puts the pseudonym into a window of the timeline of the other user of a conversation. Returns the end of
/// the window; `None` at the end of the timeline. That user is told of nothing by this.
pub async fn rename_updates(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    (other, after): (&UserId, i64),
    window: i64,
) -> Result<Option<i64>> {
    let application = running.application.get();
    let connection = leader.connection();
    let last = last_update(connection, application, other.as_str(), after, window).await?;
    sqlx::query!(
        "UPDATE updates SET with_user = $5
         WHERE application_id = $1 AND user_id = $2 AND timestamp > $3 AND timestamp <= $4
           AND with_user = $6",
        application,
        other.as_str(),
        after,
        last.unwrap_or(i64::MAX),
        running.erasure.pseudonym.as_str(),
        running.erasure.user.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(last)
}

/// Where a window of the application's timeline after the place ends; `None` if fewer changes are left.
pub async fn end_of_log_window(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    window: i64,
) -> Result<Option<Place>> {
    let last = sqlx::query_scalar!(
        "SELECT timestamp FROM changes WHERE application_id = $1 AND timestamp > $2
         ORDER BY timestamp OFFSET $3 LIMIT 1",
        running.application.get(),
        running.at.place,
        window - 1,
    );
    let last = last.fetch_optional(leader.connection()).await?;
    Ok(last.map(|place| Place {
        place,
        ..running.at
    }))
}

/// Messages without a sender that the user has posted with changes of chats, and that have data, up to `limit` of
/// those in a window of the application's timeline. Of one that is trimmed meanwhile the message has expired.
pub async fn announcements(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    end: Option<Place>,
    limit: i64,
) -> Result<Vec<MessageId>> {
    let rows = sqlx::query_scalar!(
        r#"
        SELECT m.id AS "id!"
        FROM (
            SELECT message_id FROM changes
            WHERE application_id = $1 AND timestamp > $2 AND timestamp <= $3
              AND kind = 'message-created' AND actor = $4
            ORDER BY timestamp
        ) AS c
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT id, system, deleted FROM messages
            WHERE application_id = $1 AND id = c.message_id
            LIMIT 1
        ) AS m
        WHERE m.system AND NOT m.deleted
        LIMIT $5
        "#,
        running.application.get(),
        running.at.place,
        end.map_or(i64::MAX, |end| end.place),
        running.erasure.user.as_str(),
        limit,
    );
    let rows = rows.fetch_all(leader.connection()).await?;
    Ok(rows.into_iter().map(MessageId::new).collect())
}

/// Puts the pseudonym into a window of the application's timeline after the place.
pub async fn rename_in_log(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    end: Option<Place>,
) -> Result<()> {
    sqlx::query!(
        "UPDATE changes
         SET actor     = CASE WHEN actor = $4 THEN $5 ELSE actor END,
             with_user = CASE WHEN with_user = $4 THEN $5 ELSE with_user END,
             members   = array_replace(members, $4, $5)
         WHERE application_id = $1 AND timestamp > $2 AND timestamp <= $3
           AND (actor = $4 OR with_user = $4 OR $4 = ANY (members))",
        running.application.get(),
        running.at.place,
        end.map_or(i64::MAX, |end| end.place),
        running.erasure.user.as_str(),
        running.erasure.pseudonym.as_str(),
    )
    .execute(leader.connection())
    .await?;
    Ok(())
}

/// Whether the index of search has followed the application's timeline up to a change.
pub async fn is_indexed(
    leader: &mut Leadership<Erasing>,
    application: ApplicationId,
    up_to: Timestamp,
) -> Result<bool> {
    let is_indexed = sqlx::query_scalar!(
        r#"SELECT coalesce(
               (SELECT cursor FROM followers WHERE application_id = $1 AND name = $2) >= $3, TRUE
           ) AS "is_indexed!""#,
        application.get(),
        Indexing::NAME,
        up_to.get(),
    );
    Ok(is_indexed.fetch_one(leader.connection()).await?)
}

/// Whether the erasure was requested so many seconds ago.
pub async fn has_lasted(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    seconds: u32,
) -> Result<bool> {
    let has_lasted = sqlx::query_scalar!(
        r#"SELECT NOT EXISTS (
               SELECT FROM erasures
               WHERE application_id = $1 AND user_digest = $2
                 AND requested > clock_timestamp() - make_interval(secs => $3)
           ) AS "has_lasted!""#,
        running.application.get(),
        &running.erasure.digest.0[..],
        f64::from(seconds),
    );
    Ok(has_lasted.fetch_one(leader.connection()).await?)
}
