//! The history of a conversation. Each page is one range of one index.

use std::sync::Arc;

use sqlx::PgConnection;

use super::{Result, messages::MessageRow};
use crate::domain::{
    ApplicationId, ChatNumber, Conversation, Message, MessageId, MessageNumber, Pair,
};

/// The position of a page of history: a message's number in a chat, its id in a personal
/// conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// The messages before a position, the newest first.
    Before(i64),
    /// The messages after a position, the oldest first.
    After(i64),
}

impl Span {
    /// Everything, the newest first.
    pub const NEWEST: Self = Self::Before(i64::MAX);

    /// The position as `(before, after)`. One of them is `None`, and its half of the query has no
    /// rows.
    fn bounds(self) -> (Option<i64>, Option<i64>) {
        match self {
            Self::Before(position) => (Some(position), None),
            Self::After(position) => (None, Some(position)),
        }
    }
}

/// Reads a page of a conversation, with the deleted messages.
pub async fn read(
    connection: &mut PgConnection,
    application: ApplicationId,
    conversation: &Conversation,
    span: Span,
    limit: i64,
) -> Result<Vec<Arc<Message>>> {
    let rows = match conversation {
        Conversation::Chat(chat) => read_chat(connection, application, *chat, span, limit).await?,
        Conversation::Personal(pair) => {
            read_personal(connection, application, pair, span, limit).await?
        }
    };
    rows.into_iter().map(MessageRow::into_message).collect()
}

async fn read_chat(
    connection: &mut PgConnection,
    application: ApplicationId,
    chat: ChatNumber,
    span: Span,
    limit: i64,
) -> Result<Vec<MessageRow>> {
    let (before, after) = span.bounds();
    let rows = sqlx::query_scalar!(
        r#"
        (
            SELECT m AS "message!: MessageRow"
            FROM messages AS m
            WHERE application_id = $1 AND chat_number = $2 AND number < $3
            ORDER BY number DESC
            LIMIT $5
        ) UNION ALL (
            SELECT m
            FROM messages AS m
            WHERE application_id = $1 AND chat_number = $2 AND number > $4
            ORDER BY number
            LIMIT $5
        )
        "#,
        application.get(),
        chat.get(),
        before,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

async fn read_personal(
    connection: &mut PgConnection,
    application: ApplicationId,
    pair: &Pair,
    span: Span,
    limit: i64,
) -> Result<Vec<MessageRow>> {
    let (before, after) = span.bounds();
    let rows = sqlx::query_scalar!(
        r#"
        (
            SELECT m AS "message!: MessageRow"
            FROM messages AS m
            WHERE application_id = $1 AND chat_number IS NULL
              AND least(sender, recipient) = $2 AND greatest(sender, recipient) = $3
              AND id < $4
            ORDER BY id DESC
            LIMIT $6
        ) UNION ALL (
            SELECT m
            FROM messages AS m
            WHERE application_id = $1 AND chat_number IS NULL
              AND least(sender, recipient) = $2 AND greatest(sender, recipient) = $3
              AND id > $5
            ORDER BY id
            LIMIT $6
        )
        "#,
        application.get(),
        pair.least().as_str(),
        pair.greatest().as_str(),
        before,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
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
        application.get(),
        chat.get(),
        number.get(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(id.map(MessageId::new))
}
