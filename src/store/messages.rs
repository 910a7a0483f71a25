//! The table `messages`.

use std::sync::Arc;

use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};
use time::OffsetDateTime;

use super::{Error, Lane, Result, batch::mentions_literal, columns};
use crate::domain::{
    ApplicationId, Attributes, ChatNumber, Content, Conversation, ConversationId, FileId, Files,
    Mentions, Message, MessageId, MessageNumber, Text, Timestamp, UserId,
};

/// A row of the table, as a value of its composite type. The fields are all columns of the table,
/// in the table's order, which a test compares.
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
    system: bool,
    import_key: Option<String>,
}

/// Stores messages that are edited or deleted. A deletion clears the data. An edit keeps the data that
/// it does not change.
pub async fn update(lane: &mut Lane<'_>, changed: &[&Message]) -> Result<()> {
    let changed = changed.iter();
    let changed = changed.map(|message| (message, message.content.as_ref()));
    columns!(for (message, content) in changed => {
        ids: message.id.get(),
        timestamps: message.timestamp.get(),
        edited: content.and_then(|content| content.edited),
        texts: content.and_then(|content| Some(content.text.as_ref()?.as_str())),
        deleted: content.is_none(),
        mentions: content.and_then(mentions_literal),
        mentions_all: content.and_then(|content| content.mentions.all.then_some(true)),
        attributes: content.and_then(|content| Some(content.attributes.as_ref()?.as_json().get())),
    });
    sqlx::query!(
        r#"
        UPDATE messages AS m
        SET timestamp    = new.timestamp,
            sent         = coalesce(m.sent, m.timestamp),
            edited       = new.edited,
            text         = new.text,
            deleted      = new.deleted,
            mentions     = new.mentions::text[],
            mentions_all = new.mentions_all,
            files        = CASE WHEN new.deleted THEN NULL ELSE m.files END,
            attributes   = new.attributes::json,
            reply_to     = CASE WHEN new.deleted THEN NULL ELSE m.reply_to END
        FROM unnest(
            $2::bigint[], $3::bigint[], $4::timestamptz[], $5::text[], $6::boolean[], $7::text[],
            $8::boolean[], $9::text[]
        ) AS new (id, timestamp, edited, text, deleted, mentions, mentions_all, attributes)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT ctid AS place FROM messages WHERE application_id = $1 AND id = new.id LIMIT 1
        ) AS found
        WHERE m.application_id = $1 AND m.ctid = found.place
        "#,
        lane.application().get(),
        &ids,
        &timestamps,
        &edited as &[Option<OffsetDateTime>],
        &texts as &[Option<&str>],
        &deleted,
        &mentions as &[Option<String>],
        &mentions_all as &[Option<bool>],
        &attributes as &[Option<&str>],
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// A message whose users have other names now.
pub struct RenamedMessage<'a> {
    pub id: MessageId,
    pub sender: Option<&'a UserId>,
    pub recipient: Option<&'a UserId>,
}

