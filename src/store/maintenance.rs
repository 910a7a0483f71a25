//! Maintenance: work on the database that takes as long as it takes, and so has no limit of time. It ends
//! all the same where its connection is lost, which nothing that arrives on it would tell.

use std::time::Duration;

use sqlx::{PgConnection, migrate::MigrateError};
use tokio::time::sleep;

use super::{Database, Error, Purpose, Result, database::CONNECT_TIME_MAX, in_time, terms};

/// How often it is looked whether the server is still at work.
const LOOK_PERIOD: Duration = Duration::from_secs(3);

/// After so many looks in a row that found no work, or no server, its connection is lost.
const IDLE_LOOKS_MAX: u32 = 5;

/// The schema, whose lock lets replicas start together.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error(transparent)]
    Database(#[from] Error),
    #[error(transparent)]
    Migration(#[from] MigrateError),
}

impl Database {
    /// Brings the schema up to date.
    pub async fn migrate(&self) -> std::result::Result<(), MigrationError> {
        self.maintain(async |connection| Ok(MIGRATIONS.run(connection).await?)).await
    }

    /// Does some work on a connection without limits of time; gives up when the server is not at it any
    /// more.
    pub async fn maintain<T, E: From<Error>>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let mut connection = self.connect_unbranched(Purpose::Migrating).await?;
        let process = in_time(CONNECT_TIME_MAX, terms::process(&mut connection)).await?;
        tokio::select! {
            result = work(&mut connection) => result,
            error = self.until_idle(process) => Err(error.into()),
        }
    }

    async fn until_idle(&self, process: i32) -> Error {
        let mut idle_looks = 0;
        while idle_looks < IDLE_LOOKS_MAX {
            sleep(LOOK_PERIOD).await;
            let is_active = self.is_active(process).await.unwrap_or(false);
            idle_looks = if is_active { 0 } else { idle_looks + 1 };
        }
        Error::timed_out("the server is not at work any more, and has not answered")
    }

    /// Whether a server process is carrying out a statement, or waits for a lock to begin with it.
    async fn is_active(&self, process: i32) -> Result<bool> {
        let mut connection = self.connect_unbranched(Purpose::Migrating).await?;
        in_time(CONNECT_TIME_MAX, async {
            let active = sqlx::query_scalar!(
                r#"SELECT EXISTS (
                       SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active'
                   ) AS "active!""#,
                process,
            );
            Ok(active.fetch_one(&mut connection).await?)
        })
        .await
    }
}
