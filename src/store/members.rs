//! The table `chat_members`: which user is or was a member of which chat, from which timestamp to
//! which.

use sqlx::PgConnection;

use super::{Lane, Result, chats::ChatKey, columns};
use crate::domain::{ApplicationId, ChatNumber, Timestamp, UserId};

/// A user's membership of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub application: ApplicationId,
    pub chat: ChatNumber,
    pub user: UserId,
    pub joined: Timestamp,
}

struct MembershipRow {
    application_id: i64,
    chat_number: i64,
    user_id: String,
    joined: i64,
}

impl From<MembershipRow> for Membership {
    fn from(row: MembershipRow) -> Self {
        Self {
            application: ApplicationId::new(row.application_id),
            chat: ChatNumber::new(row.chat_number),
            user: UserId::trusted(&row.user_id),
            joined: Timestamp::new(row.joined),
        }
    }
}

/// Reads the memberships of users. A user who is no member has none.
pub async fn load(
    lane: &mut Lane,
    lookup: impl Iterator<Item = (ApplicationId, ChatNumber, &UserId)>,
) -> Result<Vec<Membership>> {
    columns!(for (application, chat, user) in lookup => {
        applications: application.get(),
        chats: chat.get(),
        users: user.as_str(),
    });
    let rows = sqlx::query_as!(
        MembershipRow,
        r#"
        SELECT m.application_id, m.chat_number, m.user_id, m.joined
        FROM unnest($1::bigint[], $2::bigint[], $3::text[])
                 AS lookup (application_id, chat_number, user_id)
        JOIN chat_members AS m USING (application_id, chat_number, user_id)
        WHERE m.departed IS NULL
        "#,
        &applications,
        &chats,
        &users as &[&str],
    )
    .fetch_all(lane.connection())
    .await?;
    Ok(rows.into_iter().map(Membership::from).collect())
}

/// Reads all members of chats.
pub async fn load_rosters(
    lane: &mut Lane,
    chats: impl Iterator<Item = ChatKey>,
) -> Result<Vec<Membership>> {
    columns!(for (application, number) in chats => {
        applications: application.get(),
        numbers: number.get(),
    });
    let rows = sqlx::query_as!(
        MembershipRow,
        r#"
        SELECT m.application_id, m.chat_number, m.user_id, m.joined
        FROM unnest($1::bigint[], $2::bigint[]) AS lookup (application_id, chat_number)
        JOIN chat_members AS m USING (application_id, chat_number)
        WHERE m.departed IS NULL
        "#,
        &applications,
        &numbers,
    )
    .fetch_all(lane.connection())
    .await?;
    Ok(rows.into_iter().map(Membership::from).collect())
}

/// Inserts new memberships.
pub async fn insert(lane: &mut Lane, new: &[Membership]) -> Result<()> {
    columns!(for membership in new => {
        applications: membership.application.get(),
        chats: membership.chat.get(),
        users: membership.user.as_str(),
        joined: membership.joined.get(),
    });
    sqlx::query!(
        r#"
        INSERT INTO chat_members (application_id, chat_number, user_id, joined)
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[])
        "#,
        &applications,
        &chats,
        &users as &[&str],
        &joined,
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Ends memberships. They may have started in the same batch.
pub async fn end(lane: &mut Lane, ended: &[(Membership, Timestamp)]) -> Result<()> {
    columns!(for (membership, end) in ended => {
        applications: membership.application.get(),
        chats: membership.chat.get(),
        users: membership.user.as_str(),
        joined: membership.joined.get(),
        departed: end.get(),
    });
    sqlx::query!(
        r#"
        UPDATE chat_members AS m
        SET departed = ended.departed
        FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[])
                 AS ended (application_id, chat_number, user_id, joined, departed)
        WHERE m.application_id = ended.application_id AND m.chat_number = ended.chat_number
          AND m.user_id = ended.user_id AND m.joined = ended.joined
        "#,
        &applications,
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
        SELECT application_id, chat_number, user_id, joined
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
