//! Conversations as their members see them: with the newest message, the positions, the counts of
//! what is unread, and the member's own settings. What is read by one call is of one snapshot.

use std::sync::Arc;

use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};
use time::OffsetDateTime;

use super::{Error, Result, columns, messages::MessageRow};
use crate::domain::{
    ApplicationId, Attributes, Chat, ChatNumber, ConversationId, Message, MessageNumber, Pair,
    READS_TOLD_MAX, Settings, Subject, Timestamp, Title, UserId,
};

/// A conversation, as one of its members sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenConversation {
    pub kind: SeenKind,
    pub timestamp: Timestamp,
    pub created: OffsetDateTime,
    /// The number of its newest message.
    pub messages: MessageNumber,
    /// The change that has created its newest message; its own creation, if it has none.
    pub last: Timestamp,
    /// The newest message as it is now.
    pub message: Option<Arc<Message>>,
    /// The member's position.
    pub read: MessageNumber,
    pub unread: Unread,
    pub settings: Settings,
    pub blocked: bool,
    /// The positions of the others, by user; none in a large chat.
    pub reads: Vec<(UserId, MessageNumber)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SeenKind {
    Chat {
        chat: Chat,
        is_owner: bool,
    },
    /// The other user; oneself in a conversation with oneself.
    With(UserId),
}

impl SeenConversation {
    /// The conversation as the member names it.
    pub fn subject(&self) -> Subject {
        match &self.kind {
            SeenKind::Chat { chat, .. } => Subject::Chat(chat.number),
            SeenKind::With(other) => Subject::With(other.clone()),
        }
    }
}

/// What is unread in one conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread {
    /// Messages after the position, without the deleted ones.
    pub messages: i64,
    /// How many messages after the position name the member.
    pub mentions: i64,
}

/// What is unread in all conversations of a user that are not muted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UnreadTotal {
    pub messages: i64,
    /// How many of them have unread messages.
    pub conversations: i64,
    pub mentions: i64,
}

/// A page of a user's conversations, read in one snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationsPage {
    /// The one with the newest message first.
    pub conversations: Vec<SeenConversation>,
    /// Of all conversations of the user.
    pub unread: UnreadTotal,
    /// The newest committed timestamp that concerns the user; zero where there is none.
    pub latest: Timestamp,
}

