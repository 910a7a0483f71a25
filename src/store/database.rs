//! The database: connections to its primary, on the branch of its history that is remembered.

use std::{sync::Arc, time::Duration};

use sqlx::{
    Connection, PgConnection,
    postgres::{PgListener, PgPoolOptions},
};

use super::{
    Error, Pool, Purpose, Result, Session,
    branch::{self, Branch},
    servers::{Primary, Servers, named},
    terms::{self, in_time},
    url::BadUrl,
};

/// How long a server may take for each step of a new connection: to connect, to agree on the terms,
/// and to return its branch.
pub(super) const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// How long it may take to adopt a new branch, which writes a row for each application.
const ADOPT_TIME_MAX: Duration = Duration::from_secs(30);

/// How long the check of a database may take: some twenty round trips.
const CHECK_TIME_MAX: Duration = Duration::from_secs(12);

/// Connections for plain reads (history, lists) and for rare work: health, metrics, administration.
const READ_CONNECTIONS_MAX: usize = 8;

/// Connections for searches, so that expensive searches delay nothing else.
const SEARCH_CONNECTIONS_MAX: usize = 4;

/// Connects to the database. Every connection of the service is made here. Each is used only after
/// proof that it leads to the primary, that the service's settings hold, and that the server is on
/// the branch of history that is remembered.
#[derive(Clone)]
pub struct Database(Arc<Servers>);

impl Database {
    /// Reads a URL. Nothing is connected yet.
    pub fn at(url: &str) -> std::result::Result<Self, BadUrl> {
        Ok(Self(Arc::new(Servers::at(url)?)))
    }

    /// One worker's connection.
    pub fn session(&self, purpose: Purpose) -> Session {
        Session::new(self.clone(), purpose)
    }

    /// Connections for plain reads and for rare work.
    pub fn reads(&self) -> Pool {
        Pool::new(
            "reads",
            self.clone(),
            Purpose::Reading,
            READ_CONNECTIONS_MAX,
        )
    }

    /// Connections for searches.
    pub fn searches(&self) -> Pool {
        Pool::new(
            "searches",
            self.clone(),
            Purpose::Searching,
            SEARCH_CONNECTIONS_MAX,
        )
    }

    /// Connections on which pages for webhooks are read.
    pub fn deliveries(&self, connections_max: usize) -> Pool {
        Pool::new(
            "deliveries",
            self.clone(),
            Purpose::Reading,
            connections_max,
        )
    }

    /// A connection to the primary, on the branch of history that is remembered.
    pub async fn connect(&self, purpose: Purpose) -> Result<PgConnection> {
        let Primary {
            mut connection,
            branch,
        } = self.0.find_primary(purpose).await?;
        let Some(branch) = branch else {
            return Ok(connection);
        };
        let remembered = in_time(CONNECT_TIME_MAX, branch::remembered(&mut connection)).await;
        if remembered.map_err(Error::of_missing_table)? == Some(branch) {
            return Ok(connection);
        }
        in_time(ADOPT_TIME_MAX, adopt(connection, branch)).await
    }

    /// A connection to the primary, on any branch: before the first migration, no branch is
    /// remembered.
    pub(super) async fn connect_unbranched(&self, purpose: Purpose) -> Result<PgConnection> {
        Ok(self.0.find_primary(purpose).await?.connection)
    }

    /// Listens on the server that was the primary last. The caller must have checked that it still
    /// is; the branch is not compared.
    ///
    /// A listener that is dropped closes its connection in a task of the library. If the connection
    /// is dead, that task lasts until the system reports it.
    pub async fn listen(&self, channels: &[&str]) -> Result<PgListener> {
        let server = self.0.last_primary();
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECT_TIME_MAX)
            .after_connect(|connection, _| {
                Box::pin(async {
                    let settled = terms::settle(connection, Purpose::Listening).await;
                    settled.map_err(|error| sqlx::Error::Configuration(error.into()))
                })
            })
            .connect_lazy_with(named(server, Purpose::Listening));
        in_time(2 * CONNECT_TIME_MAX, async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.eager_reconnect(false);
            listener.listen_all(channels.iter().copied()).await?;
            Ok(listener)
        })
        .await
    }

    /// Proves that the database answers, that it stores texts unchanged, and that each connection
    /// has a server process of its own, which some connection poolers do not provide.
    pub async fn require_fit(&self) -> Result<()> {
        let mut one = self.connect_unbranched(Purpose::Migrating).await?;
        let mut other = self.connect_unbranched(Purpose::Migrating).await?;
        in_time(CHECK_TIME_MAX, async {
            terms::require_own_sessions(&mut one, &mut other).await?;
            terms::require_encoding(&mut one).await
        })
        .await?;
        // An orderly close, so that the server does not log a lost connection. Failures do not
        // matter.
        let closing = async { Ok(tokio::join!(one.close(), other.close())) };
        let _ = in_time(CONNECT_TIME_MAX, closing).await;
        Ok(())
    }
}

/// Remembers the branch. If another branch was remembered, all numbers are raised.
async fn adopt(mut connection: PgConnection, branch: Branch) -> Result<PgConnection> {
    if branch::adopt(&mut connection, branch).await? {
        metrics::counter!("messages_history_branches_total").increment(1);
        tracing::error!(
            system = branch.system,
            timeline = branch.timeline,
            "the database has another history than before (a failover or a restore): acknowledged \
             changes may be lost; all sequences were raised, so that no number is used twice"
        );
    }
    Ok(connection)
}
