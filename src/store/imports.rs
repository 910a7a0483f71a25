//! What is being imported: who is to be a member of a chat, in the table `importing_members`, and the keys of
//! messages.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::{Error, Lane, Result, columns};
use crate::domain::{
    ApplicationId, ChatNumber, ConversationId, Digest, Idempotency, IdempotencyKey,
    ImportedMessage, ImportingMember, MessageId, MessageNumber, Role, UserId,
};

/// The chats of an application that it has created or imported under these keys.
pub async fn find_chats(
    connection: &mut PgConnection,
    application: ApplicationId,
    keys: &BTreeSet<&IdempotencyKey>,
) -> Result<Vec<(IdempotencyKey, ChatNumber)>> {
    let keys: Vec<_> = keys.iter().map(|key| key.as_str()).collect();
    let rows = sqlx::query!(
        r#"
        SELECT lookup.key AS "key!", c.chat_number AS "chat_number!"
        FROM unnest($2::text[]) AS lookup (key)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT chat_number FROM conversations AS found
            WHERE found.application_id = $1 AND coalesce(found.creator, '') = ''
              AND found.idempotency_key = lookup.key
            LIMIT 1
        ) AS c
        "#,
        application.get(),
        &keys as &[&str],
    )
    .fetch_all(connection)
    .await?;
    let chats = rows.into_iter().map(|row| {
        let key = IdempotencyKey::trusted(&row.key);
        (key, ChatNumber::new(row.chat_number))
    });
    Ok(chats.collect())
}

/// The messages that were imported into conversations under these keys, each with its line.
pub async fn load_messages(
    lane: &mut Lane<'_>,
    lookup: impl Iterator<Item = (ConversationId, &IdempotencyKey)>,
) -> Result<Vec<(ConversationId, Idempotency, ImportedMessage)>> {
    columns!(for (conversation, key) in lookup => {
        conversations: conversation.get(),
        keys: key.as_str(),
    });
    let rows = sqlx::query!(
        r#"
        SELECT lookup.conversation_id AS "conversation_id!", lookup.key AS "key!", m.id, m.number,
               m.request_digest AS "digest: [u8; 32]"
        FROM unnest($2::bigint[], $3::text[]) AS lookup (conversation_id, key)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM messages AS found
            WHERE found.application_id = $1 AND found.conversation_id = lookup.conversation_id
              AND found.import_key = lookup.key
            LIMIT 1
        ) AS m
        "#,
        lane.application().get(),
        &conversations,
        &keys as &[&str],
    )
    .fetch_all(lane.connection())
    .await?;
    let found = rows.into_iter().map(|row| {
        let inconsistent = Error::Inconsistent {
            table: "messages",
            id: row.id,
        };
        let line = Idempotency {
            key: IdempotencyKey::trusted(&row.key),
            digest: Digest(row.digest.ok_or(inconsistent)?),
        };
        let message = ImportedMessage {
            id: MessageId::new(row.id),
            number: MessageNumber::new(row.number),
        };
        Ok((ConversationId::new(row.conversation_id), line, message))
    });
    found.collect()
}

/// Who is to be a member of chats, in the order of the ids.
pub async fn load_members(
    lane: &mut Lane<'_>,
    chats: &BTreeSet<ChatNumber>,
) -> Result<Vec<(ChatNumber, UserId, ImportingMember)>> {
    let chats: Vec<_> = chats.iter().map(|chat| chat.get()).collect();
    let rows = sqlx::query!(
        r#"
        SELECT m.chat_number, m.user_id, m.role::text AS "role!", m.since
        FROM unnest($2::bigint[]) AS lookup (chat_number)
        CROSS JOIN LATERAL (
            -- Not flattened, this is a lookup by key, whatever the planner assumes.
            SELECT * FROM importing_members AS found
            WHERE found.application_id = $1 AND found.chat_number = lookup.chat_number
            ORDER BY found.user_id
            OFFSET 0
        ) AS m
        "#,
        lane.application().get(),
        &chats,
    )
    .fetch_all(lane.connection())
    .await?;
    let members = rows.into_iter().map(|row| {
        let member = ImportingMember {
            role: Role::named(&row.role).unwrap_or_default(),
            since: MessageNumber::new(row.since),
        };
        let chat = ChatNumber::new(row.chat_number);
        (chat, UserId::trusted(&row.user_id), member)
    });
    Ok(members.collect())
}

/// Stores who is to be a member of chats.
pub async fn insert_members(
    lane: &mut Lane<'_>,
    members: &[(ChatNumber, &UserId, ImportingMember)],
) -> Result<()> {
    columns!(for (chat, user, member) in members => {
        chats: chat.get(),
        users: user.as_str(),
        roles: member.role.name(),
        since: member.since.get(),
    });
    sqlx::query!(
        "INSERT INTO importing_members (application_id, chat_number, user_id, role, since)
         SELECT $1, chat_number, user_id, role::chat_role, since
         FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bigint[])
                  AS new (chat_number, user_id, role, since)",
        lane.application().get(),
        &chats,
        &users as &[&str],
        &roles as &[&str],
        &since,
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Forgets who was to be a member of chats whose import has ended.
pub async fn remove_members(lane: &mut Lane<'_>, chats: &[ChatNumber]) -> Result<()> {
    let chats: Vec<_> = chats.iter().map(|chat| chat.get()).collect();
    sqlx::query!(
        "DELETE FROM importing_members AS m
         USING unnest($2::bigint[]) AS ended (chat_number)
         CROSS JOIN LATERAL (
             -- Not flattened, this is a lookup by key, whatever the planner assumes.
             SELECT ctid AS place FROM importing_members
             WHERE application_id = $1 AND chat_number = ended.chat_number
             OFFSET 0
         ) AS found
         WHERE m.application_id = $1 AND m.ctid = found.place",
        lane.application().get(),
        &chats,
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}
