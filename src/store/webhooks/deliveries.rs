//! Deliveries: what the one replica that brings the feeds to webhooks reads and writes about them.
//!
//! Only that a delivery begins must outlast a crash of the server, so that the same is sent again. How it
//! has ended need not: with that it is forgotten that it has begun.

use std::{collections::BTreeSet, time::Duration};

use secrecy::SecretSlice;
use sqlx::PgConnection;

use super::super::{
    Delivering, Leadership, Result,
    feed::{FeedInclude, Kinds},
    followers::{self, LAG_COUNT_MAX, Lag},
};
use crate::domain::{ApplicationId, Timestamp, WebhookId};

/// A webhook among those of all applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WebhookKey {
    pub application: ApplicationId,
    pub id: WebhookId,
}

/// A webhook as it was read: at a cursor, and in one of its revisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookVersion {
    key: WebhookKey,
    cursor: Timestamp,
    revision: i64,
}

/// A webhook that is not paused.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    pub key: WebhookKey,
    /// Whether there is something after its cursor.
    pub is_behind: bool,
    pub has_failed: bool,
    /// How long nothing may be sent to it.
    pub retry_in: Duration,
}

/// What the next delivery to a webhook depends on.
#[derive(Debug)]
pub struct Delivery {
    pub url: String,
    /// `None` if this version of the service does not know one of them.
    pub kinds: Option<Kinds>,
    pub include: FeedInclude,
    pub cursor: Timestamp,
    /// How many changes it was offered before, if it has not taken them yet.
    pub batch: Option<u16>,
    /// How often it has failed in a row.
    pub failures: u32,
    /// How long nothing may be sent to it.
    pub retry_in: Duration,
    revision: i64,
}

impl Delivery {
    /// The webhook as it was read, if this is its key.
    pub fn version(&self, key: WebhookKey) -> WebhookVersion {
        WebhookVersion {
            key,
            cursor: self.cursor,
            revision: self.revision,
        }
    }
}

/// The webhooks of some applications, or of all, that are not paused.
pub async fn waiting(
    leader: &mut Leadership<Delivering>,
    applications: Option<&BTreeSet<ApplicationId>>,
) -> Result<Vec<Waiting>> {
    let ids = applications.map(|ids| ids.iter().map(|id| id.get()).collect::<Vec<_>>());
    let waiting = sqlx::query!(
        r#"
        SELECT application_id, id,
               batch IS NOT NULL OR EXISTS (
                   SELECT FROM changes AS c
                   WHERE c.application_id = webhooks.application_id AND c.timestamp > webhooks.cursor
               ) AS "is_behind!",
               failures > 0 AS "has_failed!",
               extract(epoch FROM retry_at - now())::float8 AS retry_in
        FROM webhooks
        WHERE NOT paused AND ($1::bigint[] IS NULL OR application_id = ANY ($1))
        "#,
        ids as Option<Vec<i64>>,
    )
    .map(|row| Waiting {
        key: WebhookKey {
            application: ApplicationId::new(row.application_id),
            id: WebhookId::new(row.id),
        },
        is_behind: row.is_behind,
        has_failed: row.has_failed,
        retry_in: duration(row.retry_in),
    });
    Ok(waiting.fetch_all(leader.connection()).await?)
}

/// What to deliver to a webhook; `None` if it was removed or is paused.
pub async fn next(
    leader: &mut Leadership<Delivering>,
    key: WebhookKey,
) -> Result<Option<Delivery>> {
    let next = sqlx::query!(
        r#"
        SELECT url, kinds, with_messages, with_recipients, cursor, batch, revision, failures,
               extract(epoch FROM retry_at - now())::float8 AS retry_in
        FROM webhooks
        WHERE application_id = $1 AND id = $2 AND NOT paused
        "#,
        key.application.get(),
        key.id.get(),
    )
    .map(|row| Delivery {
        url: row.url,
        kinds: Kinds::of_names(row.kinds.as_deref()),
        include: FeedInclude {
            messages: row.with_messages,
            recipients: row.with_recipients,
        },
        cursor: Timestamp::new(row.cursor),
        batch: row.batch.and_then(|entries| entries.try_into().ok()),
        failures: row.failures.try_into().unwrap_or(0),
        retry_in: duration(row.retry_in),
        revision: row.revision,
    });
    Ok(next.fetch_optional(leader.connection()).await?)
}

