//! The table `hooks`: the servers of applications that judge messages before they are sent.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretSlice};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Error, Result, webhooks::DeliveryFailure};
use crate::domain::{ApplicationId, OnFailure};

/// The hook of an application.
#[derive(Debug)]
pub struct Hook {
    pub url: String,
    /// How long it may take to answer.
    pub timeout: Duration,
    pub on_failure: OnFailure,
    /// Requests are signed with it.
    pub secret: SecretSlice<u8>,
}

/// A hook as its application sees it.
#[derive(Debug)]
pub struct StoredHook {
    pub hook: Hook,
    pub created: OffsetDateTime,
    /// Of all time.
    pub last_failure: Option<DeliveryFailure>,
}

struct HookRow {
    url: String,
    timeout_ms: i32,
    on_failure: String,
    secret: Vec<u8>,
    created: OffsetDateTime,
    failed: Option<OffsetDateTime>,
    failure: Option<String>,
}

/// Sets the hook of an application, and returns whether it has the secret: one that it had keeps its own. What
/// another server has failed in is forgotten.
pub async fn set(
    connection: &mut PgConnection,
    application: ApplicationId,
    hook: &Hook,
) -> Result<(StoredHook, bool)> {
    let secret = hook.secret.expose_secret();
    let row = sqlx::query_as!(
        HookRow,
        "INSERT INTO hooks (application_id, url, timeout_ms, on_failure, secret) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (application_id) DO UPDATE
         SET url = excluded.url, timeout_ms = excluded.timeout_ms, on_failure = excluded.on_failure,
             failed = CASE WHEN hooks.url = excluded.url THEN hooks.failed END,
             failure = CASE WHEN hooks.url = excluded.url THEN hooks.failure END
         RETURNING url, timeout_ms, on_failure, secret, created, failed, failure",
        application.get(),
        hook.url,
        i32::try_from(hook.timeout.as_millis()).unwrap_or(i32::MAX),
        hook.on_failure.name(),
        secret,
    );
    let row = row.fetch_one(connection).await?;
    let is_new = row.secret == secret;
    Ok((row.into_hook(application)?, is_new))
}

pub async fn find(
    connection: &mut PgConnection,
    application: ApplicationId,
) -> Result<Option<StoredHook>> {
    let row = sqlx::query_as!(
        HookRow,
        "SELECT url, timeout_ms, on_failure, secret, created, failed, failure
         FROM hooks WHERE application_id = $1",
        application.get(),
    );
    let row = row.fetch_optional(connection).await?;
    row.map(|row| row.into_hook(application)).transpose()
}

/// Removes the hook of an application; returns whether there was one.
pub async fn remove(connection: &mut PgConnection, application: ApplicationId) -> Result<bool> {
    let removed = sqlx::query!(
        "DELETE FROM hooks WHERE application_id = $1",
        application.get(),
    );
    Ok(removed.execute(connection).await?.rows_affected() > 0)
}

/// Writes down why a hook has just failed, if it still has that URL.
pub async fn note_failure(
    connection: &mut PgConnection,
    application: ApplicationId,
    url: &str,
    detail: &str,
) -> Result<()> {
    let noting = sqlx::query!(
        "UPDATE hooks SET failed = clock_timestamp(), failure = $3 WHERE application_id = $1 AND url = $2",
        application.get(),
        url,
        detail,
    );
    noting.execute(connection).await?;
    Ok(())
}

impl Hook {
    /// A hook as it is stored.
    pub(super) fn stored(
        application: ApplicationId,
        url: String,
        timeout_ms: i32,
        on_failure: &str,
        secret: Vec<u8>,
    ) -> Result<Self> {
        let timeout_ms = u64::try_from(timeout_ms).ok();
        let valid = timeout_ms.zip(OnFailure::named(on_failure));
        let (timeout_ms, on_failure) = valid.ok_or(Error::Inconsistent {
            table: "hooks",
            id: application.get(),
        })?;
        Ok(Self {
            url,
            timeout: Duration::from_millis(timeout_ms),
            on_failure,
            secret: secret.into(),
        })
    }
}

impl HookRow {
    fn into_hook(self, application: ApplicationId) -> Result<StoredHook> {
        let Self {
            url,
            timeout_ms,
            on_failure,
            secret,
            created,
            failed,
            failure,
        } = self;
        Ok(StoredHook {
            hook: Hook::stored(application, url, timeout_ms, &on_failure, secret)?,
            created,
            last_failure: DeliveryFailure::stored(failed, failure),
        })
    }
}
