//! Messages that expire: what conversations keep, and what is left of the rest.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Expiring, Indexing, Lane, Leadership, Result, columns, followers, leadership::Duty};
use crate::domain::{
    ApplicationId, ChatNumber, Conversation, ConversationId, MessageId, MessageNumber,
    OverdueMessages, Pair, RetentionDays, Timestamp, UserId,
};

/// Stores which message is the first one that each conversation keeps, and the newest message that has
/// expired.
pub async fn set_first(
    lane: &mut Lane<'_>,
    firsts: &[(ConversationId, MessageNumber)],
    newest: MessageId,
) -> Result<()> {
    columns!(for (conversation, first) in firsts => {
        ids: conversation.get(),
        numbers: first.get(),
    });
    sqlx::query!(
        "WITH noted AS (
             -- Every page reads this row: it has a new version only where it changes.
             UPDATE applications SET expired = $4 WHERE id = $1 AND expired < $4
         )
         UPDATE conversations AS c
         SET first = kept.first
         FROM unnest($2::bigint[], $3::bigint[]) AS kept (id, first)
         CROSS JOIN LATERAL (
             -- The limit makes this a lookup by key, whatever the planner assumes about the table.
             SELECT ctid AS place FROM conversations
             WHERE application_id = $1 AND id = kept.id
             LIMIT 1
         ) AS found
         WHERE c.application_id = $1 AND c.ctid = found.place",
        lane.application().get(),
        &ids,
        &numbers,
        newest.get(),
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Deletes the rows of messages, with the idempotency keys in them.
pub async fn delete(lane: &mut Lane<'_>, messages: &[MessageId]) -> Result<()> {
    let ids: Vec<_> = messages.iter().map(|id| id.get()).collect();
    sqlx::query!(
        "DELETE FROM messages AS m
         USING unnest($2::bigint[]) AS expired (id)
         CROSS JOIN LATERAL (
             -- The limit makes this a lookup by key, whatever the planner assumes about the table.
             SELECT ctid AS place FROM messages WHERE application_id = $1 AND id = expired.id LIMIT 1
         ) AS found
         WHERE m.application_id = $1 AND m.ctid = found.place",
        lane.application().get(),
        &ids,
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Whether a message with this id or a larger one has expired in the application, in whatever conversation.
pub async fn has_expired_up_to(
    connection: &mut PgConnection,
    application: ApplicationId,
    id: MessageId,
) -> Result<bool> {
    let expired = sqlx::query_scalar!(
        "SELECT expired FROM applications WHERE id = $1",
        application.get(),
    );
    let expired = expired.fetch_optional(connection).await?;
    Ok(expired.is_some_and(|expired| id.get() <= expired))
}

/// An application, as far as retention concerns it.
#[derive(Debug, Clone, Copy)]
pub struct KeptApplication {
    pub id: ApplicationId,
    pub retention: Option<RetentionDays>,
    /// Something of it has expired before.
    pub has_expired: bool,
}

/// The applications after one of them.
pub async fn applications(
    leader: &mut Leadership<Expiring>,
    after: ApplicationId,
    limit: i64,
) -> Result<Vec<KeptApplication>> {
    let rows = sqlx::query!(
        r#"SELECT id, retention_days, (expired > 0 OR trimmed > 0) AS "has_expired!"
           FROM applications WHERE id > $1 ORDER BY id LIMIT $2"#,
        after.get(),
        limit,
    );
    let rows = rows.fetch_all(leader.connection()).await?.into_iter();
    let applications = rows.map(|row| KeptApplication {
        id: ApplicationId::new(row.id),
        retention: row.retention_days.and_then(RetentionDays::stored),
        has_expired: row.has_expired,
    });
    Ok(applications.collect())
}

/// Whether a chat of the application has a retention of its own.
pub async fn is_of_a_chat(
    leader: &mut Leadership<Expiring>,
    application: ApplicationId,
) -> Result<bool> {
    let found = sqlx::query_scalar!(
        "SELECT id FROM conversations
         WHERE application_id = $1 AND retention_days IS NOT NULL AND deleted IS NULL
         ORDER BY retention_days DESC LIMIT 1",
        application.get(),
    );
    Ok(found.fetch_optional(leader.connection()).await?.is_some())
}

/// A conversation whose messages do not stay for ever.
#[derive(Debug, Clone)]
pub struct KeptConversation {
    pub id: ConversationId,
    pub conversation: Conversation,
    pub first: MessageNumber,
    /// After how many days its messages expire, by its own retention or that of its application.
    pub retention: Option<RetentionDays>,
    /// The change that has created the oldest message that has not expired; `None` where there is no such
    /// message.
    pub oldest: Option<Timestamp>,
    /// Whether that message is older than messages are kept.
    pub is_overdue: bool,
}

/// What a conversation is: a chat, or of two users.
struct Named {
    chat_number: Option<i64>,
    least: Option<String>,
    greatest: Option<String>,
}

impl Named {
    /// `None` for a row that is neither, which there is not.
    fn into_conversation(self) -> Option<Conversation> {
        let pair = self.least.zip(self.greatest);
        let pair = pair.map(|(least, greatest)| {
            Pair::new(&UserId::trusted(&least), &UserId::trusted(&greatest))
        });
        let chat = self.chat_number.map(ChatNumber::new);
        let conversation = chat.map(Conversation::Chat);
        conversation.or(pair.map(Conversation::Personal))
    }
}

/// The conversations after one of them in which messages may expire: all of an application with a retention, or
/// else those that have one of their own or had one.
pub async fn conversations(
    leader: &mut Leadership<Expiring>,
    application: ApplicationId,
    retention: Option<RetentionDays>,
    after: ConversationId,
    limit: i64,
) -> Result<Vec<KeptConversation>> {
    let days = retention.map(|days| i32::from(days.get()));
    let rows = sqlx::query!(
        r#"
        SELECT c.id, c.chat_number, c.least, c.greatest, c.first, c.days, oldest.sent AS "oldest?",
               -- Nobody sees yet what is being imported, so nobody is to learn that it expires.
               coalesce(
                   oldest.created < now() - make_interval(hours => 24 * c.days)
                   AND c.importing IS NOT TRUE, FALSE
               ) AS "is_overdue!"
        FROM (
            (
                SELECT id, chat_number, least, greatest, first, importing,
                       coalesce(retention_days, $4) AS days
                FROM conversations
                WHERE application_id = $1 AND id > $2 AND deleted IS NULL AND $4 IS NOT NULL
                ORDER BY id
                LIMIT $3
            )
            UNION ALL
            (
                SELECT id, chat_number, least, greatest, first, importing, retention_days
                FROM conversations
                WHERE application_id = $1 AND id > $2 AND deleted IS NULL AND $4::integer IS NULL
                  AND (first > 1 OR retention_days IS NOT NULL)
                ORDER BY id
                LIMIT $3
            )
        ) AS c
        LEFT JOIN LATERAL (
            SELECT m.created, coalesce(m.sent, m.timestamp) AS sent FROM messages AS m
            WHERE m.application_id = $1 AND m.conversation_id = c.id AND m.number >= c.first
            ORDER BY m.number LIMIT 1
        ) AS oldest ON TRUE
        ORDER BY c.id
        "#,
        application.get(),
        after.get(),
        limit,
        days,
    );
    let rows = rows.fetch_all(leader.connection()).await?.into_iter();
    let conversations = rows.filter_map(|row| {
        let named = Named {
            chat_number: row.chat_number,
            least: row.least,
            greatest: row.greatest,
        };
        Some(KeptConversation {
            id: ConversationId::new(row.id?),
            conversation: named.into_conversation()?,
            first: MessageNumber::new(row.first?),
            retention: row.days.and_then(RetentionDays::stored),
            oldest: row.oldest.map(Timestamp::new),
            is_overdue: row.is_overdue,
        })
    });
    Ok(conversations.collect())
}

/// The messages of the conversation from `first` on that are older than messages are kept, up to the first one
/// that is not, `limit` at the most. Messages that were imported need not be in the order of their times, so
/// each one is looked at.
pub async fn overdue(
    leader: &mut Leadership<Expiring>,
    application: ApplicationId,
    kept: &KeptConversation,
    first: MessageNumber,
    limit: i64,
) -> Result<Option<OverdueMessages>> {
    let Some(retention) = kept.retention else {
        return Ok(None);
    };
    let overdue = sqlx::query!(
        r#"
        WITH looked_at AS MATERIALIZED (
            SELECT id, number, created, created < now() - make_interval(hours => 24 * $4) AS is_overdue
            FROM messages
            WHERE application_id = $1 AND conversation_id = $2 AND number >= $3
            ORDER BY number
            LIMIT $5
        )
        SELECT max(id) AS "id?", max(number) AS "number?", max(created) AS "youngest?"
        FROM looked_at
        WHERE number < coalesce(
            (SELECT min(number) FROM looked_at WHERE NOT is_overdue), 9223372036854775807
        )
        "#,
        application.get(),
        kept.id.get(),
        first.get(),
        i32::from(retention.get()),
        limit,
    );
    let overdue = overdue.fetch_one(leader.connection()).await?;
    let newest = overdue.id.zip(overdue.number).zip(overdue.youngest);
    Ok(newest.map(|((id, number), youngest)| OverdueMessages {
        id: MessageId::new(id),
        number: MessageNumber::new(number),
        youngest,
    }))
}

/// The conversations after one of them that have rows of messages that have expired, and the last one that
/// was looked at; `None` if there are no more.
pub async fn with_remains(
    leader: &mut Leadership<Expiring>,
    application: ApplicationId,
    after: ConversationId,
    limit: i64,
) -> Result<Option<(Vec<(ConversationId, Conversation)>, ConversationId)>> {
    let rows = sqlx::query!(
        r#"
        SELECT c.id, c.chat_number, c.least, c.greatest, coalesce(NOT remains.is_empty, FALSE) AS "has_remains!"
        FROM (
            SELECT id, chat_number, least, greatest, first FROM conversations
            WHERE application_id = $1 AND id > $2 AND first > 1 AND deleted IS NULL
            ORDER BY id
            LIMIT $3
        ) AS c
        LEFT JOIN LATERAL (
            -- The row of the newest message stays, without data.
            SELECT m.deleted AND (
                       SELECT later.number FROM messages AS later
                       WHERE later.application_id = $1 AND later.conversation_id = c.id
                         AND later.number > m.number
                       ORDER BY later.number LIMIT 1
                   ) IS NULL AS is_empty
            FROM messages AS m
            WHERE m.application_id = $1 AND m.conversation_id = c.id AND m.number < c.first
            ORDER BY m.number LIMIT 1
        ) AS remains ON TRUE
        ORDER BY c.id
        "#,
        application.get(),
        after.get(),
        limit,
    );
    let rows = rows.fetch_all(leader.connection()).await?;
    let Some(last) = rows.last().map(|row| ConversationId::new(row.id)) else {
        return Ok(None);
    };
    let rows = rows.into_iter().filter(|row| row.has_remains);
    let conversations = rows.filter_map(|row| {
        let named = Named {
            chat_number: row.chat_number,
            least: row.least,
            greatest: row.greatest,
        };
        Some((ConversationId::new(row.id), named.into_conversation()?))
    });
    Ok(Some((conversations.collect(), last)))
}

/// Some messages of a conversation after one of them that have expired and have a row, the oldest first.
pub async fn remains(
    leader: &mut Leadership<Expiring>,
    application: ApplicationId,
    conversation: ConversationId,
    after: MessageNumber,
    limit: i64,
) -> Result<Vec<(MessageId, MessageNumber)>> {
    let rows = sqlx::query!(
        "SELECT m.id, m.number
         FROM conversations AS c
         CROSS JOIN LATERAL (
             SELECT id, number FROM messages
             WHERE application_id = $1 AND conversation_id = $2 AND number > $3 AND number < c.first
             ORDER BY number
             LIMIT $4
         ) AS m
         WHERE c.application_id = $1 AND c.id = $2
         ORDER BY m.number",
        application.get(),
        conversation.get(),
        after.get(),
        limit,
    );
    let rows = rows.fetch_all(leader.connection()).await?.into_iter();
    let messages = rows.map(|row| (MessageId::new(row.id), MessageNumber::new(row.number)));
    Ok(messages.collect())
}

/// How far the index of search has followed the application's timeline.
pub async fn indexed_up_to(
    leader: &mut Leadership<Expiring>,
    application: ApplicationId,
) -> Result<Timestamp> {
    followers::read_cursor(leader.connection(), application, Indexing::NAME).await
}

/// Deletes what messages can be found by.
pub async fn delete_entries(
    leader: &mut Leadership<Expiring>,
    application: ApplicationId,
    messages: &[MessageId],
) -> Result<()> {
    let ids: Vec<_> = messages.iter().map(|id| id.get()).collect();
    sqlx::query!(
        "DELETE FROM search_entries AS e
         USING unnest($2::bigint[]) AS gone (message_id)
         CROSS JOIN LATERAL (
             -- The limit makes this a lookup by key, whatever the planner assumes.
             SELECT ctid AS place FROM search_entries
             WHERE application_id = $1 AND message_id = gone.message_id AND terms_version > 0
             LIMIT 1
         ) AS found
         WHERE e.application_id = $1 AND e.ctid = found.place",
        application.get(),
        &ids,
    )
    .execute(leader.connection())
    .await?;
    Ok(())
}

/// The time before which nothing of the application is kept: that of its longest retention. `None` if
/// something is kept for ever.
pub async fn oldest_kept(
    leader: &mut Leadership<Expiring>,
    application: ApplicationId,
) -> Result<Option<OffsetDateTime>> {
    let longest = sqlx::query!(
        r#"
        SELECT clock_timestamp() AS "now!", greatest(a.retention_days, (
                   SELECT retention_days FROM conversations
                   WHERE application_id = $1 AND retention_days IS NOT NULL AND deleted IS NULL
                   ORDER BY retention_days DESC LIMIT 1
               )) AS days
        FROM applications AS a
        WHERE a.id = $1 AND a.retention_days IS NOT NULL
        "#,
        application.get(),
    );
    let longest = longest.fetch_optional(leader.connection()).await?;
    Ok(longest.and_then(|row| Some(RetentionDays::stored(row.days?)?.limit(row.now))))
}
