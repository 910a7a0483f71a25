//! Idempotency keys: they live with the message or chat that was created under them.

use super::{Lane, Result};
use crate::domain::{
    ApplicationId, ChatNumber, Digest, IdempotencyKey, MessageId, Subject, UserId,
};

/// A key as its creator used it; `None` is the application itself.
pub type KeyOf<'a> = (ApplicationId, Option<&'a UserId>, &'a IdempotencyKey);

/// Reads what was created under idempotency keys: for each of `keys` that was used, its index, what was
/// created, and the digest of the request.
pub async fn load(lane: &mut Lane, keys: &[KeyOf<'_>]) -> Result<Vec<(usize, Subject, Digest)>> {
    let applications: Vec<_> = keys.iter().map(|key| key.0.0).collect();
    let creators: Vec<_> = keys
        .iter()
        .map(|key| key.1.map_or("", UserId::as_str))
        .collect();
    let names: Vec<_> = keys.iter().map(|key| key.2.as_str()).collect();
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
        SELECT lookup.ordinal, NULL, c.number, c.request_digest
        FROM lookup
        JOIN chats AS c
            ON c.application_id = lookup.application_id
            AND coalesce(c.creator, '') = lookup.creator AND c.idempotency_key = lookup.key
        "#,
        &applications,
        &creators as &[&str],
        &names as &[&str],
    )
    .fetch_all(lane.connection())
    .await?;
    let created = rows.into_iter().filter_map(|row| {
        let subject = match (row.message, row.chat) {
            (Some(id), _) => Subject::Message(MessageId(id)),
            (None, number) => Subject::Chat(ChatNumber(number?)),
        };
        let index = usize::try_from(row.ordinal - 1).expect("ordinals count the keys from 1");
        Some((index, subject, Digest(row.digest)))
    });
    Ok(created.collect())
}