/// Gives the users of messages other names. A message of a sender who has another name now loses the keys
/// under which it was created.
pub async fn rename(lane: &mut Lane<'_>, renamed: &[RenamedMessage<'_>]) -> Result<()> {
    columns!(for message in renamed => {
        ids: message.id.get(),
        senders: message.sender.map(UserId::as_str),
        recipients: message.recipient.map(UserId::as_str),
    });
    sqlx::query!(
        r#"
        UPDATE messages AS m
        SET sender    = new.sender,
            recipient = new.recipient,
            idempotency_key =
                CASE WHEN new.sender IS NOT DISTINCT FROM m.sender THEN m.idempotency_key END,
            request_digest =
                CASE WHEN new.sender IS NOT DISTINCT FROM m.sender THEN m.request_digest END,
            import_key =
                CASE WHEN new.sender IS NOT DISTINCT FROM m.sender THEN m.import_key END
        FROM unnest($2::bigint[], $3::text[], $4::text[]) AS new (id, sender, recipient)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT ctid AS place FROM messages WHERE application_id = $1 AND id = new.id LIMIT 1
        ) AS found
        WHERE m.application_id = $1 AND m.ctid = found.place
        "#,
        lane.application().get(),
        &ids,
        &senders as &[Option<&str>],
        &recipients as &[Option<&str>],
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Reads the messages that exist and have not expired, in any order, whoever may read them; also those that are
/// being imported.
pub async fn load_kept(
    connection: &mut PgConnection,
    application: ApplicationId,
    ids: &[MessageId],
) -> Result<Vec<Arc<Message>>> {
    load_unexpired(connection, application, ids, true).await
}

/// As [`load_kept`], without those that are being imported: no user sees them yet.
pub async fn load_shown(
    connection: &mut PgConnection,
    application: ApplicationId,
    ids: &[MessageId],
) -> Result<Vec<Arc<Message>>> {
    load_unexpired(connection, application, ids, false).await
}

async fn load_unexpired(
    connection: &mut PgConnection,
    application: ApplicationId,
    ids: &[MessageId],
    with_importing: bool,
) -> Result<Vec<Arc<Message>>> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    let rows = sqlx::query_scalar!(
        r#"
        SELECT m.message AS "message!: MessageRow"
        FROM unnest($2::bigint[]) AS lookup (id)
        CROSS JOIN LATERAL (
            -- The limits make these lookups by key, whatever the planner assumes about the tables.
            SELECT found AS message FROM messages AS found
            WHERE found.application_id = $1 AND found.id = lookup.id
              AND (found.id > (SELECT expired FROM applications WHERE id = $1)
              OR found.number >= (
                SELECT c.first FROM conversations AS c
                WHERE c.application_id = $1 AND c.id = found.conversation_id
                LIMIT 1
              ))
              AND ($3 OR found.import_key IS NULL OR (
                SELECT c.importing IS NOT TRUE FROM conversations AS c
                WHERE c.application_id = $1 AND c.id = found.conversation_id
                LIMIT 1
              ))
            LIMIT 1
        ) AS m
        "#,
        application.get(),
        &ids,
        with_importing,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(MessageRow::into_message).collect()
}

/// Reads the messages that have a row, in any order, for the write path.
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
/// of its chat that has not joined too late, or the application if it is in a chat that is there. A message that has
/// expired is there for nobody. The order is that of `requests`.
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
              AND (found.id > (SELECT expired FROM applications WHERE id = $1)
              OR found.number >= (
                SELECT c.first FROM conversations AS c
                WHERE c.application_id = $1 AND c.id = found.conversation_id
                LIMIT 1
              ))
              AND CASE
                WHEN found.chat_number IS NULL
                    THEN request.user_id IN (found.sender, found.recipient) AND (found.import_key IS NULL OR (
                        SELECT c.importing IS NOT TRUE FROM conversations AS c
                        WHERE c.application_id = $1 AND c.id = found.conversation_id
                        LIMIT 1
                    ))
                WHEN request.user_id IS NULL THEN (
                    SELECT c.deleted IS NULL
                    FROM conversations AS c
                    WHERE c.application_id = $1 AND c.id = found.conversation_id
                    LIMIT 1
                )
                ELSE (
                    SELECT c.reads_after < found.number
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
        MessageColumns {
            id: self.id,
            conversation_id: self.conversation_id,
            number: self.number,
            timestamp: self.timestamp,
            sender: self.sender,
            recipient: self.recipient,
            chat_number: self.chat_number,
            created: self.created,
            edited: self.edited,
            text: self.text,
            files: self.files,
            attributes: self.attributes,
            reply_to: self.reply_to,
            deleted: self.deleted,
            mentions: self.mentions,
            mentions_all: self.mentions_all,
            system: self.system,
        }
        .into_message()
        .map(Arc::new)
    }
}

/// The columns that make a message.
pub(super) struct MessageColumns {
    pub id: i64,
    pub conversation_id: i64,
    pub number: i64,
    pub timestamp: i64,
    pub sender: Option<String>,
    pub recipient: Option<String>,
    pub chat_number: Option<i64>,
    pub created: OffsetDateTime,
    pub edited: Option<OffsetDateTime>,
    pub text: Option<String>,
    pub files: Option<Vec<String>>,
    pub attributes: Option<Json<Box<RawValue>>>,
    pub reply_to: Option<i64>,
    pub deleted: bool,
    pub mentions: Option<Vec<String>>,
    pub mentions_all: Option<bool>,
    pub system: bool,
}

impl MessageColumns {
    pub fn into_message(self) -> Result<Message> {
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
        Ok(Message {
            id: MessageId::new(self.id),
            timestamp: Timestamp::new(self.timestamp),
            from,
            conversation,
            conversation_id: ConversationId::new(self.conversation_id),
            number: MessageNumber::new(self.number),
            created: self.created,
            system: self.system,
            content: (!self.deleted).then_some(content),
        })
    }
}
