//! The tables `presence` and `replicas`: which users have a stream open, on which replica.
//!
//! They are not logged: they are empty after a crash of the server and after a failover. A replica finds
//! that its own row is missing, and writes everything again.

use sqlx::PgConnection;

use super::{Result, columns};
use crate::domain::{ApplicationId, Pair, UserId};

/// A replica, by a number that it has drawn at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaId(i64);

impl ReplicaId {
    pub const fn new(number: i64) -> Self {
        Self(number)
    }
}

/// Records that the replica lives, which counts for 10 s. Returns `false` if it had no row: then nothing
/// that it has recorded is there.
pub async fn heartbeat(connection: &mut PgConnection, replica: ReplicaId) -> Result<bool> {
    let present = sqlx::query!("UPDATE replicas SET seen = now() WHERE id = $1", replica.0);
    if present.execute(&mut *connection).await?.rows_affected() > 0 {
        return Ok(true);
    }
    let new = sqlx::query!(
        "INSERT INTO replicas (id, seen) VALUES ($1, now())",
        replica.0
    );
    new.execute(connection).await?;
    Ok(false)
}

/// The replicas whose records count.
pub async fn live_replicas(connection: &mut PgConnection) -> Result<Vec<i64>> {
    let live = sqlx::query_scalar!("SELECT id FROM replicas WHERE seen > now() - interval '10 s'");
    Ok(live.fetch_all(connection).await?)
}

/// Which of these users have a stream open, in the order in which they are named. Whoever has blocked
/// `reader` seems to have none; without a reader, blocks do not count.
pub async fn online(
    connection: &mut PgConnection,
    application: ApplicationId,
    reader: Option<&UserId>,
    users: &[UserId],
) -> Result<Vec<bool>> {
    let replicas = live_replicas(connection).await?;
    let pairs: Vec<_> = users
        .iter()
        .map(|user| Pair::new(user, reader.unwrap_or(user)))
        .collect();
    columns!(for (user, pair) in users.iter().zip(&pairs) => {
        names: user.as_str(),
        least: pair.least().as_str(),
        greatest: pair.greatest().as_str(),
    });
    let online = sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
                   SELECT FROM presence AS p
                   WHERE p.application_id = $1 AND p.user_id = named.user_id AND p.replica = ANY ($5)
               ) AND NOT EXISTS (
                   SELECT FROM (
                       -- The limit makes this a lookup by key, whatever the planner assumes.
                       SELECT found.least, found.least_blocks, found.greatest_blocks
                       FROM conversations AS found
                       WHERE found.application_id = $1 AND found.least = named.least
                         AND found.greatest = named.greatest AND found.chat_number IS NULL
                       LIMIT 1
                   ) AS c
                   WHERE $6
                     AND CASE WHEN c.least = named.user_id THEN c.least_blocks ELSE c.greatest_blocks END
               ) AS "online!"
        FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY
            AS named (user_id, least, greatest, place)
        ORDER BY named.place
        "#,
        application.get(),
        &names as &[&str],
        &least as &[&str],
        &greatest as &[&str],
        &replicas,
        reader.is_some(),
    );
    Ok(online.fetch_all(connection).await?)
}

/// Records users of an application who have opened their first stream on the replica, and those who have
/// closed their last one.
pub async fn record(
    connection: &mut PgConnection,
    application: ApplicationId,
    replica: ReplicaId,
    opened: &[UserId],
    closed: &[UserId],
) -> Result<()> {
    columns!(for user in opened => { opened_users: user.as_str() });
    columns!(for user in closed => { closed_users: user.as_str() });
    sqlx::query!(
        "WITH closed AS (
            DELETE FROM presence
            WHERE application_id = $1 AND user_id = ANY ($4) AND replica = $2
        )
        INSERT INTO presence (application_id, user_id, replica)
        SELECT $1, opened.user_id, $2 FROM unnest($3::text[]) AS opened (user_id)
        ON CONFLICT (application_id, user_id, replica) DO NOTHING",
        application.get(),
        replica.0,
        &opened_users as &[&str],
        &closed_users as &[&str],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes what replicas have left that have not recorded anything for a minute. One that does so now
/// waits for this, and finds that its row is missing.
pub async fn remove_silent(connection: &mut PgConnection) -> Result<()> {
    super::in_transaction(connection, async |connection| {
        let removed = sqlx::query_scalar!(
            "DELETE FROM replicas WHERE seen < now() - interval '1 minute' RETURNING id",
        );
        let removed = removed.fetch_all(&mut *connection).await?;
        if !removed.is_empty() {
            sqlx::query!("DELETE FROM presence WHERE replica = ANY ($1)", &removed)
                .execute(connection)
                .await?;
        }
        Ok(())
    })
    .await
}
