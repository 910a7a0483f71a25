//! What is stored of one user.

use std::sync::Arc;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Result, messages::MessageRow};
use crate::domain::{
    ApplicationId, ChatNumber, ConversationId, Message, MessageId, MessageNumber, ReactionKey,
    Subject, Timestamp, UserId,
};

/// The most messages of a personal conversation, and of those without a sender in chats, that one statement looks at:
/// among them are those of others.
const LOOKED_AT_MAX: i64 = 1000;

/// A place among the user's messages: by conversation, and then by number.
pub type OwnPlace = (ConversationId, MessageNumber);

/// Some messages of the user.
pub struct OwnMessages {
    pub own: Vec<OwnMessage>,
    /// The place after which there may be more.
    pub next: Option<OwnPlace>,
}

/// A conversation that the user is in or was in, or into which messages of the user were imported; with a message of
/// the user, if there is one.
#[derive(Debug)]
pub struct OwnMessage {
    pub conversation: ConversationId,
    /// The conversation as the user names it.
    pub subject: Subject,
    pub message: Option<Arc<Message>>,
}

impl OwnMessage {
    pub fn place(&self) -> OwnPlace {
        let number = self.message.as_ref().map(|message| message.number);
        (self.conversation, number.unwrap_or(MessageNumber::ZERO))
    }
}

/// A conversation of the user, with a message of the user after the place, if there is one.
struct OwnRow {
    id: i64,
    chat_number: Option<i64>,
    /// The other user of a personal conversation.
    other: Option<String>,
    message: Option<MessageRow>,
    /// The number up to which a personal conversation was looked at, if it goes on after that.
    until: Option<i64>,
}

