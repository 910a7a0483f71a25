//! The table `conversation_settings`: what users have set for conversations.

use serde_json::value::RawValue;
use sqlx::types::Json;

use super::{Lane, Result, columns};
use crate::domain::{Attributes, ConversationId, Settings, Timestamp, UserId};

/// What a user has set for a conversation.
pub struct SettingsRow<'a> {
    pub user: &'a UserId,
    pub conversation: ConversationId,
    pub settings: &'a Settings,
    /// The first change of it in the batch.
    pub timestamp: Timestamp,
}

/// Reads what users have set for conversations; nothing where they never have.
pub async fn load(
    lane: &mut Lane<'_>,
    lookup: &[(&UserId, ConversationId)],
) -> Result<Vec<(UserId, ConversationId, Settings)>> {
    columns!(for (user, conversation) in lookup => {
        users: user.as_str(),
        conversations: conversation.get(),
    });
    let rows = sqlx::query!(
        r#"
        SELECT s.user_id, s.conversation_id, s.pinned, s.muted_until, s.archived,
               s.attributes AS "attributes: Json<Box<RawValue>>"
        FROM unnest($2::text[], $3::bigint[]) AS lookup (user_id, conversation_id)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM conversation_settings AS found
            WHERE found.application_id = $1 AND found.user_id = lookup.user_id
              AND found.conversation_id = lookup.conversation_id
            LIMIT 1
        ) AS s
        "#,
        lane.application().get(),
        &users as &[&str],
        &conversations,
    )
    .fetch_all(lane.connection())
    .await?;
    let found = rows.into_iter().map(|row| {
        let settings = Settings {
            pinned: row.pinned,
            muted_until: row.muted_until,
            archived: row.archived.map(Timestamp::new),
            attributes: row.attributes.map(|Json(raw)| Attributes::trusted(raw)),
        };
        let user = UserId::trusted(&row.user_id);
        (user, ConversationId::new(row.conversation_id), settings)
    });
    Ok(found.collect())
}

/// Stores settings.
pub async fn store(lane: &mut Lane<'_>, rows: &[SettingsRow<'_>]) -> Result<()> {
    columns!(for row in rows => {
        users: row.user.as_str(),
        conversations: row.conversation.get(),
        since: row.timestamp.get(),
        pinned: row.settings.pinned,
        muted: row.settings.muted_until,
        archived: row.settings.archived.map(|timestamp| timestamp.get()),
        attributes: row.settings.attributes.as_ref().map(|attributes| attributes.as_json().get()),
    });
    sqlx::query!(
        r#"
        INSERT INTO conversation_settings AS s (
            application_id, user_id, conversation_id, pinned, muted_until, archived, attributes, since,
            created
        )
        SELECT $1, user_id, conversation_id, pinned, muted_until, archived, attributes::json, since, $9
        FROM unnest(
            $2::text[], $3::bigint[], $4::boolean[], $5::timestamptz[], $6::bigint[], $7::text[],
            $8::bigint[]
        ) AS new (user_id, conversation_id, pinned, muted_until, archived, attributes, since)
        ON CONFLICT (application_id, user_id, conversation_id) DO UPDATE
        SET pinned      = excluded.pinned,
            muted_until = excluded.muted_until,
            archived    = excluded.archived,
            attributes  = excluded.attributes
        "#,
        lane.application().get(),
        &users as &[&str],
        &conversations,
        &pinned,
        &muted as &[Option<time::OffsetDateTime>],
        &archived as &[Option<i64>],
        &attributes as &[Option<&str>],
        &since,
        lane.now(),
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}
