//! The table `applications`.

use std::num::NonZeroU32;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Duty, Error, FeedPublishing, Indexing, Lane, Publishing, Result, hooks::Hook};
use crate::domain::{ApplicationId, MessageId, Policy, RetentionDays, Timestamp, Title};

/// An application as it is now.
#[derive(Debug, Clone)]
pub struct Application {
    pub id: ApplicationId,
    pub name: Title,
    pub created: OffsetDateTime,
    /// The count of its chats.
    pub chats: i64,
    pub policy: Policy,
    /// None of its users is suspended for longer.
    pub suspensions_end: Option<OffsetDateTime>,
    /// Whether one of its users is being erased.
    pub erasing: bool,
    /// No message with a larger id has expired.
    pub expired: MessageId,
}

struct ApplicationRow {
    id: i64,
    name: String,
    created: OffsetDateTime,
    chats: i64,
    personal: String,
    create_chats: String,
    add_members: String,
    sends_per_minute: Option<i32>,
    suspensions_end: Option<OffsetDateTime>,
    erasing: bool,
    retention_days: Option<i32>,
    expired: i64,
}

/// A statement that returns applications: `$head`, and what follows the columns.
macro_rules! applications {
    ($head:literal, $tail:literal, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            ApplicationRow,
            $head + "id, name, created, chats, personal, create_chats, add_members, sends_per_minute,
            suspensions_end, erasing, retention_days, expired " + $tail,
            $($argument),*
        )
    };
}

impl ApplicationRow {
    fn into_application(self) -> Result<Application> {
        let policy = Policy::named(
            &self.personal,
            &self.create_chats,
            &self.add_members,
            self.sends_per_minute.and_then(per_minute),
            self.retention_days.and_then(RetentionDays::stored),
        );
        Ok(Application {
            id: ApplicationId::new(self.id),
            name: Title::trusted(self.name),
            created: self.created,
            chats: self.chats,
            policy: policy.ok_or(Error::Inconsistent {
                table: "applications",
                id: self.id,
            })?,
            suspensions_end: self.suspensions_end,
            erasing: self.erasing,
            expired: MessageId::new(self.expired),
        })
    }
}

/// Draws the id of a new application, which its token then contains.
///
/// Users' tokens name their application by this id alone. So it must never be used again, not even
/// after a restore has set the sequence back. Its upper bits are the seconds since 2026, by the
/// clock of the database, and the lower 12 differ for ids of the same second.
pub async fn next_id(connection: &mut PgConnection) -> Result<ApplicationId> {
    let id = sqlx::query_scalar!(
        r#"
        SELECT (extract(epoch FROM clock_timestamp() - timestamptz '2026-01-01Z')::bigint << 12)
                   | (nextval('application_ids') & 4095) AS "id!"
        "#
    );
    Ok(ApplicationId::new(id.fetch_one(connection).await?))
}

/// Creates an application with the hash of its token, and the cursors of its followers.
pub async fn insert(
    connection: &mut PgConnection,
    id: ApplicationId,
    name: &Title,
    token_hash: &[u8; 32],
) -> Result<Application> {
    let row = applications!(
        "WITH followed AS (
             INSERT INTO followers (application_id, name, cursor)
             SELECT $1, name, 0 FROM unnest($4::text[]) AS name
         )
         INSERT INTO applications (id, name, token_hash) VALUES ($1, $2, $3)
         RETURNING ",
        "",
        id.get(),
        name.as_str(),
        token_hash,
        &[Publishing::NAME, Indexing::NAME, FeedPublishing::NAME] as &[&str],
    )
    .fetch_one(connection)
    .await?;
    row.into_application()
}

/// Whether the application exists.
pub async fn exists(connection: &mut PgConnection, id: ApplicationId) -> Result<bool> {
    let exists = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM applications WHERE id = $1) AS "exists!""#,
        id.get(),
    );
    Ok(exists.fetch_one(connection).await?)
}

/// The ids of all applications.
pub async fn ids(connection: &mut PgConnection) -> Result<Vec<ApplicationId>> {
    let ids = sqlx::query_scalar!("SELECT id FROM applications ORDER BY id")
        .fetch_all(connection)
        .await?;
    Ok(ids.into_iter().map(ApplicationId::new).collect())
}

