//! The recipients of changes of messages.

use sqlx::PgConnection;

use super::query_seen;
use crate::{
    domain::{ApplicationId, ConversationId, Timestamp, UserId},
    store::{Result, columns, feed::Recipient, presence},
};

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

/// Reads the recipients of each change, by user: the other user of a personal conversation, or the other
/// users who were members of the chat at its timestamp. Everything else about them is as it is now.
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
        "SELECT change.place, change.timestamp AS change, recipient.user_id COLLATE \"C\" AS user_id,
                c.id, c.chat_number, recipient.other COLLATE \"C\" AS other, recipient.blocked,
                recipient.set_to, recipient.as_of, 0::bigint AS other_set_to, 0::bigint AS other_as_of
        FROM unnest($2::bigint[], $3::bigint[], $4::text[])
            WITH ORDINALITY AS change (timestamp, conversation_id, actor, place)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM conversations AS found
            WHERE found.application_id = $1 AND found.id = change.conversation_id
            LIMIT 1
        ) AS c
        CROSS JOIN LATERAL (
            SELECT m.user_id, NULL::text AS other, FALSE AS blocked, m.read AS set_to, m.as_of
            FROM (
                -- Not flattened, this is a lookup by key, whatever the planner assumes.
                SELECT * FROM chat_members AS found
                WHERE found.application_id = $1 AND found.chat_number = c.chat_number
                OFFSET 0
            ) AS m
            WHERE m.joined <= change.timestamp
              AND (m.departed IS NULL OR m.departed > change.timestamp)
            UNION ALL
            SELECT c.least, c.greatest, c.least_blocks, c.least_read, c.least_as_of
            WHERE c.chat_number IS NULL
            UNION ALL
            SELECT c.greatest, c.least, c.greatest_blocks, c.greatest_read, c.greatest_as_of
            WHERE c.chat_number IS NULL AND c.least <> c.greatest
        ) AS recipient
        WHERE recipient.user_id IS DISTINCT FROM change.actor",
        [r#"SELECT seen.place AS "place!", seen.user_id AS "user_id!", seen.unread AS "unread!",
               coalesce((
                   SELECT u.mention FROM updates AS u
                   WHERE u.application_id = $1 AND u.user_id = seen.user_id
                     AND u.timestamp = seen.change
                   LIMIT 1
               ), FALSE) AS "is_mentioned!",
               seen.is_muted AS "is_muted!",
               coalesce((
                   SELECT TRUE FROM presence AS p
                   WHERE p.application_id = $1 AND p.user_id = seen.user_id
                     AND p.replica = ANY ($5)
                   LIMIT 1
               ), FALSE) AS "is_connected!"
        FROM seen
        ORDER BY seen.place, seen.user_id"#],
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
