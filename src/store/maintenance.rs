//! Maintenance: work on the database without a time limit, such as migrations. A lost connection
//! would make it wait for ever, so a second connection watches whether the server is still at work.

use std::time::Duration;

use sqlx::{PgConnection, migrate::MigrateError};
use tokio::time::sleep;

use super::{
    Database, Error, Purpose, Result, database::CONNECT_TIME_MAX, distribution, in_time, terms,
};

/// How often the server's work is checked.
const CHECK_PERIOD: Duration = Duration::from_secs(3);

/// After so many checks in a row that find no work, the connection counts as lost.
const IDLE_CHECKS_MAX: u32 = 5;

/// After so many failed checks in a row, the work is given up: five minutes at least.
const FAILED_CHECKS_MAX: u32 = 100;

/// The migrations of the schema. They take a lock, so replicas may start at the same time.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error(transparent)]
    Database(#[from] Error),
    #[error(
        "the database was made by a version before the first release, whose tables cannot be carried \
         over: set DATABASE_URL to a new, empty database, or drop this one and create it again"
    )]
    Unreleased,
    #[error("the database was made by a newer version of the service (migration {0})")]
    Newer(i64),
    #[error(
        "the database was made with another text of migration {0}: by a version from between two \
         releases, or by a build whose migrations were edited; nothing was changed"
    )]
    Changed(i64),
    #[error(transparent)]
    Migration(MigrateError),
}

impl From<MigrateError> for MigrationError {
    fn from(error: MigrateError) -> Self {
        let first = MIGRATIONS.iter().map(|migration| migration.version).min();
        let first = first.expect("there is a schema");
        match error {
            MigrateError::VersionMissing(applied) if applied < first => Self::Unreleased,
            MigrateError::VersionMissing(applied) => Self::Newer(applied),
            MigrateError::VersionMismatch(applied) => Self::Changed(applied),
            other => Self::Migration(other),
        }
    }
}

impl Database {
    /// Brings the schema up to date, and distributes it where the database is a cluster.
    pub async fn migrate(&self) -> std::result::Result<(), MigrationError> {
        self.maintain(async |connection| {
            MIGRATIONS.run(&mut *connection).await?;
            distribution::distribute(connection).await?;
            Ok(())
        })
        .await
    }

    /// Does some work on a connection without time limits. Fails when the server does not work on
    /// it any more.
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
        while idle < IDLE_CHECKS_MAX && failed < FAILED_CHECKS_MAX {
            sleep(CHECK_PERIOD).await;
            match self.waits_for(process).await {
                Ok(Some(event)) => {
                    (idle, failed) = (0, 0);
                    tracing::info!(waits_for = event, "the database is still at work");
                }
                Ok(None) => (idle, failed) = (idle + 1, 0),
                Err(error) => {
                    failed += 1;
                    tracing::warn!(%error, "the check whether the database is still at work failed");
                }
            }
        }
        Error::timed_out("the server is not at work any more, and has not answered")
    }

    /// What a server process waits for while it runs a statement. `None` if it runs none.
    async fn waits_for(&self, process: i32) -> Result<Option<String>> {
        let mut connection = self.connect_unbranched(Purpose::Migrating).await?;
        in_time(CONNECT_TIME_MAX, async {
            // The state is 'disabled' on a server that does not track the activity of its
            // processes.
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
