//! Maintenance: work on the database that takes as long as it takes, and so has no limit of time. It ends
//! all the same where its connection is lost, which nothing that arrives on it would tell.

use std::time::Duration;

use sqlx::{PgConnection, migrate::MigrateError};
use tokio::time::sleep;

use super::{Database, Error, Purpose, Result, database::CONNECT_TIME_MAX, in_time, terms};

/// How often it is looked whether the server is still at work.
const LOOK_PERIOD: Duration = Duration::from_secs(3);

/// After so many looks in a row that found no work, its connection is lost.
const IDLE_LOOKS_MAX: u32 = 5;

/// After so many in a row that found no server, or had no place on it, it is given up: five minutes at least.
const FAILED_LOOKS_MAX: u32 = 100;

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
        self.maintain(async |connection| Ok(MIGRATIONS.run(connection).await?))
            .await
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
        let (mut idle, mut failed) = (0, 0);
        while idle < IDLE_LOOKS_MAX && failed < FAILED_LOOKS_MAX {
            sleep(LOOK_PERIOD).await;
            match self.waits_for(process).await {
                Ok(Some(event)) => {
                    (idle, failed) = (0, 0);
                    tracing::info!(waits_for = event, "the database is still at work");
                }
                Ok(None) => (idle, failed) = (idle + 1, 0),
                Err(error) => {
                    failed += 1;
                    tracing::warn!(%error, "it cannot be seen whether the database is still at work");
                }
            }
        }
        Error::timed_out("the server is not at work any more, and has not answered")
    }

    /// For what a server process waits that carries out a statement; `None` where it does not.
    async fn waits_for(&self, process: i32) -> Result<Option<String>> {
        let mut connection = self.connect_unbranched(Purpose::Migrating).await?;
        in_time(CONNECT_TIME_MAX, async {
            // A server that does not track what its processes do says that it is disabled.
            let waiting = sqlx::query_scalar!(
                r#"SELECT coalesce(wait_event, 'nothing') AS "event!"
                   FROM pg_stat_activity
                   WHERE pid = $1 AND datname = current_database() AND application_name = $2
                     AND state IN ('active', 'disabled')"#,
                process,
                Purpose::Migrating.name(),
            );
            Ok(waiting.fetch_optional(&mut connection).await?)
        })
        .await
    }
}
