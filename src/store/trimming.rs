//! Trimming: the beginning of a timeline is deleted when it is older than all messages that are kept.
//!
//! `applications.trimmed` says up to where a timeline may be trimmed. It is raised by a transaction of its own
//! before anything is deleted, and every page is read in one snapshot with it. So a page on which something is
//! missing always tells that it may be: that of a user by its first entry, which is not after `trimmed`, since each
//! user keeps the newest one that is not.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{
    Expiring, FeedPublishing, Indexing, Leadership, Publishing, Result, in_transaction,
    leadership::Duty,
};
use crate::domain::{ApplicationId, Timestamp, UserId};

/// How far the application's timeline is trimmed. Until the end of the transaction it is not trimmed further.
pub(super) async fn lock(
    connection: &mut PgConnection,
    application: ApplicationId,
) -> Result<Timestamp> {
    let trimmed = sqlx::query_scalar!(
        "SELECT trimmed FROM applications WHERE id = $1 FOR SHARE",
        application.get(),
    );
    let trimmed = trimmed.fetch_optional(connection).await?;
    Ok(Timestamp::new(trimmed.unwrap_or(0)))
}

/// How far the application's timeline is trimmed.
pub async fn trimmed(
    leader: &mut Leadership<Expiring>,
    application: ApplicationId,
) -> Result<Timestamp> {
    let trimmed = sqlx::query_scalar!(
        "SELECT trimmed FROM applications WHERE id = $1",
        application.get(),
    );
    let trimmed = trimmed.fetch_optional(leader.connection()).await?;
    Ok(Timestamp::new(trimmed.unwrap_or(0)))
}

/// The last change of up to `limit` after a timestamp, and up to another one, which, as all before it, is older than
/// a time. `None` if the first one is not.
pub async fn last_before(
    leader: &mut Leadership<Expiring>,
    application: ApplicationId,
    after: Timestamp,
    up_to: Timestamp,
    time: OffsetDateTime,
    limit: i64,
) -> Result<Option<Timestamp>> {
    let last = sqlx::query_scalar!(
        "WITH looked_at AS MATERIALIZED (
             SELECT timestamp, created FROM changes
             WHERE application_id = $1 AND timestamp > $2 AND timestamp <= $3
             ORDER BY timestamp
             LIMIT $5
         )
         SELECT max(timestamp) FROM looked_at
         WHERE timestamp < coalesce(
             (SELECT min(timestamp) FROM looked_at WHERE created >= $4), 9223372036854775807
         )",
        application.get(),
        after.get(),
        up_to.get(),
        time,
        limit,
    );
    let last = last.fetch_one(leader.connection()).await?;
    Ok(last.map(Timestamp::new))
}

/// How far the timeline could be trimmed: no further than every webhook and every follower has come, and never up
/// to the newest change. `publishes_feeds`: whether the feeds are published, without which nobody moves that
/// cursor. A follower of files needs the changes alone that use some.
pub async fn bound(
    leader: &mut Leadership<Expiring>,
    application: ApplicationId,
    publishes_feeds: bool,
) -> Result<Timestamp> {
    bound_of(leader.connection(), application, publishes_feeds).await
}

async fn bound_of(
    connection: &mut PgConnection,
    application: ApplicationId,
    publishes_feeds: bool,
) -> Result<Timestamp> {
    let bound = sqlx::query_scalar!(
        r#"
        SELECT coalesce(least(
            (SELECT timestamp - 1 FROM changes
             WHERE application_id = $1 ORDER BY timestamp DESC LIMIT 1),
            (SELECT min(cursor) FROM webhooks WHERE application_id = $1),
            (SELECT min(cursor) FROM followers WHERE application_id = $1 AND name = ANY ($2)),
            (SELECT timestamp - 1 FROM changes
             WHERE application_id = $1 AND files IS NOT NULL AND timestamp > coalesce((
                 SELECT cursor FROM followers WHERE application_id = $1 AND name = $3
             ), 0)
             ORDER BY timestamp LIMIT 1)
        ), 0) AS "bound!"
        "#,
        application.get(),
        &followers(publishes_feeds) as &[&str],
        Publishing::NAME,
    );
    Ok(Timestamp::new(bound.fetch_one(connection).await?))
}

