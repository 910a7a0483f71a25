//! What is left of deleted chats and messages: messages and reactions that are still to be cleared.

use super::{Clearing, Leadership, Result};
use crate::domain::{ApplicationId, ConversationId, MessageId, MessageNumber};

/// A deleted chat that has messages to be cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeletedChat {
    pub application: ApplicationId,
    pub conversation: ConversationId,
}

/// Some of the deleted chats that are not cleared yet, after one of them.
pub async fn deleted_chats(
    leader: &mut Leadership<Clearing>,
    after: Option<DeletedChat>,
    limit: i64,
) -> Result<Vec<DeletedChat>> {
    let rows = sqlx::query!(
        "SELECT application_id, id FROM conversations WHERE to_clear AND (application_id, id) > ($1, $2)
         ORDER BY application_id, id LIMIT $3",
        after.map_or(0, |chat| chat.application.get()),
        after.map_or(0, |chat| chat.conversation.get()),
        limit,
    )
    .fetch_all(leader.connection())
    .await?;
    let chats = rows.into_iter().map(|row| DeletedChat {
        application: ApplicationId::new(row.application_id),
        conversation: ConversationId::new(row.id),
    });
    Ok(chats.collect())
}

/// A window of the messages of a chat: the number that it reaches, and those of its messages that have data.
pub struct Window {
    pub last: MessageNumber,
    pub uncleared: Vec<MessageId>,
}

/// The next messages of a chat after a number, with those that are cleared; `None` at its end.
pub async fn window(
    leader: &mut Leadership<Clearing>,
    chat: DeletedChat,
    after: MessageNumber,
    limit: i64,
) -> Result<Option<Window>> {
    let rows = sqlx::query!(
        "SELECT number, id, deleted FROM messages
         WHERE application_id = $1 AND conversation_id = $2 AND number > $3
         ORDER BY number LIMIT $4",
        chat.application.get(),
        chat.conversation.get(),
        after.get(),
        limit,
    )
    .fetch_all(leader.connection())
    .await?;
    let last = rows.last().map(|row| MessageNumber::new(row.number));
    let uncleared = rows.iter().filter(|row| !row.deleted);
    let uncleared = uncleared.map(|row| MessageId::new(row.id)).collect();
    Ok(last.map(|last| Window { last, uncleared }))
}

/// Notes that a chat has no messages with data any more. Nobody can post into it.
pub async fn finish(leader: &mut Leadership<Clearing>, chat: DeletedChat) -> Result<()> {
    sqlx::query!(
        "UPDATE conversations SET to_clear = FALSE WHERE application_id = $1 AND id = $2",
        chat.application.get(),
        chat.conversation.get(),
    )
    .execute(leader.connection())
    .await?;
    Ok(())
}

/// Deletes reactions to a deleted message, up to `limit` of them. Returns whether there was such a message:
/// then there may be more.
pub async fn clear_reactions(leader: &mut Leadership<Clearing>, limit: i64) -> Result<bool> {
    let next = sqlx::query!(
        "SELECT application_id, message_id FROM reaction_counts WHERE to_clear
         ORDER BY application_id, message_id LIMIT 1",
    );
    let Some(next) = next.fetch_optional(leader.connection()).await? else {
        return Ok(false);
    };
    let deleted = sqlx::query!(
        "DELETE FROM reactions AS r
         USING (
             SELECT ctid AS place FROM reactions
             WHERE application_id = $1 AND message_id = $2
             LIMIT $3
         ) AS found
         WHERE r.application_id = $1 AND r.ctid = found.place",
        next.application_id,
        next.message_id,
        limit,
    );
    let deleted = deleted.execute(leader.connection()).await?.rows_affected();
    if i64::try_from(deleted).is_ok_and(|deleted| deleted < limit) {
        sqlx::query!(
            "DELETE FROM reaction_counts WHERE application_id = $1 AND message_id = $2",
            next.application_id,
            next.message_id,
        )
        .execute(leader.connection())
        .await?;
    }
    Ok(true)
}
