//! Idempotency keys: they live with the message or chat that was created under them.

use super::{Lane, Result};
use crate::domain::{ApplicationId, ChatNumber, Digest, IdempotencyKey, MessageId, UserId};

/// What a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    Message(MessageId),
    Chat(ChatNumber),
}

/// A key as its creator used it; `None` is the application itself.
pub type KeyOf<'a> = (ApplicationId, Option<&'a UserId>, &'a IdempotencyKey);

/// Reads what was created under idempotency keys: for each of `keys` that is known, its index, what
/// it stands for, and the digest of the request.
pub async fn load(lane: &mut Lane, keys: &[KeyOf<'_>]) -> Result<Vec<(usize, Named, Digest)>> {
    let applications: Vec<_> = keys.iter().map(|key| key.0.0).collect();
    let creators: Vec<_> = keys
        .iter()
        .map(|key| key.1.map_or("", UserId::as_str))
        .collect();
    let names: Vec<_> = keys.iter().map(|key| key.2.as_str()).collect();
    let known = sqlx::query!(
        r#"
        WITH wanted AS (
            SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[])
                WITH ORDINALITY AS wanted (application_id, creator, key, ordinal)
        )
        SELECT wanted.ordinal AS "ordinal!", m.id AS message, NULL::bigint AS chat,
               m.request_digest AS "digest!: [u8; 32]"
        FROM wanted
        JOIN messages AS m
            ON m.application_id = wanted.application_id
            AND coalesce(m.sender, '') = wanted.creator AND m.idempotency_key = wanted.key
        UNION ALL
        SELECT wanted.ordinal, NULL, c.number, c.request_digest
        FROM wanted
        JOIN chats AS c
            ON c.application_id = wanted.application_id
            AND coalesce(c.creator, '') = wanted.creator AND c.idempotency_key = wanted.key
        "#,
        &applications,
        &creators as &[&str],
        &names as &[&str],
    )
    .fetch_all(lane.connection())
    .await?;
    let named = known.into_iter().filter_map(|row| {
        let named = match (row.message, row.chat) {
            (Some(id), _) => Named::Message(MessageId(id)),
            (None, number) => Named::Chat(ChatNumber(number?)),
        };
        let index = usize::try_from(row.ordinal - 1).expect("ordinals count the keys from 1");
        Some((index, named, Digest(row.digest)))
    });
    Ok(named.collect())
}
