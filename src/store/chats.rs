//! The chats of the table `conversations`.

use std::sync::Arc;

use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};
use time::OffsetDateTime;

use super::{Lane, Result, columns};
use crate::domain::{
    ApplicationId, Attributes, Chat, ChatNumber, ChatRules, ConversationId, History, Idempotency,
    Import, MessageNumber, Posting, Rank, RetentionDays, Role, Timestamp, Title, UserId,
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
    first: i64,
    last: i64,
    members: i32,
    attributes: Option<Json<Box<RawValue>>>,
    moderators_post: bool,
    frozen: bool,
    since_joining: bool,
    slow_mode: i32,
    reactions_off: bool,
    importing: Option<bool>,
    retention_days: Option<i32>,
    /// Of the user who reads the chat, if it is a member.
    role: Option<String>,
    reads_after: Option<i64>,
}

/// The columns of what a chat allows.
pub(super) struct RulesColumns {
    pub moderators_post: bool,
    pub frozen: bool,
    pub since_joining: bool,
    pub slow_mode: i32,
    pub reactions_off: bool,
    pub retention_days: Option<i32>,
}

impl RulesColumns {
    pub fn into_rules(self) -> ChatRules {
        ChatRules {
            posting: if self.moderators_post {
                Posting::Moderators
            } else {
                Posting::Members
            },
            frozen: self.frozen,
            history: if self.since_joining {
                History::Joined
            } else {
                History::All
            },
            slow_mode: u32::try_from(self.slow_mode).unwrap_or_default(),
            reactions_off: self.reactions_off,
            retention: self.retention_days.and_then(RetentionDays::stored),
        }
    }
}

