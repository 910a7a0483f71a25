//! The table `chats`.
//!
//! The count of a chat's messages is the number of its newest message, and not a column: PostgreSQL
//! would keep a version of the row for every message, for as long as an old snapshot is open.

use std::sync::Arc;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Lane, Result, columns};
use crate::domain::{ApplicationId, Chat, ChatNumber, Idempotency, Timestamp, Title, UserId};

/// What is read of a chat.
struct ChatRow {
    application_id: i64,
    number: i64,
    timestamp: i64,
    name: String,
    owner: Option<String>,
    created: OffsetDateTime,
    messages: i64,
    members: i32,
}

/// A query for [`ChatRow`]s of `chats AS c`: `$from` is the statement from FROM on.
macro_rules! query_chats {
    ($from:tt, $($arguments:tt)*) => {
        sqlx::query_as!(
            ChatRow,
            r#"
            SELECT c.application_id, c.number, c.timestamp, c.name, c.owner, c.created,
                   coalesce((
                       SELECT m.number FROM messages AS m
                       WHERE m.application_id = c.application_id AND m.chat_number = c.number
                       ORDER BY m.number DESC LIMIT 1
                   ), 0) AS "messages!", c.members
            "# + $from,
            $($arguments)*
        )
    };
}

impl ChatRow {
    fn into_chat(self) -> (ApplicationId, Chat) {
        let chat = Chat {
            number: ChatNumber::new(self.number),
            timestamp: Timestamp::new(self.timestamp),
            name: Title::trusted(self.name),
            owner: self.owner.as_deref().map(UserId::trusted),
            created: self.created,
            messages: self.messages,
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
        "FROM unnest($1::bigint[], $2::bigint[]) AS lookup (application_id, number)
        JOIN chats AS c USING (application_id, number)",
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
        INSERT INTO chats (
            application_id, number, timestamp, name, owner, created, members, creator,
            idempotency_key, request_digest
        )
        SELECT * FROM unnest(
            $1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[],
            $7::integer[], $8::text[], $9::text[], $10::bytea[]
        )
        "#,
        &applications,
        &numbers,
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
        numbers: chat.number.get(),
        timestamps: chat.timestamp.get(),
        names: chat.name.as_str(),
        owners: chat.owner.as_ref().map(UserId::as_str),
        members: chat.members,
    });
    sqlx::query!(
        r#"
        UPDATE chats AS c
        SET timestamp = new.timestamp,
            name      = new.name,
            owner     = new.owner,
            members   = new.members
        FROM unnest(
            $1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::integer[]
        ) AS new (application_id, number, timestamp, name, owner, members)
        WHERE c.application_id = new.application_id AND c.number = new.number
        "#,
        &applications,
        &numbers,
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
        "FROM chats AS c
        WHERE c.application_id = $1 AND c.number > $2
        ORDER BY c.number
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
        JOIN chats AS c ON c.application_id = $1 AND c.number = m.chat_number
        ORDER BY c.number",
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
        "FROM chats AS c
        WHERE c.application_id = $1 AND c.number = $3
          AND ($2::text IS NULL OR EXISTS (
              SELECT FROM chat_members AS m
              WHERE m.application_id = $1 AND m.chat_number = c.number AND m.user_id = $2
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
