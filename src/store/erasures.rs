//! The table `erasures`: which users are erased, or were, and how far that has come.

use std::time::Duration;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{
    Error, Lane, Result,
    erasing::{Place, Step},
};
use crate::domain::{ApplicationId, Erasure, OthersMessages, Timestamp, UserDigest, UserId};

/// What an erasure has erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    pub messages: i64,
    pub conversations: i64,
    pub memberships: i64,
    pub reactions: i64,
}

/// How far an erasure has come.
#[derive(Debug, Clone)]
pub struct ErasureReport {
    pub pseudonym: UserId,
    pub others: OthersMessages,
    pub requested: OffsetDateTime,
    pub finished: Option<OffsetDateTime>,
    pub erased: Erased,
    /// Its step, and the place in it: see [`Place`].
    at: Place,
}

/// So many of what remains are counted.
pub const REMAINING_COUNTED_MAX: i64 = 10_000;

/// A digest as it was stored, whose length the table checks.
pub(super) fn digest(stored: &[u8]) -> Result<UserDigest> {
    let digest = stored.try_into().map_err(|_| Error::Inconsistent {
        table: "erasures",
        id: 0,
    })?;
    Ok(UserDigest(digest))
}

pub(super) fn others(are_deleted: bool) -> OthersMessages {
    match are_deleted {
        true => OthersMessages::Deleted,
        false => OthersMessages::Kept,
    }
}

/// The users of the application who are being erased.
pub async fn load(lane: &mut Lane<'_>) -> Result<Vec<Erasure>> {
    let rows = sqlx::query!(
        r#"SELECT user_digest, user_id AS "user_id!", pseudonym, deletes_others
           FROM erasures WHERE application_id = $1 AND user_id IS NOT NULL"#,
        lane.application().get(),
    );
    let rows = rows.fetch_all(lane.connection()).await?;
    let erasures = rows.into_iter().map(|row| {
        Ok(Erasure {
            user: UserId::trusted(&row.user_id),
            digest: digest(&row.user_digest)?,
            pseudonym: UserId::trusted(&row.pseudonym),
            others: others(row.deletes_others),
        })
    });
    erasures.collect()
}

