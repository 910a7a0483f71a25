//! Deliveries: what the one replica that brings the feeds to webhooks reads and writes about them.

use std::time::Duration;

use secrecy::SecretSlice;

use super::super::{
    Delivering, Leadership, Result,
    feed::{FeedInclude, Kinds},
    followers::{self, LAG_COUNT_MAX, Lag},
};
use crate::domain::{ApplicationId, Timestamp, WebhookId};
use sqlx::PgConnection;

/// A webhook among those of all applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WebhookKey {
    pub application: ApplicationId,
    pub id: WebhookId,
}

/// A webhook that is not paused.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    pub key: WebhookKey,
    /// Whether there is something after its cursor.
    pub is_behind: bool,
    /// How long nothing may be sent to it.
    pub pause: Duration,
}

/// What the next delivery to a webhook depends on.
#[derive(Debug)]
pub struct Delivery {
    pub url: String,
    pub kinds: Kinds,
    pub include: FeedInclude,
    pub cursor: Timestamp,
    /// How many entries it was offered before, if it has not taken them yet.
    pub batch: Option<u16>,
    /// The valid ones, the newest first.
    pub secrets: Vec<SecretSlice<u8>>,
    /// How often it has not taken them.
    pub failures: u32,
    /// How long nothing may be sent to it.
    pub pause: Duration,
}

/// All webhooks that are not paused.
pub async fn all(leader: &mut Leadership<Delivering>) -> Result<Vec<Waiting>> {
    let all = sqlx::query!(
        r#"
        SELECT application_id, id,
               batch IS NOT NULL OR EXISTS (
                   SELECT FROM changes AS c
                   WHERE c.application_id = webhooks.application_id AND c.timestamp > webhooks.cursor
               ) AS "is_behind!",
               extract(epoch FROM retry_at - now())::float8 AS pause
        FROM webhooks
        WHERE NOT paused
        "#
    )
    .map(|row| Waiting {
        key: WebhookKey {
            application: ApplicationId::new(row.application_id),
            id: WebhookId::new(row.id),
        },
        is_behind: row.is_behind,
        pause: pause(row.pause),
    });
    Ok(all.fetch_all(leader.connection()).await?)
}

/// What to deliver to a webhook; `None` if it was removed or is paused.
pub async fn next(
    leader: &mut Leadership<Delivering>,
    key: WebhookKey,
) -> Result<Option<Delivery>> {
    let next = sqlx::query!(
        r#"
        SELECT url, kinds, with_messages, with_recipients, cursor, batch, secret,
               CASE WHEN before_until > now() THEN secret_before END AS secret_before,
               failures,
               extract(epoch FROM retry_at - now())::float8 AS pause
        FROM webhooks
        WHERE application_id = $1 AND id = $2 AND NOT paused
        "#,
        key.application.get(),
        key.id.get(),
    )
    .map(|row| Delivery {
        url: row.url,
        kinds: Kinds::of_names(row.kinds),
        include: FeedInclude {
            messages: row.with_messages,
            recipients: row.with_recipients,
        },
        cursor: Timestamp::new(row.cursor),
        batch: row.batch.and_then(|entries| entries.try_into().ok()),
        secrets: [Some(row.secret), row.secret_before]
            .into_iter()
            .flatten()
            .map(SecretSlice::from)
            .collect(),
        failures: row.failures.try_into().unwrap_or(0),
        pause: pause(row.pause),
    });
    Ok(next.fetch_optional(leader.connection()).await?)
}

/// Remembers, before they are sent, how many entries after the cursor are sent together. Returns whether
/// the webhook is still there, at this cursor.
pub async fn begin(
    leader: &mut Leadership<Delivering>,
    key: WebhookKey,
    cursor: Timestamp,
    batch: u16,
) -> Result<bool> {
    let begun = sqlx::query!(
        "UPDATE webhooks SET batch = $4
         WHERE application_id = $1 AND id = $2 AND cursor = $3 AND NOT paused",
        key.application.get(),
        key.id.get(),
        cursor.get(),
        i16::try_from(batch).unwrap_or(i16::MAX),
    );
    Ok(begun.execute(leader.connection()).await?.rows_affected() > 0)
}

/// Moves the cursor of a webhook that has taken the batch, or that nothing concerns up to there. Whoever
/// has moved the cursor meanwhile, or has asked for other entries, is right.
pub async fn advance(
    leader: &mut Leadership<Delivering>,
    key: WebhookKey,
    from: Timestamp,
    batch: Option<u16>,
    to: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "UPDATE webhooks SET cursor = $5, batch = NULL, failures = 0, retry_at = NULL
         WHERE application_id = $1 AND id = $2 AND cursor = $3 AND batch IS NOT DISTINCT FROM $4",
        key.application.get(),
        key.id.get(),
        from.get(),
        batch.map(|entries| i16::try_from(entries).unwrap_or(i16::MAX)),
        to.get(),
    )
    .execute(leader.connection())
    .await?;
    Ok(())
}

/// Remembers why the batch was not taken, and that nothing may be sent for a while.
pub async fn refuse(
    leader: &mut Leadership<Delivering>,
    key: WebhookKey,
    cursor: Timestamp,
    detail: &str,
    pause: Duration,
) -> Result<()> {
    sqlx::query!(
        "UPDATE webhooks
         SET failures = failures + 1, failed = now(), failure = $4,
             retry_at = now() + make_interval(secs => $5)
         WHERE application_id = $1 AND id = $2 AND cursor = $3 AND batch IS NOT NULL",
        key.application.get(),
        key.id.get(),
        cursor.get(),
        detail,
        pause.as_secs_f64(),
    )
    .execute(leader.connection())
    .await?;
    Ok(())
}

/// Measures how far the webhooks that are not paused are behind.
pub async fn lag(connection: &mut PgConnection) -> Result<Lag> {
    let cursors = sqlx::query!("SELECT application_id, cursor FROM webhooks WHERE NOT paused");
    let mut all = Lag::default();
    for row in cursors.fetch_all(&mut *connection).await? {
        let application = ApplicationId::new(row.application_id);
        let (cursor, rest) = (Timestamp::new(row.cursor), LAG_COUNT_MAX - all.changes);
        let lag = followers::lag_after(connection, application, cursor, rest).await?;
        all.changes += lag.changes;
        all.seconds = all.seconds.max(lag.seconds);
    }
    Ok(all)
}

/// Seconds that are left, if there are any.
fn pause(seconds: Option<f64>) -> Duration {
    Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or(Duration::ZERO)
}
