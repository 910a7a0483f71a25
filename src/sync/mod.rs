//! The read path of the timeline: pages of changes and single messages, many callers at a time.
//!
//! Callers who wait are answered by one query. Pages of ids, pages with data and single messages
//! queue apart, and each of these queues has several readers, so that a heavy first sync stalls nobody
//! who wants less. A query that has begun is never joined: whoever asks after a change was acknowledged
//! reads a snapshot that holds it, on every replica.
//!
//! Most callers are told what they know already. So what was read about a user is cached, and is the answer
//! again where it is proved to be current: see [`cache`].

mod cache;
mod reader;

use std::{sync::Arc, time::Duration};

pub use cache::Freshness;
use cache::{Cached, MessageCache, ReadCache};
use reader::{Messages, Pages, PagesWithMessages, Read, Reader, Task, TimelineEnd};

use crate::{
    batching::{self, Batches, Queue, QueueError, QueueLimits},
    domain::{ApplicationId, Cursor, Message, MessageId, Timestamp, UserId},
    store::{
        self, Database,
        pages::{Entry, Page, PageRequest},
    },
};

/// How long a read may wait for its query to begin.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Callers answered by one query for pages of ids, or for single messages.
pub const BATCH_MAX: usize = 256;

/// Callers who share one query for the end of the timeline. It costs the same for any number of them.
const TIMELINE_END_BATCH_MAX: usize = 1024;

/// How long a query for the end of the timeline may wait to begin. Then the database is asked for the
/// answer itself.
const TIMELINE_END_WAIT_MAX: Duration = Duration::from_secs(1);

/// Callers answered by one query for pages with data: at about 1 MiB each, this bounds the memory
/// of one query.
pub const DATA_BATCH_MAX: usize = 16;

/// Queries in flight for each kind of read, each on a connection of its own.
const READERS: usize = 2;

/// A page with data ends after this much of it, in bytes of JSON.
pub const PAGE_BYTES_MAX: i64 = 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cursor lies beyond everything that the service has given: it stems from before a restore.
    #[error("the timeline has only come to {last}")]
    CursorAhead { last: Timestamp },
    /// The service is overloaded or shutting down.
    #[error(transparent)]
    QueueError(QueueError),
    #[error("the database is not available")]
    Unavailable,
    #[error("the database refused the query")]
    Failed,
}

impl Error {
    /// Whether the same read may well succeed in a moment.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable | Self::QueueError(QueueError::Full | QueueError::Overdue)
        )
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        if error.is_unavailable() {
            Self::Unavailable
        } else {
            Self::Failed
        }
    }
}

/// A page of changes as the caller sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    /// The cursor that they come after.
    pub after: Timestamp,
    /// Ascending by timestamp.
    pub entries: Vec<Entry>,
    /// The cursor of the next call.
    pub next: Timestamp,
    /// The caller has caught up when `next` has reached it.
    pub latest: Timestamp,
}

/// The requests for one kind of read, and their batches.
type RequestQueue<R> = Queue<<R as Read>::Request, Result<<R as Read>::Answer, Error>>;
type RequestBatches<R> = Batches<<R as Read>::Request, Result<<R as Read>::Answer, Error>>;

/// The handle for one thread, with the task that asks for the end of the timeline for its callers.
pub type ThreadHandle = (Sync, Task);

/// Reads the timeline, for the callers of one thread.
#[derive(Clone)]
pub struct Sync {
    shared: Arc<Shared>,
    timeline_end: RequestQueue<TimelineEnd>,
}

/// What the callers of all threads share.
struct Shared {
    freshness: Arc<Freshness>,
    reads: ReadCache,
    message_cache: MessageCache,
    pages: RequestQueue<Pages>,
    pages_with_messages: RequestQueue<PagesWithMessages>,
    messages: RequestQueue<Messages>,
}

/// The work behind it, to be spawned.
pub struct Readers {
    shared: Arc<Shared>,
    waiting_max: usize,
    pages: RequestBatches<Pages>,
    pages_with_messages: RequestBatches<PagesWithMessages>,
    messages: RequestBatches<Messages>,
}

