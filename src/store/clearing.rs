//! What is left of deleted chats: messages that are still to be cleared.

use super::{Clearing, Leadership, Result};
use crate::domain::{ApplicationId, ConversationId, MessageId, MessageNumber};

/// A deleted chat that has messages to be cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletedChat {
    pub application: ApplicationId,
    pub conversation: ConversationId,
}

/// Some of the deleted chats that are not cleared yet.
pub async fn deleted_chats(
    leader: &mut Leadership<Clearing>,
    limit: i64,
) -> Result<Vec<DeletedChat>> {
    let rows = sqlx::query!(
        "SELECT application_id, id FROM conversations WHERE to_clear
         ORDER BY application_id, id LIMIT $1",
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

/// The next messages of a chat after a number that have data.
pub async fn messages(
    leader: &mut Leadership<Clearing>,
    chat: DeletedChat,
    after: MessageNumber,
    limit: i64,
) -> Result<Vec<(MessageNumber, MessageId)>> {
    let rows = sqlx::query!(
        "SELECT number, id FROM messages
         WHERE application_id = $1 AND conversation_id = $2 AND number > $3 AND NOT deleted
         ORDER BY number LIMIT $4",
        chat.application.get(),
        chat.conversation.get(),
        after.get(),
        limit,
    )
    .fetch_all(leader.connection())
    .await?;
    let messages = rows.into_iter();
    let messages = messages.map(|row| (MessageNumber::new(row.number), MessageId::new(row.id)));
    Ok(messages.collect())
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
