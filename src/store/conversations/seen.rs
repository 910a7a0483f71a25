//! The statement behind every view of conversations, and the rows that it returns.

use serde_json::value::RawValue;
use sqlx::types::Json;
use time::OffsetDateTime;

use super::{SeenConversation, SeenKind, Unread};
use crate::{
    domain::{
        Attributes, Chat, ChatNumber, ConversationId, Import, MessageNumber, Rank, Role, Settings,
        Timestamp, Title, UserId,
    },
    store::{Error, Result, chats::RulesColumns, messages::MessageRow},
};

/// A row of [`query_page`]: a conversation, unless there is none, and the totals.
pub struct SeenRow {
    pub id: Option<i64>,
    pub chat_number: Option<i64>,
    pub other: Option<String>,
    pub timestamp: Option<i64>,
    pub created: Option<OffsetDateTime>,
    pub name: Option<String>,
    pub owner: Option<String>,
    pub members: Option<i32>,
    pub messages: Option<i64>,
    pub first: Option<i64>,
    pub last: Option<i64>,
    pub message: Option<MessageRow>,
    pub read: Option<i64>,
    pub unread: Option<i64>,
    pub mentions: Option<i64>,
    pub pinned: Option<bool>,
    pub muted_until: Option<OffsetDateTime>,
    pub archived: Option<i64>,
    pub blocked: Option<bool>,
    pub opened: Option<bool>,
    pub chat_attributes: Option<Json<Box<RawValue>>>,
    pub moderators_post: Option<bool>,
    pub frozen: Option<bool>,
    pub since_joining: Option<bool>,
    pub slow_mode: Option<i32>,
    pub reactions_off: Option<bool>,
    pub retention_days: Option<i32>,
    pub role: Option<String>,
    pub member_muted_until: Option<OffsetDateTime>,
    pub is_owner: Option<bool>,
    pub attributes: Option<Json<Box<RawValue>>>,
    pub readers: Option<Vec<String>>,
    pub reads: Option<Vec<i64>>,
    pub place: Option<i64>,
    pub total_messages: i64,
    pub total_conversations: i64,
    pub total_mentions: i64,
    pub latest: i64,
}

/// A query of conversations as users see them. `$mine` selects the conversations: each with its
/// `user_id`, what is stored of the user's position, and, if it is a personal one, of the other user's.
/// `$select` is the statement after the common table `seen`. The application is `$1`.
macro_rules! query_seen {
    ($row:ident, $mine:tt, [$($select:tt)*], $($arguments:tt)*) => {
        sqlx::query_as!(
            $row,
            "WITH mine AS (" + $mine + r#"),
            seen AS MATERIALIZED (
                SELECT mine.*, coalesce(newest.number, 0) AS messages, newest.id AS message_id,
                       coalesce(
                           newest.sent, own_beginning.since,
                           CASE WHEN mine.opened THEN mine.timestamp ELSE mine.id END
                       ) AS last,
                       own_beginning.since, own_beginning.created AS since_created,
                       position.read, position.other_read,
                       coalesce(newest.number, 0) - position.read - never.count AS unread,
                       named.count + all_named.count AS mentions,
                       coalesce(s.pinned, FALSE) AS pinned, s.muted_until, s.attributes,
                       coalesce(s.muted_until > now(), FALSE) AS is_muted,
                       CASE WHEN coalesce(newest.sent, mine.id) <= s.archived OR s.muted_until > now()
                           THEN s.archived END AS archived
                FROM mine
                LEFT JOIN LATERAL (
                    SELECT m.id, m.number, m.sender, m.recipient_newest,
                           coalesce(m.sent, m.timestamp) AS sent
                    FROM messages AS m
                    WHERE m.application_id = $1 AND m.conversation_id = mine.id
                    ORDER BY m.number DESC LIMIT 1
                ) AS newest ON TRUE
                -- What the member has sent into a chat since the position was set.
                LEFT JOIN LATERAL (
                    SELECT m.number FROM messages AS m
                    WHERE m.application_id = $1 AND m.chat_number = mine.chat_number
                      AND m.sender = mine.user_id AND m.number > mine.as_of
                    ORDER BY m.number DESC LIMIT 1
                ) AS own ON TRUE
                -- In a personal conversation, the newest message tells the newest one of both users.
                CROSS JOIN LATERAL (
                    SELECT CASE WHEN newest.sender = mine.user_id
                               THEN newest.number ELSE newest.recipient_newest END AS own,
                           CASE WHEN newest.sender = mine.other
                               THEN newest.number ELSE newest.recipient_newest END AS others
                    LIMIT 1
                ) AS personal
                CROSS JOIN LATERAL (
                    -- What has expired counts as read.
                    SELECT greatest(mine.first - 1, CASE WHEN mine.other IS NULL
                               THEN greatest(own.number, mine.set_to, mine.reads_after)
                               WHEN personal.own > mine.as_of THEN personal.own
                               ELSE mine.set_to END) AS read,
                           greatest(mine.first - 1, CASE WHEN personal.others > mine.other_as_of
                               THEN personal.others ELSE mine.other_set_to END) AS other_read
                    LIMIT 1
                ) AS position
                CROSS JOIN LATERAL (
                    SELECT count(*) FROM messages AS m
                    WHERE m.application_id = $1 AND m.conversation_id = mine.id
                      AND (m.deleted OR m.system)
                      AND m.number > position.read AND newest.number > position.read
                ) AS never
                CROSS JOIN LATERAL (
                    SELECT count(*) FROM mentions AS m
                    WHERE m.application_id = $1 AND m.user_id = mine.user_id
                      AND m.conversation_id = mine.id
                      AND m.number > position.read AND newest.number > position.read
                ) AS named
                CROSS JOIN LATERAL (
                    SELECT count(*) FROM messages AS m
                    WHERE m.application_id = $1 AND m.conversation_id = mine.id AND m.mentions_all
                      AND m.sender IS DISTINCT FROM mine.user_id
                      AND m.number > position.read AND newest.number > position.read
                ) AS all_named
                LEFT JOIN LATERAL (
                    SELECT * FROM conversation_settings AS found
                    WHERE found.application_id = $1 AND found.user_id = mine.user_id
                      AND found.conversation_id = mine.id
                    LIMIT 1
                ) AS s ON TRUE
                -- A personal conversation without a message begins when the user has set something. What
                -- the other one has set before is nothing to learn of.
                LEFT JOIN LATERAL (
                    SELECT s.since, s.created
                    WHERE mine.other IS NOT NULL AND newest.number IS NULL AND NOT mine.opened
                    LIMIT 1
                ) AS own_beginning ON TRUE
                -- A personal conversation without a message is there once the application has opened it, and
                -- for who has set something alone.
                WHERE mine.other IS NULL OR newest.number IS NOT NULL OR mine.blocked OR mine.opened OR s.pinned
                   OR s.muted_until IS NOT NULL OR s.archived IS NOT NULL OR s.attributes IS NOT NULL
            )
            "# + $($select)*,
            $($arguments)*
        )
    };
}

