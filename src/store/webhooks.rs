//! The table `webhooks`: the servers of applications to which the service brings the feed.
//!
//! What an application changes of what it gets is notified, so that it counts at once. What the leader
//! writes about deliveries is in [`deliveries`].

pub mod deliveries;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{
    Result, changes,
    feed::{FeedInclude, Kinds},
    followers::{self, Lag},
    in_transaction, locks,
    notify::{self, WEBHOOKS_CHANNEL},
    trimming,
};
use crate::domain::{ApplicationId, Timestamp, WebhookId};

/// The most webhooks of an application.
const WEBHOOKS_MAX: i64 = 10;

/// How long a secret counts after it was replaced.
const SECRET_OVERLAP_HOURS: i32 = 24;

/// The most secrets that count beside the newest one.
const OLD_SECRETS_MAX: i32 = 9;

/// Where counting ends that tells an application how far one of its webhooks is behind.
const LAG_SHOWN_MAX: i64 = 10_000;

/// A webhook as its application sees it.
#[derive(Debug, Clone)]
pub struct Webhook {
    pub id: WebhookId,
    pub url: String,
    /// `None` if a newer version of the service has created it, with a kind that this one does not know.
    pub kinds: Option<Kinds>,
    pub include: FeedInclude,
    pub is_paused: bool,
    pub created: OffsetDateTime,
    /// It has taken every entry up to here.
    pub cursor: Timestamp,
    /// How often in a row it has failed.
    pub failures: i32,
    /// Of all time.
    pub last_failure: Option<DeliveryFailure>,
}

/// Why a webhook has not taken what was sent to it.
#[derive(Debug, Clone)]
pub struct DeliveryFailure {
    pub at: OffsetDateTime,
    pub detail: String,
}

impl DeliveryFailure {
    /// The last failure of a row, if there was one.
    pub(super) fn stored(at: Option<OffsetDateTime>, detail: Option<String>) -> Option<Self> {
        at.zip(detail).map(|(at, detail)| Self { at, detail })
    }
}

/// A webhook to be created.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    pub url: String,
    pub kinds: Kinds,
    pub include: FeedInclude,
    /// It gets the entries after this; `None`: those from now on.
    pub after: Option<Timestamp>,
}

/// What is to be changed. What is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookPatch {
    pub url: Option<String>,
    pub kinds: Option<Kinds>,
    pub include: Option<FeedInclude>,
    pub paused: Option<bool>,
    /// It gets the entries after this, again or without those in between.
    pub after: Option<Timestamp>,
}

/// Why a change of webhooks is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    NotFound,
    /// The application has ten.
    TooMany,
    /// The timeline ends before the cursor.
    Ahead {
        end: Timestamp,
    },
    /// Changes after the cursor may have been trimmed.
    Behind {
        trimmed: Timestamp,
    },
}

/// A change of webhooks, or why it is refused.
pub type Changed<T> = std::result::Result<T, Refused>;

struct WebhookRow {
    id: i64,
    url: String,
    kinds: Option<Vec<String>>,
    with_messages: bool,
    with_recipients: bool,
    paused: bool,
    created: OffsetDateTime,
    cursor: i64,
    failures: i32,
    failed: Option<OffsetDateTime>,
    failure: Option<String>,
}

/// A statement that returns webhooks: `$head`, and what follows the columns.
macro_rules! webhooks {
    ($head:literal, $tail:literal, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            WebhookRow,
            $head + "id, url, kinds, with_messages, with_recipients, paused, created, cursor, failures,
                failed, failure " + $tail,
            $($argument),*
        )
    };
}

/// Creates a webhook with the secret with which its requests are signed.
pub async fn insert(
    connection: &mut PgConnection,
    application: ApplicationId,
    id: WebhookId,
    new: &NewWebhook,
    secret: &[u8],
) -> Result<Changed<Webhook>> {
    in_transaction(connection, async |connection| {
        let end = match end_beyond(connection, application, new.after).await? {
            Ok(end) => end,
            Err(refused) => return Ok(Err(refused)),
        };
        if count_locked(connection, application).await? >= WEBHOOKS_MAX {
            return Ok(Err(Refused::TooMany));
        }
        let kinds = new.kinds.names();
        let row = webhooks!(
            "INSERT INTO webhooks (application_id, id, url, kinds, with_messages, with_recipients, paused,
                 cursor, secret)
             VALUES ($1, $2, $3, $4, $5, $6, FALSE, $7, $8)
             RETURNING ",
            "",
            application.get(),
            id.get(),
            new.url,
            kinds as Option<Vec<&str>>,
            new.include.messages,
            new.include.recipients,
            new.after.unwrap_or(end).get(),
            secret,
        );
        let row = row.fetch_one(&mut *connection).await?;
        notify_of(connection, application).await?;
        Ok(Ok(row.into_webhook()))
    })
    .await
}

/// The end of the application's timeline, which must not be before `after`, nor may the timeline be trimmed
/// beyond `after`. Until the end of the transaction nobody trims it.
async fn end_beyond(
    connection: &mut PgConnection,
    application: ApplicationId,
    after: Option<Timestamp>,
) -> Result<Changed<Timestamp>> {
    let trimmed = trimming::lock(&mut *connection, application).await?;
    let end = changes::end(connection, application).await?;
    let is_ahead = after.is_some_and(|after| after > end);
    Ok(if is_ahead {
        Err(Refused::Ahead { end })
    } else if after.is_some_and(|after| after < trimmed) {
        Err(Refused::Behind { trimmed })
    } else {
        Ok(end)
    })
}

