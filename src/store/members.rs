//! The table `chat_members`: which user is or was a member of which chat, from which timestamp to
//! which.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Lane, Result, columns};
use crate::domain::{
    ApplicationId, ChatNumber, History, Member, MessageNumber, Position, Role, Timestamp, UserId,
};

/// A user's membership of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub chat: ChatNumber,
    pub user: UserId,
    pub member: Member,
}

/// A membership that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepartedMember {
    pub chat: ChatNumber,
    pub user: UserId,
    pub joined: Timestamp,
    pub departed: Timestamp,
    /// The number after which it has read the chat's messages.
    pub reads_after: MessageNumber,
}

struct MembershipRow {
    chat_number: i64,
    user_id: String,
    joined: i64,
    read: i64,
    as_of: i64,
    sent: i64,
    since: i64,
    role: String,
    muted_until: Option<OffsetDateTime>,
    posted: Option<OffsetDateTime>,
}

/// A query for [`MembershipRow`]s of `chat_members AS m`: `$from` is the statement from FROM on, and
/// has the application as `$1`. What a member has sent is read only if it came after the position was
/// set. When a member has posted last, since it has joined, is read for `writing` alone.
macro_rules! query_members {
    (writing, $from:tt, $($arguments:tt)*) => {
        query_members!(
            "(
                SELECT own.created FROM messages AS own
                WHERE own.application_id = $1 AND own.chat_number = m.chat_number
                  AND own.sender = m.user_id AND own.number > m.since
                ORDER BY own.number DESC LIMIT 1
            )",
            $from,
            $($arguments)*
        )
    };
    (reading, $from:tt, $($arguments:tt)*) => {
        query_members!("NULL::timestamptz", $from, $($arguments)*)
    };
    ($posted:tt, $from:tt, $($arguments:tt)*) => {
        sqlx::query_as!(
            MembershipRow,
            r#"
            SELECT m.chat_number, m.user_id, m.joined, m.read, m.as_of, coalesce((
                SELECT own.number FROM messages AS own
                WHERE own.application_id = $1 AND own.chat_number = m.chat_number
                  AND own.sender = m.user_id AND own.number > m.as_of
                ORDER BY own.number DESC LIMIT 1
            ), 0) AS "sent!",
            m.since, m.role::text AS "role!", m.muted_until, "# + $posted + r#" AS posted
            "# + $from,
            $($arguments)*
        )
    };
}

