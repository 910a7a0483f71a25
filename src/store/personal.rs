//! The personal conversations of the table `conversations`.

use std::sync::Arc;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Lane, Result, columns};
use crate::domain::{
    ApplicationId, ConversationId, MessageNumber, Pair, PersonalConversation, Positions, Timestamp,
    UserId,
};

struct PersonalRow {
    id: i64,
    timestamp: i64,
    created: OffsetDateTime,
    least: String,
    greatest: String,
    least_read: i64,
    greatest_read: i64,
    messages: i64,
}

/// Reads the conversations that exist, in any order.
pub async fn load(
    lane: &mut Lane<'_>,
    pairs: impl Iterator<Item = &Pair>,
) -> Result<Vec<Arc<PersonalConversation>>> {
    let application = lane.application();
    read(lane.connection(), application, pairs).await
}

/// The conversation of two users as it is now; `None` if it has no message yet.
pub async fn find(
    connection: &mut PgConnection,
    application: ApplicationId,
    pair: &Pair,
) -> Result<Option<Arc<PersonalConversation>>> {
    let found = read(connection, application, std::iter::once(pair)).await?;
    Ok(found.into_iter().next())
}

async fn read(
    connection: &mut PgConnection,
    application: ApplicationId,
    pairs: impl Iterator<Item = &Pair>,
) -> Result<Vec<Arc<PersonalConversation>>> {
    columns!(for pair in pairs => {
        least: pair.least().as_str(),
        greatest: pair.greatest().as_str(),
    });
    let rows = sqlx::query_as!(
        PersonalRow,
        r#"
        SELECT c.id, c.timestamp, c.created, c.least AS "least!",
               c.greatest AS "greatest!", c.least_read AS "least_read!",
               c.greatest_read AS "greatest_read!", coalesce(newest.number, 0) AS "messages!"
        FROM unnest($2::text[], $3::text[]) AS pair (least, greatest)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM conversations AS found
            WHERE found.application_id = $1 AND found.least = pair.least
              AND found.greatest = pair.greatest AND found.chat_number IS NULL
            LIMIT 1
        ) AS c
        LEFT JOIN LATERAL (
            SELECT m.number FROM messages AS m
            WHERE m.application_id = $1 AND m.conversation_id = c.id
            ORDER BY m.number DESC LIMIT 1
        ) AS newest ON TRUE
        "#,
        application.get(),
        &least as &[&str],
        &greatest as &[&str],
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(PersonalRow::into_conversation)
        .collect())
}

impl PersonalRow {
    fn into_conversation(self) -> Arc<PersonalConversation> {
        let [least, greatest] = [&self.least, &self.greatest].map(|user| UserId::trusted(user));
        Arc::new(PersonalConversation {
            id: ConversationId::new(self.id),
            pair: Pair::new(&least, &greatest),
            timestamp: Timestamp::new(self.timestamp),
            created: self.created,
            messages: MessageNumber::new(self.messages),
            positions: Positions {
                least: MessageNumber::new(self.least_read),
                greatest: MessageNumber::new(self.greatest_read),
            },
        })
    }
}
