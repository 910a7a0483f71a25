//! The database at a start: waited for, checked, and brought up to date.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Outcome;
use crate::store::{self, Database, Purpose};

/// How long a database that is away at start is tried again: about as long as a PostgreSQL that is started
/// at the same moment may take.
const WAIT_TIME_MAX: Duration = Duration::from_secs(30);

/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);

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
    let began = Instant::now();
    loop {
        match step().await {
            Err(error) if !error.is_lasting() && began.elapsed() < WAIT_TIME_MAX => {
                tracing::warn!(%error, "waiting for the database");
            }
            outcome => return outcome,
        }
        sleep(PAUSE).await;
    }
}
