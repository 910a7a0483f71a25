//! The table `mentions`: which message names which user.

use super::{Lane, Result, columns};
use crate::domain::{ConversationId, MessageNumber, UserId};

/// A message names a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mention<'a> {
    pub user: &'a UserId,
    pub conversation: ConversationId,
    pub number: MessageNumber,
}

pub async fn insert(lane: &mut Lane<'_>, mentions: &[Mention<'_>]) -> Result<()> {
    columns!(for mention in mentions => {
        users: mention.user.as_str(),
        conversations: mention.conversation.get(),
        numbers: mention.number.get(),
    });
    sqlx::query!(
        r#"
        INSERT INTO mentions (application_id, user_id, conversation_id, number)
        SELECT $1, new.* FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS new
        "#,
        lane.application().get(),
        &users as &[&str],
        &conversations,
        &numbers,
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

pub async fn remove(lane: &mut Lane<'_>, mentions: &[Mention<'_>]) -> Result<()> {
    columns!(for mention in mentions => {
        users: mention.user.as_str(),
        conversations: mention.conversation.get(),
        numbers: mention.number.get(),
    });
    sqlx::query!(
        r#"
        DELETE FROM mentions AS m
        USING unnest($2::text[], $3::bigint[], $4::bigint[]) AS gone (user_id, conversation_id, number)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT ctid AS place FROM mentions
            WHERE application_id = $1 AND user_id = gone.user_id
              AND conversation_id = gone.conversation_id AND number = gone.number
            LIMIT 1
        ) AS found
        WHERE m.application_id = $1 AND m.ctid = found.place
        "#,
        lane.application().get(),
        &users as &[&str],
        &conversations,
        &numbers,
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}
