//! The table `chats`.
//!
//! How many messages a chat has is the number of its newest one, and not a column: a row that every
//! message rewrote would leave its versions behind while any old snapshot is open.

use std::sync::Arc;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Lane, Result};
use crate::domain::{ApplicationId, Chat, ChatNumber, Idempotency, Timestamp, Title, UserId};

/// A row as it is read.
pub(super) struct ChatRow {
    pub application_id: i64,
    pub number: i64,
    pub timestamp: i64,
    pub name: String,
    pub owner: Option<String>,
    pub created: OffsetDateTime,
    pub messages: i64,
    pub members: i32,
}

impl ChatRow {
    pub(super) fn into_chat(self) -> (ApplicationId, Chat) {
        let chat = Chat {
            number: ChatNumber(self.number),
            timestamp: Timestamp(self.timestamp),
            name: Title::trusted(self.name),
            owner: self.owner.as_deref().map(UserId::trusted),
            created: self.created,
            messages: self.messages,
            members: self.members,
        };
        (ApplicationId(self.application_id), chat)
    }
}

/// A new chat with its creator and the idempotency key under which it was created.
pub struct NewChat<'a> {
    pub application: ApplicationId,
    pub chat: &'a Chat,
    pub creator: Option<&'a UserId>,
    pub idempotency: Option<&'a Idempotency>,
}

pub(super) type ChatKey = (ApplicationId, ChatNumber);

pub(super) fn columns(chats: impl Iterator<Item = ChatKey>) -> (Vec<i64>, Vec<i64>) {
    chats
        .map(|(application, chat)| (application.0, chat.0))
        .unzip()
}

/// Reads the chats that exist, in any order.
pub async fn load(
    lane: &mut Lane,
    chats: impl Iterator<Item = ChatKey>,
) -> Result<Vec<(ApplicationId, Arc<Chat>)>> {
    let (applications, numbers) = columns(chats);
    let rows = sqlx::query_as!(
        ChatRow,
        r#"
        SELECT c.application_id, c.number, c.timestamp, c.name, c.owner, c.created,
               coalesce((
                   SELECT m.number FROM messages AS m
                   WHERE m.application_id = c.application_id AND m.chat_number = c.number
                   ORDER BY m.number DESC LIMIT 1
               ), 0) AS "messages!", c.members
        FROM unnest($1::bigint[], $2::bigint[]) AS wanted (application_id, number)
        JOIN chats AS c USING (application_id, number)
        "#,
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

/// Reads the last number that each application has given to a chat.
pub async fn load_last(
    lane: &mut Lane,
    applications: impl Iterator<Item = ApplicationId>,
) -> Result<Vec<(ApplicationId, ChatNumber)>> {
    let applications: Vec<_> = applications.map(|application| application.0).collect();
    let last = sqlx::query!(
        "SELECT id, last_chat FROM applications WHERE id = ANY($1)",
        &applications
    )
    .map(|row| (ApplicationId(row.id), ChatNumber(row.last_chat)))
    .fetch_all(lane.connection())
    .await?;
    Ok(last)
}

/// Inserts new chats, and keeps the last number given in their applications.
pub async fn insert(lane: &mut Lane, new: &[NewChat<'_>]) -> Result<()> {
    let rows = Columns::of(new.iter().map(|new| (new.application, new.chat)));
    let creators: Vec<_> = new
        .iter()
        .map(|new| new.creator.map(UserId::as_str))
        .collect();
    let keys: Vec<_> = new
        .iter()
        .map(|new| Some(new.idempotency?.key.as_str()))
        .collect();
    let digests: Vec<_> = new
        .iter()
        .map(|new| Some(&new.idempotency?.digest.0[..]))
        .collect();
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
        &rows.applications,
        &rows.numbers,
        &rows.timestamps,
        &rows.names as &[&str],
        &rows.owners as &[Option<&str>],
        &rows.created,
        &rows.members,
        &creators as &[Option<&str>],
        &keys as &[Option<&str>],
        &digests as &[Option<&[u8]>],
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Stores what changes of chats change.
pub async fn update<'a>(
    lane: &mut Lane,
    changed: impl Iterator<Item = (ApplicationId, &'a Chat)>,
) -> Result<()> {
    let rows = Columns::of(changed);
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
        &rows.applications,
        &rows.numbers,
        &rows.timestamps,
        &rows.names as &[&str],
        &rows.owners as &[Option<&str>],
        &rows.members,
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
    let rows = sqlx::query_as!(
        ChatRow,
        r#"
        SELECT c.application_id, c.number, c.timestamp, c.name, c.owner, c.created,
               coalesce((
                   SELECT m.number FROM messages AS m
                   WHERE m.application_id = c.application_id AND m.chat_number = c.number
                   ORDER BY m.number DESC LIMIT 1
               ), 0) AS "messages!", c.members
        FROM chats AS c
        WHERE c.application_id = $1 AND c.number > $2
        ORDER BY c.number
        LIMIT $3
        "#,
        application.0,
        after.0,
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
    let rows = sqlx::query_as!(
        ChatRow,
        r#"
        SELECT c.application_id, c.number, c.timestamp, c.name, c.owner, c.created,
               coalesce((
                   SELECT m.number FROM messages AS m
                   WHERE m.application_id = c.application_id AND m.chat_number = c.number
                   ORDER BY m.number DESC LIMIT 1
               ), 0) AS "messages!", c.members
        FROM (
            SELECT chat_number
            FROM chat_members
            WHERE application_id = $1 AND user_id = $2 AND chat_number > $3 AND departed IS NULL
            ORDER BY chat_number
            LIMIT $4
        ) AS m
        JOIN chats AS c ON c.application_id = $1 AND c.number = m.chat_number
        ORDER BY c.number
        "#,
        application.0,
        member.as_str(),
        after.0,
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
    let row = sqlx::query_as!(
        ChatRow,
        r#"
        SELECT c.application_id, c.number, c.timestamp, c.name, c.owner, c.created,
               coalesce((
                   SELECT m.number FROM messages AS m
                   WHERE m.application_id = c.application_id AND m.chat_number = c.number
                   ORDER BY m.number DESC LIMIT 1
               ), 0) AS "messages!", c.members
        FROM chats AS c
        WHERE c.application_id = $1 AND c.number = $3
          AND ($2::text IS NULL OR EXISTS (
              SELECT FROM chat_members AS m
              WHERE m.application_id = $1 AND m.chat_number = c.number AND m.user_id = $2
                AND m.departed IS NULL
          ))
        "#,
        application.0,
        member as Option<&str>,
        number.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.into_chat().1))
}

/// Chats as parallel arrays.
#[derive(Default)]
struct Columns<'a> {
    applications: Vec<i64>,
    numbers: Vec<i64>,
    timestamps: Vec<i64>,
    names: Vec<&'a str>,
    owners: Vec<Option<&'a str>>,
    created: Vec<OffsetDateTime>,
    members: Vec<i32>,
}

impl<'a> Columns<'a> {
    fn of(chats: impl Iterator<Item = (ApplicationId, &'a Chat)>) -> Self {
        let mut columns = Self::default();
        for (application, chat) in chats {
            columns.applications.push(application.0);
            columns.numbers.push(chat.number.0);
            columns.timestamps.push(chat.timestamp.0);
            columns.names.push(chat.name.as_str());
            columns.owners.push(chat.owner.as_ref().map(UserId::as_str));
            columns.created.push(chat.created);
            columns.members.push(chat.members);
        }
        columns
    }
}
