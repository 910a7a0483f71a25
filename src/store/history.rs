//! The history of a conversation. Each page is one range of one index.

use std::sync::Arc;

use sqlx::PgConnection;

use super::{Result, messages::MessageRow};
use crate::domain::{ApplicationId, Conversation, Message, MessageId, MessageNumber};

/// The messages of a page of history, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// The messages before a number, the newest first.
    Before(MessageNumber),
    /// The messages after a number, the oldest first.
    After(MessageNumber),
}

impl Span {
    /// Everything, the newest first.
    pub const NEWEST: Self = Self::Before(MessageNumber::new(i64::MAX));

    /// The number as `(before, after)`. One of them is `None`, and its half of the query has no
    /// rows.
    fn bounds(self) -> (Option<i64>, Option<i64>) {
        match self {
            Self::Before(number) => (Some(number.get()), None),
            Self::After(number) => (None, Some(number.get())),
        }
    }
}

/// A query about one conversation. `$query` has the application as `$1` and the conversation's id as
/// the row of `conversation`, which has no row if the conversation does not exist. Its other
/// parameters are numbered from `$5` on.
macro_rules! query_inside {
    ($application:expr, $conversation:expr, $query:tt, $($arguments:tt)*) => {
        sqlx::query_scalar!(
            r#"
            WITH conversation AS MATERIALIZED (
                SELECT id FROM conversations
                WHERE application_id = $1 AND chat_number = $2
                UNION ALL
                SELECT id FROM conversations
                WHERE application_id = $1 AND least = $3 AND greatest = $4 AND chat_number IS NULL
                  AND importing IS NOT TRUE
            )
            "# + $query,
            $application.get(),
            $conversation.chat().map(|chat| chat.get()),
            $conversation.pair().map(|pair| pair.least().as_str()),
            $conversation.pair().map(|pair| pair.greatest().as_str()),
            $($arguments)*
        )
    };
}

/// Reads a page of a conversation, with the deleted messages, from those after the number `reads_after`.
pub async fn read(
    connection: &mut PgConnection,
    application: ApplicationId,
    conversation: &Conversation,
    span: Span,
    reads_after: MessageNumber,
    limit: i64,
) -> Result<Vec<Arc<Message>>> {
    let (before, after) = span.bounds();
    let rows = query_inside!(
        application,
        conversation,
        r#"
        (
            SELECT m AS "message!: MessageRow"
            FROM messages AS m
            WHERE application_id = $1 AND conversation_id = (SELECT id FROM conversation)
              AND number < $5 AND number > $8
            ORDER BY number DESC
            LIMIT $7
        ) UNION ALL (
            SELECT m
            FROM messages AS m
            WHERE application_id = $1 AND conversation_id = (SELECT id FROM conversation)
              AND number > greatest($6, $8) AND $6 IS NOT NULL
            ORDER BY number
            LIMIT $7
        )
        "#,
        before,
        after,
        limit,
        reads_after.get(),
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(MessageRow::into_message).collect()
}

/// The id of a conversation's message.
pub async fn id_of(
    connection: &mut PgConnection,
    application: ApplicationId,
    conversation: &Conversation,
    number: MessageNumber,
) -> Result<Option<MessageId>> {
    let id = query_inside!(
        application,
        conversation,
        r#"
        SELECT id FROM messages
        WHERE application_id = $1 AND conversation_id = (SELECT id FROM conversation)
          AND number = $5
        "#,
        number.get(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(id.map(MessageId::new))
}
