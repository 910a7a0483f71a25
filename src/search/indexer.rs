//! The indexer: moves pending changes of texts into the index.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::terms::terms_of;
use crate::store::{self, Database, Indexing, Leadership, search};

/// Changes that are moved in one transaction: some 20 ms of work.
const BATCH_CHANGES: usize = 500;

/// How often an idle indexer looks for pending changes. A search finds them before that.
const IDLE_PERIOD: Duration = Duration::from_millis(500);

/// The pause after a failure.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// After so many changes the space of their deleted pending rows is freed.
const VACUUM_CHANGES: usize = 20_000;

/// How long the database may take for one batch.
const BATCH_TIME_MAX: Duration = Duration::from_secs(60);

/// While so many writes wait to be committed, the indexer rests for as long as it worked; for twice
/// as many, twice as long.
const WAITING_WRITES_PER_REST: f64 = 4.0;

/// The longest rest, as a multiple of the work before it.
const REST_MAX: f64 = 20.0;

/// Returns how many writes of this replica wait to be committed.
pub type WaitingWrites = Arc<dyn Fn() -> usize + Send + Sync>;

/// Indexes while this replica leads.
pub struct Indexer {
    database: Database,
    waiting_writes: WaitingWrites,
    /// Changes that were moved since the pending rows were vacuumed.
    moved: usize,
}

impl Indexer {
    pub fn new(database: Database, waiting_writes: WaitingWrites) -> Self {
        Self {
            database,
            waiting_writes,
            moved: 0,
        }
    }

    /// Indexes until `stop`; after any failure on a new connection.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Some(Err(error)) = stop.run_until_cancelled(self.lead()).await {
                tracing::warn!(%error, "texts are not being indexed; searches are slower");
            }
            stop.run_until_cancelled(sleep(FAILURE_PAUSE)).await;
        }
    }

    /// Becomes the leader and indexes until something fails.
    async fn lead(&mut self) -> store::Result<()> {
        let mut leader = Leadership::acquire(&self.database).await?;
        tracing::info!("indexing texts");
        loop {
            let started = Instant::now();
            let moved = store::in_time(BATCH_TIME_MAX, self.index(&mut leader)).await?;
            if moved == BATCH_CHANGES {
                sleep(self.rest(started.elapsed())).await;
            } else {
                store::in_time(BATCH_TIME_MAX, self.tidy_up(&mut leader)).await?;
                sleep(IDLE_PERIOD).await;
            }
        }
    }

    async fn index(&mut self, leader: &mut Leadership<Indexing>) -> store::Result<usize> {
        let moved = search::move_pending(leader, BATCH_CHANGES as i64, terms_of).await?;
        self.moved += moved;
        if self.moved >= VACUUM_CHANGES {
            search::vacuum_pending(leader).await?;
            self.moved = 0;
        }
        metrics::counter!("messages_search_indexed_total").increment(moved as u64);
        Ok(moved)
    }

    /// Called when nothing is pending: merges the new entries, and frees the space of deleted rows,
    /// which every search would skip one by one.
    async fn tidy_up(&mut self, leader: &mut Leadership<Indexing>) -> store::Result<()> {
        if self.moved > 0 {
            search::merge(leader).await?;
            search::vacuum_pending(leader).await?;
            self.moved = 0;
        }
        Ok(())
    }

    /// How long the indexer pauses after `worked`, so that waiting writes have the database to
    /// themselves.
    fn rest(&self, worked: Duration) -> Duration {
        let waiting = (self.waiting_writes)() as f64;
        worked.mul_f64((waiting / WAITING_WRITES_PER_REST).min(REST_MAX))
    }
}
