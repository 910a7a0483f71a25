//! The table `messages`.

use std::sync::Arc;

use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};
use time::OffsetDateTime;

use super::{Error, Result, columns};
use crate::domain::{
    ApplicationId, Attributes, ChatNumber, Content, Conversation, ConversationId, FileId, Files,
    Mentions, Message, MessageId, MessageNumber, Text, Timestamp, UserId,
};

/// A row of the table, as a value of its composite type. The fields are all columns of the table,
/// in the table's order, which a test compares. No other place reads the columns of a message.
#[derive(Debug, sqlx::Type)]
#[sqlx(type_name = "messages")]
pub(super) struct MessageRow {
    application_id: i64,
    id: i64,
    conversation_id: i64,
    number: i64,
    timestamp: i64,
    sender: Option<String>,
    recipient: Option<String>,
    chat_number: Option<i64>,
    created: OffsetDateTime,
    edited: Option<OffsetDateTime>,
    text: Option<String>,
    files: Option<Vec<String>>,
    attributes: Option<Json<Box<RawValue>>>,
    reply_to: Option<i64>,
    deleted: bool,
    idempotency_key: Option<String>,
    request_digest: Option<Vec<u8>>,
    sent: Option<i64>,
    recipient_newest: Option<i64>,
    mentions: Option<Vec<String>>,
    mentions_all: Option<bool>,
}

/// Reads the messages that exist, in any order.
pub async fn load(
    connection: &mut PgConnection,
    application: ApplicationId,
    ids: &[MessageId],
) -> Result<Vec<Arc<Message>>> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    let rows = sqlx::query_scalar!(
        r#"
        SELECT m.message AS "message!: MessageRow"
        FROM unnest($2::bigint[]) AS lookup (id)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT found AS message FROM messages AS found
            WHERE found.application_id = $1 AND found.id = lookup.id
            LIMIT 1
        ) AS m
        "#,
        application.get(),
        &ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(MessageRow::into_message).collect()
}

/// A message and the user who reads it; `None` is the application itself.
pub type MessageRequest = (Option<UserId>, MessageId);

/// Reads each message, if the requester may read it: a user of its conversation, a present member
/// of its chat, or the application if it is in a chat. The order is that of `requests`.
pub async fn find(
    connection: &mut PgConnection,
    application: ApplicationId,
    requests: &[&MessageRequest],
) -> Result<Vec<Option<Arc<Message>>>> {
    columns!(for (user, id) in requests => {
        users: user.as_ref().map(UserId::as_str),
        ids: id.get(),
    });
    let rows = sqlx::query!(
        r#"
        SELECT request.ordinal AS "ordinal!", m.message AS "message!: MessageRow"
        FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY AS request (user_id, id, ordinal)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT found AS message FROM messages AS found
            WHERE found.application_id = $1 AND found.id = request.id
              AND CASE
                WHEN found.chat_number IS NULL
                    THEN request.user_id IN (found.sender, found.recipient)
                ELSE request.user_id IS NULL OR (
                    SELECT TRUE
                    FROM chat_members AS c
                    WHERE c.application_id = $1 AND c.chat_number = found.chat_number
                      AND c.user_id = request.user_id AND c.departed IS NULL
                    LIMIT 1
                )
              END
            LIMIT 1
        ) AS m
        "#,
        application.get(),
        &users as &[Option<&str>],
        &ids,
    )
    .fetch_all(connection)
    .await?;
    let mut found = vec![None; requests.len()];
    for row in rows {
        let index = usize::try_from(row.ordinal - 1).expect("ordinals count the requests from 1");
        found[index] = Some(row.message.into_message()?);
    }
    Ok(found)
}

impl MessageRow {
    pub(super) fn into_message(self) -> Result<Arc<Message>> {
        let inconsistent = Error::Inconsistent {
            table: "messages",
            id: self.id,
        };
        let files = self.files.unwrap_or_default();
        let mentions = self.mentions.unwrap_or_default();
        let content = Content {
            text: self.text.map(Text::trusted),
            files: Files::trusted(files.iter().map(|file| FileId::trusted(file)).collect()),
            attributes: self.attributes.map(|Json(raw)| Attributes::trusted(raw)),
            mentions: Mentions::trusted(
                mentions.iter().map(|user| UserId::trusted(user)).collect(),
                self.mentions_all.unwrap_or(false),
            ),
            reply_to: self.reply_to.map(MessageId::new),
            edited: self.edited,
        };
        let from = self.sender.as_deref().map(UserId::trusted);
        let conversation = match (self.chat_number, &from, self.recipient) {
            (Some(chat), ..) => Conversation::Chat(ChatNumber::new(chat)),
            (None, Some(from), Some(to)) => Conversation::between(from, &UserId::trusted(&to)),
            (None, ..) => return Err(inconsistent),
        };
        Ok(Arc::new(Message {
            id: MessageId::new(self.id),
            timestamp: Timestamp::new(self.timestamp),
            from,
            conversation,
            conversation_id: ConversationId::new(self.conversation_id),
            number: MessageNumber::new(self.number),
            created: self.created,
            content: (!self.deleted).then_some(content),
        }))
    }
}
