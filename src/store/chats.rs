//! The chats of the table `conversations`.

use std::sync::Arc;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Lane, Result, columns};
use crate::domain::{
    ApplicationId, Chat, ChatNumber, ConversationId, Idempotency, MessageNumber, Timestamp, Title,
    UserId,
};

/// What is read of a chat.
struct ChatRow {
    id: i64,
    number: i64,
    timestamp: i64,
    name: String,
    owner: Option<String>,
    created: OffsetDateTime,
    messages: i64,
    last: i64,
    members: i32,
}

/// A query for [`ChatRow`]s of `conversations AS c`, which is in `$from`. The application is `$1`.
macro_rules! query_chats {
    ($from:tt, $where:tt, $($arguments:tt)*) => {
        sqlx::query_as!(
            ChatRow,
            r#"
            SELECT c.id, c.chat_number AS "number!", c.timestamp,
                   c.name AS "name!", c.owner, c.created,
                   coalesce(newest.number, 0) AS "messages!",
                   coalesce(newest.sent, c.id) AS "last!", c.members AS "members!"
            FROM "# + $from + r#"
            LEFT JOIN LATERAL (
                SELECT m.number, coalesce(m.sent, m.timestamp) AS sent
                FROM messages AS m
                WHERE m.application_id = $1 AND m.conversation_id = c.id
                ORDER BY m.number DESC LIMIT 1
            ) AS newest ON TRUE
            "# + $where,
            $($arguments)*
        )
    };
}

impl ChatRow {
    fn into_chat(self) -> Chat {
        Chat {
            id: ConversationId::new(self.id),
            number: ChatNumber::new(self.number),
            timestamp: Timestamp::new(self.timestamp),
            name: Title::trusted(self.name),
            owner: self.owner.as_deref().map(UserId::trusted),
            created: self.created,
            messages: MessageNumber::new(self.messages),
            last: Timestamp::new(self.last),
            members: self.members,
        }
    }
}

/// A new chat with its creator and the idempotency key under which it was created.
pub struct NewChatRow<'a> {
    pub chat: &'a Chat,
    pub creator: Option<&'a UserId>,
    pub idempotency: Option<&'a Idempotency>,
}

/// Reads the chats that exist, in any order.
pub async fn load(lane: &mut Lane<'_>, numbers: &[ChatNumber]) -> Result<Vec<Arc<Chat>>> {
    let numbers: Vec<_> = numbers.iter().map(|number| number.get()).collect();
    let rows = query_chats!(
        "unnest($2::bigint[]) AS lookup (chat_number)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM conversations AS found
            WHERE found.application_id = $1 AND found.chat_number = lookup.chat_number
            LIMIT 1
        ) AS c",
        "",
        lane.application().get(),
        &numbers,
    )
    .fetch_all(lane.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Arc::new(row.into_chat()))
        .collect())
}

/// Reads the number of the application's last chat.
pub async fn load_last(lane: &mut Lane<'_>) -> Result<ChatNumber> {
    let last = sqlx::query_scalar!(
        "SELECT last_chat FROM applications WHERE id = $1",
        lane.application().get(),
    );
    Ok(ChatNumber::new(last.fetch_one(lane.connection()).await?))
}

/// Inserts new chats, and updates the last chat number and the count of chats of the application.
pub async fn insert(lane: &mut Lane<'_>, new: &[NewChatRow<'_>]) -> Result<()> {
    columns!(for row in new => {
        ids: row.chat.id.get(),
        numbers: row.chat.number.get(),
        timestamps: row.chat.timestamp.get(),
        names: row.chat.name.as_str(),
        owners: row.chat.owner.as_ref().map(UserId::as_str),
        created: row.chat.created,
        members: row.chat.members,
        creators: row.creator.map(UserId::as_str),
        keys: row.idempotency.map(|request| request.key.as_str()),
        digests: row.idempotency.map(|request| &request.digest.0[..]),
    });
    sqlx::query!(
        r#"
        WITH numbered AS (
            UPDATE applications
            SET last_chat = (SELECT max(number) FROM unnest($2::bigint[]) AS number),
                chats     = chats + cardinality($2)
            WHERE id = $1
        )
        INSERT INTO conversations (
            application_id, chat_number, id, timestamp, name, owner, created, members, creator,
            idempotency_key, request_digest
        )
        SELECT $1, new.* FROM unnest(
            $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::timestamptz[],
            $8::integer[], $9::text[], $10::text[], $11::bytea[]
        ) AS new
        "#,
        lane.application().get(),
        &numbers,
        &ids,
        &timestamps,
        &names as &[&str],
        &owners as &[Option<&str>],
        &created,
        &members,
        &creators as &[Option<&str>],
        &keys as &[Option<&str>],
        &digests as &[Option<&[u8]>],
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Stores chats that have changed.
pub async fn update<'a>(
    lane: &mut Lane<'_>,
    changed: impl Iterator<Item = &'a Chat>,
) -> Result<()> {
    columns!(for chat in changed => {
        ids: chat.id.get(),
        timestamps: chat.timestamp.get(),
        names: chat.name.as_str(),
        owners: chat.owner.as_ref().map(UserId::as_str),
        members: chat.members,
    });
    sqlx::query!(
        r#"
        UPDATE conversations AS c
        SET timestamp = new.timestamp,
            name      = new.name,
            owner     = new.owner,
            members   = new.members
        FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::integer[])
                 AS new (id, timestamp, name, owner, members)
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
        &names as &[&str],
        &owners as &[Option<&str>],
        &members,
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// A page of the chats of an application, by number.
pub async fn list(
    connection: &mut PgConnection,
    application: ApplicationId,
    after: ChatNumber,
    limit: i64,
) -> Result<Vec<Chat>> {
    let rows = query_chats!(
        "conversations AS c",
        "WHERE c.application_id = $1 AND c.chat_number > $2
        ORDER BY c.chat_number
        LIMIT $3",
        application.get(),
        after.get(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(ChatRow::into_chat).collect())
}

/// A chat as it is now: for one of its members, or for the application.
pub async fn find(
    connection: &mut PgConnection,
    application: ApplicationId,
    member: Option<&UserId>,
    number: ChatNumber,
) -> Result<Option<Chat>> {
    let member = member.map(UserId::as_str);
    let row = query_chats!(
        "conversations AS c",
        "WHERE c.application_id = $1 AND c.chat_number = $3
          AND ($2::text IS NULL OR EXISTS (
              SELECT FROM chat_members AS m
              WHERE m.application_id = $1 AND m.chat_number = c.chat_number AND m.user_id = $2
                AND m.departed IS NULL
          ))",
        application.get(),
        member as Option<&str>,
        number.get(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(ChatRow::into_chat))
}