/// The webhooks of the application. Until the end of the transaction nobody else creates one.
async fn count_locked(connection: &mut PgConnection, application: ApplicationId) -> Result<i64> {
    sqlx::query!(
        r#"SELECT pg_advisory_xact_lock($1) AS "locked!: ()""#,
        locks::WEBHOOKS
    )
    .execute(&mut *connection)
    .await?;
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM webhooks WHERE application_id = $1"#,
        application.get(),
    );
    Ok(count.fetch_one(connection).await?)
}

async fn notify_of(connection: &mut PgConnection, application: ApplicationId) -> Result<()> {
    let payload = application.get().to_string();
    notify::send(connection, WEBHOOKS_CHANNEL, &payload).await
}

/// The webhooks of an application, the oldest first.
pub async fn list(
    connection: &mut PgConnection,
    application: ApplicationId,
) -> Result<Vec<Webhook>> {
    let rows = webhooks!(
        "SELECT ",
        "FROM webhooks WHERE application_id = $1 ORDER BY created, id",
        application.get(),
    );
    let rows = rows.fetch_all(connection).await?;
    Ok(rows.into_iter().map(WebhookRow::into_webhook).collect())
}

/// How far a webhook is behind, counted up to 10,000 changes.
pub async fn lag(
    connection: &mut PgConnection,
    application: ApplicationId,
    webhook: &Webhook,
) -> Result<Lag> {
    followers::lag_after(connection, application, webhook.cursor, LAG_SHOWN_MAX).await
}

pub async fn find(
    connection: &mut PgConnection,
    application: ApplicationId,
    id: WebhookId,
) -> Result<Option<Webhook>> {
    let row = webhooks!(
        "SELECT ",
        "FROM webhooks WHERE application_id = $1 AND id = $2",
        application.get(),
        id.get(),
    );
    let row = row.fetch_optional(connection).await?;
    Ok(row.map(WebhookRow::into_webhook))
}

/// Changes a webhook. What it has not taken is sent at once, and as another batch if other entries are
/// asked for.
pub async fn update(
    connection: &mut PgConnection,
    application: ApplicationId,
    id: WebhookId,
    patch: &WebhookPatch,
) -> Result<Changed<Webhook>> {
    in_transaction(connection, async |connection| {
        if let Err(refused) = end_beyond(connection, application, patch.after).await? {
            return Ok(Err(refused));
        }
        let begins_anew = patch.kinds.is_some() || patch.include.is_some() || patch.after.is_some();
        let kinds = patch.kinds.and_then(Kinds::names);
        let row = webhooks!(
            "UPDATE webhooks
             SET url = coalesce($3, url),
                 kinds = CASE WHEN $4 THEN $5 ELSE kinds END,
                 with_messages = coalesce($6, with_messages),
                 with_recipients = coalesce($7, with_recipients),
                 paused = coalesce($8, paused),
                 cursor = coalesce($9, cursor),
                 batch = CASE WHEN NOT $10 THEN batch END,
                 revision = revision + 1,
                 failures = 0,
                 retry_at = NULL
             WHERE application_id = $1 AND id = $2
             RETURNING ",
            "",
            application.get(),
            id.get(),
            patch.url.as_deref(),
            patch.kinds.is_some(),
            kinds as Option<Vec<&str>>,
            patch.include.map(|include| include.messages),
            patch.include.map(|include| include.recipients),
            patch.paused,
            patch.after.map(|after| after.get()),
            begins_anew,
        );
        let Some(row) = row.fetch_optional(&mut *connection).await? else {
            return Ok(Err(Refused::NotFound));
        };
        notify_of(connection, application).await?;
        Ok(Ok(row.into_webhook()))
    })
    .await
}

/// Gives a webhook another secret. The one before counts beside it for a day, and so do those before that
/// one, each for its day.
pub async fn replace_secret(
    connection: &mut PgConnection,
    application: ApplicationId,
    id: WebhookId,
    secret: &[u8],
) -> Result<Option<Webhook>> {
    let row = webhooks!(
        "UPDATE webhooks
         SET secret = $3,
             old_secrets = (secret || old_secrets)[1:$5],
             old_secrets_until = (now() + make_interval(hours => $4) || old_secrets_until)[1:$5]
         WHERE application_id = $1 AND id = $2
         RETURNING ",
        "",
        application.get(),
        id.get(),
        secret,
        SECRET_OVERLAP_HOURS,
        OLD_SECRETS_MAX,
    );
    let row = row.fetch_optional(connection).await?;
    Ok(row.map(WebhookRow::into_webhook))
}

/// Removes a webhook; returns whether there was one.
pub async fn remove(
    connection: &mut PgConnection,
    application: ApplicationId,
    id: WebhookId,
) -> Result<bool> {
    let removed = sqlx::query!(
        "DELETE FROM webhooks WHERE application_id = $1 AND id = $2",
        application.get(),
        id.get(),
    );
    Ok(removed.execute(connection).await?.rows_affected() > 0)
}

impl WebhookRow {
    fn into_webhook(self) -> Webhook {
        Webhook {
            id: WebhookId::new(self.id),
            url: self.url,
            kinds: Kinds::of_names(self.kinds.as_deref()),
            include: FeedInclude {
                messages: self.with_messages,
                recipients: self.with_recipients,
            },
            is_paused: self.paused,
            created: self.created,
            cursor: Timestamp::new(self.cursor),
            failures: self.failures,
            last_failure: DeliveryFailure::stored(self.failed, self.failure),
        }
    }
}
