//! Conversations message by message: pages of history, each one range of one index.

use std::sync::Arc;

use sqlx::PgConnection;

use super::{Result, messages::MessageRow};
use crate::domain::{ApplicationId, ChatNumber, Message, MessageId, MessageNumber, UserId};

/// Where a page of history lies: by the number of messages in a chat, by their id in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// What came before, the newest first.
    Before(i64),
    /// What came after, the oldest first.
    After(i64),
}

impl Span {
    /// Everything, the newest first.
    pub const NEWEST: Self = Self::Before(i64::MAX);

    /// As (position, whether it descends).
    fn parts(self) -> (i64, bool) {
        match self {
            Self::Before(position) => (position, true),
            Self::After(position) => (position, false),
        }
    }
}

/// A page of a chat's messages, tombstones included.
pub async fn of_chat(
    connection: &mut PgConnection,
    application: ApplicationId,
    chat: ChatNumber,
    span: Span,
    limit: i64,
) -> Result<Vec<Arc<Message>>> {
    let (position, descends) = span.parts();
    let rows = if descends {
        sqlx::query_as!(
            MessageRow,
            r#"
            SELECT application_id, id, timestamp, sender, recipient, chat_number, number, created,
                   edited, read, text, files, attributes AS "attributes: _", reply_to, deleted
            FROM messages
            WHERE application_id = $1 AND chat_number = $2 AND number < $3
            ORDER BY number DESC
            LIMIT $4
            "#,
            application.0,
            chat.0,
            position,
            limit,
        )
        .fetch_all(connection)
        .await?
    } else {
        sqlx::query_as!(
            MessageRow,
            r#"
            SELECT application_id, id, timestamp, sender, recipient, chat_number, number, created,
                   edited, read, text, files, attributes AS "attributes: _", reply_to, deleted
            FROM messages
            WHERE application_id = $1 AND chat_number = $2 AND number > $3
            ORDER BY number
            LIMIT $4
            "#,
            application.0,
            chat.0,
            position,
            limit,
        )
        .fetch_all(connection)
        .await?
    };
    Ok(rows.into_iter().map(|row| row.into_message().1).collect())
}

/// A page of the personal messages of two users, tombstones included.
pub async fn of_conversation(
    connection: &mut PgConnection,
    application: ApplicationId,
    one: &UserId,
    other: &UserId,
    span: Span,
    limit: i64,
) -> Result<Vec<Arc<Message>>> {
    let (position, descends) = span.parts();
    let rows = if descends {
        sqlx::query_as!(
            MessageRow,
            r#"
            SELECT application_id, id, timestamp, sender, recipient, chat_number, number, created,
                   edited, read, text, files, attributes AS "attributes: _", reply_to, deleted
            FROM messages
            WHERE application_id = $1 AND chat_number IS NULL
              AND least(sender, recipient) = $2 AND greatest(sender, recipient) = $3
              AND id < $4
            ORDER BY id DESC
            LIMIT $5
            "#,
            application.0,
            one.min(other).as_str(),
            one.max(other).as_str(),
            position,
            limit,
        )
        .fetch_all(connection)
        .await?
    } else {
        sqlx::query_as!(
            MessageRow,
            r#"
            SELECT application_id, id, timestamp, sender, recipient, chat_number, number, created,
                   edited, read, text, files, attributes AS "attributes: _", reply_to, deleted
            FROM messages
            WHERE application_id = $1 AND chat_number IS NULL
              AND least(sender, recipient) = $2 AND greatest(sender, recipient) = $3
              AND id > $4
            ORDER BY id
            LIMIT $5
            "#,
            application.0,
            one.min(other).as_str(),
            one.max(other).as_str(),
            position,
            limit,
        )
        .fetch_all(connection)
        .await?
    };
    Ok(rows.into_iter().map(|row| row.into_message().1).collect())
}

/// The id of a chat's message.
pub async fn id_in_chat(
    connection: &mut PgConnection,
    application: ApplicationId,
    chat: ChatNumber,
    number: MessageNumber,
) -> Result<Option<MessageId>> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM messages WHERE application_id = $1 AND chat_number = $2 AND number = $3",
        application.0,
        chat.0,
        number.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(id.map(MessageId))
}
