//! The lane: the one lock under which the timeline is written.

use sqlx::{Connection, PgConnection, Postgres, Transaction};

use super::Result;

/// Proof that this transaction holds the lane's lock, and so is the only one, on any replica, that
/// draws timestamps.
///
/// The lock is taken before anything is read and is held to the end of the transaction. So a
/// timestamp is drawn *and* committed under it, the order of commits is the order of timestamps,
/// and whoever sees one timestamp sees every smaller one. Nothing but the database is awaited
/// while it is held. The publisher's lock is another.
pub struct Lane<'c> {
    transaction: Transaction<'c, Postgres>,
}

impl<'c> Lane<'c> {
    /// Begins a transaction and waits for the lock, in one round trip.
    ///
    /// The lock stands in a statement of its own: each statement has its own snapshot, so what is
    /// read after it sees everything that was committed under it. (A snapshot taken while waiting
    /// would be older than the wait; hence READ COMMITTED, whatever the server's default is.)
    pub async fn enter(connection: &'c mut PgConnection) -> Result<Self> {
        let transaction = connection
            .begin_with(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
                 SELECT pg_advisory_xact_lock(7305808869231650168)",
            )
            .await?;
        Ok(Self { transaction })
    }

    /// Commits and frees the lock. After an error here the outcome is not known.
    pub async fn commit(self) -> Result<()> {
        Ok(self.transaction.commit().await?)
    }

    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}
