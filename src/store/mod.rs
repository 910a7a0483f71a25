//! PostgreSQL: the only SQL of the service, one file per family of tables.
//!
//! A function takes a connection, whose owner decides about the transaction. A function that must
//! run in the order of a timeline takes the [`Lane`] instead: the proof that its lock is held. A
//! function that only a leader may call takes its [`Leadership`].

pub mod applications;
pub mod bans;
pub mod batch;
mod branch;
pub mod changes;
pub mod chats;
pub mod clearing;
mod columns;
pub mod conversations;
mod database;
mod distribution;
pub mod erasing;
pub mod erasures;
mod error;
pub mod export;
pub mod feed;
pub mod file_events;
pub mod followers;
pub mod history;
pub mod hooks;
pub mod idempotency;
pub mod imports;
mod lane;
mod leadership;
pub mod locks;
mod maintenance;
pub mod members;
pub mod mentions;
pub mod messages;
pub mod notify;
pub mod pages;
pub mod personal;
pub mod pins;
mod pool;
pub mod presence;
pub mod reactions;
pub mod replies;
pub mod reports;
pub mod restrictions;
pub mod retention;
pub mod search;
mod sequences;
mod servers;
mod session;
pub mod settings;
pub mod signals;
mod terms;
pub mod trimming;
pub mod updates;
mod url;
mod version;
pub mod webhooks;

pub use database::Database;
pub use error::{Error, Result, Unfit};
pub use lane::{Lane, Transaction};
pub use leadership::{
    Clearing, Delivering, Duty, Erasing, Expiring, FeedPublishing, Indexing, Leadership, Publishing,
};
pub use maintenance::{MIGRATIONS, MigrationError};
pub use pool::{Lease, Pool};
pub use sequences::draw;
pub use session::{Purpose, Session};
pub use sqlx::PgConnection;
pub use terms::in_time;
pub use url::BadUrl;
pub use version::{Render, Version};

use columns::{array_literal, columns};
use sqlx::Connection;

/// Runs `work` in a transaction, and commits it unless `work` fails.
pub async fn in_transaction<T>(
    connection: &mut PgConnection,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T>,
) -> Result<T> {
    let mut transaction = connection.begin().await?;
    let result = work(&mut transaction).await?;
    transaction.commit().await?;
    Ok(result)
}

/// Whether the server that answers is a primary, and so accepts changes.
pub async fn is_primary(connection: &mut PgConnection) -> Result<bool> {
    let is_primary = sqlx::query_scalar!(r#"SELECT NOT pg_is_in_recovery() AS "is_primary!""#);
    Ok(is_primary.fetch_one(connection).await?)
}
