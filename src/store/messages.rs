//! The table `messages`.

use std::sync::Arc;

use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};
use time::OffsetDateTime;

use super::{Result, columns};
use crate::domain::{
    ApplicationId, Attributes, ChatNumber, Content, FileId, Files, Message, MessageId,
    MessageNumber, Recipient, Text, Timestamp, UserId,
};

/// A row as it is read. Every query that reads whole messages names these columns.
pub(super) struct MessageRow {
    pub application_id: i64,
    pub id: i64,
    pub timestamp: i64,
    pub sender: Option<String>,
    pub recipient: Option<String>,
    pub chat_number: Option<i64>,
    pub number: Option<i64>,
    pub created: OffsetDateTime,
    pub edited: Option<OffsetDateTime>,
    pub read: bool,
    pub text: Option<String>,
    pub files: Option<Vec<String>>,
    pub attributes: Option<Json<Box<RawValue>>>,
    pub reply_to: Option<i64>,
    pub deleted: bool,
}

/// Reads the messages that exist, in any order.
pub async fn load(
    connection: &mut PgConnection,
    ids: impl Iterator<Item = (ApplicationId, MessageId)>,
) -> Result<Vec<(ApplicationId, Arc<Message>)>> {
    let (applications, ids) = columns(ids);
    let rows = sqlx::query_as!(
        MessageRow,
        r#"
        SELECT m.application_id, m.id, m.timestamp, m.sender, m.recipient, m.chat_number, m.number,
               m.created, m.edited, m.read, m.text, m.files, m.attributes AS "attributes: _",
               m.reply_to, m.deleted
        FROM unnest($1::bigint[], $2::bigint[]) AS wanted (application_id, id)
        JOIN messages AS m USING (application_id, id)
        "#,
        &applications,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(MessageRow::into_message).collect())
}

/// A message and for whom it is read; `None` is the application itself.
pub type Asked = (ApplicationId, Option<UserId>, MessageId);

/// Reads messages, each for somebody who may know of it: a participant of its conversation, a
/// present member of its chat, or the application where it is of a chat. In the order of `asked`.
pub async fn find(
    connection: &mut PgConnection,
    asked: &[&Asked],
) -> Result<Vec<Option<Arc<Message>>>> {
    let applications: Vec<_> = asked.iter().map(|asked| asked.0.0).collect();
    let users: Vec<_> = asked
        .iter()
        .map(|asked| asked.1.as_ref().map(UserId::as_str))
        .collect();
    let ids: Vec<_> = asked.iter().map(|asked| asked.2.0).collect();
    let rows = sqlx::query!(
        r#"
        SELECT asked.ordinal AS "ordinal!",
               m.application_id, m.id, m.timestamp, m.sender, m.recipient, m.chat_number, m.number,
               m.created, m.edited, m.read, m.text, m.files,
               m.attributes AS "attributes: Json<Box<RawValue>>", m.reply_to, m.deleted
        FROM unnest($1::bigint[], $2::text[], $3::bigint[])
                 WITH ORDINALITY AS asked (application_id, user_id, id, ordinal)
        JOIN messages AS m USING (application_id, id)
        WHERE CASE
            WHEN m.chat_number IS NULL THEN asked.user_id IN (m.sender, m.recipient)
            ELSE asked.user_id IS NULL OR (
                SELECT TRUE
                FROM chat_members AS c
                WHERE c.application_id = m.application_id AND c.chat_number = m.chat_number
                  AND c.user_id = asked.user_id AND c.departed IS NULL
                LIMIT 1
            )
        END
        "#,
        &applications,
        &users as &[Option<&str>],
        &ids,
    )
    .map(|row| {
        let message = MessageRow {
            application_id: row.application_id,
            id: row.id,
            timestamp: row.timestamp,
            sender: row.sender,
            recipient: row.recipient,
            chat_number: row.chat_number,
            number: row.number,
            created: row.created,
            edited: row.edited,
            read: row.read,
            text: row.text,
            files: row.files,
            attributes: row.attributes,
            reply_to: row.reply_to,
            deleted: row.deleted,
        };
        (row.ordinal, message.into_message().1)
    })
    .fetch_all(connection)
    .await?;
    let mut found = vec![None; asked.len()];
    for (ordinal, message) in rows {
        let index = usize::try_from(ordinal - 1).expect("ordinals count what was asked from 1");
        found[index] = Some(message);
    }
    Ok(found)
}

impl MessageRow {
    pub(super) fn into_message(self) -> (ApplicationId, Arc<Message>) {
        let files = self.files.unwrap_or_default();
        let content = Content {
            text: self.text.map(Text::trusted),
            files: Files::trusted(files.iter().map(|file| FileId::trusted(file)).collect()),
            attributes: self.attributes.map(|Json(raw)| Attributes::trusted(raw)),
            reply_to: self.reply_to.map(MessageId),
            edited: self.edited,
            read: self.read,
        };
        let to = match (self.chat_number, self.number) {
            (Some(chat), Some(number)) => Recipient::Chat(ChatNumber(chat), MessageNumber(number)),
            _ => Recipient::User(UserId::trusted(&self.recipient.unwrap_or_default())),
        };
        let message = Message {
            id: MessageId(self.id),
            timestamp: Timestamp(self.timestamp),
            from: self.sender.as_deref().map(UserId::trusted),
            to,
            created: self.created,
            content: (!self.deleted).then_some(content),
        };
        (ApplicationId(self.application_id), Arc::new(message))
    }
}
