//! The database: where it is, and whether what answers there is the one that it was before.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, PgConnection,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};

use super::{
    Error, Lane, Pool, Purpose, Result, Session, Unfit,
    branch::{self, Branch},
    terms::{self, in_time},
    url::{self, BadUrl},
};

/// How long a server may take for each step of a new connection: to make it, to settle the terms, and to tell
/// its branch.
pub(super) const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// How long it may take to lift the counters, which waits for the lane's lock.
const ADOPT_TIME_MAX: Duration = Duration::from_secs(10);

/// How long it may take to check whether the database is fit: some twenty round trips.
const CHECK_TIME_MAX: Duration = Duration::from_secs(12);

/// Connections for plain reads (history, lists) and for what is rare: health, metrics, administration.
const READ_CONNECTIONS_MAX: usize = 8;

/// Connections for searches, so that expensive ones hold up nothing else.
const SEARCH_CONNECTIONS_MAX: usize = 4;

/// Connects to the database. Every connection of the service is made here, and is used only after it was
/// found to be to the primary, on the service's terms, and on the branch of history that is remembered.
#[derive(Clone)]
pub struct Database(Arc<Shared>);

struct Shared {
    servers: Vec<PgConnectOptions>,
    /// Which of them was the primary last.
    primary: AtomicUsize,
    /// With which of them the next search begins. One that does not answer is the last of it, also where
    /// nobody has waited for the end of the search.
    first: AtomicUsize,
    /// The newest branch that this process has seen.
    newest: Mutex<Option<Branch>>,
    has_warned: AtomicBool,
}

/// A connection to a primary, and its branch where the server tells it.
struct Primary {
    connection: PgConnection,
    branch: Option<Branch>,
}

impl Primary {
    /// Whether it has replaced the other one.
    fn replaces(&self, other: &Self) -> bool {
        let branches = self.branch.zip(other.branch);
        branches.is_some_and(|(branch, of_other)| branch.is_newer_than(of_other))
    }
}

impl Database {
    /// Reads a URL. Nothing is connected yet.
    pub fn at(url: &str) -> std::result::Result<Self, BadUrl> {
        let servers = url::parse(url)?.into_iter().map(with_logging).collect();
        Ok(Self(Arc::new(Shared {
            servers,
            primary: AtomicUsize::new(0),
            first: AtomicUsize::new(0),
            newest: Mutex::default(),
            has_warned: AtomicBool::new(false),
        })))
    }

    /// One worker's connection.
    pub fn session(&self, purpose: Purpose) -> Session {
        Session::new(self.clone(), purpose)
    }

    /// Connections for plain reads and for what is rare.
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

    /// A connection to the primary, on the branch of history that is remembered.
    pub(super) async fn connect(&self, purpose: Purpose) -> Result<PgConnection> {
        let Primary {
            mut connection,
            branch,
        } = self.find_primary(purpose).await?;
        let Some(branch) = branch else {
            return Ok(connection);
        };
        let remembered = in_time(CONNECT_TIME_MAX, branch::remembered(&mut connection)).await;
        if remembered.map_err(Error::of_missing_table)? == Some(branch) {
            return Ok(connection);
        }
        in_time(ADOPT_TIME_MAX, adopt(connection, branch)).await
    }

    /// A connection to the primary. Nothing is remembered where the schema has yet to be made.
    pub(super) async fn connect_unbranched(&self, purpose: Purpose) -> Result<PgConnection> {
        Ok(self.find_primary(purpose).await?.connection)
    }

