//! The table `pins`: the messages that are pinned in chats.

use std::{collections::BTreeSet, sync::Arc};

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Lane, Result, columns, messages::MessageRow};
use crate::domain::{
    ApplicationId, ChatNumber, Message, MessageId, MessageNumber, Timestamp, UserId,
};

/// A message that is pinned in a chat.
pub struct PinRow<'a> {
    pub chat: ChatNumber,
    pub message: MessageId,
    /// The change that pins it.
    pub timestamp: Timestamp,
    /// `None`: the application itself.
    pub pinned_by: Option<&'a UserId>,
}

/// A pin, as it is listed.
pub struct ListedPin {
    pub message: Arc<Message>,
    /// The change that has pinned it.
    pub timestamp: Timestamp,
    pub pinned_by: Option<UserId>,
    pub created: OffsetDateTime,
}

/// What is pinned in these chats.
pub async fn load(
    lane: &mut Lane<'_>,
    chats: &BTreeSet<ChatNumber>,
) -> Result<Vec<(ChatNumber, MessageId)>> {
    let chats: Vec<_> = chats.iter().map(|chat| chat.get()).collect();
    let rows = sqlx::query!(
        "SELECT pin.chat_number, pin.message_id
         FROM unnest($2::bigint[]) AS lookup (chat_number)
         CROSS JOIN LATERAL (
             -- Not flattened, this is a lookup by key, whatever the planner assumes.
             SELECT * FROM pins AS found
             WHERE found.application_id = $1 AND found.chat_number = lookup.chat_number
             OFFSET 0
         ) AS pin",
        lane.application().get(),
        &chats,
    )
    .fetch_all(lane.connection())
    .await?;
    let pins = rows.into_iter();
    Ok(pins
        .map(|row| {
            (
                ChatNumber::new(row.chat_number),
                MessageId::new(row.message_id),
            )
        })
        .collect())
}

pub async fn insert(lane: &mut Lane<'_>, pins: &[PinRow<'_>]) -> Result<()> {
    columns!(for pin in pins => {
        chats: pin.chat.get(),
        messages: pin.message.get(),
        timestamps: pin.timestamp.get(),
        users: pin.pinned_by.map(UserId::as_str),
    });
    // One that is removed and pinned again in one batch is there already.
    sqlx::query!(
        "INSERT INTO pins (application_id, chat_number, message_id, timestamp, pinned_by, created)
         SELECT $1, new.*, $6
         FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
             AS new (chat_number, message_id, timestamp, pinned_by)
         ON CONFLICT (application_id, chat_number, message_id) DO UPDATE
         SET timestamp = excluded.timestamp, pinned_by = excluded.pinned_by, created = excluded.created",
        lane.application().get(),
        &chats,
        &messages,
        &timestamps,
        &users as &[Option<&str>],
        lane.now(),
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

pub async fn remove(lane: &mut Lane<'_>, pins: &[(ChatNumber, MessageId)]) -> Result<()> {
    columns!(for (chat, message) in pins => {
        chats: chat.get(),
        messages: message.get(),
    });
    sqlx::query!(
        "DELETE FROM pins AS p
         USING unnest($2::bigint[], $3::bigint[]) AS removed (chat_number, message_id)
         CROSS JOIN LATERAL (
             -- The limit makes this a lookup by key, whatever the planner assumes about the table.
             SELECT ctid AS place FROM pins
             WHERE application_id = $1 AND chat_number = removed.chat_number
               AND message_id = removed.message_id
             LIMIT 1
         ) AS found
         WHERE p.application_id = $1 AND p.ctid = found.place",
        lane.application().get(),
        &chats,
        &messages,
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// A page of what is pinned in a chat, the newest pin first, before one of the pins: of the messages after
/// the number `reads_after`, each with its message as it is now.
pub async fn list(
    connection: &mut PgConnection,
    application: ApplicationId,
    chat: ChatNumber,
    reads_after: MessageNumber,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<ListedPin>> {
    let rows = sqlx::query!(
        r#"
        SELECT pin.timestamp, pin.pinned_by, pin.created, m.message AS "message!: MessageRow"
        FROM (
            SELECT * FROM pins
            WHERE application_id = $1 AND chat_number = $2 AND timestamp < $4
            ORDER BY timestamp DESC
        ) AS pin
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT message FROM messages AS message
            WHERE application_id = $1 AND id = pin.message_id AND number > $3 AND NOT deleted
            LIMIT 1
        ) AS m
        ORDER BY pin.timestamp DESC
        LIMIT $5
        "#,
        application.get(),
        chat.get(),
        reads_after.get(),
        before.get(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    let pins = rows.into_iter().map(|row| {
        Ok(ListedPin {
            message: row.message.into_message()?,
            timestamp: Timestamp::new(row.timestamp),
            pinned_by: row.pinned_by.as_deref().map(UserId::trusted),
            created: row.created,
        })
    });
    pins.collect()
}
