//! Conversations as their members see them: with the newest message, the positions, the counts of
//! what is unread, and the member's own settings. What is read by one call is of one snapshot.

mod recipients;
mod seen;

use std::sync::Arc;

use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};
use time::OffsetDateTime;

use super::{Result, columns, messages::MessageRow};
use crate::domain::{
    ApplicationId, Chat, ChatNumber, Message, MessageNumber, Pair, READS_TOLD_MAX, Rank, Settings,
    Subject, Timestamp, UserId,
};
pub use recipients::{Recipient, RecipientLookup, recipient_counts, recipients};
use seen::{SeenRow, query_page, query_seen};

/// A conversation, as one of its members sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenConversation {
    pub kind: SeenKind,
    pub timestamp: Timestamp,
    pub created: OffsetDateTime,
    /// The number of its newest message.
    pub messages: MessageNumber,
    /// Messages with smaller numbers have expired.
    pub first: MessageNumber,
    /// The change that has created its newest message; its own creation, if it has none.
    pub last: Timestamp,
    /// The newest message as it is now.
    pub message: Option<Arc<Message>>,
    /// The member's position.
    pub read: MessageNumber,
    pub unread: Unread,
    pub settings: Settings,
    pub blocked: bool,
    /// Whether the application has opened it; never of a chat.
    pub opened: bool,
    /// The positions of the others, by user; none in a large chat.
    pub reads: Vec<(UserId, MessageNumber)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SeenKind {
    Chat {
        chat: Chat,
        /// Who the member is there.
        rank: Rank,
        /// Until when the member does not post.
        member_muted_until: Option<OffsetDateTime>,
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
    /// Messages after the position, without the deleted ones and those of the system.
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
                c.timestamp, c.created, c.name, c.owner, c.members, FALSE AS blocked, FALSE AS opened,
                m.read AS set_to, m.as_of, m.reads_after, 0::bigint AS other_set_to,
                0::bigint AS other_as_of, c.attributes AS chat_attributes, c.moderators_post, c.frozen,
                c.since_joining, c.slow_mode, c.reactions_off, c.retention_days, c.first, m.role::text AS role,
                m.muted_until AS member_muted_until
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
               c.least_blocks, c.opened, c.least_read, c.least_as_of, 0, c.greatest_read,
               c.greatest_as_of, NULL, NULL, NULL, NULL, NULL, NULL, NULL, c.first, NULL, NULL
        FROM conversations AS c
        WHERE c.application_id = $1 AND c.least BETWEEN $2 AND $2 AND c.chat_number IS NULL
          AND c.importing IS NOT TRUE
        UNION ALL
        SELECT c.greatest, c.id, NULL, c.least, c.timestamp, c.created, NULL, NULL, NULL,
               c.greatest_blocks, c.opened, c.greatest_read, c.greatest_as_of, 0, c.least_read,
               c.least_as_of, NULL, NULL, NULL, NULL, NULL, NULL, NULL, c.first, NULL, NULL
        FROM conversations AS c
        WHERE c.application_id = $1 AND c.greatest BETWEEN $2 AND $2 AND c.least <> c.greatest
          AND c.chat_number IS NULL AND c.importing IS NOT TRUE",
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
                c.timestamp, c.created, c.name, c.owner, c.members, FALSE AS blocked, FALSE AS opened,
                m.read AS set_to, m.as_of, m.reads_after, 0::bigint AS other_set_to,
                0::bigint AS other_as_of, c.attributes AS chat_attributes, c.moderators_post, c.frozen,
                c.since_joining, c.slow_mode, c.reactions_off, c.retention_days, c.first, m.role::text AS role,
                m.muted_until AS member_muted_until
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
        chats: subject.chat().map(|number| number.get()),
        pairs: subject.with().map(|other| Pair::new(user, other)),
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
                c.timestamp, c.created, c.name, c.owner, c.members, c.attributes AS chat_attributes,
                c.moderators_post, c.frozen, c.since_joining, c.slow_mode, c.reactions_off, c.retention_days,
                c.first,
                m.role::text AS role, m.muted_until AS member_muted_until, coalesce(m.reads_after, 0) AS reads_after, c.opened,
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
              AND found.importing IS NOT TRUE
            LIMIT 1)
        ) AS c
        LEFT JOIN LATERAL (
            SELECT found.read, found.as_of, found.reads_after, found.role, found.muted_until
            FROM chat_members AS found
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
            SELECT c.id, c.timestamp, m.chat_number, NULL::text COLLATE \"C\" AS other, FALSE AS blocked,
                   FALSE AS opened, m.read AS set_to, m.as_of, m.reads_after,
                   0::bigint AS other_set_to, 0::bigint AS other_as_of, c.first
            FROM chat_members AS m
            CROSS JOIN LATERAL (
                -- The limit makes this a lookup by key, whatever the planner assumes.
                SELECT * FROM conversations AS found
                WHERE found.application_id = $1 AND found.chat_number = m.chat_number
                LIMIT 1
            ) AS c
            WHERE m.application_id = $1 AND m.user_id = reader.user_id AND m.departed IS NULL
            UNION ALL
            SELECT c.id, c.timestamp, NULL, c.greatest, c.least_blocks, c.opened, c.least_read, c.least_as_of, 0, 0, 0,
                   c.first
            FROM conversations AS c
            WHERE c.application_id = $1 AND c.least BETWEEN reader.user_id AND reader.user_id
              AND c.chat_number IS NULL AND c.importing IS NOT TRUE
            UNION ALL
            SELECT c.id, c.timestamp, NULL, c.least, c.greatest_blocks, c.opened, c.greatest_read, c.greatest_as_of, 0, 0,
                   0, c.first
            FROM conversations AS c
            WHERE c.application_id = $1 AND c.greatest BETWEEN reader.user_id AND reader.user_id
              AND c.least <> c.greatest AND c.chat_number IS NULL
              AND c.importing IS NOT TRUE
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