impl From<MembershipRow> for Membership {
    fn from(row: MembershipRow) -> Self {
        Self {
            chat: ChatNumber::new(row.chat_number),
            user: UserId::trusted(&row.user_id),
            member: Member {
                joined: Timestamp::new(row.joined),
                position: Position::stored(
                    MessageNumber::new(row.read),
                    MessageNumber::new(row.as_of),
                    MessageNumber::new(row.sent),
                ),
                since: MessageNumber::new(row.since),
                role: Role::named(&row.role).unwrap_or_default(),
                muted_until: row.muted_until,
                posted: row.posted,
            },
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
    let rows = query_members!(
        writing,
        "FROM unnest($2::bigint[], $3::text[]) AS lookup (chat_number, user_id)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM chat_members AS found
            WHERE found.application_id = $1 AND found.chat_number = lookup.chat_number
              AND found.user_id = lookup.user_id AND found.departed IS NULL
            LIMIT 1
        ) AS m",
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
    let rows = query_members!(
        writing,
        "FROM unnest($2::bigint[]) AS lookup (chat_number)
        CROSS JOIN LATERAL (
            -- Not flattened, this is a lookup by key, whatever the planner assumes.
            SELECT * FROM chat_members AS found
            WHERE found.application_id = $1 AND found.chat_number = lookup.chat_number
              AND found.departed IS NULL
            OFFSET 0
        ) AS m",
        lane.application().get(),
        &chats,
    )
    .fetch_all(lane.connection())
    .await?;
    Ok(rows.into_iter().map(Membership::from).collect())
}

/// Inserts new memberships, each with the number after which it reads.
pub async fn insert(lane: &mut Lane<'_>, new: &[(Membership, MessageNumber)]) -> Result<()> {
    columns!(for (membership, reads_after) in new => {
        chats: membership.chat.get(),
        users: membership.user.as_str(),
        joined: membership.member.joined.get(),
        read: membership.member.position.to_stored().0.get(),
        as_of: membership.member.position.to_stored().1.get(),
        since: membership.member.since.get(),
        read_after: reads_after.get(),
        roles: membership.member.role.name(),
    });
    sqlx::query!(
        r#"
        INSERT INTO chat_members (
            application_id, chat_number, user_id, joined, read, as_of, since, reads_after, role
        )
        SELECT $1, chat_number, user_id, joined, read, as_of, since, reads_after, role::chat_role
        FROM unnest(
            $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
            $9::text[]
        ) AS new (chat_number, user_id, joined, read, as_of, since, reads_after, role)
        "#,
        lane.application().get(),
        &chats,
        &users as &[&str],
        &joined,
        &read,
        &as_of,
        &since,
        &read_after,
        &roles as &[&str],
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Stores what members may do.
pub async fn alter(lane: &mut Lane<'_>, altered: &[Membership]) -> Result<()> {
    columns!(for membership in altered => {
        chats: membership.chat.get(),
        users: membership.user.as_str(),
        joined: membership.member.joined.get(),
        roles: membership.member.role.name(),
        muted: membership.member.muted_until,
    });
    sqlx::query!(
        r#"
        UPDATE chat_members AS m
        SET role = altered.role::chat_role, muted_until = altered.muted_until
        FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::timestamptz[])
                 AS altered (chat_number, user_id, joined, role, muted_until)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT ctid AS place FROM chat_members
            WHERE application_id = $1 AND chat_number = altered.chat_number
              AND user_id = altered.user_id AND joined = altered.joined
            LIMIT 1
        ) AS found
        WHERE m.application_id = $1 AND m.ctid = found.place
        "#,
        lane.application().get(),
        &chats,
        &users as &[&str],
        &joined,
        &roles as &[&str],
        &muted as &[Option<OffsetDateTime>],
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Stores what all members of chats read from now on.
pub async fn set_histories(lane: &mut Lane<'_>, chats: &[(ChatNumber, History)]) -> Result<()> {
    columns!(for (chat, history) in chats => {
        numbers: chat.get(),
        since_joining: *history == History::Joined,
    });
    sqlx::query!(
        r#"
        UPDATE chat_members AS m
        SET reads_after = found.reads_after
        FROM unnest($2::bigint[], $3::boolean[]) AS changed (chat_number, since_joining)
        CROSS JOIN LATERAL (
            -- Not flattened, this is a lookup by key, whatever the planner assumes.
            SELECT ctid AS place, CASE WHEN changed.since_joining THEN since ELSE 0 END AS reads_after
            FROM chat_members
            WHERE application_id = $1 AND chat_number = changed.chat_number AND departed IS NULL
            OFFSET 0
        ) AS found
        WHERE m.application_id = $1 AND m.ctid = found.place
          AND m.reads_after <> found.reads_after
        "#,
        lane.application().get(),
        &numbers,
        &since_joining,
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Stores positions that members have set.
pub async fn set_positions(lane: &mut Lane<'_>, set: &[Membership]) -> Result<()> {
    columns!(for membership in set => {
        chats: membership.chat.get(),
        users: membership.user.as_str(),
        joined: membership.member.joined.get(),
        read: membership.member.position.to_stored().0.get(),
        as_of: membership.member.position.to_stored().1.get(),
    });
    sqlx::query!(
        r#"
        UPDATE chat_members AS m
        SET read = position.read, as_of = position.as_of
        FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
                 AS position (chat_number, user_id, joined, read, as_of)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT ctid AS place FROM chat_members
            WHERE application_id = $1 AND chat_number = position.chat_number
              AND user_id = position.user_id AND joined = position.joined
            LIMIT 1
        ) AS found
        WHERE m.application_id = $1 AND m.ctid = found.place
        "#,
        lane.application().get(),
        &chats,
        &users as &[&str],
        &joined,
        &read,
        &as_of,
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Ends memberships. They may have started in the same batch.
pub async fn end(lane: &mut Lane<'_>, ended: &[DepartedMember]) -> Result<()> {
    columns!(for ended in ended => {
        chats: ended.chat.get(),
        users: ended.user.as_str(),
        joined: ended.joined.get(),
        departed: ended.departed.get(),
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
    let rows = query_members!(
        reading,
        "FROM chat_members AS m
        WHERE m.application_id = $1 AND m.chat_number = $2 AND m.user_id > $3 AND m.departed IS NULL
        ORDER BY m.user_id
        LIMIT $4",
        application.get(),
        number.get(),
        after.map_or("", UserId::as_str),
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Membership::from).collect())
}