// A user's personal conversations are looked up by BETWEEN, as if by a range: where one user is in most
// of them, the planner would expect as many for each, and read all of the application.

/// As [`query_seen`]. The row of each conversation that `$page` selects from `seen`, in the order of its
/// `place`, has also its newest message and the positions of others. `$totals` are the columns of
/// totals; without any conversation there is one row, which has them alone. `$3` is the most members of
/// a chat whose positions are told.
macro_rules! query_page {
    ($mine:tt, $page:tt, $totals:tt, $($arguments:tt)*) => {
        query_seen!(
            SeenRow,
            $mine,
            [r#", page AS ("# + $page + r#")
            SELECT page.id AS "id?", page.chat_number AS "chat_number?", page.other AS "other?",
                   coalesce(page.since, page.timestamp) AS "timestamp?",
                   coalesce(page.since_created, page.created) AS "created?", page.name AS "name?",
                   page.owner AS "owner?", page.members AS "members?", page.messages AS "messages?",
                   page.first AS "first?",
                   page.last AS "last?", newest.message AS "message?: MessageRow",
                   page.read AS "read?", page.unread AS "unread?", page.mentions AS "mentions?",
                   page.pinned AS "pinned?", page.muted_until AS "muted_until?",
                   page.archived AS "archived?", page.blocked AS "blocked?",
                   page.opened AS "opened?",
                   page.chat_attributes AS "chat_attributes?: Json<Box<RawValue>>",
                   page.moderators_post AS "moderators_post?", page.frozen AS "frozen?",
                   page.since_joining AS "since_joining?", page.slow_mode AS "slow_mode?",
                   page.reactions_off AS "reactions_off?",
                   page.retention_days AS "retention_days?",
                   page.role AS "role?", page.member_muted_until AS "member_muted_until?",
                   page.owner = page.user_id AS "is_owner?",
                   page.attributes AS "attributes?: Json<Box<RawValue>>",
                   others.users AS "readers?", others.reads AS "reads?",
                   page.place AS "place?", "# + $totals + r#"
            FROM (VALUES (1)) AS once
            LEFT JOIN page ON TRUE
            LEFT JOIN LATERAL (
                SELECT m AS message FROM messages AS m
                WHERE m.application_id = $1 AND m.id = page.message_id
                  AND m.number > page.reads_after AND m.number >= page.first
                LIMIT 1
            ) AS newest ON TRUE
            LEFT JOIN LATERAL (
                SELECT array_agg(reader.user_id ORDER BY reader.user_id) AS users,
                       array_agg(reader.read ORDER BY reader.user_id) AS reads
                FROM (
                    SELECT page.other AS user_id, page.other_read AS read
                    WHERE page.other <> page.user_id
                    UNION ALL
                    SELECT m.user_id, greatest(page.first - 1, coalesce(own.number, m.read))
                    FROM (
                        -- Not flattened, this is a lookup by key, whatever the planner assumes.
                        SELECT * FROM chat_members AS found
                        WHERE found.application_id = $1 AND found.chat_number = page.chat_number
                          AND found.departed IS NULL AND page.members <= $3
                        OFFSET 0
                    ) AS m
                    LEFT JOIN LATERAL (
                        SELECT sent.number FROM messages AS sent
                        WHERE sent.application_id = $1 AND sent.chat_number = m.chat_number
                          AND sent.sender = m.user_id AND sent.number > m.as_of
                        ORDER BY sent.number DESC LIMIT 1
                    ) AS own ON TRUE
                    WHERE m.user_id <> page.user_id
                ) AS reader
            ) AS others ON TRUE
            ORDER BY page.place"#],
            $($arguments)*
        )
    };
}

impl SeenRow {
    /// # Errors
    /// If something is missing that each conversation has.
    pub fn into_conversation(self) -> Result<SeenConversation> {
        let inconsistent = Error::Inconsistent {
            table: "conversations",
            id: self.id.unwrap_or_default(),
        };
        let seen = self.try_into_conversation()?;
        seen.ok_or(inconsistent)
    }

    /// `None` if something is missing.
    fn try_into_conversation(self) -> Result<Option<SeenConversation>> {
        let message = self.message.map(MessageRow::into_message).transpose()?;
        let readers = self.readers.unwrap_or_default();
        let reads = self.reads.unwrap_or_default();
        let reads = readers.iter().zip(reads);
        let reads = reads.map(|(user, read)| (UserId::trusted(user), MessageNumber::new(read)));
        let common = || {
            Some((
                ConversationId::new(self.id?),
                Timestamp::new(self.timestamp?),
                self.created?,
                MessageNumber::new(self.messages?),
                MessageNumber::new(self.first?),
                Timestamp::new(self.last?),
            ))
        };
        let Some((id, timestamp, created, messages, first, last)) = common() else {
            return Ok(None);
        };
        let kind = match (self.chat_number, self.other, self.name.zip(self.members)) {
            (None, Some(other), _) => SeenKind::With(UserId::trusted(&other)),
            (Some(number), _, Some((name, members))) => SeenKind::Chat {
                chat: Chat {
                    id,
                    number: ChatNumber::new(number),
                    timestamp,
                    name: Title::trusted(name),
                    owner: self.owner.as_deref().map(UserId::trusted),
                    created,
                    messages,
                    first,
                    last,
                    members,
                    attributes: self
                        .chat_attributes
                        .map(|Json(raw)| Attributes::trusted(raw)),
                    rules: RulesColumns {
                        moderators_post: self.moderators_post.unwrap_or(false),
                        frozen: self.frozen.unwrap_or(false),
                        since_joining: self.since_joining.unwrap_or(false),
                        slow_mode: self.slow_mode.unwrap_or(0),
                        reactions_off: self.reactions_off.unwrap_or(false),
                        retention_days: self.retention_days,
                    }
                    .into_rules(),
                    import: Import::None,
                },
                rank: match self.role.as_deref().and_then(Role::named) {
                    _ if self.is_owner.unwrap_or(false) => Rank::Owner,
                    role => role.unwrap_or_default().into(),
                },
                member_muted_until: self.member_muted_until,
            },
            _ => return Ok(None),
        };
        Ok(Some(SeenConversation {
            kind,
            timestamp,
            created,
            messages,
            first,
            last,
            message,
            read: MessageNumber::new(self.read.unwrap_or(0)),
            unread: Unread {
                messages: self.unread.unwrap_or(0),
                mentions: self.mentions.unwrap_or(0),
            },
            settings: Settings {
                pinned: self.pinned.unwrap_or(false),
                muted_until: self.muted_until,
                archived: self.archived.map(Timestamp::new),
                attributes: self.attributes.map(|Json(raw)| Attributes::trusted(raw)),
            },
            blocked: self.blocked.unwrap_or(false),
            opened: self.opened.unwrap_or(false),
            reads: reads.collect(),
        }))
    }
}

pub(super) use {query_page, query_seen};
