//! The table `chat_bans`: who is kept from joining which chat.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Lane, Result, columns};
use crate::domain::{ApplicationId, ChatNumber, UserId};

/// Who of these users is banned from which of these chats.
pub async fn load(
    lane: &mut Lane<'_>,
    lookup: impl Iterator<Item = (ChatNumber, &UserId)>,
) -> Result<Vec<(ChatNumber, UserId)>> {
    columns!(for (chat, user) in lookup => {
        chats: chat.get(),
        users: user.as_str(),
    });
    let rows = sqlx::query!(
        r#"
        SELECT ban.chat_number, ban.user_id
        FROM unnest($2::bigint[], $3::text[]) AS lookup (chat_number, user_id)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM chat_bans AS found
            WHERE found.application_id = $1 AND found.chat_number = lookup.chat_number
              AND found.user_id = lookup.user_id
            LIMIT 1
        ) AS ban
        "#,
        lane.application().get(),
        &chats,
        &users as &[&str],
    )
    .fetch_all(lane.connection())
    .await?;
    let bans = rows.into_iter();
    let bans = bans.map(|row| {
        (
            ChatNumber::new(row.chat_number),
            UserId::trusted(&row.user_id),
        )
    });
    Ok(bans.collect())
}

pub async fn insert(lane: &mut Lane<'_>, bans: &[(ChatNumber, &UserId)]) -> Result<()> {
    columns!(for (chat, user) in bans => {
        chats: chat.get(),
        users: user.as_str(),
    });
    // One that is lifted and laid again in one batch is there already.
    sqlx::query!(
        "INSERT INTO chat_bans (application_id, chat_number, user_id, created)
         SELECT $1, new.*, $4 FROM unnest($2::bigint[], $3::text[]) AS new
         ON CONFLICT DO NOTHING",
        lane.application().get(),
        &chats,
        &users as &[&str],
        lane.now(),
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

pub async fn remove(lane: &mut Lane<'_>, bans: &[(ChatNumber, &UserId)]) -> Result<()> {
    columns!(for (chat, user) in bans => {
        chats: chat.get(),
        users: user.as_str(),
    });
    sqlx::query!(
        r#"
        DELETE FROM chat_bans AS ban
        USING unnest($2::bigint[], $3::text[]) AS lifted (chat_number, user_id)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT ctid AS place FROM chat_bans
            WHERE application_id = $1 AND chat_number = lifted.chat_number
              AND user_id = lifted.user_id
            LIMIT 1
        ) AS found
        WHERE ban.application_id = $1 AND ban.ctid = found.place
        "#,
        lane.application().get(),
        &chats,
        &users as &[&str],
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// A page of who is banned from a chat, by user id, and since when.
pub async fn list(
    connection: &mut PgConnection,
    application: ApplicationId,
    chat: ChatNumber,
    after: Option<&UserId>,
    limit: i64,
) -> Result<Vec<(UserId, OffsetDateTime)>> {
    let rows = sqlx::query!(
        "SELECT user_id, created FROM chat_bans
         WHERE application_id = $1 AND chat_number = $2 AND user_id > $3
         ORDER BY user_id
         LIMIT $4",
        application.get(),
        chat.get(),
        after.map_or("", UserId::as_str),
        limit,
    )
    .fetch_all(connection)
    .await?;
    let bans = rows.into_iter();
    Ok(bans
        .map(|row| (UserId::trusted(&row.user_id), row.created))
        .collect())
}
