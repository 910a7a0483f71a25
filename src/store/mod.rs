//! PostgreSQL: the only SQL of the service, one file per family of tables.
//!
//! A function takes a connection, whose owner decides about the transaction. What may only happen
//! in the order of the timeline takes the [`Lane`] instead: the proof that its lock is held.

pub mod applications;
pub mod batch;
pub mod chats;
mod error;
pub mod history;
pub mod keys;
mod lane;
mod lead;
pub mod members;
pub mod messages;
pub mod outbox;
pub mod pages;
pub mod search;
mod session;
pub mod timeline;
pub mod updates;
pub mod wakeups;

pub use error::{Error, Result};
pub use lane::{Lane, announce};
pub use lead::{Lead, try_lead};
pub use session::{CONNECT_TIME_MAX, Purpose, Session, connect_options, in_time, pool, search_pool};
pub use sqlx::{PgConnection, PgPool};

/// A connection of a pool.
pub type PoolConnection = sqlx::pool::PoolConnection<sqlx::Postgres>;

use crate::domain::{ApplicationId, MessageId};

/// The schema, run at start under a lock of its own, so that replicas may start together.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Ids of one family as the parallel arrays that `unnest` takes.
fn columns(ids: impl Iterator<Item = (ApplicationId, MessageId)>) -> (Vec<i64>, Vec<i64>) {
    ids.map(|(application, id)| (application.0, id.0)).unzip()
}

/// A connection for a plain read.
pub async fn acquire(pool: &PgPool) -> Result<PoolConnection> {
    // In a box: it takes 14 KiB, which every request would carry that may need it.
    Ok(Box::pin(pool.acquire()).await?)
}

/// Whether the database answers.
pub async fn is_available(pool: &PgPool) -> bool {
    sqlx::query_scalar!(r#"SELECT TRUE AS "available!""#).fetch_one(pool).await.unwrap_or(false)
}

/// The encoding of the database's text.
pub async fn encoding(connection: &mut PgConnection) -> Result<String> {
    let encoding = sqlx::query_scalar!(r#"SELECT current_setting('server_encoding') AS "encoding!""#);
    Ok(encoding.fetch_one(connection).await?)
}
