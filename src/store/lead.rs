//! What one replica leads at a time, each under a lock of its own.

use sqlx::PgConnection;

use super::{Result, locks};

/// What is led, by the key of its lock.
#[derive(Debug, Clone, Copy)]
#[repr(i64)]
pub enum Lead {
    Publishing = locks::PUBLISHER,
    Indexing = locks::INDEXER,
}

/// Takes the lock of a lead for as long as the connection lives, unless another replica has it.
pub async fn try_lead(connection: &mut PgConnection, lead: Lead) -> Result<bool> {
    let leads = sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_lock($1) AS "leads!""#,
        lead as i64
    );
    Ok(leads.fetch_one(connection).await?)
}
