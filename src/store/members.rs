//! The table `chat_members`: which user is or was a member of which chat, from which timestamp to
//! which.

use sqlx::PgConnection;

use super::{Lane, Result, columns};
use crate::domain::{ApplicationId, ChatNumber, Timestamp, UserId};

/// A user's membership of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub chat: ChatNumber,
    pub user: UserId,
    pub joined: Timestamp,
}

struct MembershipRow {
    chat_number: i64,
    user_id: String,
    joined: i64,
}

impl From<MembershipRow> for Membership {
    fn from(row: MembershipRow) -> Self {
        Self {
            chat: ChatNumber::new(row.chat_number),
            user: UserId::trusted(&row.user_id),
            joined: Timestamp::new(row.joined),
        }
    }
}

/// Reads the memberships of users. A user who is no member has none.
pub async fn load(
    lane: &mut Lane<'_>,
    lookup: impl Iterator<Item = (ChatNumber, &UserId)>,
) -> Result<Vec<Membership>> {
    columns!(for (chat, user) in lookup => {
        chats: chat.get(),
        users: user.as_str(),
    });
    let rows = sqlx::query_as!(
        MembershipRow,
        r#"
        SELECT m.chat_number, m.user_id, m.joined
        FROM unnest($2::bigint[], $3::text[]) AS lookup (chat_number, user_id)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM chat_members AS found
            WHERE found.application_id = $1 AND found.chat_number = lookup.chat_number
              AND found.user_id = lookup.user_id AND found.departed IS NULL
            LIMIT 1
        ) AS m
        "#,
        lane.application().get(),
        &chats,
        &users as &[&str],
    )
    .fetch_all(lane.connection())
    .await?;
    Ok(rows.into_iter().map(Membership::from).collect())
}

/// Reads all members of chats.
pub async fn load_rosters(lane: &mut Lane<'_>, chats: &[ChatNumber]) -> Result<Vec<Membership>> {
    let chats: Vec<_> = chats.iter().map(|chat| chat.get()).collect();
    let rows = sqlx::query_as!(
        MembershipRow,
        r#"
        SELECT m.chat_number, m.user_id, m.joined
        FROM unnest($2::bigint[]) AS lookup (chat_number)
        CROSS JOIN LATERAL (
            -- Not flattened, this is a lookup by key, whatever the planner assumes.
            SELECT * FROM chat_members AS found
            WHERE found.application_id = $1 AND found.chat_number = lookup.chat_number
              AND found.departed IS NULL
            OFFSET 0
        ) AS m
        "#,
        lane.application().get(),
        &chats,
    )
    .fetch_all(lane.connection())
    .await?;
    Ok(rows.into_iter().map(Membership::from).collect())
}

/// Inserts new memberships.
pub async fn insert(lane: &mut Lane<'_>, new: &[Membership]) -> Result<()> {
    columns!(for membership in new => {
        chats: membership.chat.get(),
        users: membership.user.as_str(),
        joined: membership.joined.get(),
    });
    sqlx::query!(
        r#"
        INSERT INTO chat_members (application_id, chat_number, user_id, joined)
        SELECT $1, new.* FROM unnest($2::bigint[], $3::text[], $4::bigint[]) AS new
        "#,
        lane.application().get(),
        &chats,
        &users as &[&str],
        &joined,
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Ends memberships. They may have started in the same batch.
pub async fn end(lane: &mut Lane<'_>, ended: &[(Membership, Timestamp)]) -> Result<()> {
    columns!(for (membership, end) in ended => {
        chats: membership.chat.get(),
        users: membership.user.as_str(),
        joined: membership.joined.get(),
        departed: end.get(),
    });
    sqlx::query!(
        r#"
        UPDATE chat_members AS m
        SET departed = ended.departed
        FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[])
                 AS ended (chat_number, user_id, joined, departed)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT ctid AS place FROM chat_members
            WHERE application_id = $1 AND chat_number = ended.chat_number
              AND user_id = ended.user_id AND joined = ended.joined
            LIMIT 1
        ) AS found
        WHERE m.application_id = $1 AND m.ctid = found.place
        "#,
        lane.application().get(),
        &chats,
        &users as &[&str],
        &joined,
        &departed,
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// A page of a chat's present members, by user id.
pub async fn list(
    connection: &mut PgConnection,
    application: ApplicationId,
    number: ChatNumber,
    after: Option<&UserId>,
    limit: i64,
) -> Result<Vec<Membership>> {
    let rows = sqlx::query_as!(
        MembershipRow,
        r#"
        SELECT chat_number, user_id, joined
        FROM chat_members
        WHERE application_id = $1 AND chat_number = $2 AND user_id > $3 AND departed IS NULL
        ORDER BY user_id
        LIMIT $4
        "#,
        application.get(),
        number.get(),
        after.map_or("", UserId::as_str),
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Membership::from).collect())
}