impl Sync {
    /// The changes that concern a user after a cursor, oldest first; with the messages' present
    /// data where `with_messages`.
    ///
    /// Every change that was committed before the call is on this page or a later one.
    pub async fn changes_after(
        &self,
        request: PageRequest,
        with_messages: bool,
    ) -> Result<Changes, Error> {
        let (cursor, epoch) = (request.cursor, self.shared.freshness.epoch());
        let page = match self.cached_page(&request).await {
            Some(page) => page,
            None => self.read_page(request.clone()).await?,
        };
        if !with_messages {
            return Changes::new(cursor, page);
        }
        // What one member of a chat has read serves the others: most often the ids are all that is left to
        // be read.
        let page = match self.shared.message_cache.fill(epoch, &request, page) {
            Some(page) => page,
            None => self.read_page_with_messages(epoch, request).await?,
        };
        Changes::new(cursor, page)
    }

    /// The page without data, if it is cached and current.
    async fn cached_page(&self, request: &PageRequest) -> Option<Page> {
        let updates = self.shared.reads.updates(request);
        let (updates, end) = self.validated(updates).await?;
        Some(updates.page(request, end))
    }

    async fn read_page(&self, request: PageRequest) -> Result<Page, Error> {
        let Shared { reads, pages, .. } = &*self.shared;
        let pending = reads.begin(request.application, &request.user);
        let cursor = request.cursor;
        let page = pages.ask(request, 1).await.map_err(Error::QueueError)??;
        reads.insert_page(pending, cursor, &page);
        Ok(page)
    }

    async fn read_page_with_messages(
        &self,
        epoch: u64,
        request: PageRequest,
    ) -> Result<Page, Error> {
        let answer = self.shared.pages_with_messages.ask(request, 1).await;
        let mut page = answer.map_err(Error::QueueError)??;
        self.shared.message_cache.insert(epoch, &mut page);
        Ok(page)
    }

    /// A message of one of the user's conversations and chats, or for the application itself of any
    /// of its chats; `None` where there is none that the caller may know of.
    pub async fn message(
        &self,
        application: ApplicationId,
        user: Option<UserId>,
        id: MessageId,
    ) -> Result<Option<Arc<Message>>, Error> {
        let Shared {
            reads, messages, ..
        } = &*self.shared;
        let cached = user
            .as_ref()
            .and_then(|user| reads.message(application, user, id));
        if let Some((message, _)) = self.validated(cached).await {
            return Ok(Some(message));
        }
        let pending = user.as_ref().map(|user| reads.begin(application, user));
        let answer = messages.ask((application, user, id), 1).await;
        let message = answer.map_err(Error::QueueError)??;
        if let Some((pending, message)) = pending.zip(message.clone()) {
            reads.insert_message(pending, message);
        }
        Ok(message)
    }

    /// What is cached, with the end of the timeline, if it is current. Where the end cannot be asked for,
    /// nothing is: the readers decide then, since only this one connection may have failed.
    async fn validated<T>(&self, cached: Option<Cached<T>>) -> Option<(T, Timestamp)> {
        let cached = cached?;
        let end = self.timeline_end.ask((), 1).await.ok()?.ok()?;
        Some((self.shared.reads.validate(cached, end)?, end))
    }
}

impl Changes {
    /// Whether the page came to the end of the timeline.
    pub fn has_caught_up(&self) -> bool {
        self.next >= self.latest
    }

    fn new(cursor: Cursor, page: Page) -> Result<Self, Error> {
        let after = cursor.or(page.latest);
        if after > page.last_given {
            return Err(Error::CursorAhead {
                last: page.last_given,
            });
        }
        Ok(Self {
            after,
            next: page
                .entries
                .last()
                .map_or(after, |entry| entry.update.timestamp),
            latest: page.latest.max(after),
            entries: page.entries,
        })
    }
}

impl Readers {
    /// `waiting_max` callers of each kind of read may wait, and on each thread as many for the end of the
    /// timeline. The listener keeps `freshness` up to date.
    pub fn new(waiting_max: usize, freshness: Arc<Freshness>) -> Self {
        let (pages, page_batches) = queue("pages", waiting_max, BATCH_MAX, WAIT_MAX);
        let (data, data_batches) =
            queue("pages_with_messages", waiting_max, DATA_BATCH_MAX, WAIT_MAX);
        let (messages, message_batches) = queue("messages", waiting_max, BATCH_MAX, WAIT_MAX);
        let shared = Shared {
            reads: ReadCache::new(Arc::clone(&freshness)),
            message_cache: MessageCache::new(Arc::clone(&freshness)),
            freshness,
            pages,
            pages_with_messages: data,
            messages,
        };
        Self {
            shared: Arc::new(shared),
            waiting_max,
            pages: page_batches,
            pages_with_messages: data_batches,
            messages: message_batches,
        }
    }