/// Stores the request to erase a user, in place of an earlier one that is finished. Tokens that were issued
/// before `now` do not identify the user any more.
pub async fn insert(
    lane: &mut Lane<'_>,
    erasure: &Erasure,
    timestamp: Timestamp,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE applications SET erasing = TRUE, restricted = greatest(restricted, $2) WHERE id = $1",
        lane.application().get(),
        timestamp.get(),
    )
    .execute(lane.connection())
    .await?;
    sqlx::query!(
        "DELETE FROM erasures WHERE application_id = $1 AND user_digest = $2",
        lane.application().get(),
        &erasure.digest.0[..],
    )
    .execute(lane.connection())
    .await?;
    sqlx::query!(
        "INSERT INTO erasures (
             application_id, user_digest, user_id, pseudonym, timestamp, requested, deletes_others
         )
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        lane.application().get(),
        &erasure.digest.0[..],
        erasure.user.as_str(),
        erasure.pseudonym.as_str(),
        timestamp.get(),
        now,
        erasure.others.are_deleted(),
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Forgets who the user was, and what it was forbidden.
pub async fn finish(lane: &mut Lane<'_>, erasure: &Erasure, now: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "DELETE FROM user_restrictions WHERE application_id = $1 AND user_id = $2",
        lane.application().get(),
        erasure.user.as_str(),
    )
    .execute(lane.connection())
    .await?;
    sqlx::query!(
        "UPDATE erasures SET user_id = NULL, finished = $3
         WHERE application_id = $1 AND user_digest = $2",
        lane.application().get(),
        &erasure.digest.0[..],
        now,
    )
    .execute(lane.connection())
    .await?;
    sqlx::query!(
        "UPDATE applications
         SET erasing = EXISTS (
             SELECT FROM erasures WHERE application_id = $1 AND user_id IS NOT NULL
         )
         WHERE id = $1",
        lane.application().get(),
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// The last erasure of a user, if there was one.
pub async fn find(
    connection: &mut PgConnection,
    application: ApplicationId,
    user: UserDigest,
) -> Result<Option<ErasureReport>> {
    let row = sqlx::query!(
        "SELECT pseudonym, deletes_others, requested, finished, messages, conversations, memberships,
                reactions, step, place, place_within
         FROM erasures WHERE application_id = $1 AND user_digest = $2",
        application.get(),
        &user.0[..],
    );
    let row = row.fetch_optional(connection).await?;
    Ok(row.map(|row| ErasureReport {
        pseudonym: UserId::trusted(&row.pseudonym),
        others: others(row.deletes_others),
        requested: row.requested,
        finished: row.finished,
        erased: Erased {
            messages: row.messages,
            conversations: row.conversations,
            memberships: row.memberships,
            reactions: row.reactions,
        },
        at: Place::stored(row.step, row.place, row.place_within),
    }))
}

/// How many things still name a user who is being erased: messages, conversations, memberships, mentions and
/// reactions, [up to a limit](REMAINING_COUNTED_MAX). Messages in chats are counted where the user was a
/// member.
pub async fn remaining(
    connection: &mut PgConnection,
    application: ApplicationId,
    user: &UserId,
    report: &ErasureReport,
) -> Result<i64> {
    // Messages of personal conversations from this place on.
    let at = report.at;
    let (place, within) = match at.step {
        step if step < Step::PersonalMessages => (0, 0),
        Step::PersonalMessages => (at.place, at.within),
        _ => (i64::MAX, i64::MAX),
    };
    let remaining = sqlx::query_scalar!(
        r#"
        SELECT count(*) AS "remaining!" FROM (
            (SELECT FROM chat_members
            WHERE application_id = $1 AND user_id = $2 AND departed IS NULL LIMIT $6)
            UNION ALL
            (SELECT FROM conversations
            WHERE application_id = $1 AND least BETWEEN $2 AND $2 AND chat_number IS NULL LIMIT $6)
            UNION ALL
            (SELECT FROM conversations
            WHERE application_id = $1 AND greatest BETWEEN $2 AND $2 AND least <> greatest
              AND chat_number IS NULL LIMIT $6)
            UNION ALL
            (SELECT FROM mentions WHERE application_id = $1 AND user_id = $2 LIMIT $6)
            UNION ALL
            (SELECT FROM reactions WHERE application_id = $1 AND user_id = $2 LIMIT $6)
            UNION ALL
            (
                SELECT
                FROM (
                    SELECT id FROM conversations
                    WHERE application_id = $1 AND least BETWEEN $2 AND $2 AND chat_number IS NULL
                    UNION ALL
                    SELECT id FROM conversations
                    WHERE application_id = $1 AND greatest BETWEEN $2 AND $2 AND least <> greatest
                      AND chat_number IS NULL
                    UNION ALL
                    SELECT id FROM conversations
                    WHERE application_id = $1 AND least BETWEEN $3 AND $3 AND chat_number IS NULL
                    UNION ALL
                    SELECT id FROM conversations
                    WHERE application_id = $1 AND greatest BETWEEN $3 AND $3 AND least <> greatest
                      AND chat_number IS NULL
                ) AS c
                CROSS JOIN LATERAL (
                    SELECT FROM messages AS m
                    WHERE m.application_id = $1 AND m.conversation_id = c.id
                      AND m.number > CASE WHEN c.id = $4 THEN $5::bigint ELSE 0 END
                    ORDER BY m.number LIMIT $6
                ) AS named
                WHERE c.id >= $4
                LIMIT $6
            )
            UNION ALL
            (
                SELECT
                FROM (
                    SELECT chat_number FROM chat_members
                    WHERE application_id = $1 AND user_id = $2 AND departed IS NULL
                    UNION
                    SELECT chat_number FROM chat_members
                    WHERE application_id = $1 AND user_id = $2 AND departed IS NOT NULL
                ) AS c
                CROSS JOIN LATERAL (
                    SELECT FROM messages AS m
                    WHERE m.application_id = $1 AND m.chat_number = c.chat_number AND m.sender = $2
                    ORDER BY m.number LIMIT $6
                ) AS sent
                LIMIT $6
            )
            LIMIT $6
        ) AS named
        "#,
        application.get(),
        user.as_str(),
        report.pseudonym.as_str(),
        place,
        within,
        REMAINING_COUNTED_MAX,
    );
    Ok(remaining.fetch_one(connection).await?)
}

/// An erasure that is under way, or was finished lately.
pub struct RecentErasure {
    pub application: ApplicationId,
    pub digest: UserDigest,
    pub state: RecentState,
}

/// Whether an erasure is finished.
pub enum RecentState {
    Running(UserId),
    Finished(OffsetDateTime),
}

/// The erasures of all applications that are under way, and those that were finished within this time.
pub async fn recent(connection: &mut PgConnection, time: Duration) -> Result<Vec<RecentErasure>> {
    let rows = sqlx::query!(
        r#"SELECT application_id AS "application_id!", user_digest AS "user_digest!", user_id, finished
           FROM erasures WHERE user_id IS NOT NULL
           UNION ALL
           SELECT application_id, user_digest, user_id, finished
           FROM erasures WHERE finished > now() - make_interval(secs => $1)"#,
        time.as_secs_f64(),
    );
    let rows = rows.fetch_all(connection).await?.into_iter();
    let recent = rows.map(|row| {
        let digest = digest(&row.user_digest)?;
        let state = match (row.user_id, row.finished) {
            (Some(user), _) => RecentState::Running(UserId::trusted(&user)),
            (None, Some(finished)) => RecentState::Finished(finished),
            (None, None) => {
                return Err(Error::Inconsistent {
                    table: "erasures",
                    id: row.application_id,
                });
            }
        };
        Ok(RecentErasure {
            application: ApplicationId::new(row.application_id),
            digest,
            state,
        })
    });
    recent.collect()
}

/// The next users whom the application has had erased after a point of the timeline: when, who, and since when
/// tokens identify each of them.
pub async fn tokens_since(
    connection: &mut PgConnection,
    application: ApplicationId,
    after: Timestamp,
    limit: i64,
) -> Result<Vec<(Timestamp, UserDigest, OffsetDateTime)>> {
    let rows = sqlx::query!(
        "SELECT timestamp, user_digest, requested FROM erasures
         WHERE application_id = $1 AND timestamp > $2
         ORDER BY timestamp LIMIT $3",
        application.get(),
        after.get(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    let users = rows.into_iter().map(|row| {
        let user = digest(&row.user_digest)?;
        Ok((Timestamp::new(row.timestamp), user, row.requested))
    });
    users.collect()
}
