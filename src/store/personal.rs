//! The personal conversations of the table `conversations`.

use std::sync::Arc;

use time::OffsetDateTime;

use super::{Lane, Result, columns};
use crate::domain::{
    ConversationId, Each, Import, MessageNumber, Pair, PersonalConversation, Position, Timestamp,
    UserId,
};

struct PersonalRow {
    id: i64,
    timestamp: i64,
    created: OffsetDateTime,
    least: String,
    greatest: String,
    least_read: i64,
    greatest_read: i64,
    least_as_of: i64,
    greatest_as_of: i64,
    least_blocks: bool,
    greatest_blocks: bool,
    opened: bool,
    importing: Option<bool>,
    first: i64,
    /// Of the newest message; `None` if there is none.
    newest: Option<i64>,
    sent: Option<i64>,
    sender: Option<String>,
    recipient_newest: Option<i64>,
}

/// Reads the conversations that exist, in any order.
pub async fn load(
    lane: &mut Lane<'_>,
    pairs: impl Iterator<Item = &Pair>,
) -> Result<Vec<Arc<PersonalConversation>>> {
    columns!(for pair in pairs => {
        least: pair.least().as_str(),
        greatest: pair.greatest().as_str(),
    });
    let rows = sqlx::query_as!(
        PersonalRow,
        r#"
        SELECT c.id, c.timestamp, c.created, c.least AS "least!",
               c.greatest AS "greatest!", c.least_read AS "least_read!",
               c.greatest_read AS "greatest_read!", c.least_as_of AS "least_as_of!",
               c.greatest_as_of AS "greatest_as_of!", c.least_blocks AS "least_blocks!",
               c.greatest_blocks AS "greatest_blocks!", c.opened, c.importing, c.first,
               newest.number AS "newest?",
               newest.sent AS "sent?", newest.sender, newest.recipient_newest
        FROM unnest($2::text[], $3::text[]) AS pair (least, greatest)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM conversations AS found
            WHERE found.application_id = $1 AND found.least = pair.least
              AND found.greatest = pair.greatest AND found.chat_number IS NULL
            LIMIT 1
        ) AS c
        LEFT JOIN LATERAL (
            SELECT m.number, coalesce(m.sent, m.timestamp) AS sent, m.sender, m.recipient_newest
            FROM messages AS m
            WHERE m.application_id = $1 AND m.conversation_id = c.id
            ORDER BY m.number DESC LIMIT 1
        ) AS newest ON TRUE
        "#,
        lane.application().get(),
        &least as &[&str],
        &greatest as &[&str],
    )
    .fetch_all(lane.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(PersonalRow::into_conversation)
        .collect())
}