struct SeenRow {
    id: Option<i64>,
    chat_number: Option<i64>,
    other: Option<String>,
    timestamp: Option<i64>,
    created: Option<OffsetDateTime>,
    name: Option<String>,
    owner: Option<String>,
    members: Option<i32>,
    messages: Option<i64>,
    last: Option<i64>,
    message: Option<MessageRow>,
    read: Option<i64>,
    unread: Option<i64>,
    mentions: Option<i64>,
    pinned: Option<bool>,
    muted_until: Option<OffsetDateTime>,
    archived: Option<i64>,
    blocked: Option<bool>,
    is_owner: Option<bool>,
    attributes: Option<Json<Box<RawValue>>>,
    readers: Option<Vec<String>>,
    reads: Option<Vec<i64>>,
    place: Option<i64>,
    total_messages: i64,
    total_conversations: i64,
    total_mentions: i64,
    latest: i64,
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
                       coalesce(newest.sent, own_beginning.since, mine.id) AS last,
                       own_beginning.since, own_beginning.created AS since_created,
                       position.read, position.other_read,
                       coalesce(newest.number, 0) - position.read - deleted.count AS unread,
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
                    SELECT CASE WHEN mine.other IS NULL THEN coalesce(own.number, mine.set_to)
                               WHEN personal.own > mine.as_of THEN personal.own
                               ELSE mine.set_to END AS read,
                           CASE WHEN personal.others > mine.other_as_of THEN personal.others
                               ELSE mine.other_set_to END AS other_read
                    LIMIT 1
                ) AS position
                CROSS JOIN LATERAL (
                    SELECT count(*) FROM messages AS m
                    WHERE m.application_id = $1 AND m.conversation_id = mine.id AND m.deleted
                      AND m.number > position.read AND newest.number > position.read
                ) AS deleted
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
                    WHERE mine.other IS NOT NULL AND newest.number IS NULL
                    LIMIT 1
                ) AS own_beginning ON TRUE
                -- A personal conversation without a message is there for who has set something alone.
                WHERE mine.other IS NULL OR newest.number IS NOT NULL OR mine.blocked OR s.pinned
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
                   page.last AS "last?", newest.message AS "message?: MessageRow",
                   page.read AS "read?", page.unread AS "unread?", page.mentions AS "mentions?",
                   page.pinned AS "pinned?", page.muted_until AS "muted_until?",
                   page.archived AS "archived?", page.blocked AS "blocked?",
                   page.owner = page.user_id AS "is_owner?",
                   page.attributes AS "attributes?: Json<Box<RawValue>>",
                   others.users AS "readers?", others.reads AS "reads?",
                   page.place AS "place?", "# + $totals + r#"
            FROM (VALUES (1)) AS once
            LEFT JOIN page ON TRUE
            LEFT JOIN LATERAL (
                SELECT m AS message FROM messages AS m
                WHERE m.application_id = $1 AND m.id = page.message_id
                LIMIT 1
            ) AS newest ON TRUE
            LEFT JOIN LATERAL (
                SELECT array_agg(reader.user_id ORDER BY reader.user_id) AS users,
                       array_agg(reader.read ORDER BY reader.user_id) AS reads
                FROM (
                    SELECT page.other AS user_id, page.other_read AS read
                    WHERE page.other <> page.user_id
                    UNION ALL
                    SELECT m.user_id, coalesce(own.number, m.read)
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

/// A page of the conversations of a user: those that are archived, or those that are not. `before` is
/// the `last` of the page before.
pub async fn list(
    connection: &mut PgConnection,
    application: ApplicationId,
    user: &UserId,
    archived: bool,
    before: Timestamp,
    limit: i64,
) -> Result<ConversationsPage> {
    let rows = query_page!(
        "SELECT $2::text COLLATE \"C\" AS user_id, c.id, c.chat_number, NULL::text COLLATE \"C\" AS other,
                c.timestamp, c.created, c.name, c.owner, c.members, FALSE AS blocked,
                m.read AS set_to, m.as_of, 0::bigint AS other_set_to, 0::bigint AS other_as_of
        FROM chat_members AS m
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM conversations AS found
            WHERE found.application_id = $1 AND found.chat_number = m.chat_number
            LIMIT 1
        ) AS c
        WHERE m.application_id = $1 AND m.user_id = $2 AND m.departed IS NULL
        UNION ALL
        SELECT c.least, c.id, NULL, c.greatest, c.timestamp, c.created, NULL, NULL, NULL,
               c.least_blocks, c.least_read, c.least_as_of, c.greatest_read, c.greatest_as_of
        FROM conversations AS c
        WHERE c.application_id = $1 AND c.least BETWEEN $2 AND $2 AND c.chat_number IS NULL
        UNION ALL
        SELECT c.greatest, c.id, NULL, c.least, c.timestamp, c.created, NULL, NULL, NULL,
               c.greatest_blocks, c.greatest_read, c.greatest_as_of, c.least_read, c.least_as_of
        FROM conversations AS c
        WHERE c.application_id = $1 AND c.greatest BETWEEN $2 AND $2 AND c.least <> c.greatest
          AND c.chat_number IS NULL",
        "SELECT *, -last AS place FROM seen
        WHERE (archived IS NOT NULL) = $4 AND last < $5
        ORDER BY last DESC
        LIMIT $6",
        r#"
        coalesce((SELECT sum(unread) FROM seen WHERE NOT is_muted), 0)::bigint AS "total_messages!",
        (SELECT count(*) FROM seen WHERE NOT is_muted AND unread > 0) AS "total_conversations!",
        coalesce((SELECT sum(mentions) FROM seen WHERE NOT is_muted), 0)::bigint
            AS "total_mentions!",
        coalesce((
            SELECT u.timestamp FROM updates AS u
            WHERE u.application_id = $1 AND u.user_id = $2
            ORDER BY u.timestamp DESC LIMIT 1
        ), 0) AS "latest!"
        "#,
        application.get(),
        user.as_str(),
        READS_TOLD_MAX as i32,
        archived,
        before.get(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    let first = rows.first();
    let (unread, latest) = first.map_or((UnreadTotal::default(), 0), |row| {
        let total = UnreadTotal {
            messages: row.total_messages,
            conversations: row.total_conversations,
            mentions: row.total_mentions,
        };
        (total, row.latest)
    });
    Ok(ConversationsPage {
        conversations: conversations(rows)?,
        unread,
        latest: Timestamp::new(latest),
    })
}

/// A page of the chats of a member, by number.
pub async fn list_chats(
    connection: &mut PgConnection,
    application: ApplicationId,
    member: &UserId,
    after: ChatNumber,
    limit: i64,
) -> Result<Vec<SeenConversation>> {
    let rows = query_page!(
        "SELECT m.user_id, c.id, c.chat_number, NULL::text COLLATE \"C\" AS other,
                c.timestamp, c.created, c.name, c.owner, c.members, FALSE AS blocked,
                m.read AS set_to, m.as_of, 0::bigint AS other_set_to, 0::bigint AS other_as_of
        FROM (
            SELECT * FROM chat_members
            WHERE application_id = $1 AND user_id = $2 AND chat_number > $4 AND departed IS NULL
            ORDER BY chat_number
            LIMIT $5
        ) AS m
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM conversations AS found
            WHERE found.application_id = $1 AND found.chat_number = m.chat_number
            LIMIT 1
        ) AS c",
        "SELECT *, chat_number AS place FROM seen",
        r#"0::bigint AS "total_messages!", 0::bigint AS "total_conversations!",
        0::bigint AS "total_mentions!", 0::bigint AS "latest!""#,
        application.get(),
        member.as_str(),
        READS_TOLD_MAX as i32,
        after.get(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    conversations(rows)
}

/// Which conversations a user wants to see.
#[derive(Debug, Clone)]
pub struct SeenRequest {
    pub user: UserId,
    pub named: Vec<Subject>,
}

/// Reads conversations for each of many users of one application, in the order in which each names
/// them, without those that the user does not see.
pub async fn find(
    connection: &mut PgConnection,
    application: ApplicationId,
    requests: &[&SeenRequest],
) -> Result<Vec<Vec<SeenConversation>>> {
    let named = requests.iter().enumerate().flat_map(|(index, request)| {
        let named = request.named.iter();
        named.map(move |subject| (index, &request.user, subject))
    });
    columns!(for (index, user, subject) in named => {
        indexes: index,
        users: user.as_str(),
        chats: match subject {
            Subject::Chat(number) => Some(number.get()),
            Subject::With(_) | Subject::Message(_) => None,
        },
        pairs: match subject {
            Subject::With(other) => Some(Pair::new(user, other)),
            Subject::Chat(_) | Subject::Message(_) => None,
        },
    });
    let of_pairs = |user: fn(&Pair) -> &UserId| {
        let users = pairs.iter().map(|pair| Some(user(pair.as_ref()?).as_str()));
        users.collect::<Vec<_>>()
    };
    let rows = query_page!(
        "SELECT named.user_id COLLATE \"C\" AS user_id, c.id, c.chat_number,
                CASE WHEN c.chat_number IS NULL THEN
                    CASE WHEN c.least = named.user_id THEN c.greatest ELSE c.least END
                END COLLATE \"C\" AS other,
                c.timestamp, c.created, c.name, c.owner, c.members,
                CASE WHEN c.least = named.user_id THEN coalesce(c.least_blocks, FALSE)
                    ELSE coalesce(c.greatest_blocks, FALSE) END AS blocked,
                CASE WHEN c.chat_number IS NOT NULL THEN m.read
                    WHEN c.least = named.user_id THEN c.least_read ELSE c.greatest_read END AS set_to,
                CASE WHEN c.chat_number IS NOT NULL THEN m.as_of
                    WHEN c.least = named.user_id THEN c.least_as_of ELSE c.greatest_as_of END AS as_of,
                CASE WHEN c.least = named.user_id THEN c.greatest_read
                    ELSE c.least_read END AS other_set_to,
                CASE WHEN c.least = named.user_id THEN c.greatest_as_of
                    ELSE c.least_as_of END AS other_as_of,
                named.place
        FROM unnest($2::text[], $4::bigint[], $5::text[], $6::text[])
            WITH ORDINALITY AS named (user_id, chat_number, least, greatest, place)
        CROSS JOIN LATERAL (
            -- The limits make these lookups by key, whatever the planner assumes about the tables.
            (SELECT * FROM conversations AS found
            WHERE found.application_id = $1 AND found.chat_number = named.chat_number
            LIMIT 1)
            UNION ALL
            (SELECT * FROM conversations AS found
            WHERE found.application_id = $1 AND found.least = named.least
              AND found.greatest = named.greatest AND found.chat_number IS NULL
            LIMIT 1)
        ) AS c
        LEFT JOIN LATERAL (
            SELECT found.read, found.as_of FROM chat_members AS found
            WHERE found.application_id = $1 AND found.chat_number = c.chat_number
              AND found.user_id = named.user_id AND found.departed IS NULL
            LIMIT 1
        ) AS m ON TRUE
        WHERE c.chat_number IS NULL OR m.read IS NOT NULL",
        "SELECT * FROM seen",
        r#"0::bigint AS "total_messages!", 0::bigint AS "total_conversations!",
        0::bigint AS "total_mentions!", 0::bigint AS "latest!""#,
        application.get(),
        &users as &[&str],
        READS_TOLD_MAX as i32,
        &chats as &[Option<i64>],
        &of_pairs(Pair::least) as &[Option<&str>],
        &of_pairs(Pair::greatest) as &[Option<&str>],
    )
    .fetch_all(connection)
    .await?;
    let mut found = vec![Vec::new(); requests.len()];
    for row in rows {
        if let Some(place) = row.place {
            let place = usize::try_from(place - 1).expect("ordinals count the names from 1");
            found[indexes[place]].push(row.into_conversation()?);
        }
    }
    Ok(found)
}

struct UnreadRow {
    user_id: String,
    messages: i64,
    conversations: i64,
    mentions: i64,
}

/// What is unread by each of the users, in the order in which they are named.
pub async fn unread(
    connection: &mut PgConnection,
    application: ApplicationId,
    users: &[UserId],
) -> Result<Vec<(UserId, UnreadTotal)>> {
    let users: Vec<_> = users.iter().map(UserId::as_str).collect();
    let rows = query_seen!(
        UnreadRow,
        "SELECT reader.user_id COLLATE \"C\" AS user_id, reader.place, found.*
        FROM unnest($2::text[]) WITH ORDINALITY AS reader (user_id, place)
        CROSS JOIN LATERAL (
            SELECT c.id, m.chat_number, NULL::text COLLATE \"C\" AS other, FALSE AS blocked,
                   m.read AS set_to, m.as_of, 0::bigint AS other_set_to, 0::bigint AS other_as_of
            FROM chat_members AS m
            CROSS JOIN LATERAL (
                -- The limit makes this a lookup by key, whatever the planner assumes.
                SELECT * FROM conversations AS found
                WHERE found.application_id = $1 AND found.chat_number = m.chat_number
                LIMIT 1
            ) AS c
            WHERE m.application_id = $1 AND m.user_id = reader.user_id AND m.departed IS NULL
            UNION ALL
            SELECT c.id, NULL, c.greatest, c.least_blocks, c.least_read, c.least_as_of, 0, 0
            FROM conversations AS c
            WHERE c.application_id = $1 AND c.least BETWEEN reader.user_id AND reader.user_id
              AND c.chat_number IS NULL
            UNION ALL
            SELECT c.id, NULL, c.least, c.greatest_blocks, c.greatest_read, c.greatest_as_of, 0, 0
            FROM conversations AS c
            WHERE c.application_id = $1 AND c.greatest BETWEEN reader.user_id AND reader.user_id
              AND c.least <> c.greatest AND c.chat_number IS NULL
        ) AS found",
        [r#"SELECT reader.user_id AS "user_id!",
               coalesce(total.messages, 0) AS "messages!",
               coalesce(total.conversations, 0) AS "conversations!",
               coalesce(total.mentions, 0) AS "mentions!"
        FROM unnest($2::text[]) WITH ORDINALITY AS reader (user_id, place)
        LEFT JOIN (
            SELECT place, sum(unread)::bigint AS messages, sum(mentions)::bigint AS mentions,
                   count(*) FILTER (WHERE unread > 0) AS conversations
            FROM seen
            WHERE NOT is_muted
            GROUP BY place
        ) AS total USING (place)
        ORDER BY reader.place"#],
        application.get(),
        &users as &[&str],
    )
    .fetch_all(connection)
    .await?;
    let totals = rows.into_iter().map(|row| {
        let total = UnreadTotal {
            messages: row.messages,
            conversations: row.conversations,
            mentions: row.mentions,
        };
        (UserId::trusted(&row.user_id), total)
    });
    Ok(totals.collect())
}

/// The rows that have a conversation.
fn conversations(rows: Vec<SeenRow>) -> Result<Vec<SeenConversation>> {
    let rows = rows.into_iter().filter(|row| row.place.is_some());
    rows.map(SeenRow::into_conversation).collect()
}

impl SeenRow {
    fn into_conversation(self) -> Result<SeenConversation> {
        let inconsistent = Error::Inconsistent {
            table: "conversations",
            id: self.id.unwrap_or_default(),
        };
        let seen = self.try_into_conversation()?;
        seen.ok_or(inconsistent)
    }

    /// `None` if something is missing that each conversation has.
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
                Timestamp::new(self.last?),
            ))
        };
        let Some((id, timestamp, created, messages, last)) = common() else {
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
                    last,
                    members,
                },
                is_owner: self.is_owner.unwrap_or(false),
            },
            _ => return Ok(None),
        };
        Ok(Some(SeenConversation {
            kind,
            timestamp,
            created,
            messages,
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
            reads: reads.collect(),
        }))
    }
}
