//! Idempotency keys: each is a column of the message or chat that was created under it.

use super::{Lane, Result, columns};
use crate::domain::{
    ApplicationId, ChatNumber, Created, Digest, IdempotencyKey, MessageId, UserId,
};

/// A key and the user who has sent it; `None` is the application itself.
pub type KeyOf<'a> = (ApplicationId, Option<&'a UserId>, &'a IdempotencyKey);

/// Reads what was created under idempotency keys: for each of `keys` that was used, its index, what
/// was created, and the digest of the request.
pub async fn load(lane: &mut Lane, keys: &[KeyOf<'_>]) -> Result<Vec<(usize, Created, Digest)>> {
    columns!(for (application, creator, key) in keys => {
        applications: application.get(),
        creators: creator.map_or("", UserId::as_str),
        names: key.as_str(),
    });
    let rows = sqlx::query!(
        r#"
        WITH lookup AS (
            SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[])
                WITH ORDINALITY AS lookup (application_id, creator, key, ordinal)
        )
        SELECT lookup.ordinal AS "ordinal!", m.id AS message, NULL::bigint AS chat,
               m.request_digest AS "digest!: [u8; 32]"
        FROM lookup
        JOIN messages AS m
            ON m.application_id = lookup.application_id
            AND coalesce(m.sender, '') = lookup.creator AND m.idempotency_key = lookup.key
        UNION ALL
        SELECT lookup.ordinal, NULL, c.chat_number, c.request_digest
        FROM lookup
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM conversations AS found
            WHERE found.application_id = lookup.application_id
              AND coalesce(found.creator, '') = lookup.creator AND found.idempotency_key = lookup.key
            LIMIT 1
        ) AS c
        "#,
        &applications,
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
