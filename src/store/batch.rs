//! The last statement of a batch, which stores all but what belongs to chats and events: messages,
//! the updates of the personal ones, where the sequences stand, the record of the batch and its
//! notifications. One statement costs one round trip under the lock.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Lane, Result, notify::UPDATES_CHANNEL, updates::NewUpdate};
use crate::domain::{ApplicationId, Files, Idempotency, Message, MessageId, Timestamp, UserId};

/// What a batch stores with its last statement.
pub struct Batch<'a> {
    /// In its own transaction it is recorded that `writer` commits its batch number `number`.
    pub writer: Uuid,
    pub number: i64,
    pub messages: &'a [StoredMessage<'a>],
    /// Of personal messages.
    pub updates: &'a [NewUpdate<'a>],
    /// The last timestamp that it gives.
    pub last_timestamp: Timestamp,
    /// The last id that it gives, where it has new messages.
    pub last_id: Option<MessageId>,
    /// What its commit notifies.
    pub notifications: &'a [String],
}

/// A message as the batch has left it.
pub struct StoredMessage<'a> {
    pub application: ApplicationId,
    pub message: &'a Message,
    pub is_new: bool,
    /// The request that has created it, where it may be repeated.
    pub idempotency: Option<&'a Idempotency>,
    /// Whether the indexer has to look at its text.
    pub changes_text: bool,
}

/// Stores the batch; its commit notifies.
///
/// The sequences are set and not drawn from: numbers are given under the lock alone, and so none is
/// lost but with a transaction that fails.
pub async fn finish(lane: &mut Lane, batch: Batch<'_>) -> Result<()> {
    let Batch {
        messages, updates, ..
    } = batch;
    let rows = Columns::of(messages);
    let applications: Vec<_> = updates.iter().map(|update| update.application.0).collect();
    let users: Vec<_> = updates.iter().map(|update| update.user.as_str()).collect();
    let timestamps: Vec<_> = updates.iter().map(|update| update.timestamp.0).collect();
    let ids: Vec<_> = updates.iter().map(|update| update.message.0).collect();
    sqlx::query_file!(
        "src/store/batch.sql",
        &rows.applications,
        &rows.ids,
        &rows.timestamps,
        &rows.senders as &[Option<&str>],
        &rows.recipients as &[Option<&str>],
        &rows.chats as &[Option<i64>],
        &rows.numbers as &[Option<i64>],
        &rows.created,
        &rows.edited as &[Option<OffsetDateTime>],
        &rows.read,
        &rows.texts as &[Option<&str>],
        &rows.files as &[Option<String>],
        &rows.attributes as &[Option<&str>],
        &rows.reply_to as &[Option<i64>],
        &rows.deleted,
        &rows.keys as &[Option<&str>],
        &rows.digests as &[Option<&[u8]>],
        &rows.is_new,
        &rows.changes_text,
        &applications,
        &users as &[&str],
        &timestamps,
        &ids,
        batch.writer,
        batch.number,
        batch.last_timestamp.0,
        batch.last_id.map(|id| id.0),
        UPDATES_CHANNEL,
        batch.notifications,
    )
    .fetch_one(lane.connection())
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
    keys: Vec<Option<&'a str>>,
    digests: Vec<Option<&'a [u8]>>,
    is_new: Vec<bool>,
    changes_text: Vec<bool>,
}

impl<'a> Columns<'a> {
    fn of(messages: &'a [StoredMessage<'a>]) -> Self {
        let mut columns = Self::default();
        for stored in messages {
            columns.push_message(stored.application, stored.message);
            let request = stored.idempotency;
            columns
                .keys
                .push(request.map(|request| request.key.as_str()));
            columns
                .digests
                .push(request.map(|request| &request.digest.0[..]));
            columns.is_new.push(stored.is_new);
            columns.changes_text.push(stored.changes_text);
        }
        columns
    }

    fn push_message(&mut self, application: ApplicationId, message: &'a Message) {
        let content = message.content.as_ref();
        self.applications.push(application.0);
        self.ids.push(message.id.0);
        self.timestamps.push(message.timestamp.0);
        self.senders.push(message.from.as_ref().map(UserId::as_str));
        self.recipients.push(message.to().map(UserId::as_str));
        self.chats
            .push(message.conversation.chat().map(|chat| chat.0));
        self.numbers.push(message.number.map(|number| number.0));
        self.created.push(message.created);
        self.edited.push(content.and_then(|content| content.edited));
        self.read.push(content.is_some_and(|content| content.read));
        self.texts
            .push(content.and_then(|content| Some(content.text.as_ref()?.as_str())));
        self.files
            .push(content.and_then(|content| array_literal(&content.files)));
        self.attributes
            .push(content.and_then(|content| Some(content.attributes.as_ref()?.as_json().get())));
        self.reply_to
            .push(content.and_then(|content| Some(content.reply_to?.0)));
        self.deleted.push(content.is_none());
    }
}

/// Files as the text of a PostgreSQL array: `unnest` would flatten an array of arrays. The ids
/// hold nothing that would need escaping within the quotes.
fn array_literal(files: &Files) -> Option<String> {
    if files.is_empty() {
        return None;
    }
    let quoted: Vec<_> = files
        .iter()
        .map(|file| format!("\"{}\"", file.as_str()))
        .collect();
    Some(format!("{{{}}}", quoted.join(",")))
}
