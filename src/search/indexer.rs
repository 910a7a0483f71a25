//! The indexer: moves pending changes of texts into the index.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::index::terms_of;
use crate::store::{self, Lead, Session, search};

/// Changes that are moved in one transaction: some 20 ms of work.
const BATCH_CHANGES: i64 = 500;

/// An idle indexer looks this often. What is pending is found all the same.
const LOOK_PERIOD: Duration = Duration::from_millis(500);

/// How often a replica that does not index asks whether it should.
const LEAD_PERIOD: Duration = Duration::from_secs(2);

/// The pause after a failure.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// After so many changes the room of their pending rows is freed.
const VACUUM_CHANGES: usize = 20_000;

/// How long the database may take for one batch.
const BATCH_TIME_MAX: Duration = Duration::from_secs(60);

/// With so many changes waiting to be committed, the indexer rests for as long as it works; with twice
/// as many, twice as long.
const WAITING_FOR_REST: f64 = 4.0;

/// The longest rest, as a multiple of the work before it.
const REST_MAX: f64 = 20.0;

/// Tells how many changes wait to be committed by this replica.
pub type Waiting = Arc<dyn Fn() -> usize + Send + Sync>;

/// Indexes while it leads.
pub struct Indexer {
    session: Session,
    waiting: Waiting,
    /// Changes since the pending rows were last vacuumed.
    moved: usize,
}

impl Indexer {
    pub fn new(session: Session, waiting: Waiting) -> Self {
        Self {
            session,
            waiting,
            moved: 0,
        }
    }

    /// Indexes until `stop`; after any failure on a new connection.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Some(Err(error)) = stop.run_until_cancelled(self.lead()).await {
                tracing::warn!(%error, "texts are not being indexed; searches are slower");
            }
            self.session.discard();
            stop.run_until_cancelled(sleep(FAILURE_PAUSE)).await;
        }
    }

    /// Waits for its turn and indexes until something fails.
    async fn lead(&mut self) -> store::Result<()> {
        while !store::in_time(BATCH_TIME_MAX, async {
            store::try_lead(self.session.connection().await?, Lead::Indexing).await
        })
        .await?
        {
            sleep(LEAD_PERIOD).await;
        }
        tracing::info!("indexing texts");
        loop {
            let begun = Instant::now();
            let moved = store::in_time(BATCH_TIME_MAX, self.index()).await?;
            if moved == BATCH_CHANGES as usize {
                sleep(self.rest(begun.elapsed())).await;
            } else {
                store::in_time(BATCH_TIME_MAX, self.tidy_up()).await?;
                sleep(LOOK_PERIOD).await;
            }
        }
    }

    async fn index(&mut self) -> store::Result<usize> {
        let connection = self.session.connection().await?;
        let moved = search::move_pending(connection, BATCH_CHANGES, terms_of).await?;
        self.moved += moved;
        if self.moved >= VACUUM_CHANGES {
            search::vacuum_pending(connection).await?;
            self.moved = 0;
        }
        metrics::counter!("messages_search_indexed_total").increment(moved as u64);
        Ok(moved)
    }

    /// When it has caught up: leaves as little as possible to pass over for those who search.
    async fn tidy_up(&mut self) -> store::Result<()> {
        if self.moved > 0 {
            let connection = self.session.connection().await?;
            search::merge(connection).await?;
            search::vacuum_pending(connection).await?;
            self.moved = 0;
        }
        Ok(())
    }

    /// How long to leave the database to those who wait.
    fn rest(&self, worked: Duration) -> Duration {
        worked.mul_f64(((self.waiting)() as f64 / WAITING_FOR_REST).min(REST_MAX))
    }
}