    /// Asks one server after the other, beginning with the one that was the primary last. A process that
    /// has seen no branch yet asks all of them: one that was replaced may answer like the one that has
    /// replaced it.
    async fn find_primary(&self, purpose: Purpose) -> Result<Primary> {
        let Shared {
            servers,
            primary,
            first,
            ..
        } = &*self.0;
        let begin = first.load(Ordering::Relaxed);
        let asks_all = self.newest().is_none() && !self.0.has_warned.load(Ordering::Relaxed);
        let mut outcome: Option<Result<Primary>> = None;
        for index in (0..servers.len()).map(|offset| (begin + offset) % servers.len()) {
            first.store((index + 1) % servers.len(), Ordering::Relaxed);
            match (self.open(&servers[index], purpose).await, &outcome) {
                (Ok(found), Some(Ok(kept))) if !found.replaces(kept) => {}
                (Ok(found), _) => {
                    primary.store(index, Ordering::Relaxed);
                    outcome = Some(Ok(found));
                }
                (Err(_), Some(Ok(_))) => {}
                // Waiting may mend the other one.
                (Err(error), Some(Err(kept))) if error.is_lasting() && !kept.is_lasting() => {}
                (Err(error), _) => outcome = Some(Err(error)),
            }
            if !asks_all && matches!(outcome, Some(Ok(_))) {
                break;
            }
        }
        if matches!(outcome, Some(Ok(_))) {
            first.store(primary.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        outcome.expect("a URL names one server at least")
    }

    /// A connection to a server that is a primary and was not replaced.
    async fn open(&self, server: &PgConnectOptions, purpose: Purpose) -> Result<Primary> {
        let mut connection = connect(server, purpose).await?;
        match in_time(CONNECT_TIME_MAX, branch::of_server(&mut connection)).await {
            Err(Error::Refused(error)) => {
                self.warn_of_unknown_branch(&error);
                Ok(Primary {
                    connection,
                    branch: None,
                })
            }
            branch => {
                let branch = branch?;
                self.require_newest(branch)?;
                Ok(Primary {
                    connection,
                    branch: Some(branch),
                })
            }
        }
    }

    /// Listens on the server that was the primary last. Whether it still is must be found out before; its
    /// branch is not looked at.
    ///
    /// A listener that is dropped says farewell on a task of the library's own, for as long as its connection
    /// takes to be found dead.
    pub async fn listen(&self, channels: [&str; 3]) -> Result<PgListener> {
        let server = &self.0.servers[self.0.primary.load(Ordering::Relaxed)];
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
            listener.listen_all(channels).await?;
            Ok(listener)
        })
        .await
    }

    /// Proves that the database is there, that connections have server processes of their own, which a
    /// pooler may not give them, and that texts are kept as they are.
    pub async fn require_fit(&self) -> Result<()> {
        let mut one = self.connect_unbranched(Purpose::Migrating).await?;
        let mut other = self.connect_unbranched(Purpose::Migrating).await?;
        in_time(CHECK_TIME_MAX, async {
            terms::require_own_sessions(&mut one, &mut other).await?;
            terms::require_encoding(&mut one).await
        })
        .await?;
        // A server that waits for connections to end is told of it; what fails here is not needed.
        let closing = async { Ok(tokio::join!(one.close(), other.close())) };
        let _ = in_time(CONNECT_TIME_MAX, closing).await;
        Ok(())
    }

    /// Some services that run PostgreSQL for others do not let it tell.
    fn warn_of_unknown_branch(&self, error: &sqlx::Error) {
        if !self.0.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %error,
                "the database does not tell its history: after a failover that loses commits, run \
                 `messages timeline advance`"
            );
        }
    }

    fn newest(&self) -> MutexGuard<'_, Option<Branch>> {
        self.0.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A primary that was replaced may still answer, with its old history.
    fn require_newest(&self, found: Branch) -> Result<()> {
        let mut newest = self.newest();
        match *newest {
            Some(newest) if newest.is_newer_than(found) => Err(Unfit::Replaced {
                found: found.timeline,
                newest: newest.timeline,
            }
            .into()),
            _ => {
                *newest = Some(found);
                Ok(())
            }
        }
    }
}

fn with_logging(options: PgConnectOptions) -> PgConnectOptions {
    options
        .log_statements(tracing::log::LevelFilter::Trace)
        .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(1))
}

/// Poolers refuse the startup parameter that is left out.
fn named(server: &PgConnectOptions, purpose: Purpose) -> PgConnectOptions {
    server
        .clone()
        .application_name(purpose.name())
        .extra_float_digits(None)
}

async fn connect(server: &PgConnectOptions, purpose: Purpose) -> Result<PgConnection> {
    let connecting = async {
        named(server, purpose)
            .connect()
            .await
            .map_err(Error::of_connecting)
    };
    let mut connection = in_time(CONNECT_TIME_MAX, connecting).await?;
    in_time(CONNECT_TIME_MAX, terms::settle(&mut connection, purpose)).await?;
    Ok(connection)
}

/// Makes the branch the remembered one; the counters are lifted where another one was.
async fn adopt(mut connection: PgConnection, branch: Branch) -> Result<PgConnection> {
    Lane::prepare(&mut connection).await?;
    let (mut lane, _) = Lane::enter(connection, HashSet::new()).await?;
    let is_another = branch::adopt(&mut lane, branch).await?;
    let (mut connection, _) = lane.commit().await?;
    // The connection may be used for entering the lane, which prepares the same statements.
    Lane::unprepare(&mut connection).await?;
    if is_another {
        metrics::counter!("messages_history_branches_total").increment(1);
        tracing::error!(
            system = branch.system,
            timeline = branch.timeline,
            "the database has another history than before (a failover or a restore): acknowledged \
             changes may be lost; every counter was lifted, so that no number is given twice"
        );
    }
    Ok(connection)
}
