//! What is stored of a user who is being erased, for nobody but itself and its application.

use super::RunningErasure;
use crate::{
    domain::{MessageId, ReactionKey},
    store::{Erasing, Leadership, Result},
};

/// A reaction of the user.
pub struct OwnReaction {
    pub message: MessageId,
    pub key: ReactionKey,
    /// The message is deleted, so its reactions are shown to nobody and count nowhere.
    pub is_gone: bool,
}

/// Some of the user's reactions.
pub async fn reactions(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    limit: i64,
) -> Result<Vec<OwnReaction>> {
    let rows = sqlx::query!(
        r#"
        SELECT r.message_id, r.key, coalesce(m.deleted, TRUE) AS "is_gone!"
        FROM (
            SELECT message_id, key FROM reactions
            WHERE application_id = $1 AND user_id = $2
            ORDER BY message_id LIMIT $3
        ) AS r
        LEFT JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT deleted FROM messages
            WHERE application_id = $1 AND id = r.message_id
            LIMIT 1
        ) AS m ON TRUE
        "#,
        running.application.get(),
        running.erasure.user.as_str(),
        limit,
    );
    let rows = rows.fetch_all(leader.connection()).await?;
    let reactions = rows.into_iter().map(|row| OwnReaction {
        message: MessageId::new(row.message_id),
        key: ReactionKey::trusted(&row.key),
        is_gone: row.is_gone,
    });
    Ok(reactions.collect())
}

/// Deletes the user's reactions to messages that are deleted.
pub async fn delete_reactions(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    messages: &[MessageId],
) -> Result<()> {
    let messages: Vec<_> = messages.iter().map(|id| id.get()).collect();
    sqlx::query!(
        "DELETE FROM reactions
         WHERE application_id = $1 AND user_id = $2 AND message_id = ANY ($3)",
        running.application.get(),
        running.erasure.user.as_str(),
        &messages,
    )
    .execute(leader.connection())
    .await?;
    Ok(())
}

/// Deletes what the user has set and reported, up to `limit` of each, and on which replicas it had streams.
/// Returns whether there is more.
pub async fn delete_own(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    limit: i64,
) -> Result<bool> {
    let (application, user) = (running.application.get(), running.erasure.user.as_str());
    let connection = leader.connection();
    let settings = sqlx::query!(
        "DELETE FROM conversation_settings AS s
         USING (
             SELECT ctid AS place FROM conversation_settings
             WHERE application_id = $1 AND user_id = $2
             ORDER BY conversation_id LIMIT $3
         ) AS found
         WHERE s.application_id = $1 AND s.ctid = found.place",
        application,
        user,
        limit,
    );
    settings.execute(&mut *connection).await?;
    let reports = sqlx::query!(
        "DELETE FROM reports AS r
         USING (
             SELECT ctid AS place FROM reports
             WHERE application_id = $1 AND reporter BETWEEN $2 AND $2
             ORDER BY reporter, timestamp LIMIT $3
         ) AS found
         WHERE r.application_id = $1 AND r.ctid = found.place",
        application,
        user,
        limit,
    );
    reports.execute(&mut *connection).await?;
    sqlx::query!(
        "DELETE FROM presence WHERE application_id = $1 AND user_id = $2",
        application,
        user,
    )
    .execute(&mut *connection)
    .await?;
    // What is changed meanwhile is not deleted: it is found again.
    let is_left = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM conversation_settings WHERE application_id = $1 AND user_id = $2
           ) OR EXISTS (
               SELECT FROM reports WHERE application_id = $1 AND reporter BETWEEN $2 AND $2
           ) AS "is_left!""#,
        application,
        user,
    );
    Ok(is_left.fetch_one(connection).await?)
}
