//! The table `updates`: which user is concerned by which change.

use super::{
    Lane, Result,
    members::{self, Membership},
};
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

/// Inserts the updates of changes in chats, for everybody who was a member at a change's timestamp.
/// Returns these users.
///
/// That holds whatever else the batch has done to the membership. Present members have an update if they
/// had joined by then, and members who have left with the batch if they had not left before. So the
/// batch's memberships must be stored before, and `departed` are those that it has ended. Who joins or
/// leaves with a change has an update of that change.
pub async fn fan_out(
    lane: &mut Lane,
    updates: &[ChatUpdate],
    departed: &[(Membership, Timestamp)],
) -> Result<Vec<(ApplicationId, UserId)>> {
    let gone = members::Columns::of(departed.iter().map(|(membership, _)| membership));
    let gone_at: Vec<_> = departed.iter().map(|(_, at)| at.0).collect();
    let applications: Vec<_> = updates.iter().map(|update| update.application.0).collect();
    let chats: Vec<_> = updates.iter().map(|update| update.chat.0).collect();
    let timestamps: Vec<_> = updates.iter().map(|update| update.timestamp.0).collect();
    let messages: Vec<_> = updates
        .iter()
        .map(|update| Some(update.message?.0))
        .collect();
    let concerned = sqlx::query!(
        r#"
        WITH change AS (
            SELECT application_id, chat_number, timestamp, message_id,
                   CASE WHEN message_id IS NULL THEN chat_number END AS chat
            FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
                     AS change (application_id, chat_number, timestamp, message_id)
        ), fan_out AS (
            INSERT INTO updates (application_id, user_id, timestamp, message_id, chat_number)
            SELECT change.application_id, m.user_id, change.timestamp, message_id, chat
            FROM change
            JOIN chat_members AS m USING (application_id, chat_number)
            WHERE m.departed IS NULL AND m.joined <= change.timestamp
            UNION ALL
            SELECT change.application_id, gone.user_id, change.timestamp, message_id, chat
            FROM change
            JOIN unnest($5::bigint[], $6::bigint[], $7::text[], $8::bigint[], $9::bigint[])
                     AS gone (application_id, chat_number, user_id, joined, departed)
                USING (application_id, chat_number)
            WHERE change.timestamp BETWEEN gone.joined AND gone.departed
            RETURNING application_id, user_id
        )
        SELECT DISTINCT application_id, user_id FROM fan_out
        "#,
        &applications,
        &chats,
        &timestamps,
        &messages as &[Option<i64>],
        &gone.applications,
        &gone.chats,
        &gone.users as &[&str],
        &gone.joined,
        &gone_at,
    )
    .map(|row| {
        (
            ApplicationId(row.application_id),
            UserId::trusted(&row.user_id),
        )
    })
    .fetch_all(lane.connection())
    .await?;
    Ok(concerned)
}
