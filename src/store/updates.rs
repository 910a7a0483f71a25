//! The table `updates`: which change concerns which user.

use super::{Lane, Result, columns, members::Membership};
use crate::domain::{ApplicationId, ChatNumber, MessageId, Subject, Timestamp, Update, UserId};

/// One change in a personal conversation, and one of its users.
#[derive(Debug, Clone)]
pub struct NewUpdate<'a> {
    pub application: ApplicationId,
    pub user: &'a UserId,
    pub update: Update,
}

impl NewUpdate<'_> {
    pub(super) fn message(&self) -> Option<MessageId> {
        match self.update.subject {
            Subject::Message(id) => Some(id),
            Subject::Chat(_) | Subject::With(_) => None,
        }
    }

    pub(super) fn with(&self) -> Option<&UserId> {
        match &self.update.subject {
            Subject::With(user) => Some(user),
            Subject::Message(_) | Subject::Chat(_) => None,
        }
    }
}

/// One change in a chat: of one of its messages, or of the chat itself.
#[derive(Debug, Clone)]
pub struct ChatUpdate {
    pub application: ApplicationId,
    pub chat: ChatNumber,
    pub timestamp: Timestamp,
    pub message: Option<MessageId>,
}

/// Inserts the updates of changes in chats: one for each change and each user who was a member at
/// its timestamp. Returns these users.
///
/// A present member has an update of every change since it joined. A member who has left with this
/// batch has an update of every change from its joining to its leaving, both included. So the
/// batch's memberships must be stored before this call, and `departed` are the memberships that it
/// ends.
pub async fn fan_out(
    lane: &mut Lane,
    updates: &[ChatUpdate],
    departed: &[(Membership, Timestamp)],
) -> Result<Vec<(ApplicationId, UserId)>> {
    columns!(for update in updates => {
        applications: update.application.get(),
        chats: update.chat.get(),
        timestamps: update.timestamp.get(),
        messages: update.message.map(|id| id.get()),
    });
    columns!(for (membership, end) in departed => {
        gone_applications: membership.application.get(),
        gone_chats: membership.chat.get(),
        gone_users: membership.user.as_str(),
        gone_joined: membership.joined.get(),
        gone_departed: end.get(),
    });
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
        &gone_applications,
        &gone_chats,
        &gone_users as &[&str],
        &gone_joined,
        &gone_departed,
    )
    .map(|row| {
        (
            ApplicationId::new(row.application_id),
            UserId::trusted(&row.user_id),
        )
    })
    .fetch_all(lane.connection())
    .await?;
    Ok(concerned)
}
