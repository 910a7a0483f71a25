//! The table `updates`: which user is concerned by which change.

use super::{
    Lane, Result,
    wakeups::{self, WakeKey},
};
use crate::domain::{ApplicationId, MessageId, Timestamp, UserId};

/// One change and one user who learns of it.
#[derive(Debug, Clone)]
pub struct NewUpdate<'a> {
    pub application: ApplicationId,
    pub user: &'a UserId,
    pub timestamp: Timestamp,
    pub message: MessageId,
}

/// Inserts the updates of a batch, and wakes with its commit whoever waits for one of them.
pub async fn insert(lane: &mut Lane<'_>, updates: &[NewUpdate<'_>]) -> Result<()> {
    let applications: Vec<_> = updates.iter().map(|update| update.application.0).collect();
    let users: Vec<_> = updates.iter().map(|update| update.user.as_str()).collect();
    let timestamps: Vec<_> = updates.iter().map(|update| update.timestamp.0).collect();
    let messages: Vec<_> = updates.iter().map(|update| update.message.0).collect();
    let keys = updates.iter().map(|update| WakeKey::of(update.application, update.user));
    sqlx::query!(
        r#"
        WITH added AS (
            INSERT INTO updates (application_id, user_id, timestamp, message_id)
            SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[])
        )
        SELECT pg_notify($5, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint || ' ' || keys) AS "woken!: ()"
        FROM unnest($6::text[]) AS keys
        "#,
        &applications,
        &users as &[&str],
        &timestamps,
        &messages,
        wakeups::CHANNEL,
        &wakeups::lists(keys),
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}
