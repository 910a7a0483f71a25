//! The index of search: holds the terms of every message that is not deleted.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{Followed, Follower};
use crate::{
    domain::ApplicationId,
    search::terms_of,
    store::{self, Indexing, Leadership, search},
};

/// Changes that are indexed in one transaction: some 20 ms of work.
const WINDOW_CHANGES: usize = 500;

/// How long the database may take for one window.
const WINDOW_TIME_MAX: Duration = Duration::from_secs(60);

/// While so many writes wait to be committed, the follower rests for as long as it worked; for twice
/// as many, twice as long.
const WAITING_WRITES_PER_REST: f64 = 4.0;

/// The longest rest, as a multiple of the work before it.
const REST_MAX: f64 = 20.0;

/// Returns how many writes of this replica wait to be committed.
pub type WaitingWrites = Arc<dyn Fn() -> usize + Send + Sync>;

/// Keeps the index of search.
pub struct SearchIndex {
    waiting_writes: WaitingWrites,
    /// Whether there are entries that are not merged into the main part of the index.
    has_unmerged: bool,
}

impl SearchIndex {
    pub fn new(waiting_writes: WaitingWrites) -> Self {
        Self {
            waiting_writes,
            has_unmerged: false,
        }
    }

    /// How long the follower pauses after `worked`, so that waiting writes have the database to
    /// themselves.
    fn rest(&self, worked: Duration) -> Duration {
        let waiting = (self.waiting_writes)() as f64;
        worked.mul_f64((waiting / WAITING_WRITES_PER_REST).min(REST_MAX))
    }
}

impl Follower for SearchIndex {
    type Duty = Indexing;
    type Work = ();
    type Error = store::Error;

    async fn begin(&mut self) -> store::Result<()> {
        Ok(())
    }

    async fn follow(
        &mut self,
        (): &mut (),
        leader: &mut Leadership<Indexing>,
        application: ApplicationId,
    ) -> store::Result<Followed> {
        let started = Instant::now();
        let indexing = search::index(leader, application, WINDOW_CHANGES as i64, terms_of);
        let changes = store::in_time(WINDOW_TIME_MAX, indexing).await?;
        metrics::counter!("messages_search_indexed_total").increment(changes as u64);
        self.has_unmerged |= changes > 0;
        sleep(self.rest(started.elapsed())).await;
        Ok(if changes < WINDOW_CHANGES {
            Followed::ToTheEnd
        } else {
            Followed::AWindow
        })
    }

    /// Merges the new entries, where searches are faster.
    async fn caught_up(
        &mut self,
        (): &mut (),
        leader: &mut Leadership<Indexing>,
    ) -> store::Result<()> {
        if self.has_unmerged {
            store::in_time(WINDOW_TIME_MAX, search::merge(leader)).await?;
            self.has_unmerged = false;
        }
        Ok(())
    }

    async fn end(&mut self, (): ()) {}
}
