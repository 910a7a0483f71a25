//! The messages that reply to a message. Each page is one range of one index.

use std::sync::Arc;

use sqlx::PgConnection;

use super::{Result, messages::MessageRow};
use crate::domain::{ApplicationId, Message, MessageId, MessageNumber};

/// A page of the replies to a message, and how many there are in all. Deleted ones reply to nothing.
#[derive(Debug)]
pub struct Replies {
    /// By number, the oldest first.
    pub messages: Vec<Arc<Message>>,
    pub count: i64,
    /// The number of the newest reply; `None` if there is none.
    pub last: Option<MessageNumber>,
}

/// Reads the replies after a number, all of them counted in the same snapshot.
///
/// They are in the conversation of the root, and came after it. So whoever may read the root may read
/// each of them.
pub async fn read(
    connection: &mut PgConnection,
    application: ApplicationId,
    root: MessageId,
    after: MessageNumber,
    limit: i64,
) -> Result<Replies> {
    let rows = sqlx::query!(
        r#"
        SELECT counted.count AS "count!", counted.last, page.message AS "message?: MessageRow"
        FROM (
            SELECT count(*) AS count, max(number) AS last
            FROM messages
            WHERE application_id = $1 AND reply_to = $2
        ) AS counted
        LEFT JOIN LATERAL (
            SELECT m AS message, number
            FROM messages AS m
            WHERE application_id = $1 AND reply_to = $2 AND number > $3
            ORDER BY number
            LIMIT $4
        ) AS page ON TRUE
        ORDER BY page.number
        "#,
        application.get(),
        root.get(),
        after.get(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    let mut replies = Replies {
        messages: Vec::with_capacity(rows.len()),
        count: 0,
        last: None,
    };
    for row in rows {
        // Every row repeats these values.
        replies.count = row.count;
        replies.last = row.last.map(MessageNumber::new);
        if let Some(message) = row.message {
            replies.messages.push(message.into_message()?);
        }
    }
    Ok(replies)
}
