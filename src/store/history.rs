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

/// A query about one conversation. `$query` has the application as `$1` and the conversation's id and
/// first message as the row of `conversation`, which has no row if the conversation does not exist. Its other
/// parameters are numbered from `$5` on.
macro_rules! query_inside {
    ($application:expr, $conversation:expr, $query:tt, $($arguments:tt)*) => {
        sqlx::query_scalar!(
            r#"
            WITH conversation AS MATERIALIZED (
                SELECT id, first FROM conversations
                WHERE application_id = $1 AND chat_number = $2
                UNION ALL
                SELECT id, first FROM conversations
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

/// Reads a page of a conversation, with the deleted messages, from those after the number `reads_after` that have not
/// expired.
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
              AND number < $5 AND number > $8 AND number >= (SELECT first FROM conversation)
            ORDER BY number DESC
            LIMIT $7
        ) UNION ALL (
            SELECT m
            FROM messages AS m
            WHERE application_id = $1 AND conversation_id = (SELECT id FROM conversation)
              AND number > greatest($6, $8) AND $6 IS NOT NULL
              AND number >= (SELECT first FROM conversation)
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

/// A message that is named by its number in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbered {
    Kept(MessageId),
    Expired,
    /// There is no such message, or no such conversation.
    Unknown,
}

/// Finds a conversation's message by its number.
pub async fn numbered(
    connection: &mut PgConnection,
    application: ApplicationId,
    conversation: &Conversation,
    number: MessageNumber,
) -> Result<Numbered> {
    let found = query_inside!(
        application,
        conversation,
        r#"
        SELECT ARRAY(
            SELECT id FROM messages
            WHERE application_id = $1 AND conversation_id = conversation.id AND number = $5
              AND number >= conversation.first
        ) || CASE WHEN $5 BETWEEN 1 AND conversation.first - 1 THEN 0::bigint END AS "found!: Vec<Option<i64>>"
        FROM conversation
        "#,
        number.get(),
    )
    .fetch_optional(connection)
    .await?;
    let found = found.and_then(|found| found.into_iter().flatten().next());
    Ok(match found {
        Some(0) => Numbered::Expired,
        Some(id) => Numbered::Kept(MessageId::new(id)),
        None => Numbered::Unknown,
    })
}
