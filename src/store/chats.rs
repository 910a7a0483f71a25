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
    application_id: i64,
    id: i64,
    number: i64,
    timestamp: i64,
    name: String,
    owner: Option<String>,
    created: OffsetDateTime,
    messages: i64,
    members: i32,
}

/// A query for [`ChatRow`]s of `conversations AS c`: `$from` is the statement from FROM on.
macro_rules! query_chats {
    ($from:tt, $($arguments:tt)*) => {
        sqlx::query_as!(
            ChatRow,
            r#"
            SELECT c.application_id, c.id, c.chat_number AS "number!", c.timestamp,
                   c.name AS "name!", c.owner, c.created,
                   coalesce((
                       SELECT m.number FROM messages AS m
                       WHERE m.application_id = c.application_id AND m.conversation_id = c.id
                       ORDER BY m.number DESC LIMIT 1
                   ), 0) AS "messages!", c.members AS "members!"
            "# + $from,
            $($arguments)*
        )
    };
}

impl ChatRow {
    fn into_chat(self) -> (ApplicationId, Chat) {
        let chat = Chat {
            id: ConversationId::new(self.id),
            number: ChatNumber::new(self.number),
            timestamp: Timestamp::new(self.timestamp),
            name: Title::trusted(self.name),
            owner: self.owner.as_deref().map(UserId::trusted),
            created: self.created,
            messages: MessageNumber::new(self.messages),
            members: self.members,
        };
        (ApplicationId::new(self.application_id), chat)
    }
}

/// A new chat with its creator and the idempotency key under which it was created.
pub struct NewChatRow<'a> {
    pub application: ApplicationId,
    pub chat: &'a Chat,
    pub creator: Option<&'a UserId>,
    pub idempotency: Option<&'a Idempotency>,
}

pub(super) type ChatKey = (ApplicationId, ChatNumber);

/// Reads the chats that exist, in any order.
pub async fn load(
    lane: &mut Lane,
    chats: impl Iterator<Item = ChatKey>,
) -> Result<Vec<(ApplicationId, Arc<Chat>)>> {
    columns!(for (application, number) in chats => {
        applications: application.get(),
        numbers: number.get(),
    });
    let rows = query_chats!(
        "FROM unnest($1::bigint[], $2::bigint[]) AS lookup (application_id, chat_number)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM conversations AS found
            WHERE found.application_id = lookup.application_id
              AND found.chat_number = lookup.chat_number
            LIMIT 1
        ) AS c",
        &applications,
        &numbers,
    )
    .fetch_all(lane.connection())
    .await?;
    let chats = rows.into_iter().map(ChatRow::into_chat);
    Ok(chats
        .map(|(application, chat)| (application, Arc::new(chat)))
        .collect())
}

/// Reads the number of the last chat of each application.
pub async fn load_last(
    lane: &mut Lane,
    applications: impl Iterator<Item = ApplicationId>,
) -> Result<Vec<(ApplicationId, ChatNumber)>> {
    let applications: Vec<_> = applications.map(|application| application.get()).collect();
    let last = sqlx::query!(
        "SELECT id, last_chat FROM applications WHERE id = ANY($1)",
        &applications
    )
    .map(|row| (ApplicationId::new(row.id), ChatNumber::new(row.last_chat)))
    .fetch_all(lane.connection())
    .await?;
    Ok(last)
}

/// Inserts new chats, and updates the last chat number and the count of chats of their
/// applications.
pub async fn insert(lane: &mut Lane, new: &[NewChatRow<'_>]) -> Result<()> {
    columns!(for row in new => {
        applications: row.application.get(),
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
            UPDATE applications AS a
            SET last_chat = last.number,
                chats     = a.chats + last.count
            FROM (
                SELECT application_id, max(number) AS number, count(*) AS count
                FROM unnest($1::bigint[], $2::bigint[]) AS new (application_id, number)
                GROUP BY application_id
            ) AS last
            WHERE a.id = last.application_id
        )
        INSERT INTO conversations (
            application_id, chat_number, id, timestamp, name, owner, created, members, creator,
            idempotency_key, request_digest
        )
        SELECT * FROM unnest(
            $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[],
            $7::timestamptz[], $8::integer[], $9::text[], $10::text[], $11::bytea[]
        )
        "#,
        &applications,
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
    lane: &mut Lane,
    changed: impl Iterator<Item = (ApplicationId, &'a Chat)>,
) -> Result<()> {
    columns!(for (application, chat) in changed => {
        applications: application.get(),
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
        FROM unnest(
            $1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::integer[]
        ) AS new (application_id, id, timestamp, name, owner, members)
        WHERE c.application_id = new.application_id AND c.id = new.id
        "#,
        &applications,
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
        "FROM conversations AS c
        WHERE c.application_id = $1 AND c.chat_number > $2
        ORDER BY c.chat_number
        LIMIT $3",
        application.get(),
        after.get(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| row.into_chat().1).collect())
}

/// A page of the chats of a member, by number.
pub async fn list_of_member(
    connection: &mut PgConnection,
    application: ApplicationId,
    member: &UserId,
    after: ChatNumber,
    limit: i64,
) -> Result<Vec<Chat>> {
    let rows = query_chats!(
        "FROM (
            SELECT chat_number
            FROM chat_members
            WHERE application_id = $1 AND user_id = $2 AND chat_number > $3 AND departed IS NULL
            ORDER BY chat_number
            LIMIT $4
        ) AS m
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM conversations AS found
            WHERE found.application_id = $1 AND found.chat_number = m.chat_number
            LIMIT 1
        ) AS c
        ORDER BY c.chat_number",
        application.get(),
        member.as_str(),
        after.get(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| row.into_chat().1).collect())
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
        "FROM conversations AS c
        WHERE c.application_id = $1 AND c.chat_number = $3
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
    Ok(row.map(|row| row.into_chat().1))
}
