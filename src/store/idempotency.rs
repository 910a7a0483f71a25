//! Idempotency keys: each is a column of the message or chat that was created under it.

use super::{Lane, Result, columns};
use crate::domain::{
    ApplicationId, ChatNumber, Digest, IdempotencyKey, MessageId, Subject, UserId,
};

/// A key and the user who has sent it; `None` is the application itself.
pub type KeyOf<'a> = (ApplicationId, Option<&'a UserId>, &'a IdempotencyKey);

/// Reads what was created under idempotency keys: for each of `keys` that was used, its index, what
/// was created, and the digest of the request.
pub async fn load(lane: &mut Lane, keys: &[KeyOf<'_>]) -> Result<Vec<(usize, Subject, Digest)>> {
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
            (Some(id), _) => Subject::Message(MessageId::new(id)),
            (None, number) => Subject::Chat(ChatNumber::new(number?)),
        };
        let index = usize::try_from(row.ordinal - 1).expect("ordinals count the keys from 1");
        Some((index, subject, Digest(row.digest)))
    });
    Ok(created.collect())
}
