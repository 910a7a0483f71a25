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
    domain::{ApplicationId, Clock, Timestamp, UserId},
    random,
    sync::{self, SyncHandle},
};

/// The longest wait for a wake-up, in milliseconds: a lost one delays a change by no more than
/// that. It is spread, so that watchers who were woken together do not read together ever after.
const WAIT_MILLISECONDS_MAX: Range<u64> = 4000..6000;

/// Watchers that read at the same time, without and with messages: two full batches each. When
/// everybody is woken at once, the others wait here, and leave the readers' queues to plain
/// requests.
const READING_MAX: usize = 2 * sync::BATCH_MAX;
const READING_DATA_MAX: usize = 2 * sync::DATA_BATCH_MAX;

/// Watchers of feeds that read at the same time. They have readers of their own, and delay no user.
const READING_FEEDS_MAX: usize = sync::DATA_BATCH_MAX;

/// How long a watcher waits for its turn to read.
const TURN_TIME_MAX: Duration = Duration::from_secs(5);

/// Creates the watchers of long polls and streams.
#[derive(Clone)]
pub struct Live {
    hub: Arc<Hub>,
    reading: Arc<Semaphore>,
    reading_data: Arc<Semaphore>,
    reading_feeds: Arc<Semaphore>,
    clock: Clock,
}

/// What a watcher reads, and so with whom it takes turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turns {
    Ids,
    Data,
    Feeds,
}

/// A timeline as one reader sees it, and where the next read of it begins.
pub trait Watched: Send + Sync + 'static {
    type Page: WatchedPage;

    /// Who reads it: a user of an application, or the application itself.
    fn reader(&self) -> (ApplicationId, Option<&UserId>);

    fn turns(&self) -> Turns;

    fn read(
        &self,
        sync: &SyncHandle,
    ) -> impl Future<Output = Result<Self::Page, sync::Error>> + Send;

    /// Has the next read begin after `cursor`.
    fn go_on_after(&mut self, cursor: Timestamp);
}

/// What a watcher has to know of a page.
pub trait WatchedPage: Send + Sync {
    /// The timestamp of its last entry; `None` if it has none.
    fn last(&self) -> Option<Timestamp>;
    /// The cursor after which it begins.
    fn after(&self) -> Timestamp;
    /// The cursor of the next read.
    fn next(&self) -> Timestamp;
    /// The reader has caught up when `next` has reached it.
    fn latest(&self) -> Timestamp;

    fn is_empty(&self) -> bool {
        self.last().is_none()
    }

    fn has_caught_up(&self) -> bool {
        self.next() >= self.latest()
    }
}

/// Watches a timeline from a cursor on.
pub struct Watcher<W> {
    live: Live,
    sync: SyncHandle,
    registration: Registration,
    watched: W,
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
        let reading_feeds = Arc::new(Semaphore::new(READING_FEEDS_MAX));
        Self {
            hub,
            reading,
            reading_data,
            reading_feeds,
            clock,
        }
    }

    /// A watcher that begins where `watched` does; nothing is read yet. `sync` is the thread's own.
    pub fn watch<W: Watched>(
        &self,
        sync: &SyncHandle,
        kind: WaitKind,
        watched: W,
    ) -> Result<Watcher<W>, Full> {
        let (application, user) = watched.reader();
        let registration = self.hub.register(kind, application, user)?;
        Ok(Watcher {
            live: self.clone(),
            sync: sync.clone(),
            registration,
            watched,
            has_caught_up: false,
        })
    }
}

impl<W: Watched> Watcher<W> {
    /// The next page, which may be empty. Once the end of the timeline is reached, the next read
    /// waits for a wake-up, or a few seconds.
    ///
    /// The flag exists before the first read and is lowered before each later one. So a change that
    /// a read misses raises it after that read. Dropping the future loses nothing: the cursor moves
    /// with the answer.
    pub async fn read(&mut self) -> Result<W::Page, sync::Error> {
        let waited = if self.has_caught_up {
            Some(self.wait().await)
        } else {
            None
        };
        // If this read fails or is dropped, the next one must not wait again.
        self.has_caught_up = false;
        let turn = self.turn().await?;
        let page = self.watched.read(&self.sync).await?;
        drop(turn);
        self.watched.go_on_after(page.next());
        self.has_caught_up = page.has_caught_up();
        match waited {
            Some(waited) if !page.is_empty() => self.record(waited),
            _ => {}
        }
        Ok(page)
    }

    async fn wait(&self) -> Waited {
        let wait_max = Duration::from_millis(random::between(WAIT_MILLISECONDS_MAX));
        timeout(wait_max, self.registration.woken())
            .await
            .map_or(Waited::TimedOut, Waited::Woken)
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, sync::Error> {
        let live = &self.live;
        let reading = match self.watched.turns() {
            Turns::Ids => &live.reading,
            Turns::Data => &live.reading_data,
            Turns::Feeds => &live.reading_feeds,
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