/// Inserts new conversations.
pub async fn insert(lane: &mut Lane<'_>, new: &[&PersonalConversation]) -> Result<()> {
    columns!(for conversation in new => {
        ids: conversation.id.get(),
        timestamps: conversation.timestamp.get(),
        created: conversation.created,
        least: conversation.pair.least().as_str(),
        greatest: conversation.pair.greatest().as_str(),
        least_read: conversation.positions.least.to_stored().0.get(),
        greatest_read: conversation.positions.greatest.to_stored().0.get(),
        least_as_of: conversation.positions.least.to_stored().1.get(),
        greatest_as_of: conversation.positions.greatest.to_stored().1.get(),
        least_blocks: conversation.blocks.least,
        greatest_blocks: conversation.blocks.greatest,
        opened: conversation.opened,
        importing: conversation.import.to_stored(),
    });
    sqlx::query!(
        r#"
        INSERT INTO conversations (
            application_id, id, timestamp, created, least, greatest, least_read, greatest_read,
            least_as_of, greatest_as_of, least_blocks, greatest_blocks, opened, importing
        )
        SELECT $1, new.*
        FROM unnest(
            $2::bigint[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::bigint[], $11::boolean[], $12::boolean[],
            $13::boolean[], $14::boolean[]
        ) AS new
        "#,
        lane.application().get(),
        &ids,
        &timestamps,
        &created,
        &least as &[&str],
        &greatest as &[&str],
        &least_read,
        &greatest_read,
        &least_as_of,
        &greatest_as_of,
        &least_blocks,
        &greatest_blocks,
        &opened,
        &importing as &[Option<bool>],
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Stores conversations in which users have moved their positions or block each other, which are opened or
/// closed, or which have begun only now.
pub async fn update(lane: &mut Lane<'_>, changed: &[&PersonalConversation]) -> Result<()> {
    columns!(for conversation in changed => {
        ids: conversation.id.get(),
        timestamps: conversation.timestamp.get(),
        created: conversation.created,
        least_read: conversation.positions.least.to_stored().0.get(),
        greatest_read: conversation.positions.greatest.to_stored().0.get(),
        least_as_of: conversation.positions.least.to_stored().1.get(),
        greatest_as_of: conversation.positions.greatest.to_stored().1.get(),
        least_blocks: conversation.blocks.least,
        greatest_blocks: conversation.blocks.greatest,
        opened: conversation.opened,
        importing: conversation.import.to_stored(),
    });
    sqlx::query!(
        r#"
        UPDATE conversations AS c
        SET timestamp       = new.timestamp,
            created         = new.created,
            least_read      = new.least_read,
            greatest_read   = new.greatest_read,
            least_as_of     = new.least_as_of,
            greatest_as_of  = new.greatest_as_of,
            least_blocks    = new.least_blocks,
            greatest_blocks = new.greatest_blocks,
            opened          = new.opened,
            importing       = new.importing
        FROM unnest(
            $2::bigint[], $3::bigint[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::bigint[], $9::boolean[], $10::boolean[], $11::boolean[], $12::boolean[]
        ) AS new (
            id, timestamp, created, least_read, greatest_read, least_as_of, greatest_as_of, least_blocks,
            greatest_blocks, opened, importing
        )
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT ctid AS place FROM conversations
            WHERE application_id = $1 AND id = new.id
            LIMIT 1
        ) AS found
        WHERE c.application_id = $1 AND c.ctid = found.place
        "#,
        lane.application().get(),
        &ids,
        &timestamps,
        &created,
        &least_read,
        &greatest_read,
        &least_as_of,
        &greatest_as_of,
        &least_blocks,
        &greatest_blocks,
        &opened,
        &importing as &[Option<bool>],
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// A conversation one of whose users has another name now.
pub struct RenamedConversation<'a> {
    pub id: ConversationId,
    pub pair: &'a Pair,
}

/// Gives the users of conversations other names. What is stored for each of them must be [stored](update), too:
/// their order may be another one.
pub async fn rename(lane: &mut Lane<'_>, renamed: &[RenamedConversation<'_>]) -> Result<()> {
    columns!(for conversation in renamed => {
        ids: conversation.id.get(),
        least: conversation.pair.least().as_str(),
        greatest: conversation.pair.greatest().as_str(),
    });
    sqlx::query!(
        r#"
        UPDATE conversations AS c
        SET least = new.least, greatest = new.greatest
        FROM unnest($2::bigint[], $3::text[], $4::text[]) AS new (id, least, greatest)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT ctid AS place FROM conversations
            WHERE application_id = $1 AND id = new.id
            LIMIT 1
        ) AS found
        WHERE c.application_id = $1 AND c.ctid = found.place
        "#,
        lane.application().get(),
        &ids,
        &least as &[&str],
        &greatest as &[&str],
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

impl PersonalRow {
    fn into_conversation(self) -> Arc<PersonalConversation> {
        let [least, greatest] = [&self.least, &self.greatest].map(|user| UserId::trusted(user));
        // The newest message tells the newest one of both users.
        let newest_of = |user: &UserId| match &self.sender {
            Some(sender) if sender == user.as_str() => self.newest,
            _ => self.recipient_newest,
        };
        let position = |user: &UserId, read, as_of| {
            let [read, as_of, sent] =
                [read, as_of, newest_of(user).unwrap_or(0)].map(MessageNumber::new);
            Position::stored(read, as_of, sent)
        };
        Arc::new(PersonalConversation {
            id: ConversationId::new(self.id),
            pair: Pair::new(&least, &greatest),
            timestamp: Timestamp::new(self.timestamp),
            created: self.created,
            messages: MessageNumber::new(self.newest.unwrap_or(0)),
            first: MessageNumber::new(self.first),
            last: Timestamp::new(self.sent.unwrap_or(self.id)),
            positions: Each {
                least: position(&least, self.least_read, self.least_as_of),
                greatest: position(&greatest, self.greatest_read, self.greatest_as_of),
            },
            blocks: Each {
                least: self.least_blocks,
                greatest: self.greatest_blocks,
            },
            opened: self.opened,
            import: Import::stored(self.importing),
        })
    }
}
