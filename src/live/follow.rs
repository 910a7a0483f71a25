//! Following the timeline: register, read, wait, read again.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{sync::Semaphore, time::timeout};

use super::{Full, Hub, Kind, hub::Place};
use crate::{
    domain::Clock,
    store::pages::PageRequest,
    sync::{self, Changes, Sync},
};

/// Whoever waits looks this often without being woken: a lost wake-up costs no more than that.
const TICK: Duration = Duration::from_secs(5);

/// Followers that read at the same time: two full batches. Where everybody is woken at once, the
/// others wait here, and leave the readers' queue to those who ask for themselves.
const READING_MAX: usize = 512;

/// The way in for long polls and streams.
#[derive(Clone)]
pub struct Live {
    sync: Sync,
    hub: Arc<Hub>,
    reading: Arc<Semaphore>,
    clock: Clock,
}

/// Follows the timeline of one user from a cursor on.
pub struct Follower {
    live: Live,
    place: Place,
    request: PageRequest,
    with_messages: bool,
    /// Whether the last read came to the end of the timeline, so that the next one has to wait.
    has_caught_up: bool,
}

impl Live {
    pub fn new(sync: Sync, hub: Arc<Hub>, clock: Clock) -> Self {
        Self { sync, hub, reading: Arc::new(Semaphore::new(READING_MAX)), clock }
    }

    /// Begins to follow where `request` says; nothing is read yet.
    pub fn follow(
        &self,
        kind: Kind,
        request: PageRequest,
        with_messages: bool,
    ) -> Result<Follower, Full> {
        let place = self.hub.enter(kind, request.application, &request.user)?;
        Ok(Follower { live: self.clone(), place, request, with_messages, has_caught_up: false })
    }
}

impl Follower {
    /// The next page, which may be empty. Once the end of the timeline was reached, the next read
    /// waits for a wake-up, or for a while.
    ///
    /// The flag was there before the first read and is lowered before each later one. So a change
    /// that a read does not find has raised it since, or will. Dropping the future loses nothing:
    /// the cursor moves with the answer.
    pub async fn read(&mut self) -> Result<Changes, sync::Error> {
        let mut written = None;
        if self.has_caught_up {
            written = timeout(TICK, self.place.woken()).await.ok().flatten();
        }
        // Whatever ends this read, the next one need not wait again.
        self.has_caught_up = false;
        let reading = self.live.reading.acquire().await;
        let changes = self.live.sync.changes_after(self.request.clone(), self.with_messages).await?;
        drop(reading);
        self.request.after = Some(changes.next);
        self.has_caught_up = changes.has_caught_up();
        if let Some(written) = written
            && !changes.entries.is_empty()
        {
            self.record_delivery(written);
        }
        Ok(changes)
    }

    fn record_delivery(&self, written: SystemTime) {
        // Clocks of two machines may disagree by more than a delivery takes.
        let taken = (self.live.clock)().duration_since(written).unwrap_or_default();
        metrics::histogram!("messages_delivery_seconds").record(taken.as_secs_f64());
    }
}
