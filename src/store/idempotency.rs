//! Idempotency keys: each is a column of the message or chat that was created under it.

use sqlx::PgConnection;

use super::{Lane, Result, columns};
use crate::domain::{
    ApplicationId, ChatNumber, Created, Digest, IdempotencyKey, MessageId, UserId,
};

/// A key and the user who has sent it; `None` is the application itself.
pub type KeyOf<'a> = (Option<&'a UserId>, &'a IdempotencyKey);

/// Reads what was created under idempotency keys: for each of `keys` that was used, its index, what
/// was created, and the digest of the request.
pub async fn load(
    lane: &mut Lane<'_>,
    keys: &[KeyOf<'_>],
) -> Result<Vec<(usize, Created, Digest)>> {
    columns!(for (creator, key) in keys => {
        creators: creator.map_or("", UserId::as_str),
        names: key.as_str(),
    });
    let rows = sqlx::query!(
        r#"
        -- The limits make these lookups by key, whatever the planner assumes about the tables.
        WITH lookup AS (
            SELECT * FROM unnest($2::text[], $3::text[])
                WITH ORDINALITY AS lookup (creator, key, ordinal)
        )
        SELECT lookup.ordinal AS "ordinal!", m.id AS message, NULL::bigint AS chat,
               m.request_digest AS "digest!: [u8; 32]"
        FROM lookup
        CROSS JOIN LATERAL (
            SELECT * FROM messages AS found
            WHERE found.application_id = $1 AND coalesce(found.sender, '') = lookup.creator
              AND found.idempotency_key = lookup.key
            LIMIT 1
        ) AS m
        UNION ALL
        SELECT lookup.ordinal, NULL, c.chat_number, c.request_digest
        FROM lookup
        CROSS JOIN LATERAL (
            SELECT * FROM conversations AS found
            WHERE found.application_id = $1 AND coalesce(found.creator, '') = lookup.creator
              AND found.idempotency_key = lookup.key
            LIMIT 1
        ) AS c
        "#,
        lane.application().get(),
        &creators as &[&str],
        &names as &[&str],
    )
    .fetch_all(lane.connection())
    .await?;
    let created = rows.into_iter().filter_map(|row| {
        let created = match (row.message, row.chat) {
            (Some(id), _) => Created::Message(MessageId::new(id)),
            (None, number) => Created::Chat(ChatNumber::new(number?)),
        };
        let index = usize::try_from(row.ordinal - 1).expect("ordinals count the keys from 1");
        Some((index, created, Digest(row.digest)))
    });
    Ok(created.collect())
}

/// Whether a user has sent a message under a key.
pub async fn has_sent(
    connection: &mut PgConnection,
    application: ApplicationId,
    user: &UserId,
    key: &IdempotencyKey,
) -> Result<bool> {
    let sent = sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM messages
            WHERE application_id = $1 AND coalesce(sender, '') = $2 AND idempotency_key = $3
        ) AS "sent!"
        "#,
        application.get(),
        user.as_str(),
        key.as_str(),
    );
    Ok(sent.fetch_one(connection).await?)
}
