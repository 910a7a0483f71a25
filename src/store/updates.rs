//! The table `updates`: which user is concerned by which change.

use super::{Lane, Result, wakeups::WakeKey};
use crate::domain::{ApplicationId, ChatNumber, MessageId, Timestamp, UserId};

/// One change of a personal message and one user who learns of it.
#[derive(Debug, Clone)]
pub struct NewUpdate<'a> {
    pub application: ApplicationId,
    pub user: &'a UserId,
    pub timestamp: Timestamp,
    pub message: MessageId,
}

/// One change in a chat: of one of its messages, or of the chat itself.
#[derive(Debug, Clone)]
pub struct ChatUpdate {
    pub application: ApplicationId,
    pub chat: ChatNumber,
    pub timestamp: Timestamp,
    pub message: Option<MessageId>,
}

/// Inserts the updates of personal messages.
pub async fn insert(lane: &mut Lane<'_>, updates: &[NewUpdate<'_>]) -> Result<()> {
    let applications: Vec<_> = updates.iter().map(|update| update.application.0).collect();
    let users: Vec<_> = updates.iter().map(|update| update.user.as_str()).collect();
    let timestamps: Vec<_> = updates.iter().map(|update| update.timestamp.0).collect();
    let messages: Vec<_> = updates.iter().map(|update| update.message.0).collect();
    sqlx::query!(
        r#"
        INSERT INTO updates (application_id, user_id, timestamp, message_id)
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[])
        "#,
        &applications,
        &users as &[&str],
        &timestamps,
        &messages,
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Inserts the updates of changes in chats, for everybody who was a member at a change's timestamp,
/// whatever else the batch has done to the membership: its changes must be stored by now. Who joins
/// or leaves with the change is told of it. Gives the users concerned.
pub async fn fan_out(lane: &mut Lane<'_>, updates: &[ChatUpdate]) -> Result<Vec<WakeKey>> {
    let applications: Vec<_> = updates.iter().map(|update| update.application.0).collect();
    let chats: Vec<_> = updates.iter().map(|update| update.chat.0).collect();
    let timestamps: Vec<_> = updates.iter().map(|update| update.timestamp.0).collect();
    let messages: Vec<_> = updates.iter().map(|update| Some(update.message?.0)).collect();
    let told = sqlx::query!(
        r#"
        WITH told AS (
            INSERT INTO updates (application_id, user_id, timestamp, message_id, chat_number)
            SELECT change.application_id, m.user_id, change.timestamp, change.message_id,
                   CASE WHEN change.message_id IS NULL THEN change.chat_number END
            FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
                     AS change (application_id, chat_number, timestamp, message_id)
            JOIN chat_members AS m
                ON m.application_id = change.application_id
                AND m.chat_number = change.chat_number
                AND m.joined <= change.timestamp
                AND (m.departed IS NULL OR m.departed >= change.timestamp)
            RETURNING application_id, user_id
        )
        SELECT DISTINCT application_id, user_id FROM told
        "#,
        &applications,
        &chats,
        &timestamps,
        &messages as &[Option<i64>],
    )
    .map(|row| WakeKey::of(ApplicationId(row.application_id), &UserId::trusted(&row.user_id)))
    .fetch_all(lane.connection())
    .await?;
    Ok(told)
}
