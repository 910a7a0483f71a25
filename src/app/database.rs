//! The database at the start: waits for it, checks it and migrates it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::CommandResult;
use crate::store::{self, Database, Purpose};

/// How long the start waits for a database that is away: about as long as a PostgreSQL that starts
/// at the same moment may take.
const WAIT_TIME_MAX: Duration = Duration::from_secs(30);

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits for the database, checks it, and runs the migrations.
pub async fn make_ready(database: &Database) -> CommandResult {
    retry(async || database.require_fit().await).await?;
    database.migrate().await?;
    // The first connection on the new schema detects whether the database has another history.
    retry(async || {
        database.session(Purpose::Announcing).connection().await?;
        Ok(())
    })
    .await?;
    Ok(())
}

/// Repeats a step while the database may still be starting. An error that waiting cannot cure is
/// returned at once.
async fn retry(mut step: impl AsyncFnMut() -> store::Result<()>) -> store::Result<()> {
    let started = Instant::now();
    loop {
        match step().await {
            Err(error) if !error.is_lasting() && started.elapsed() < WAIT_TIME_MAX => {
                tracing::warn!(%error, "waiting for the database");
            }
            outcome => return outcome,
        }
        sleep(PAUSE).await;
    }
}
