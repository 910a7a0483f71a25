//! The main statement of a batch. It stores everything that most batches have: messages, the
//! personal conversations that they begin, personal updates, the sequences' values, the record of
//! the batch, and its notifications. One statement costs one round trip under the lock.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Lane, Result, columns, notify::UPDATES_CHANNEL, updates::NewUpdate};
use crate::domain::{
    ApplicationId, Files, Idempotency, Message, MessageId, PersonalConversation, Timestamp, UserId,
};

/// What a batch stores with its main statement.
pub struct MainRows<'a> {
    /// The batch is recorded in its own transaction: as number `number` of `writer`.
    pub writer: Uuid,
    pub number: i64,
    pub messages: &'a [MessageToStore<'a>],
    pub conversations: &'a [PersonalToStore<'a>],
    /// The updates of changes in personal conversations.
    pub updates: &'a [NewUpdate<'a>],
    /// The last timestamp that the batch takes.
    pub last_timestamp: Timestamp,
    /// The last id that the batch takes, if it has new messages.
    pub last_id: Option<MessageId>,
    /// The payloads of the commit's notifications.
    pub notifications: &'a [String],
}

/// A message as the batch leaves it.
pub struct MessageToStore<'a> {
    pub application: ApplicationId,
    pub message: &'a Message,
    pub is_new: bool,
    /// The request that has created it, if it may be repeated.
    pub idempotency: Option<&'a Idempotency>,
    /// Whether the indexer must index its text again.
    pub changes_text: bool,
}

/// A personal conversation as the batch leaves it.
pub struct PersonalToStore<'a> {
    pub application: ApplicationId,
    pub conversation: &'a PersonalConversation,
    pub is_new: bool,
}

/// Stores the main rows of a batch.
///
/// The sequences are set, and never drawn from: all numbers are taken under the lock. So only a
/// transaction that fails can lose a number.
pub async fn insert(lane: &mut Lane, rows: MainRows<'_>) -> Result<()> {
    let messages = rows
        .messages
        .iter()
        .map(|row| (row, row.message, row.message.content.as_ref()));
    columns!(for (row, message, content) in messages => {
        applications: row.application.get(),
        ids: message.id.get(),
        timestamps: message.timestamp.get(),
        senders: message.from.as_ref().map(UserId::as_str),
        recipients: message.to().map(UserId::as_str),
        chats: message.conversation.chat().map(|chat| chat.get()),
        conversations: message.conversation_id.get(),
        numbers: message.number.get(),
        created: message.created,
        edited: content.and_then(|content| content.edited),
        texts: content.and_then(|content| Some(content.text.as_ref()?.as_str())),
        files: content.and_then(|content| array_literal(&content.files)),
        attributes: content.and_then(|content| Some(content.attributes.as_ref()?.as_json().get())),
        replies_to: content.and_then(|content| Some(content.reply_to?.get())),
        deleted: content.is_none(),
        keys: row.idempotency.map(|request| request.key.as_str()),
        digests: row.idempotency.map(|request| &request.digest.0[..]),
        are_new: row.is_new,
        change_text: row.changes_text,
    });
    columns!(for row in rows.conversations => {
        conversation_applications: row.application.get(),
        conversation_ids: row.conversation.id.get(),
        conversation_timestamps: row.conversation.timestamp.get(),
        conversation_created: row.conversation.created,
        least: row.conversation.pair.least().as_str(),
        greatest: row.conversation.pair.greatest().as_str(),
        least_read: row.conversation.positions.least.get(),
        greatest_read: row.conversation.positions.greatest.get(),
        are_new_conversations: row.is_new,
    });
    columns!(for update in rows.updates => {
        updated_applications: update.application.get(),
        updated_users: update.user.as_str(),
        updated_timestamps: update.update.timestamp.get(),
        updated_ids: update.message().map(|id| id.get()),
        updated_withs: update.with().map(UserId::as_str),
    });
    sqlx::query_file!(
        "src/store/batch.sql",
        &applications,
        &ids,
        &timestamps,
        &senders as &[Option<&str>],
        &recipients as &[Option<&str>],
        &chats as &[Option<i64>],
        &conversations,
        &numbers,
        &created,
        &edited as &[Option<OffsetDateTime>],
        &texts as &[Option<&str>],
        &files as &[Option<String>],
        &attributes as &[Option<&str>],
        &replies_to as &[Option<i64>],
        &deleted,
        &keys as &[Option<&str>],
        &digests as &[Option<&[u8]>],
        &are_new,
        &change_text,
        &conversation_applications,
        &conversation_ids,
        &conversation_timestamps,
        &conversation_created,
        &least as &[&str],
        &greatest as &[&str],
        &least_read,
        &greatest_read,
        &are_new_conversations,
        &updated_applications,
        &updated_users as &[&str],
        &updated_timestamps,
        &updated_ids as &[Option<i64>],
        &updated_withs as &[Option<&str>],
        rows.writer,
        rows.number,
        rows.last_timestamp.get(),
        rows.last_id.map(|id| id.get()),
        UPDATES_CHANNEL,
        rows.notifications,
    )
    .fetch_one(lane.connection())
    .await?;
    Ok(())
}

/// Files as the text of a PostgreSQL array, because `unnest` would flatten an array of arrays. The
/// ids of files have no character that needs escaping within the quotes.
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
