//! The index of search: holds the terms of every message that is not deleted.

use std::time::Duration;

use super::{Followed, Follower};
use crate::{
    domain::ApplicationId,
    search::terms_of,
    store::{self, Indexing, Leadership, search},
    timeline::BackgroundTimeline,
};

/// Changes that are indexed in one transaction: some 20 ms of work.
const WINDOW_CHANGES: usize = 500;

/// How long the database may take for one window.
const WINDOW_TIME_MAX: Duration = Duration::from_secs(60);

/// Keeps the index of search.
pub struct SearchIndex {
    timeline: BackgroundTimeline,
    /// Whether there are entries that are not merged into the main part of the index.
    has_unmerged: bool,
}

impl SearchIndex {
    pub fn new(timeline: BackgroundTimeline) -> Self {
        Self {
            timeline,
            has_unmerged: false,
        }
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
        let piece = self.timeline.begin();
        let indexing = search::index(leader, application, WINDOW_CHANGES as i64, terms_of);
        let changes = store::in_time(WINDOW_TIME_MAX, indexing).await?;
        metrics::counter!("messages_search_indexed_total").increment(changes as u64);
        self.has_unmerged |= changes > 0;
        piece.rest().await;
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
