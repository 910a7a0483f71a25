//! The database at a start: waited for, checked, and brought up to date.

use std::time::Duration;

use tokio::time::sleep;

use super::Outcome;
use crate::store::{self, Database, Purpose};

/// How often a database that is away at start is tried again, and how many times: for about as
/// long as a PostgreSQL that is started at the same moment may take.
const CONNECT_PAUSE: Duration = Duration::from_secs(1);
const CONNECT_ATTEMPTS_MAX: u32 = 30;

/// Waits for the database, checks it, and runs the migrations.
pub async fn make_ready(database: &Database) -> Outcome {
    again_and_again(async || database.require_fit().await).await?;
    database.migrate().await?;
    // The first connection on the present schema finds out whether the database has another history.
    again_and_again(async || {
        database.session(Purpose::Announcing).connection().await?;
        Ok(())
    })
    .await?;
    Ok(())
}

/// Repeats a step while the database may just have been started; what waiting does not mend is told at
/// once.
async fn again_and_again(mut step: impl AsyncFnMut() -> store::Result<()>) -> store::Result<()> {
    for _ in 1..CONNECT_ATTEMPTS_MAX {
        match step().await {
            Err(error) if !error.is_lasting() => tracing::warn!(%error, "waiting for the database"),
            outcome => return outcome,
        }
        sleep(CONNECT_PAUSE).await;
    }
    step().await
}