    /// The handle for the callers of one thread, with the task that asks for the end of the timeline for
    /// them. It belongs on the same thread, so that an answer from the cache wakes no other thread.
    pub fn handle(&self, database: &Database) -> ThreadHandle {
        let (timeline_end, batches) = queue(
            "last_given",
            self.waiting_max,
            TIMELINE_END_BATCH_MAX,
            TIMELINE_END_WAIT_MAX,
        );
        let session = database.session(store::Purpose::Reading);
        let freshness = Arc::clone(&self.shared.freshness);
        let task = Reader::<TimelineEnd>::task(session, freshness, batches);
        let sync = Sync {
            shared: Arc::clone(&self.shared),
            timeline_end,
        };
        (sync, task)
    }

    /// The tasks of the readers for all threads, named. Each ends when its queue is closed and empty.
    pub fn tasks(self, database: &Database) -> Vec<(&'static str, Task)> {
        let mut tasks = Vec::new();
        for _ in 0..READERS {
            let pages = self.task::<Pages>(database, &self.pages);
            let data = self.task::<PagesWithMessages>(database, &self.pages_with_messages);
            let messages = self.task::<Messages>(database, &self.messages);
            tasks.extend([
                ("page reader", pages),
                ("data reader", data),
                ("message reader", messages),
            ]);
        }
        tasks
    }

    fn task<R: Read>(&self, database: &Database, batches: &RequestBatches<R>) -> Task {
        let session = database.session(store::Purpose::Reading);
        let freshness = Arc::clone(&self.shared.freshness);
        Reader::<R>::task(session, freshness, batches.clone())
    }
}

fn queue<Q, A>(
    name: &'static str,
    waiting_max: usize,
    batch_max: usize,
    wait_max: Duration,
) -> (Queue<Q, A>, Batches<Q, A>) {
    batching::queue(QueueLimits {
        name,
        waiting_max,
        batch_max,
        weight_max: usize::MAX,
        wait_max,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Subject, Update};

    fn page(timestamps: &[i64], latest: i64, last_given: i64) -> Page {
        let entry = |timestamp: &i64| Entry {
            update: Update {
                timestamp: Timestamp(*timestamp),
                subject: Subject::Message(MessageId(1)),
            },
            message: None,
        };
        Page {
            entries: timestamps.iter().map(entry).collect(),
            latest: Timestamp(latest),
            last_given: Timestamp(last_given),
        }
    }

    fn changes(after: Option<i64>, page: Page) -> Result<(i64, i64), i64> {
        let cursor = after.map_or(Cursor::Latest, |after| Cursor::After(Timestamp(after)));
        match Changes::new(cursor, page) {
            Ok(changes) => Ok((changes.next.0, changes.latest.0)),
            Err(Error::CursorAhead { last }) => Err(last.0),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn the_next_cursor_is_the_last_entry_or_stays_where_it_is() {
        assert_eq!(changes(Some(2), page(&[3, 5], 9, 12)), Ok((5, 9)));
        assert_eq!(changes(Some(9), page(&[], 9, 12)), Ok((9, 9)));
        assert_eq!(changes(Some(11), page(&[], 9, 12)), Ok((11, 11)));
    }

    #[test]
    fn from_now_on_begins_at_the_latest_change() {
        assert_eq!(changes(None, page(&[], 9, 12)), Ok((9, 9)));
        assert_eq!(changes(None, page(&[], 0, 0)), Ok((0, 0)));
    }

    #[test]
    fn a_cursor_beyond_the_timeline_is_told_so() {
        assert_eq!(changes(Some(13), page(&[], 9, 12)), Err(12));
        assert_eq!(changes(Some(1), page(&[], 0, 0)), Err(0));
        assert_eq!(changes(Some(12), page(&[], 9, 12)), Ok((12, 12)));
    }
}
