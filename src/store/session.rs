//! The purposes of connections, and the session: the one connection of a worker.

use sqlx::PgConnection;

use super::{Database, Result, Transaction};
use crate::domain::ApplicationId;

/// What a connection is for. Its settings depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Writes timelines. It holds the lock of a lane, which neither a stalled process nor a dead
    /// host may keep. So the time limits are ordered: idle in a transaction < a statement < waiting
    /// for the lock.
    Writing,
    /// Announces the ends of timelines, which takes the locks of their lanes as well.
    Announcing,
    /// Measures what metrics cannot count as it happens, and sends the pulse.
    Measuring,
    /// Records which users have a stream open.
    Presence,
    /// Answers reads of many callers at once.
    Reading,
    /// Leads a follower, under a lock of its own.
    Publishing,
    /// Answers a search, which reads more than other reads and needs a time limit.
    Searching,
    /// Keeps the index of search, under a lock of its own. A crash of the server may lose its last
    /// commits: its cursor is back then, and it follows those changes again.
    Indexing,
    /// Changes the schema and the like, without time limits.
    Migrating,
    /// Receives notifications.
    Listening,
}

impl Purpose {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Writing => "messages writer",
            Self::Announcing => "messages announcer",
            Self::Measuring => "messages meter",
            Self::Presence => "messages presence",
            Self::Reading => "messages reader",
            Self::Publishing => "messages publisher",
            Self::Searching => "messages search",
            Self::Indexing => "messages indexer",
            Self::Migrating => "messages migration",
            Self::Listening => "messages listener",
        }
    }
}

/// One worker's connection. It is made when it is needed, and discarded when anything on it fails.
///
/// Dropping a connection ends its transaction on the server and frees its locks. So a failure
/// leaves nothing behind that could disturb the next attempt.
pub struct Session {
    database: Database,
    purpose: Purpose,
    connected: Option<Connected>,
}

struct Connected {
    connection: PgConnection,
    is_prepared_for_lanes: bool,
}

impl Session {
    pub(super) fn new(database: Database, purpose: Purpose) -> Self {
        Self {
            database,
            purpose,
            connected: None,
        }
    }

    pub fn is_connected(&self) -> bool {
        self.connected.is_some()
    }

    /// The connection, which is made if there is none.
    pub async fn connection(&mut self) -> Result<&mut PgConnection> {
        Ok(&mut self.connected().await?.connection)
    }

    async fn connected(&mut self) -> Result<&mut Connected> {
        if self.connected.is_none() {
            let connection = self.database.connect(self.purpose).await?;
            self.connected = Some(Connected {
                connection,
                is_prepared_for_lanes: false,
            });
        }
        Ok(self.connected.as_mut().expect("it was made above"))
    }

    /// Begins a transaction and waits for the application's lane. The transaction owns the
    /// connection until it is [given back](Self::give_back). After a failure there is no connection,
    /// and the next call makes one.
    pub async fn enter_lane(&mut self, application: ApplicationId) -> Result<Transaction> {
        self.connected().await?;
        let Connected {
            mut connection,
            is_prepared_for_lanes,
        } = self.connected.take().expect("it was made above");
        if !is_prepared_for_lanes {
            Transaction::prepare(&mut connection).await?;
        }
        Transaction::begin(connection, application).await
    }

    /// Takes the connection back that [`Transaction::commit`] returns.
    pub fn give_back(&mut self, connection: PgConnection) {
        self.connected = Some(Connected {
            connection,
            is_prepared_for_lanes: true,
        });
    }

    /// Closes the connection.
    pub fn discard(&mut self) {
        self.connected = None;
    }
}
