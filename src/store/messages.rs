//! The table `messages`.

use std::sync::Arc;

use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};
use time::OffsetDateTime;

use super::{Lane, Result, columns};
use crate::domain::{
    ApplicationId, Attributes, ChatNumber, Content, Digest, FileId, Files, IdempotencyKey, Message,
    MessageId, MessageNumber, Recipient, Text, Timestamp, UserId,
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

/// A new message with the idempotency key under which it was sent.
pub struct NewMessage<'a> {
    pub application: ApplicationId,
    pub message: &'a Message,
    pub key: Option<(&'a IdempotencyKey, Digest)>,
}

/// A message as a change has left it.
pub struct ChangedMessage<'a> {
    pub application: ApplicationId,
    pub message: &'a Message,
    pub text_changed: bool,
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
pub async fn find(connection: &mut PgConnection, asked: &[&Asked]) -> Result<Vec<Option<Arc<Message>>>> {
    let applications: Vec<_> = asked.iter().map(|asked| asked.0.0).collect();
    let users: Vec<_> = asked.iter().map(|asked| asked.1.as_ref().map(UserId::as_str)).collect();
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

/// Inserts new messages, and tells the indexer of their texts.
pub async fn insert(lane: &mut Lane, new: &[NewMessage<'_>]) -> Result<()> {
    let keys: Vec<Option<&str>> = new.iter().map(|new| Some(new.key.as_ref()?.0.as_str())).collect();
    let digests: Vec<Option<&[u8]>> = new.iter().map(|new| Some(&new.key.as_ref()?.1.0[..])).collect();
    let rows = Columns::of(new.iter().map(|new| (new.application, new.message)));
    sqlx::query!(
        r#"
        WITH new AS (
            SELECT *
            FROM unnest(
                $1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[],
                $7::timestamptz[], $8::boolean[], $9::text[], $10::text[], $11::text[], $12::bigint[],
                $13::boolean[], $14::text[], $15::bytea[], $16::bigint[], $17::bigint[]
            ) AS new (
                application_id, id, timestamp, sender, recipient, created, edited, read, text, files,
                attributes, reply_to, deleted, idempotency_key, request_digest, chat_number, number
            )
        ),
        pending AS (
            INSERT INTO search_pending (application_id, message_id, sender, recipient, chat_number)
            SELECT application_id, id, sender, recipient, chat_number FROM new WHERE text IS NOT NULL
        )
        INSERT INTO messages (
            application_id, id, timestamp, sender, recipient, created, edited, read, text, files,
            attributes, reply_to, deleted, idempotency_key, request_digest, chat_number, number
        )
        SELECT application_id, id, timestamp, sender, recipient, created, edited, read, text,
               files::text[], attributes::json, reply_to, deleted, idempotency_key, request_digest,
               chat_number, number
        FROM new
        "#,
        &rows.applications,
        &rows.ids,
        &rows.timestamps,
        &rows.senders as &[Option<&str>],
        &rows.recipients as &[Option<&str>],
        &rows.created,
        &rows.edited as &[Option<OffsetDateTime>],
        &rows.read,
        &rows.texts as &[Option<&str>],
        &rows.files as &[Option<String>],
        &rows.attributes as &[Option<&str>],
        &rows.reply_to as &[Option<i64>],
        &rows.deleted,
        &keys as &[Option<&str>],
        &digests as &[Option<&[u8]>],
        &rows.chats as &[Option<i64>],
        &rows.numbers as &[Option<i64>],
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Stores what changes of messages change: a deletion clears the data, an edit leaves the rest. Tells
/// the indexer of the texts.
pub async fn update(lane: &mut Lane, changed: &[ChangedMessage<'_>]) -> Result<()> {
    let rows = Columns::of(changed.iter().map(|changed| (changed.application, changed.message)));
    let text_changed: Vec<_> = changed.iter().map(|changed| changed.text_changed).collect();
    sqlx::query!(
        r#"
        WITH new AS (
            SELECT *
            FROM unnest(
                $1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::boolean[], $6::text[],
                $7::boolean[], $8::boolean[], $9::text[], $10::text[], $11::bigint[]
            ) AS new (
                application_id, id, timestamp, edited, read, text, deleted, text_changed, sender,
                recipient, chat_number
            )
        ),
        pending AS (
            INSERT INTO search_pending (application_id, message_id, sender, recipient, chat_number)
            SELECT application_id, id, sender, recipient, chat_number FROM new WHERE text_changed
        )
        UPDATE messages AS m
        SET timestamp  = new.timestamp,
            edited     = new.edited,
            read       = new.read,
            text       = new.text,
            deleted    = new.deleted,
            files      = CASE WHEN new.deleted THEN NULL ELSE m.files END,
            attributes = CASE WHEN new.deleted THEN NULL ELSE m.attributes END,
            reply_to   = CASE WHEN new.deleted THEN NULL ELSE m.reply_to END
        FROM new
        WHERE m.application_id = new.application_id AND m.id = new.id
        "#,
        &rows.applications,
        &rows.ids,
        &rows.timestamps,
        &rows.edited as &[Option<OffsetDateTime>],
        &rows.read,
        &rows.texts as &[Option<&str>],
        &rows.deleted,
        &text_changed,
        &rows.senders as &[Option<&str>],
        &rows.recipients as &[Option<&str>],
        &rows.chats as &[Option<i64>],
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Messages as parallel arrays.
#[derive(Default)]
struct Columns<'a> {
    applications: Vec<i64>,
    ids: Vec<i64>,
    timestamps: Vec<i64>,
    senders: Vec<Option<&'a str>>,
    recipients: Vec<Option<&'a str>>,
    chats: Vec<Option<i64>>,
    numbers: Vec<Option<i64>>,
    created: Vec<OffsetDateTime>,
    edited: Vec<Option<OffsetDateTime>>,
    read: Vec<bool>,
    texts: Vec<Option<&'a str>>,
    files: Vec<Option<String>>,
    attributes: Vec<Option<&'a str>>,
    reply_to: Vec<Option<i64>>,
    deleted: Vec<bool>,
}

impl<'a> Columns<'a> {
    fn of(messages: impl Iterator<Item = (ApplicationId, &'a Message)>) -> Self {
        let mut columns = Self::default();
        for (application, message) in messages {
            columns.push(application, message);
        }
        columns
    }

    fn push(&mut self, application: ApplicationId, message: &'a Message) {
        let content = message.content.as_ref();
        self.applications.push(application.0);
        self.ids.push(message.id.0);
        self.timestamps.push(message.timestamp.0);
        let (recipient, chat, number) = match &message.to {
            Recipient::User(user) => (Some(user.as_str()), None, None),
            Recipient::Chat(chat, number) => (None, Some(chat.0), Some(number.0)),
        };
        self.senders.push(message.from.as_ref().map(UserId::as_str));
        self.recipients.push(recipient);
        self.chats.push(chat);
        self.numbers.push(number);
        self.created.push(message.created);
        self.edited.push(content.and_then(|content| content.edited));
        self.read.push(content.is_some_and(|content| content.read));
        self.texts.push(content.and_then(|content| Some(content.text.as_ref()?.as_str())));
        self.files.push(content.and_then(|content| array_literal(&content.files)));
        self.attributes
            .push(content.and_then(|content| Some(content.attributes.as_ref()?.as_json().get())));
        self.reply_to.push(content.and_then(|content| Some(content.reply_to?.0)));
        self.deleted.push(content.is_none());
    }
}

/// Files as the text of a PostgreSQL array: `unnest` would flatten an array of arrays. The ids
/// hold nothing that would need escaping within the quotes.
fn array_literal(files: &Files) -> Option<String> {
    if files.is_empty() {
        return None;
    }
    let quoted: Vec<_> = files.iter().map(|file| format!("\"{}\"", file.as_str())).collect();
    Some(format!("{{{}}}", quoted.join(",")))
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
