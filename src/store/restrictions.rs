//! The table `user_restrictions`: what applications forbid their users.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Lane, Result, columns};
use crate::domain::{ApplicationId, Restrictions, Timestamp, UserId};

/// What a user is forbidden, and the change that has made it so.
pub struct RestrictionsRow<'a> {
    pub user: &'a UserId,
    pub restrictions: Restrictions,
    pub timestamp: Timestamp,
}

/// What these users are forbidden, where that was ever set.
pub async fn load(
    lane: &mut Lane<'_>,
    users: impl Iterator<Item = &UserId>,
) -> Result<Vec<(UserId, Restrictions)>> {
    let users: Vec<_> = users.map(UserId::as_str).collect();
    let rows = sqlx::query!(
        r#"
        SELECT r.user_id, r.suspended_until, r.tokens_since
        FROM unnest($2::text[]) AS lookup (user_id)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM user_restrictions AS found
            WHERE found.application_id = $1 AND found.user_id = lookup.user_id
            LIMIT 1
        ) AS r
        "#,
        lane.application().get(),
        &users as &[&str],
    )
    .fetch_all(lane.connection())
    .await?;
    let restrictions = rows.into_iter().map(|row| {
        let restrictions = Restrictions {
            suspended_until: row.suspended_until,
            tokens_since: row.tokens_since,
        };
        (UserId::trusted(&row.user_id), restrictions)
    });
    Ok(restrictions.collect())
}

/// Stores what users are forbidden, and for the application how far that goes.
pub async fn store(lane: &mut Lane<'_>, restrictions: &[RestrictionsRow<'_>]) -> Result<()> {
    columns!(for row in restrictions => {
        users: row.user.as_str(),
        timestamps: row.timestamp.get(),
        suspended: row.restrictions.suspended_until,
        tokens: row.restrictions.tokens_since,
    });
    sqlx::query!(
        r#"
        WITH new AS (
            SELECT * FROM unnest($2::text[], $3::bigint[], $4::timestamptz[], $5::timestamptz[])
                AS new (user_id, timestamp, suspended_until, tokens_since)
        ),
        noted AS (
            UPDATE applications
            SET restricted      = (SELECT max(timestamp) FROM new),
                suspensions_end = greatest(suspensions_end, (SELECT max(suspended_until) FROM new))
            WHERE id = $1
        )
        INSERT INTO user_restrictions (
            application_id, user_id, timestamp, suspended_until, tokens_since
        )
        SELECT $1, new.* FROM new
        ON CONFLICT (application_id, user_id) DO UPDATE
        SET timestamp       = excluded.timestamp,
            suspended_until = excluded.suspended_until,
            tokens_since    = excluded.tokens_since
        "#,
        lane.application().get(),
        &users as &[&str],
        &timestamps,
        &suspended as &[Option<OffsetDateTime>],
        &tokens as &[Option<OffsetDateTime>],
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// What a user is forbidden.
pub async fn find(
    connection: &mut PgConnection,
    application: ApplicationId,
    user: &UserId,
) -> Result<Restrictions> {
    let row = sqlx::query!(
        "SELECT suspended_until, tokens_since FROM user_restrictions
         WHERE application_id = $1 AND user_id = $2",
        application.get(),
        user.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map_or_else(Restrictions::default, |row| Restrictions {
        suspended_until: row.suspended_until,
        tokens_since: row.tokens_since,
    }))
}

/// The next users whose restrictions have changed after a point of the timeline: when, and since when tokens
/// identify each of them.
pub async fn tokens_since(
    connection: &mut PgConnection,
    application: ApplicationId,
    after: Timestamp,
    limit: i64,
) -> Result<Vec<(Timestamp, UserId, Option<OffsetDateTime>)>> {
    let rows = sqlx::query!(
        "SELECT timestamp, user_id, tokens_since FROM user_restrictions
         WHERE application_id = $1 AND timestamp > $2
         ORDER BY timestamp LIMIT $3",
        application.get(),
        after.get(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    let users = rows.into_iter().map(|row| {
        let user = UserId::trusted(&row.user_id);
        (Timestamp::new(row.timestamp), user, row.tokens_since)
    });
    Ok(users.collect())
}
