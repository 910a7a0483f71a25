//! The servers that the URL names, and which of them is the primary.
//!
//! A failover promotes a standby, and the primary that it replaces may still answer, with an old
//! history. So a server is compared with the newest [branch](mod@super::branch) that this process
//! has seen.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};

use super::{
    Error, Purpose, Result, Unfit,
    branch::{self, Branch},
    database::CONNECT_TIME_MAX,
    terms::{self, in_time},
    url::{self, BadUrl},
};

/// The servers of one database.
pub struct Servers {
    servers: Vec<PgConnectOptions>,
    /// The index of the server that was the primary last.
    primary: AtomicUsize,
    /// The index of the server with which the next search begins: the one after the last server
    /// that was tried. So a server that never answers is tried last, even if its caller gave up
    /// waiting.
    first: AtomicUsize,
    /// The newest branch that this process has seen.
    newest: Mutex<Option<Branch>>,
    has_warned: AtomicBool,
}

/// A connection to a primary, and its branch if the server reveals it.
pub struct Primary {
    pub connection: PgConnection,
    pub branch: Option<Branch>,
}

impl Primary {
    /// Whether it has replaced the other primary.
    fn replaces(&self, other: &Self) -> bool {
        let branches = self.branch.zip(other.branch);
        branches.is_some_and(|(branch, of_other)| branch.is_newer_than(of_other))
    }
}

impl Servers {
    pub fn at(url: &str) -> std::result::Result<Self, BadUrl> {
        let servers = url::parse(url)?.into_iter().map(with_logging).collect();
        Ok(Self {
            servers,
            primary: AtomicUsize::new(0),
            first: AtomicUsize::new(0),
            newest: Mutex::default(),
            has_warned: AtomicBool::new(false),
        })
    }

    /// The server that was the primary last. It may have been replaced.
    pub fn last_primary(&self) -> &PgConnectOptions {
        &self.servers[self.primary.load(Ordering::Relaxed)]
    }

    /// Connects to the primary: tries one server after the other, the last primary first. A process
    /// that has seen no branch yet tries all of them, since a replaced primary answers like the
    /// present one.
    pub async fn find_primary(&self, purpose: Purpose) -> Result<Primary> {
        let Self {
            servers,
            primary,
            first,
            ..
        } = self;
        let begin = first.load(Ordering::Relaxed);
        let tries_all = self.newest().is_none() && !self.has_warned.load(Ordering::Relaxed);
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
                // The error that may go away by itself is the one to report.
                (Err(error), Some(Err(kept))) if error.is_lasting() && !kept.is_lasting() => {}
                (Err(error), _) => outcome = Some(Err(error)),
            }
            if !tries_all && matches!(outcome, Some(Ok(_))) {
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

    /// Some providers of PostgreSQL do not permit the functions that reveal the branch.
    fn warn_of_unknown_branch(&self, error: &sqlx::Error) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %error,
                "the database does not tell its history: after a failover that loses commits, run \
                 `messages timeline advance`"
            );
        }
    }

    fn newest(&self) -> MutexGuard<'_, Option<Branch>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails for a primary that was replaced, which may still answer with its old history.
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

/// The server's options with the name of the purpose, and without the startup parameter that
/// connection poolers refuse.
pub fn named(server: &PgConnectOptions, purpose: Purpose) -> PgConnectOptions {
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
