//! The recipients of changes of messages.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::query_seen;
use crate::{
    domain::{ApplicationId, ConversationId, Timestamp, UserId},
    store::{Result, columns, presence},
};

/// A user whom a change of a message concerns, other than the one who has made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    pub user: UserId,
    /// How many messages of the conversation the user has not read.
    pub unread: i64,
    /// Whether the change names the user.
    pub is_mentioned: bool,
    /// Whether the user has muted the conversation.
    pub is_muted: bool,
    /// Whether the user has a stream open.
    pub is_connected: bool,
}

/// A change of a message, whose recipients are looked up.
pub struct RecipientLookup<'a> {
    pub timestamp: Timestamp,
    pub conversation: ConversationId,
    /// `None`: the application itself.
    pub actor: Option<&'a UserId>,
}

struct RecipientRow {
    place: i64,
    user_id: String,
    unread: i64,
    is_mentioned: bool,
    is_muted: bool,
    is_connected: bool,
}

/// About how many recipients a change of a message in each of the conversations has.
pub async fn recipient_counts(
    connection: &mut PgConnection,
    application: ApplicationId,
    conversations: &[ConversationId],
) -> Result<HashMap<ConversationId, usize>> {
    let ids: Vec<_> = conversations.iter().map(|id| id.get()).collect();
    let rows = sqlx::query!(
        r#"
        SELECT c.id, coalesce(c.members, 1) AS "members!"
        FROM unnest($2::bigint[]) AS lookup (id)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT found.id, found.members FROM conversations AS found
            WHERE found.application_id = $1 AND found.id = lookup.id
            LIMIT 1
        ) AS c
        "#,
        application.get(),
        &ids,
    )
    .fetch_all(connection)
    .await?;
    let counts = rows.into_iter().map(|row| {
        let members = usize::try_from(row.members).unwrap_or_default();
        (ConversationId::new(row.id), members)
    });
    Ok(counts.collect())
}

/// Reads the recipients of each change, by user: the other user of a personal conversation, or the other
/// users who were members of the chat at its timestamp. Everything else about them is as it is now, and so
/// is read once for each user of a conversation.
pub async fn recipients(
    connection: &mut PgConnection,
    application: ApplicationId,
    lookups: &[RecipientLookup<'_>],
) -> Result<Vec<Vec<Recipient>>> {
    let replicas = presence::live_replicas(connection).await?;
    columns!(for lookup in lookups => {
        timestamps: lookup.timestamp.get(),
        conversations: lookup.conversation.get(),
        actors: lookup.actor.map(UserId::as_str),
    });
    let rows = query_seen!(
        RecipientRow,
        "SELECT recipient.user_id COLLATE \"C\" AS user_id, c.id, c.timestamp, c.chat_number,
                recipient.other COLLATE \"C\" AS other, recipient.blocked, c.opened,
                recipient.set_to, recipient.as_of, recipient.reads_after, 0::bigint AS other_set_to,
                0::bigint AS other_as_of, c.first
        FROM (SELECT DISTINCT id FROM unnest($3::bigint[]) AS changed (id)) AS changed
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM conversations AS found
            WHERE found.application_id = $1 AND found.id = changed.id
            LIMIT 1
        ) AS c
        CROSS JOIN LATERAL (
            -- Of a user who has come back, the last membership.
            (SELECT DISTINCT ON (m.user_id)
                    m.user_id, NULL::text AS other, FALSE AS blocked, m.read AS set_to, m.as_of,
                    m.reads_after
            FROM (
                -- Not flattened, this is a lookup by key, whatever the planner assumes.
                SELECT * FROM chat_members AS found
                WHERE found.application_id = $1 AND found.chat_number = c.chat_number
                OFFSET 0
            ) AS m
            ORDER BY m.user_id, m.joined DESC)
            UNION ALL
            SELECT c.least, c.greatest, c.least_blocks, c.least_read, c.least_as_of, 0
            WHERE c.chat_number IS NULL
            UNION ALL
            SELECT c.greatest, c.least, c.greatest_blocks, c.greatest_read, c.greatest_as_of, 0
            WHERE c.chat_number IS NULL AND c.least <> c.greatest
        ) AS recipient",
        [r#"SELECT change.place AS "place!", seen.user_id AS "user_id!", seen.unread AS "unread!",
               coalesce(u.mention, FALSE) AS "is_mentioned!", seen.is_muted AS "is_muted!",
               coalesce((
                   SELECT TRUE FROM presence AS p
                   WHERE p.application_id = $1 AND p.user_id = seen.user_id
                     AND p.replica = ANY ($5)
                   LIMIT 1
               ), FALSE) AS "is_connected!"
        FROM unnest($2::bigint[], $3::bigint[], $4::text[])
            WITH ORDINALITY AS change (timestamp, conversation_id, actor, place)
        JOIN seen ON seen.id = change.conversation_id AND seen.user_id IS DISTINCT FROM change.actor
        -- Whoever was there at the change has an update of it.
        CROSS JOIN LATERAL (
            SELECT found.mention FROM updates AS found
            WHERE found.application_id = $1 AND found.user_id = seen.user_id
              AND found.timestamp = change.timestamp
            LIMIT 1
        ) AS u
        ORDER BY change.place, seen.user_id"#],
        application.get(),
        &timestamps,
        &conversations,
        &actors as &[Option<&str>],
        &replicas,
    )
    .fetch_all(connection)
    .await?;
    let mut found = vec![Vec::new(); lookups.len()];
    for row in rows {
        let place = usize::try_from(row.place - 1).expect("ordinals count the changes from 1");
        found[place].push(Recipient {
            user: UserId::trusted(&row.user_id),
            unread: row.unread,
            is_mentioned: row.is_mentioned,
            is_muted: row.is_muted,
            is_connected: row.is_connected,
        });
    }
    Ok(found)
}
