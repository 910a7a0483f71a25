//! The purposes of connections, and the session: the one connection of a worker.

use sqlx::PgConnection;

use super::{Database, Lane, Result, lane::Existing};

/// What a connection is for. Its settings depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Writes the timeline. It holds the lane's lock, which neither a stalled process nor a dead
    /// host may keep. So the time limits are ordered: idle in a transaction < a statement < waiting
    /// for the lock.
    Writing,
    /// Announces the end of the timeline, which takes the lane's lock as well.
    Announcing,
    /// Measures what metrics cannot count as it happens, and sends the pulse.
    Measuring,
    /// Answers reads of many callers at once.
    Reading,
    /// Publishes the outbox, under a lock of its own.
    Publishing,
    /// Answers a search, which reads more than other reads and needs a time limit.
    Searching,
    /// Moves pending changes into the index of search, under a lock of its own. A crash of the
    /// server may lose its last commits: those changes are pending again.
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
    /// The applications that exist, according to the lane. `None` until the connection is prepared
    /// for it.
    existing: Option<Existing>,
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
                existing: None,
            });
        }
        Ok(self.connected.as_mut().expect("it was made above"))
    }

    /// Enters the lane, which owns the connection until it is [given back](Self::give_back). After
    /// a failure there is no connection, and the next call makes one.
    pub async fn enter_lane(&mut self) -> Result<Lane> {
        self.connected().await?;
        let Connected {
            mut connection,
            existing,
        } = self.connected.take().expect("it was made above");
        if existing.is_none() {
            Lane::prepare(&mut connection).await?;
        }
        Lane::enter(connection, existing.unwrap_or_default()).await
    }

    /// Takes the connection back that [`Lane::commit`] returns.
    pub fn give_back(&mut self, (connection, existing): (PgConnection, Existing)) {
        self.connected = Some(Connected {
            connection,
            existing: Some(existing),
        });
    }

    /// Closes the connection.
    pub fn discard(&mut self) {
        self.connected = None;
    }
}
