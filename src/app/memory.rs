//! What this process holds in memory of users, only to be fast: it is measured, and dropped once a user is erased.
//!
//! # The promise
//! Some seconds after the erasure of a user is finished, nothing that is held names the user or has a text of
//! theirs. To drop it changes no answer: it is read again where it is needed.
//!
//! # How
//! Every replica looks every few seconds where an erasure was finished, and drops what it holds of the whole
//! application: which message names whom cannot be seen from outside. It drops it several times,
//! since a read that was under way then may still put back what it has found.
//!
//! Who may send how much, who has signalled lately, and whose tokens count, is held under hashes of users' ids
//! ([`UserHash`](crate::domain::UserHash)), and stays.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    auth::Authenticator,
    domain::ApplicationId,
    store::{self, Pool, erasures},
    sync::CachedReads,
    timeline::Kept,
};

/// The pause between two looks.
const PERIOD: Duration = Duration::from_secs(5);

/// For how long it is dropped again: reads and batches that were under way have ended by then.
const UNDER_WAY_MAX: Duration = Duration::from_secs(30);

/// What is held in memory.
pub struct Memory {
    pub reads: Pool,
    pub cached: CachedReads,
    pub kept: Arc<Kept>,
    pub authenticator: Arc<Authenticator>,
}

impl Memory {
    /// Looks for ever. Whatever was finished while the database did not answer is found afterwards.
    pub async fn run(self) {
        let mut looked = Instant::now();
        loop {
            sleep(PERIOD).await;
            let now = Instant::now();
            match self.drop_erased(UNDER_WAY_MAX + (now - looked)).await {
                Ok(()) => looked = now,
                Err(error) => tracing::warn!(%error, "it cannot be read which users were erased"),
            }
            self.measure();
        }
    }

    /// Drops what is held of applications where an erasure was finished within this time.
    async fn drop_erased(&self, time: Duration) -> store::Result<()> {
        let finished = self
            .reads
            .query(async |connection| erasures::finished_within(connection, time).await);
        let finished = finished.await?;
        if !finished.is_empty() {
            let is_of = |application: ApplicationId| finished.contains(&application);
            self.cached.forget(is_of);
            self.kept.forget(is_of);
            self.authenticator.forget_users(is_of);
        }
        Ok(())
    }

    fn measure(&self) {
        let tokens = [("tokens", self.authenticator.size())];
        for (cache, entries) in self.cached.sizes().into_iter().chain(tokens) {
            metrics::gauge!("messages_cached_entries", "cache" => cache).set(entries as f64);
        }
    }
}