/// The conversations from the place on, with some of the user's messages after it, in order.
async fn own_rows(
    connection: &mut PgConnection,
    application: ApplicationId,
    user: &UserId,
    (conversation, number): OwnPlace,
    limit: i64,
) -> Result<Vec<OwnRow>> {
    let rows = sqlx::query_as!(
        OwnRow,
        r#"
        WITH RECURSIVE imported (conversation_id, chat_number) AS (
            (
                SELECT conversation_id, chat_number FROM messages
                WHERE application_id = $1 AND sender = $2 AND import_key IS NOT NULL
                  AND chat_number IS NOT NULL AND NOT deleted AND conversation_id >= $3
                ORDER BY conversation_id LIMIT 1
            )
            UNION ALL
            -- From each chat to the next one, whatever the number of messages.
            SELECT following.* FROM imported CROSS JOIN LATERAL (
                SELECT conversation_id, chat_number FROM messages
                WHERE application_id = $1 AND sender = $2 AND import_key IS NOT NULL
                  AND chat_number IS NOT NULL AND NOT deleted
                  AND conversation_id > imported.conversation_id
                ORDER BY conversation_id LIMIT 1
            ) AS following
        )
        SELECT mine.id AS "id!", mine.chat_number, mine.other, m.message AS "message?: MessageRow",
               looked_at.until AS "until?"
        FROM (
            SELECT c.id, c.chat_number, NULL::text COLLATE "C" AS other, c.first
            FROM (
                SELECT chat_number FROM chat_members
                WHERE application_id = $1 AND user_id = $2 AND departed IS NULL
                UNION
                SELECT chat_number FROM chat_members
                WHERE application_id = $1 AND user_id = $2 AND departed IS NOT NULL
                UNION
                SELECT chat_number FROM imported
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
        CROSS JOIN LATERAL (
            -- What has expired is passed over.
            SELECT greatest(CASE WHEN mine.id = $3 THEN $4::bigint ELSE 0 END, mine.first - 1) AS after
            LIMIT 1
        ) AS begin
        -- Up to where a personal conversation is looked at that goes on after that.
        LEFT JOIN LATERAL (
            SELECT begin.after + $6 AS until FROM messages AS later
            WHERE later.application_id = $1 AND later.conversation_id = mine.id
              AND mine.chat_number IS NULL AND later.number > begin.after + $6
            ORDER BY later.number LIMIT 1
        ) AS looked_at ON TRUE
        LEFT JOIN LATERAL (
            -- One of the two halves has no rows, and is not run.
            (
                SELECT found AS message, found.number FROM messages AS found
                WHERE found.application_id = $1 AND found.chat_number = mine.chat_number
                  AND found.sender = $2 AND NOT found.deleted
                  AND found.number > begin.after
                ORDER BY found.number LIMIT $5
            )
            UNION ALL
            (
                SELECT found, found.number FROM messages AS found
                WHERE found.application_id = $1 AND found.conversation_id = mine.id
                  AND mine.chat_number IS NULL AND found.sender = $2 AND NOT found.deleted
                  AND found.number > begin.after AND found.number <= begin.after + $6
                ORDER BY found.number LIMIT $5
            )
        ) AS m ON TRUE
        WHERE m.number IS NOT NULL OR mine.id > $3 OR looked_at.until IS NOT NULL
        ORDER BY mine.id, m.number
        LIMIT $5
        "#,
        application.get(),
        user.as_str(),
        conversation.get(),
        number.get(),
        limit,
        LOOKED_AT_MAX,
    );
    Ok(rows.fetch_all(connection).await?)
}

/// The messages that the user has sent and that are not deleted, after a place. A conversation without one
/// has one entry of its own. There may be more even where there is nothing.
pub async fn messages(
    connection: &mut PgConnection,
    application: ApplicationId,
    user: &UserId,
    place: OwnPlace,
    limit: i64,
) -> Result<OwnMessages> {
    let rows = own_rows(connection, application, user, place, limit).await?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= limit);
    // Of a conversation that goes on, the rest comes before the next conversation.
    let going_on = rows.iter().find_map(|row| Some((row.id, row.until?)));
    let is_before = |id| going_on.is_none_or(|(conversation, _)| id <= conversation);
    let is_cut = rows.last().is_some_and(|row| !is_before(row.id));
    let rows = rows.into_iter().filter(|row| is_before(row.id));
    let own = rows.map(|row| {
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
    let own = own.collect::<Result<Vec<_>>>()?;
    let until = going_on.map(|(id, until)| (ConversationId::new(id), MessageNumber::new(until)));
    let next = match own.last() {
        Some(last) if is_full && !is_cut => {
            let has_nothing = last.message.is_none();
            let until = until.filter(|(id, _)| has_nothing && *id == last.conversation);
            until.or(Some(last.place()))
        }
        _ => until,
    };
    Ok(OwnMessages { own, next })
}

/// The messages without a sender that the user has posted with changes of chats, after a place, in the chats that the
/// user is in or was in. There may be more even where there is nothing.
///
/// Only the log says who has posted them, under the timestamp of the message. So those that the application has edited
/// since, or whose change is trimmed, are nobody's.
pub async fn announcements(
    connection: &mut PgConnection,
    application: ApplicationId,
    user: &UserId,
    (conversation, number): OwnPlace,
    limit: i64,
) -> Result<OwnMessages> {
    let rows = sqlx::query!(
        r#"
        SELECT m.conversation_id AS "conversation!", m.number AS "number!",
               m.chat_number AS "chat!",
               CASE WHEN posted.actor = $2 THEN m.message END AS "message?: MessageRow"
        FROM (
            SELECT mine.id AS conversation_id, mine.chat_number, found.message, found.number,
                   found.timestamp
            FROM (
                SELECT c.id, c.chat_number, c.first
                FROM (
                    SELECT chat_number FROM chat_members
                    WHERE application_id = $1 AND user_id = $2 AND departed IS NULL
                    UNION
                    SELECT chat_number FROM chat_members
                    WHERE application_id = $1 AND user_id = $2 AND departed IS NOT NULL
                ) AS chats
                CROSS JOIN LATERAL (
                    -- The limit makes this a lookup by key, whatever the planner assumes about the table.
                    SELECT * FROM conversations AS chat
                    WHERE chat.application_id = $1 AND chat.chat_number = chats.chat_number
                      AND chat.deleted IS NULL
                    LIMIT 1
                ) AS c
                WHERE c.id >= $3
                ORDER BY c.id
            ) AS mine
            CROSS JOIN LATERAL (
                -- What has expired is passed over.
                SELECT told AS message, told.number, told.timestamp FROM messages AS told
                WHERE told.application_id = $1 AND told.conversation_id = mine.id
                  AND told.system AND NOT told.deleted AND told.number >= mine.first
                  AND told.number > CASE WHEN mine.id = $3 THEN $4::bigint ELSE 0 END
                ORDER BY told.number LIMIT $5
            ) AS found
            ORDER BY mine.id, found.number
            LIMIT $5
        ) AS m
        LEFT JOIN LATERAL (
            SELECT actor FROM changes
            WHERE application_id = $1 AND timestamp = m.timestamp AND kind = 'message-created'
            LIMIT 1
        ) AS posted ON TRUE
        ORDER BY m.conversation_id, m.number
        "#,
        application.get(),
        user.as_str(),
        conversation.get(),
        number.get(),
        LOOKED_AT_MAX,
    )
    .fetch_all(connection)
    .await?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= LOOKED_AT_MAX);
    let last = rows.last().filter(|_| is_full);
    let mut next = last.map(|last| {
        let number = MessageNumber::new(last.number);
        (ConversationId::new(last.conversation), number)
    });
    let mut own = Vec::new();
    for row in rows {
        let Some(message) = row.message else { continue };
        own.push(OwnMessage {
            conversation: ConversationId::new(row.conversation),
            subject: Subject::Chat(ChatNumber::new(row.chat)),
            message: Some(message.into_message()?),
        });
    }
    let limit = usize::try_from(limit).unwrap_or(0);
    if own.len() > limit {
        own.truncate(limit);
        next = own.last().map(OwnMessage::place);
    }
    Ok(OwnMessages { own, next })
}

/// A reaction of the user.
pub struct OwnReaction {
    pub message: MessageId,
    pub key: ReactionKey,
    /// The message has not expired, and is neither deleted nor in a chat that is.
    pub is_shown: bool,
}

/// The user's reactions to messages after one, by message, in the order in which they were added. Those to the
/// last message are all there, even if there are more than `limit` with them.
pub async fn reactions(
    connection: &mut PgConnection,
    application: ApplicationId,
    user: &UserId,
    after: MessageId,
    limit: i64,
) -> Result<Vec<OwnReaction>> {
    let rows = sqlx::query!(
        r#"
         SELECT message_id, key, coalesce(message.is_shown, FALSE) AS "is_shown!"
         FROM (
             SELECT message_id, number, key FROM reactions
             WHERE application_id = $1 AND user_id = $2 AND message_id > $3
             ORDER BY message_id
             FETCH FIRST $4 ROWS WITH TIES
         ) AS found
         LEFT JOIN LATERAL (
             SELECT NOT m.deleted AND c.deleted IS NULL AND m.number >= c.first AS is_shown
             FROM messages AS m
             CROSS JOIN LATERAL (
                 SELECT deleted, first FROM conversations
                 WHERE application_id = $1 AND id = m.conversation_id
                 LIMIT 1
             ) AS c
             WHERE m.application_id = $1 AND m.id = found.message_id
             LIMIT 1
         ) AS message ON TRUE
         ORDER BY message_id, number
         "#,
        application.get(),
        user.as_str(),
        after.get(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    let reactions = rows.into_iter().map(|row| OwnReaction {
        message: MessageId::new(row.message_id),
        key: ReactionKey::trusted(&row.key),
        is_shown: row.is_shown,
    });
    Ok(reactions.collect())
}

/// A message that the user has pinned in a chat.
pub struct OwnPin {
    pub chat: ChatNumber,
    pub message: MessageId,
    /// The change that has pinned it.
    pub timestamp: Timestamp,
    pub created: OffsetDateTime,
    /// The chat is not deleted, and the message has not expired.
    pub is_shown: bool,
}

/// What the user has pinned after a point of the timeline, in that order.
pub async fn pins(
    connection: &mut PgConnection,
    application: ApplicationId,
    user: &UserId,
    after: Timestamp,
    limit: i64,
) -> Result<Vec<OwnPin>> {
    let rows = sqlx::query!(
        r#"
        SELECT pin.chat_number, pin.message_id, pin.timestamp, pin.created,
               c.deleted IS NULL AND coalesce((
                   SELECT m.number >= c.first FROM messages AS m
                   WHERE m.application_id = $1 AND m.id = pin.message_id
                   LIMIT 1
               ), FALSE) AS "is_shown!"
        FROM (
            SELECT * FROM pins
            WHERE application_id = $1 AND pinned_by = $2 AND timestamp > $3
            ORDER BY timestamp LIMIT $4
        ) AS pin
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT deleted, first FROM conversations
            WHERE application_id = $1 AND chat_number = pin.chat_number
            LIMIT 1
        ) AS c
        ORDER BY pin.timestamp
        "#,
        application.get(),
        user.as_str(),
        after.get(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    let pins = rows.into_iter().map(|row| OwnPin {
        chat: ChatNumber::new(row.chat_number),
        message: MessageId::new(row.message_id),
        timestamp: Timestamp::new(row.timestamp),
        created: row.created,
        is_shown: row.is_shown,
    });
    Ok(pins.collect())
}

/// The chats after one that the user is kept from joining, and since when.
pub async fn bans(
    connection: &mut PgConnection,
    application: ApplicationId,
    user: &UserId,
    after: ChatNumber,
    limit: i64,
) -> Result<Vec<(ChatNumber, OffsetDateTime)>> {
    let rows = sqlx::query!(
        "SELECT chat_number, created FROM chat_bans
         WHERE application_id = $1 AND user_id = $2 AND chat_number > $3
         ORDER BY user_id, chat_number LIMIT $4",
        application.get(),
        user.as_str(),
        after.get(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    let bans = rows.into_iter();
    Ok(bans
        .map(|row| (ChatNumber::new(row.chat_number), row.created))
        .collect())
}
