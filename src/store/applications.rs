//! The table `applications`.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{FeedPublishing, Indexing, Publishing, Result, Role};
use crate::domain::{ApplicationId, Title};

/// An application as it is now.
#[derive(Debug, Clone)]
pub struct Application {
    pub id: ApplicationId,
    pub name: Title,
    pub created: OffsetDateTime,
    /// The count of its chats.
    pub chats: i64,
}

struct ApplicationRow {
    id: i64,
    name: String,
    created: OffsetDateTime,
    chats: i64,
}

impl ApplicationRow {
    fn into_application(self) -> Application {
        Application {
            id: ApplicationId::new(self.id),
            name: Title::trusted(self.name),
            created: self.created,
            chats: self.chats,
        }
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
    let row = sqlx::query_as!(
        ApplicationRow,
        "WITH followed AS (
             INSERT INTO followers (application_id, name, cursor)
             SELECT $1, name, 0 FROM unnest($4::text[]) AS name
         )
         INSERT INTO applications (id, name, token_hash) VALUES ($1, $2, $3)
         RETURNING id, name, created, chats",
        id.get(),
        name.as_str(),
        token_hash,
        &[Publishing::NAME, Indexing::NAME, FeedPublishing::NAME] as &[&str],
    )
    .fetch_one(connection)
    .await?;
    Ok(row.into_application())
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
    let rows = sqlx::query_as!(
        ApplicationRow,
        "SELECT id, name, created, chats FROM applications WHERE id > $1 ORDER BY id LIMIT $2",
        after.get(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(ApplicationRow::into_application)
        .collect())
}

pub async fn find(connection: &mut PgConnection, id: ApplicationId) -> Result<Option<Application>> {
    let row = sqlx::query_as!(
        ApplicationRow,
        "SELECT id, name, created, chats FROM applications WHERE id = $1",
        id.get(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(ApplicationRow::into_application))
}

pub async fn rename(
    connection: &mut PgConnection,
    id: ApplicationId,
    name: &Title,
) -> Result<Option<Application>> {
    let row = sqlx::query_as!(
        ApplicationRow,
        "UPDATE applications SET name = $2 WHERE id = $1 RETURNING id, name, created, chats",
        id.get(),
        name.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(ApplicationRow::into_application))
}

/// Replaces the hash of the application's token, so that the old token is not valid any more.
pub async fn replace_token(
    connection: &mut PgConnection,
    id: ApplicationId,
    token_hash: &[u8; 32],
) -> Result<Option<Application>> {
    let row = sqlx::query_as!(
        ApplicationRow,
        "UPDATE applications SET token_hash = $2 WHERE id = $1 RETURNING id, name, created, chats",
        id.get(),
        token_hash,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(ApplicationRow::into_application))
}

/// The hash of the application's token. `None` if the application does not exist, `Some(None)` if
/// it has no token yet.
pub async fn token_hash(
    connection: &mut PgConnection,
    id: ApplicationId,
) -> Result<Option<Option<[u8; 32]>>> {
    let hash = sqlx::query_scalar!(
        r#"SELECT token_hash AS "hash: [u8; 32]" FROM applications WHERE id = $1"#,
        id.get(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(hash)
}