/// Remembers, before they are sent, how many changes after the cursor are sent together. Returns the valid
/// secrets, the newest first; `None` if the webhook is not as it was read.
pub async fn begin(
    leader: &mut Leadership<Delivering>,
    at: WebhookVersion,
    batch: u16,
) -> Result<Option<Vec<SecretSlice<u8>>>> {
    let secrets = sqlx::query_scalar!(
        r#"
        UPDATE webhooks SET batch = $5
        WHERE application_id = $1 AND id = $2 AND cursor = $3 AND revision = $4
        RETURNING secret || ARRAY(
            SELECT old.secret
            FROM unnest(old_secrets, old_secrets_until) WITH ORDINALITY AS old (secret, until, age)
            WHERE old.until > now()
            ORDER BY old.age
        ) AS "secrets!: Vec<Vec<u8>>"
        "#,
        at.key.application.get(),
        at.key.id.get(),
        at.cursor.get(),
        at.revision,
        i16::try_from(batch).unwrap_or(i16::MAX),
    );
    let secrets = secrets.fetch_optional(leader.connection()).await?;
    Ok(secrets.map(|secrets| secrets.into_iter().map(SecretSlice::from).collect()))
}

/// Moves the cursor of a webhook that has taken the batch, or that nothing concerns up to there. Returns
/// whether the webhook is as it was read.
pub async fn advance(
    leader: &mut Leadership<Delivering>,
    at: WebhookVersion,
    to: Timestamp,
) -> Result<bool> {
    let advanced = sqlx::query!(
        "UPDATE webhooks SET cursor = $5, batch = NULL, failures = 0, retry_at = NULL
         WHERE application_id = $1 AND id = $2 AND cursor = $3 AND revision = $4
         RETURNING set_config('synchronous_commit', 'off', TRUE)",
        at.key.application.get(),
        at.key.id.get(),
        at.cursor.get(),
        at.revision,
        to.get(),
    );
    let advanced = advanced.fetch_optional(leader.connection()).await?;
    Ok(advanced.is_some())
}

/// Remembers why the batch was not taken, and that nothing may be sent for a while. Returns whether the
/// webhook is as it was read.
pub async fn fail(
    leader: &mut Leadership<Delivering>,
    at: WebhookVersion,
    detail: &str,
    retry_in: Duration,
) -> Result<bool> {
    let failed = sqlx::query!(
        "UPDATE webhooks
         SET failures = failures + 1, failed = now(), failure = $5,
             retry_at = now() + make_interval(secs => $6)
         WHERE application_id = $1 AND id = $2 AND cursor = $3 AND revision = $4
         RETURNING set_config('synchronous_commit', 'off', TRUE)",
        at.key.application.get(),
        at.key.id.get(),
        at.cursor.get(),
        at.revision,
        detail,
        retry_in.as_secs_f64(),
    );
    let failed = failed.fetch_optional(leader.connection()).await?;
    Ok(failed.is_some())
}

/// Measures how far the webhooks that are not paused are behind: in each application the one that is
/// furthest.
pub async fn lag(connection: &mut PgConnection) -> Result<Lag> {
    let furthest = sqlx::query!(
        r#"
        SELECT application_id, min(cursor) AS "cursor!"
        FROM webhooks WHERE NOT paused GROUP BY application_id
        "#
    );
    let mut all = Lag::default();
    for row in furthest.fetch_all(&mut *connection).await? {
        let application = ApplicationId::new(row.application_id);
        // The age of the oldest change counts, also where counting has ended.
        let rest = (LAG_COUNT_MAX - all.changes).max(1);
        let cursor = Timestamp::new(row.cursor);
        let lag = followers::lag_after(connection, application, cursor, rest).await?;
        all.changes = (all.changes + lag.changes).min(LAG_COUNT_MAX);
        all.seconds = all.seconds.max(lag.seconds);
    }
    Ok(all)
}

/// Seconds that are left, if there are any.
fn duration(seconds: Option<f64>) -> Duration {
    Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or(Duration::ZERO)
}