/// A query for [`ChatRow`]s of `conversations AS c`, which is in `$from`. The application is `$1`.
/// `$member` are the columns of the member who reads it, and Deleted chats are left out by `$from` or by `$where`.
macro_rules! query_chats {
    ($member:tt, $from:tt, $where:tt, $($arguments:tt)*) => {
        sqlx::query_as!(
            ChatRow,
            r#"
            SELECT c.id, c.chat_number AS "number!", c.timestamp,
                   c.name AS "name!", c.owner, c.created,
                   coalesce(newest.number, 0) AS "messages!", c.first,
                   coalesce(newest.sent, c.id) AS "last!", c.members AS "members!",
                   c.attributes AS "attributes: Json<Box<RawValue>>", c.moderators_post, c.frozen,
                   c.since_joining, c.slow_mode, c.reactions_off, c.importing, c.retention_days,
                   "# + $member + r#"
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
            first: MessageNumber::new(self.first),
            last: Timestamp::new(self.last),
            members: self.members,
            attributes: self.attributes.map(|Json(raw)| Attributes::trusted(raw)),
            rules: RulesColumns {
                moderators_post: self.moderators_post,
                frozen: self.frozen,
                since_joining: self.since_joining,
                slow_mode: self.slow_mode,
                reactions_off: self.reactions_off,
                retention_days: self.retention_days,
            }
            .into_rules(),
            import: Import::stored(self.importing),
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
        "NULL AS role, NULL::bigint AS reads_after",
        "unnest($2::bigint[]) AS lookup (chat_number)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM conversations AS found
            WHERE found.application_id = $1 AND found.chat_number = lookup.chat_number
              AND found.deleted IS NULL
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
        attributes: row.chat.attributes.as_ref().map(|attributes| attributes.as_json().get()),
        moderators_post: row.chat.rules.posting == Posting::Moderators,
        frozen: row.chat.rules.frozen,
        since_joining: row.chat.rules.history == History::Joined,
        slow_modes: slow_mode(row.chat),
        reactions_off: row.chat.rules.reactions_off,
        importing: row.chat.import.to_stored(),
        retention_days: kept_days(row.chat),
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
            application_id, chat_number, id, timestamp, name, owner, created, members, attributes,
            moderators_post, frozen, since_joining, slow_mode, reactions_off, importing, retention_days,
            creator, idempotency_key, request_digest
        )
        SELECT $1, chat_number, id, timestamp, name, owner, created, members, attributes::json,
               moderators_post, frozen, since_joining, slow_mode, reactions_off, importing, retention_days,
               creator, idempotency_key, request_digest
        FROM unnest(
            $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::timestamptz[],
            $8::integer[], $9::text[], $10::boolean[], $11::boolean[], $12::boolean[], $13::integer[],
            $14::boolean[], $15::boolean[], $16::integer[], $17::text[], $18::text[], $19::bytea[]
        ) AS new (
            chat_number, id, timestamp, name, owner, created, members, attributes, moderators_post, frozen,
            since_joining, slow_mode, reactions_off, importing, retention_days, creator,
            idempotency_key, request_digest
        )
        "#,
        lane.application().get(),
        &numbers,
        &ids,
        &timestamps,
        &names as &[&str],
        &owners as &[Option<&str>],
        &created,
        &members,
        &attributes as &[Option<&str>],
        &moderators_post,
        &frozen,
        &since_joining,
        &slow_modes,
        &reactions_off,
        &importing as &[Option<bool>],
        &retention_days as &[Option<i32>],
        &creators as &[Option<&str>],
        &keys as &[Option<&str>],
        &digests as &[Option<&[u8]>],
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

fn kept_days(chat: &Chat) -> Option<i32> {
    chat.rules.retention.map(|days| days.get().into())
}

/// The wait in seconds.
fn slow_mode(chat: &Chat) -> i32 {
    i32::try_from(chat.rules.slow_mode).expect("it is a day at the most")
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
        attributes: chat.attributes.as_ref().map(|attributes| attributes.as_json().get()),
        moderators_post: chat.rules.posting == Posting::Moderators,
        frozen: chat.rules.frozen,
        since_joining: chat.rules.history == History::Joined,
        slow_modes: slow_mode(chat),
        reactions_off: chat.rules.reactions_off,
        importing: chat.import.to_stored(),
        retention_days: kept_days(chat),
    });
    sqlx::query!(
        r#"
        UPDATE conversations AS c
        SET timestamp       = new.timestamp,
            name            = new.name,
            owner           = new.owner,
            members         = new.members,
            attributes      = new.attributes::json,
            moderators_post = new.moderators_post,
            frozen          = new.frozen,
            since_joining   = new.since_joining,
            slow_mode       = new.slow_mode,
            reactions_off   = new.reactions_off,
            importing       = new.importing,
            retention_days  = new.retention_days
        FROM unnest(
            $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::integer[], $7::text[], $8::boolean[],
            $9::boolean[], $10::boolean[], $11::integer[], $12::boolean[], $13::boolean[], $14::integer[]
        ) AS new (
            id, timestamp, name, owner, members, attributes, moderators_post, frozen, since_joining,
            slow_mode, reactions_off, importing, retention_days
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
        &names as &[&str],
        &owners as &[Option<&str>],
        &members,
        &attributes as &[Option<&str>],
        &moderators_post,
        &frozen,
        &since_joining,
        &slow_modes,
        &reactions_off,
        &importing as &[Option<bool>],
        &retention_days as &[Option<i32>],
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Leaves of deleted chats their numbers alone, and what is needed to clear their messages. Their members
/// must have left.
pub async fn delete(lane: &mut Lane<'_>, deleted: &[(ChatNumber, Timestamp)]) -> Result<()> {
    columns!(for (chat, timestamp) in deleted => {
        numbers: chat.get(),
        timestamps: timestamp.get(),
    });
    sqlx::query!(
        r#"
        WITH counted AS (
            UPDATE applications SET chats = chats - cardinality($2::bigint[]) WHERE id = $1
        ),
        unbanned AS (
            DELETE FROM chat_bans AS ban
            USING unnest($2) AS gone (chat_number)
            CROSS JOIN LATERAL (
                -- Not flattened, this is a lookup by key, whatever the planner assumes.
                SELECT ctid AS place FROM chat_bans
                WHERE application_id = $1 AND chat_number = gone.chat_number
                OFFSET 0
            ) AS found
            WHERE ban.application_id = $1 AND ban.ctid = found.place
        )
        UPDATE conversations AS c
        SET name = '', creator = NULL, idempotency_key = NULL, request_digest = NULL,
            deleted = gone.timestamp, to_clear = TRUE
        FROM unnest($2, $3::bigint[]) AS gone (chat_number, timestamp)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT ctid AS place FROM conversations
            WHERE application_id = $1 AND chat_number = gone.chat_number
            LIMIT 1
        ) AS found
        WHERE c.application_id = $1 AND c.ctid = found.place
        "#,
        lane.application().get(),
        &numbers,
        &timestamps,
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
        "NULL AS role, NULL::bigint AS reads_after",
        "conversations AS c",
        "WHERE c.application_id = $1 AND c.chat_number > $2 AND c.deleted IS NULL
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

/// A chat, and the number after which the caller reads its messages.
pub struct VisibleChat {
    pub chat: Chat,
    pub reads_after: MessageNumber,
    /// Who the caller is there.
    pub rank: Rank,
}

/// A chat as it is now: for one of its members, or for the application.
pub async fn find(
    connection: &mut PgConnection,
    application: ApplicationId,
    member: Option<&UserId>,
    number: ChatNumber,
) -> Result<Option<VisibleChat>> {
    let row = query_chats!(
        "m.role::text, m.reads_after AS \"reads_after?\"",
        "conversations AS c
        LEFT JOIN LATERAL (
            SELECT found.role, found.reads_after FROM chat_members AS found
            WHERE found.application_id = $1 AND found.chat_number = c.chat_number
              AND found.user_id = $2 AND found.departed IS NULL
            LIMIT 1
        ) AS m ON TRUE",
        "WHERE c.application_id = $1 AND c.chat_number = $3 AND c.deleted IS NULL
          AND ($2::text IS NULL OR m.role IS NOT NULL)",
        application.get(),
        member.map(UserId::as_str) as Option<&str>,
        number.get(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| {
        let role = row
            .role
            .as_deref()
            .and_then(Role::named)
            .unwrap_or_default();
        let reads_after = MessageNumber::new(row.reads_after.unwrap_or(0));
        let chat = row.into_chat();
        let reads_after = reads_after.max(chat.first.previous());
        let rank = match member {
            None => Rank::Application,
            Some(user) if chat.owner.as_ref() == Some(user) => Rank::Owner,
            Some(_) => role.into(),
        };
        VisibleChat {
            chat,
            reads_after,
            rank,
        }
    }))
}