/// A page of applications by id.
pub async fn list(
    connection: &mut PgConnection,
    after: ApplicationId,
    limit: i64,
) -> Result<Vec<Application>> {
    let rows = applications!(
        "SELECT ",
        "FROM applications WHERE id > $1 ORDER BY id LIMIT $2",
        after.get(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(ApplicationRow::into_application)
        .collect()
}

pub async fn find(connection: &mut PgConnection, id: ApplicationId) -> Result<Option<Application>> {
    let row = applications!("SELECT ", "FROM applications WHERE id = $1", id.get());
    let row = row.fetch_optional(connection).await?;
    row.map(ApplicationRow::into_application).transpose()
}

/// The application of the lane, if it exists.
pub async fn load(lane: &mut Lane<'_>) -> Result<Option<Application>> {
    let id = lane.application();
    find(lane.connection(), id).await
}

/// Stores the name and the policy of the lane's application.
pub async fn update(lane: &mut Lane<'_>, name: &Title, policy: &Policy) -> Result<()> {
    let sends_per_minute = policy.sends_per_minute.map(|sends| sends.get());
    sqlx::query!(
        "UPDATE applications
         SET name = $2, personal = $3, create_chats = $4, add_members = $5, sends_per_minute = $6,
             retention_days = $7
         WHERE id = $1",
        lane.application().get(),
        name.as_str(),
        policy.personal.name(),
        policy.create_chats.name(),
        policy.add_members.name(),
        sends_per_minute.and_then(|sends| i32::try_from(sends).ok()),
        policy.retention.map(|days| i32::from(days.get())),
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// Replaces the hash of the application's token, so that the old token is not valid any more.
pub async fn replace_token(
    connection: &mut PgConnection,
    id: ApplicationId,
    token_hash: &[u8; 32],
) -> Result<Option<Application>> {
    let row = applications!(
        "UPDATE applications SET token_hash = $2 WHERE id = $1 RETURNING ",
        "",
        id.get(),
        token_hash,
    );
    let row = row.fetch_optional(connection).await?;
    row.map(ApplicationRow::into_application).transpose()
}

/// What an application has set that counts for every request of its callers.
#[derive(Debug)]
pub struct Access {
    /// `None` if the application has no token yet.
    pub token_hash: Option<[u8; 32]>,
    /// The last change of what its users are forbidden.
    pub restricted: Timestamp,
    /// The most messages that a user may send within a minute.
    pub sends_per_minute: Option<NonZeroU32>,
    /// What judges the messages of its users.
    pub hook: Option<Hook>,
}

struct AccessRow {
    token_hash: Option<[u8; 32]>,
    restricted: i64,
    sends_per_minute: Option<i32>,
    url: Option<String>,
    timeout_ms: Option<i32>,
    on_failure: Option<String>,
    secret: Option<Vec<u8>>,
}

/// What the application has set for its callers, if it exists.
pub async fn find_access(
    connection: &mut PgConnection,
    id: ApplicationId,
) -> Result<Option<Access>> {
    let row = sqlx::query_as!(
        AccessRow,
        r#"
        SELECT a.token_hash AS "token_hash: [u8; 32]", a.restricted, a.sends_per_minute,
               h.url AS "url?", h.timeout_ms AS "timeout_ms?", h.on_failure AS "on_failure?",
               h.secret AS "secret?"
        FROM applications AS a
        LEFT JOIN hooks AS h ON h.application_id = $1
        WHERE a.id = $1
        "#,
        id.get(),
    );
    let row = row.fetch_optional(connection).await?;
    row.map(|row| row.into_access(id)).transpose()
}

impl AccessRow {
    fn into_access(self, application: ApplicationId) -> Result<Access> {
        let answered = self.timeout_ms.zip(self.on_failure);
        let hook = self.url.zip(self.secret).zip(answered);
        let hook = hook.map(|((url, secret), (timeout_ms, on_failure))| {
            Hook::stored(application, url, timeout_ms, &on_failure, secret)
        });
        Ok(Access {
            token_hash: self.token_hash,
            restricted: Timestamp::new(self.restricted),
            sends_per_minute: self.sends_per_minute.and_then(per_minute),
            hook: hook.transpose()?,
        })
    }
}

/// A limit as it was stored.
fn per_minute(stored: i32) -> Option<NonZeroU32> {
    NonZeroU32::new(u32::try_from(stored).ok()?)
}