/// Raises how far the timeline may be trimmed to `to`, or to its [`bound`] if that is before it.
///
/// Nobody is notified: what was read before has no gap, and what is read from now on says how far the timeline is
/// trimmed.
pub async fn raise(
    leader: &mut Leadership<Expiring>,
    application: ApplicationId,
    to: Timestamp,
    publishes_feeds: bool,
) -> Result<()> {
    in_transaction(leader.connection(), async |connection| {
        // No webhook begins meanwhile.
        sqlx::query!(
            "SELECT FROM applications WHERE id = $1 FOR NO KEY UPDATE",
            application.get()
        )
        .execute(&mut *connection)
        .await?;
        let bound = bound_of(&mut *connection, application, publishes_feeds).await?;
        sqlx::query!(
            "UPDATE applications SET trimmed = $2 WHERE id = $1 AND trimmed < $2",
            application.get(),
            to.min(bound).get(),
        )
        .execute(&mut *connection)
        .await?;
        Ok(())
    })
    .await
}

/// The followers that read every change.
fn followers(publishes_feeds: bool) -> Vec<&'static str> {
    let feeds = publishes_feeds.then_some(FeedPublishing::NAME);
    [Indexing::NAME].into_iter().chain(feeds).collect()
}

/// Deletes changes up to where the timeline may be trimmed, `limit` at the most. Returns how many.
pub async fn delete_changes(
    leader: &mut Leadership<Expiring>,
    application: ApplicationId,
    limit: i64,
) -> Result<u64> {
    let deleted = sqlx::query!(
        "DELETE FROM changes AS c
         USING (
             SELECT ctid AS place FROM changes
             WHERE application_id = $1
               AND timestamp <= (SELECT trimmed FROM applications WHERE id = $1)
             ORDER BY timestamp
             LIMIT $2
         ) AS found
         WHERE c.application_id = $1 AND c.ctid = found.place",
        application.get(),
        limit,
    );
    Ok(deleted.execute(leader.connection()).await?.rows_affected())
}

/// Users with updates, after one of them, by id.
pub async fn users(
    leader: &mut Leadership<Expiring>,
    application: ApplicationId,
    after: Option<&UserId>,
    limit: i64,
) -> Result<Vec<UserId>> {
    let users = sqlx::query_scalar!(
        r#"
        -- One lookup for each user, however many updates there are.
        WITH RECURSIVE found AS (
            (SELECT user_id FROM updates
             WHERE application_id = $1 AND user_id > $2
             ORDER BY user_id LIMIT 1)
            UNION ALL
            SELECT (
                SELECT u.user_id FROM updates AS u
                WHERE u.application_id = $1 AND u.user_id > found.user_id
                ORDER BY u.user_id LIMIT 1
            )
            FROM found
            WHERE found.user_id IS NOT NULL
        )
        SELECT user_id AS "user_id!" FROM found WHERE user_id IS NOT NULL LIMIT $3
        "#,
        application.get(),
        after.map_or("", UserId::as_str),
        limit,
    );
    let users = users.fetch_all(leader.connection()).await?;
    Ok(users.iter().map(|user| UserId::trusted(user)).collect())
}

/// Deletes updates of the users up to where the timeline may be trimmed, `limit` at the most. The newest of these
/// stays for each user: who has read it has missed nothing, and on a page that begins with it or with an earlier
/// one something may be missing. Returns how many.
pub async fn delete_updates(
    leader: &mut Leadership<Expiring>,
    application: ApplicationId,
    users: &[UserId],
    limit: i64,
) -> Result<u64> {
    let users: Vec<_> = users.iter().map(UserId::as_str).collect();
    let deleted = sqlx::query!(
        "WITH kept AS MATERIALIZED (SELECT trimmed FROM applications WHERE id = $1)
         DELETE FROM updates AS u
         USING (
             SELECT old.place
             FROM kept
             CROSS JOIN unnest($2::text[]) AS owner (user_id)
             CROSS JOIN LATERAL (
                 SELECT timestamp FROM updates
                 WHERE application_id = $1 AND user_id = owner.user_id AND timestamp <= kept.trimmed
                 ORDER BY timestamp DESC LIMIT 1
             ) AS newest
             CROSS JOIN LATERAL (
                 -- Not flattened, this is a range of the key, whatever the planner assumes.
                 SELECT ctid AS place FROM updates
                 WHERE application_id = $1 AND user_id = owner.user_id
                   AND timestamp < newest.timestamp
                 OFFSET 0
             ) AS old
             LIMIT $3
         ) AS found
         WHERE u.application_id = $1 AND u.ctid = found.place",
        application.get(),
        &users as &[&str],
        limit,
    );
    Ok(deleted.execute(leader.connection()).await?.rows_affected())
}
