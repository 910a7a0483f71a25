//! Trimming: the beginning of a timeline is deleted when it is older than all messages that are kept.
//!
//! `applications.trimmed` says up to where a timeline may be trimmed. It is raised by a transaction of its own
//! before anything is deleted, and every page is read in one snapshot with it. So a page on which something is
//! missing always tells that it may be.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{
    Expiring, FeedPublishing, Indexing, Leadership, Publishing, Result, in_transaction,
    leadership::Duty, locks, notify,
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

/// The last change of up to `limit` after a timestamp which, as all before it, is older than a time. `None` if
/// the first one is not.
pub async fn last_before(
    leader: &mut Leadership<Expiring>,
    application: ApplicationId,
    after: Timestamp,
    time: OffsetDateTime,
    limit: i64,
) -> Result<Option<Timestamp>> {
    let last = sqlx::query_scalar!(
        "WITH looked_at AS MATERIALIZED (
             SELECT timestamp, created FROM changes
             WHERE application_id = $1 AND timestamp > $2
             ORDER BY timestamp
             LIMIT $4
         )
         SELECT max(timestamp) FROM looked_at
         WHERE timestamp < coalesce(
             (SELECT min(timestamp) FROM looked_at WHERE created >= $3), 9223372036854775807
         )",
        application.get(),
        after.get(),
        time,
        limit,
    );
    let last = last.fetch_one(leader.connection()).await?;
    Ok(last.map(Timestamp::new))
}

/// Raises how far the timeline may be trimmed to `to` at the most, and returns to where. It goes no further
/// than every webhook and every follower has come, and never up to the newest change. `publishes_feeds`:
/// whether the feeds are published, without which nobody moves that cursor. A follower of files needs the
/// changes alone that use some.
///
/// The commit notifies everybody with the payload that `notice` makes of the timeline's end and the time: what
/// was read before must not answer for it. So nobody may write meanwhile.
pub async fn raise(
    leader: &mut Leadership<Expiring>,
    application: ApplicationId,
    to: Timestamp,
    publishes_feeds: bool,
    notice: impl Fn(Timestamp, OffsetDateTime) -> String,
) -> Result<Timestamp> {
    in_transaction(leader.connection(), async |connection| {
        sqlx::query!(
            r#"SELECT pg_advisory_xact_lock($1) AS "locked!: ()""#,
            locks::lane(application),
        )
        .execute(&mut *connection)
        .await?;
        sqlx::query!("SELECT FROM applications WHERE id = $1 FOR UPDATE", application.get())
            .execute(&mut *connection)
            .await?;
        let raised = sqlx::query!(
            r#"
            WITH newest AS (
                SELECT timestamp FROM changes WHERE application_id = $1 ORDER BY timestamp DESC LIMIT 1
            )
            UPDATE applications AS a
            SET trimmed = greatest(trimmed, least(
                $2,
                (SELECT timestamp - 1 FROM newest),
                (SELECT min(cursor) FROM webhooks WHERE application_id = $1),
                (SELECT min(cursor) FROM followers
                 WHERE application_id = $1 AND name = ANY ($3)),
                (SELECT timestamp - 1 FROM changes
                 WHERE application_id = $1 AND files IS NOT NULL AND timestamp > coalesce((
                     SELECT cursor FROM followers WHERE application_id = $1 AND name = $4
                 ), 0)
                 ORDER BY timestamp LIMIT 1)
            ))
            WHERE a.id = $1
            RETURNING a.trimmed, clock_timestamp() AS "now!",
                      coalesce((SELECT timestamp FROM newest), 0) AS "end!"
            "#,
            application.get(),
            to.get(),
            &followers(publishes_feeds) as &[&str],
            Publishing::NAME,
        )
        .fetch_one(&mut *connection)
        .await?;
        let payload = notice(Timestamp::new(raised.end), raised.now);
        notify::send(connection, notify::UPDATES_CHANNEL, &payload).await?;
        Ok(Timestamp::new(raised.trimmed))
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

/// Deletes updates of the users up to where the timeline may be trimmed, `limit` at the most, and none that is
/// the newest one of its user: who has read that one has missed nothing. Returns how many.
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
                 WHERE application_id = $1 AND user_id = owner.user_id
                 ORDER BY timestamp DESC LIMIT 1
             ) AS newest
             CROSS JOIN LATERAL (
                 -- Not flattened, this is a range of the key, whatever the planner assumes.
                 SELECT ctid AS place FROM updates
                 WHERE application_id = $1 AND user_id = owner.user_id
                   AND timestamp <= kept.trimmed AND timestamp < newest.timestamp
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
