//! What is stored of one user.

use std::sync::Arc;

use sqlx::PgConnection;

use super::{Result, messages::MessageRow};
use crate::domain::{
    ApplicationId, ChatNumber, ConversationId, Message, MessageId, MessageNumber, ReactionKey,
    Subject, UserId,
};

/// A conversation that the user is in or was in, with a message of the user, if there is one.
#[derive(Debug)]
pub struct OwnMessage {
    pub conversation: ConversationId,
    /// The conversation as the user names it.
    pub subject: Subject,
    pub message: Option<Arc<Message>>,
}

impl OwnMessage {
    /// Its place: by conversation, and then by number.
    pub fn place(&self) -> (ConversationId, MessageNumber) {
        let number = self.message.as_ref().map(|message| message.number);
        (self.conversation, number.unwrap_or(MessageNumber::ZERO))
    }
}

/// The messages that the user has sent and that are not deleted, after a place. A conversation without one
/// has one row of its own.
pub async fn messages(
    connection: &mut PgConnection,
    application: ApplicationId,
    user: &UserId,
    (conversation, number): (ConversationId, MessageNumber),
    limit: i64,
) -> Result<Vec<OwnMessage>> {
    let rows = sqlx::query!(
        r#"
        SELECT mine.id AS "id!", mine.chat_number, mine.other, m.message AS "message?: MessageRow"
        FROM (
            SELECT c.id, c.chat_number, NULL::text COLLATE "C" AS other, c.first
            FROM (
                SELECT chat_number FROM chat_members
                WHERE application_id = $1 AND user_id = $2 AND departed IS NULL
                UNION
                SELECT chat_number FROM chat_members
                WHERE application_id = $1 AND user_id = $2 AND departed IS NOT NULL
            ) AS chats
            CROSS JOIN LATERAL (
                -- The limit makes this a lookup by key, whatever the planner assumes about the table.
                SELECT * FROM conversations AS found
                WHERE found.application_id = $1 AND found.chat_number = chats.chat_number
                  AND found.deleted IS NULL
                LIMIT 1
            ) AS c
            WHERE c.id >= $3
            UNION ALL
            SELECT c.id, NULL, c.greatest, c.first FROM conversations AS c
            WHERE c.application_id = $1 AND c.least BETWEEN $2 AND $2 AND c.chat_number IS NULL
              AND c.id >= $3
            UNION ALL
            SELECT c.id, NULL, c.least, c.first FROM conversations AS c
            WHERE c.application_id = $1 AND c.greatest BETWEEN $2 AND $2 AND c.least <> c.greatest
              AND c.chat_number IS NULL AND c.id >= $3
            ORDER BY 1
        ) AS mine
        LEFT JOIN LATERAL (
            -- One of the two halves has no rows, and is not run.
            (
                SELECT found AS message, found.number FROM messages AS found
                WHERE found.application_id = $1 AND found.chat_number = mine.chat_number
                  AND found.sender = $2 AND NOT found.deleted
                  AND found.number > CASE WHEN mine.id = $3 THEN $4::bigint ELSE 0 END
                  AND found.number >= mine.first
                ORDER BY found.number LIMIT $5
            )
            UNION ALL
            (
                SELECT found, found.number FROM messages AS found
                WHERE found.application_id = $1 AND found.conversation_id = mine.id
                  AND mine.chat_number IS NULL AND found.sender = $2 AND NOT found.deleted
                  AND found.number > CASE WHEN mine.id = $3 THEN $4::bigint ELSE 0 END
                  AND found.number >= mine.first
                ORDER BY found.number LIMIT $5
            )
        ) AS m ON TRUE
        WHERE m.number IS NOT NULL OR mine.id > $3
        ORDER BY mine.id, m.number
        LIMIT $5
        "#,
        application.get(),
        user.as_str(),
        conversation.get(),
        number.get(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    let own = rows.into_iter().map(|row| {
        let subject = match row.chat_number {
            Some(number) => Subject::Chat(ChatNumber::new(number)),
            None => Subject::With(UserId::trusted(&row.other.unwrap_or_default())),
        };
        Ok(OwnMessage {
            conversation: ConversationId::new(row.id),
            subject,
            message: row.message.map(MessageRow::into_message).transpose()?,
        })
    });
    own.collect()
}

/// The user's reactions to messages after one, by message, in the order in which they were added. Those to the
/// last message are all there, even if there are more than `limit` with them.
pub async fn reactions(
    connection: &mut PgConnection,
    application: ApplicationId,
    user: &UserId,
    after: MessageId,
    limit: i64,
) -> Result<Vec<(MessageId, ReactionKey)>> {
    let rows = sqlx::query!(
        "SELECT message_id, key
         FROM (
             SELECT message_id, number, key FROM reactions
             WHERE application_id = $1 AND user_id = $2 AND message_id > $3
             ORDER BY message_id
             FETCH FIRST $4 ROWS WITH TIES
         ) AS found
         ORDER BY message_id, number",
        application.get(),
        user.as_str(),
        after.get(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    let reactions = rows.into_iter().map(|row| {
        (
            MessageId::new(row.message_id),
            ReactionKey::trusted(&row.key),
        )
    });
    Ok(reactions.collect())
}
