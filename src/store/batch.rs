//! The statement that appends what the changes of a batch add: all that sends into existing
//! personal conversations need. What a batch changes in rows that exist is stored by a statement for each
//! table, which runs only if there is something of it.

use time::OffsetDateTime;

use super::{Lane, Result, array_literal, columns, updates::NewUpdate};
use crate::domain::{
    ChangeKind, Content, ConversationId, FileId, Idempotency, Message, MessageId, MessageNumber,
    Place, Timestamp, UserId,
};

/// What a batch appends.
pub struct AppendedRows<'a> {
    pub changes: &'a [ChangeRow<'a>],
    pub messages: &'a [NewMessageRow<'a>],
    /// The updates that do not concern all members of a chat.
    pub updates: &'a [NewUpdate<'a>],
}

/// A change, as the timeline keeps it.
pub struct ChangeRow<'a> {
    pub timestamp: Timestamp,
    pub kind: ChangeKind,
    pub message: Option<MessageId>,
    pub conversation: Option<ConversationId>,
    /// `None`: the application itself.
    pub actor: Option<&'a UserId>,
    /// The conversation as the actor names it.
    pub place: Option<Place<'a>>,
    /// The number of the message.
    pub number: Option<MessageNumber>,
    /// The members who are added or removed, or who have moved their positions.
    pub members: Vec<&'a UserId>,
    /// The files whose use it begins or ends.
    pub files: &'a [FileId],
}

/// A message that the batch creates, as the batch leaves it.
pub struct NewMessageRow<'a> {
    pub message: &'a Message,
    /// The change that has created it.
    pub sent: Timestamp,
    /// Of a personal message: the number of the recipient's newest message before it.
    pub recipient_newest: Option<MessageNumber>,
    /// The request that has created it, if it may be repeated.
    pub idempotency: Option<&'a Idempotency>,
    /// The line that it was imported from, if it was.
    pub line: Option<&'a Idempotency>,
}

/// Appends the rows.
pub async fn append(lane: &mut Lane<'_>, rows: AppendedRows<'_>) -> Result<()> {
    let messages = rows
        .messages
        .iter()
        .map(|row| (row, row.message, row.message.content.as_ref()));
    columns!(for (row, message, content) in messages => {
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
        files: content.and_then(|content| files_literal(content.files.as_slice())),
        attributes: content.and_then(|content| Some(content.attributes.as_ref()?.as_json().get())),
        replies_to: content.and_then(|content| Some(content.reply_to?.get())),
        deleted: content.is_none(),
        system: message.system,
        sents: (row.sent != message.timestamp).then_some(row.sent.get()),
        recipients_newest: row.recipient_newest.map(|number| number.get()),
        mentions: content.and_then(mentions_literal),
        mentions_all: content.and_then(|content| content.mentions.all.then_some(true)),
        keys: row.idempotency.map(|request| request.key.as_str()),
        digests: row.idempotency.or(row.line).map(|request| &request.digest.0[..]),
        import_keys: row.line.map(|line| line.key.as_str()),
    });
    columns!(for update in rows.updates => {
        updated_users: update.user.as_str(),
        updated_timestamps: update.update.timestamp.get(),
        updated_ids: update.update.subject.message().map(|id| id.get()),
        updated_chats: update.update.subject.chat().map(|chat| chat.get()),
        updated_withs: update.update.subject.with().map(UserId::as_str),
        updated_reactions: update.update.subject.reactions_to().map(|id| id.get()),
        updated_mentions: update.update.mention.then_some(true),
    });
    columns!(for change in rows.changes => {
        change_timestamps: change.timestamp.get(),
        change_kinds: change.kind.name(),
        change_messages: change.message.map(|id| id.get()),
        change_conversations: change.conversation.map(|id| id.get()),
        change_actors: change.actor.map(UserId::as_str),
        change_files: files_literal(change.files),
        change_chats: change.place.and_then(|place| Some(place.chat()?.get())),
        change_withs: change.place.and_then(|place| Some(place.with()?.as_str())),
        change_numbers: change.number.map(|number| number.get()),
        change_members: members_literal(&change.members),
    });
    sqlx::query_file!(
        "src/store/append.sql",
        lane.application().get(),
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
        &sents as &[Option<i64>],
        &recipients_newest as &[Option<i64>],
        &mentions as &[Option<String>],
        &mentions_all as &[Option<bool>],
        &keys as &[Option<&str>],
        &digests as &[Option<&[u8]>],
        &updated_users as &[&str],
        &updated_timestamps,
        &updated_ids as &[Option<i64>],
        &updated_chats as &[Option<i64>],
        &updated_withs as &[Option<&str>],
        &updated_mentions as &[Option<bool>],
        lane.now(),
        &change_timestamps,
        &change_kinds as &[&str],
        &change_messages as &[Option<i64>],
        &change_conversations as &[Option<i64>],
        &change_actors as &[Option<&str>],
        &change_files as &[Option<String>],
        &change_chats as &[Option<i64>],
        &change_withs as &[Option<&str>],
        &change_numbers as &[Option<i64>],
        &change_members as &[Option<String>],
        &system,
        &updated_reactions as &[Option<i64>],
        &import_keys as &[Option<&str>],
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// The files of a message, if it has any.
fn files_literal(files: &[FileId]) -> Option<String> {
    (!files.is_empty()).then(|| array_literal(files.iter().map(FileId::as_str)))
}

fn members_literal(members: &[&UserId]) -> Option<String> {
    (!members.is_empty()).then(|| array_literal(members.iter().map(|user| user.as_str())))
}

/// The users whom a message names one by one, if it names any.
pub(super) fn mentions_literal(content: &Content) -> Option<String> {
    let users = content.mentions.users();
    (!users.is_empty()).then(|| array_literal(users.iter().map(UserId::as_str)))
}
