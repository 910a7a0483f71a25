//! Watching a timeline: register, read, wait, read again.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{Full, Hub, WaitKind, hub::Registration};
use crate::{
    batching::QueueError,
    domain::{Clock, Cursor},
    random,
    store::pages::PageRequest,
    sync::{self, ChangesPage, SyncHandle},
};

/// The longest wait for a wake-up, in milliseconds: a lost one delays a change by no more than
/// that. It is spread, so that watchers who were woken together do not read together ever after.
const WAIT_MILLISECONDS_MAX: Range<u64> = 4000..6000;

/// Watchers that read at the same time, without and with messages: two full batches each. When
/// everybody is woken at once, the others wait here, and leave the readers' queues to plain
/// requests.
const READING_MAX: usize = 2 * sync::BATCH_MAX;
const READING_DATA_MAX: usize = 2 * sync::DATA_BATCH_MAX;

/// How long a watcher waits for its turn to read.
const TURN_TIME_MAX: Duration = Duration::from_secs(5);

/// Creates the watchers of long polls and streams.
#[derive(Clone)]
pub struct Live {
    hub: Arc<Hub>,
    reading: Arc<Semaphore>,
    reading_data: Arc<Semaphore>,
    clock: Clock,
}

/// Watches the timeline of one user from a cursor on.
pub struct Watcher {
    live: Live,
    sync: SyncHandle,
    registration: Registration,
    request: PageRequest,
    with_messages: bool,
    /// Whether the last read has reached the end of the timeline, so that the next one has to wait.
    has_caught_up: bool,
}

/// How a wait has ended.
enum Waited {
    /// By a wake-up. With the time when the oldest of its changes was written, if the notification
    /// had it.
    Woken(Option<SystemTime>),
    /// By the longest wait.
    TimedOut,
}

impl Live {
    pub fn new(hub: Arc<Hub>, clock: Clock) -> Self {
        let reading = Arc::new(Semaphore::new(READING_MAX));
        let reading_data = Arc::new(Semaphore::new(READING_DATA_MAX));
        Self {
            hub,
            reading,
            reading_data,
            clock,
        }
    }

    /// A watcher that begins at the cursor of `request`; nothing is read yet. `sync` is the
    /// thread's own.
    pub fn watch(
        &self,
        sync: &SyncHandle,
        kind: WaitKind,
        request: PageRequest,
        with_messages: bool,
    ) -> Result<Watcher, Full> {
        let registration = self
            .hub
            .register(kind, request.application, &request.user)?;
        Ok(Watcher {
            live: self.clone(),
            sync: sync.clone(),
            registration,
            request,
            with_messages,
            has_caught_up: false,
        })
    }
}

impl Watcher {
    /// The next page, which may be empty. Once the end of the timeline is reached, the next read
    /// waits for a wake-up, or a few seconds.
    ///
    /// The flag exists before the first read and is lowered before each later one. So a change that
    /// a read misses raises it after that read. Dropping the future loses nothing: the cursor moves
    /// with the answer.
    pub async fn read(&mut self) -> Result<ChangesPage, sync::Error> {
        let waited = if self.has_caught_up {
            Some(self.wait().await)
        } else {
            None
        };
        // If this read fails or is dropped, the next one must not wait again.
        self.has_caught_up = false;
        let turn = self.turn().await?;
        let changes = self
            .sync
            .changes_after(self.request.clone(), self.with_messages)
            .await?;
        drop(turn);
        self.request.cursor = Cursor::After(changes.next);
        self.has_caught_up = changes.has_caught_up();
        match waited {
            Some(waited) if !changes.entries.is_empty() => self.record(waited),
            _ => {}
        }
        Ok(changes)
    }

    async fn wait(&self) -> Waited {
        let wait_max = Duration::from_millis(random::between(WAIT_MILLISECONDS_MAX));
        timeout(wait_max, self.registration.woken())
            .await
            .map_or(Waited::TimedOut, Waited::Woken)
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, sync::Error> {
        let live = &self.live;
        let reading = if self.with_messages {
            &live.reading_data
        } else {
            &live.reading
        };
        let turn = timeout(TURN_TIME_MAX, reading.acquire()).await;
        let overdue = sync::Error::QueueError(QueueError::Overdue);
        turn.map_err(|_| overdue)?
            .map_err(|_| sync::Error::QueueError(QueueError::Closed))
    }

    /// Counts a lost wake-up, or measures the time since the change was written.
    fn record(&self, waited: Waited) {
        let written = match waited {
            Waited::TimedOut => {
                metrics::counter!("messages_lost_wakeups_total").increment(1);
                return;
            }
            Waited::Woken(None) => return,
            Waited::Woken(Some(written)) => written,
        };
        // Clocks of two machines may disagree by more than a delivery takes.
        let taken = (self.live.clock)()
            .duration_since(written)
            .unwrap_or_default();
        metrics::histogram!("messages_delivery_seconds").record(taken.as_secs_f64());
    }
}
