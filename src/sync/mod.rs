//! The read path of the timeline: pages of changes and single messages, many callers at a time.
//!
//! Callers who wait are answered by one query. Pages of ids, pages with data and single messages
//! queue apart, and each of these queues has several readers, so that a heavy first sync stalls nobody
//! who wants less. A query that has begun is never joined: whoever asks after a change was acknowledged
//! reads a snapshot that holds it, on every replica.
//!
//! Most who ask are told what they know already. So what was read about a user is [kept](known), and is
//! the answer again if one look at the timeline's sequence, which all who ask at the time share, proves
//! that nothing has happened since that this replica has not [heard]. Other caches hold what never
//! changes: see [`versions`].

mod heard;
mod known;
mod reader;
mod versions;

use std::{sync::Arc, time::Duration};

pub use heard::Heard;
use known::{Fact, Known};
use reader::{LastGiven, Messages, Pages, PagesWithMessages, Read, Reader, Task};
use versions::Versions;

use crate::{
    batching::{self, Batches, Limits, NotDone, Queue},
    domain::{ApplicationId, Message, MessageId, Timestamp, UserId},
    store::{
        self, Database,
        pages::{Entry, Page, PageRequest},
    },
};

/// How long a read may wait for its query to begin.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Callers answered by one query for pages of ids, or for single messages.
pub const BATCH_MAX: usize = 256;

/// Callers for whom one look at the sequence is enough: it costs the same for any number.
const LAST_GIVEN_BATCH_MAX: usize = 1024;

/// How long a look at the sequence may wait to begin: the one before takes a moment. After it the database
/// is asked for the answer itself.
const LAST_GIVEN_WAIT_MAX: Duration = Duration::from_secs(1);

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
    NotDone(NotDone),
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
            Self::Unavailable | Self::NotDone(NotDone::Full | NotDone::Overdue)
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

/// What one kind of read asks for and gets.
type Line<R> = Queue<<R as Read>::Request, Result<<R as Read>::Answer, Error>>;
type Intake<R> = Batches<<R as Read>::Request, Result<<R as Read>::Answer, Error>>;

/// The way in for one thread, with the task that looks at the sequence for its callers.
pub type WayIn = (Sync, Task);

/// The way in for the callers of one thread.
#[derive(Clone)]
pub struct Sync {
    shared: Arc<Shared>,
    last_given: Line<LastGiven>,
}

/// What the callers of all threads share.
struct Shared {
    heard: Arc<Heard>,
    known: Known,
    versions: Versions,
    pages: Line<Pages>,
    pages_with_messages: Line<PagesWithMessages>,
    messages: Line<Messages>,
}

/// The work behind it, to be spawned.
pub struct Readers {
    shared: Arc<Shared>,
    waiting_max: usize,
    pages: Intake<Pages>,
    pages_with_messages: Intake<PagesWithMessages>,
    messages: Intake<Messages>,
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
        let Shared {
            heard,
            versions,
            pages_with_messages,
            ..
        } = &*self.shared;
        let (after, era) = (request.after, heard.era());
        let mut page = self.page(&request).await?;
        if with_messages && !versions.complete(era, &request, &mut page) {
            let answer = pages_with_messages.ask(request, 1).await;
            page = answer.map_err(Error::NotDone)??;
            versions.share(era, &mut page);
        }
        Changes::new(after, page)
    }

    /// The page without data.
    async fn page(&self, request: &PageRequest) -> Result<Page, Error> {
        let Shared { known, pages, .. } = &*self.shared;
        if let Some((tail, last_given)) = self.confirmed(known.tail(request)).await {
            return Ok(tail.page(request, last_given));
        }
        let reading = known.begin(request.application, &request.user);
        let page = pages
            .ask(request.clone(), 1)
            .await
            .map_err(Error::NotDone)??;
        known.learn_page(reading, request.after, &page);
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
            known, messages, ..
        } = &*self.shared;
        let read_before = user
            .as_ref()
            .and_then(|user| known.message(application, user, id));
        if let Some((message, _)) = self.confirmed(read_before).await {
            return Ok(Some(message));
        }
        let reading = user.as_ref().map(|user| known.begin(application, user));
        let answer = messages.ask((application, user, id), 1).await;
        let message = answer.map_err(Error::NotDone)??;
        if let Some((reading, message)) = reading.zip(message.clone()) {
            known.learn_message(reading, message);
        }
        Ok(message)
    }

    /// What is known, with where the sequence stands, if it is certain that it is still so. Where the
    /// sequence cannot be seen nothing is, and the readers decide: its one connection may be at fault.
    async fn confirmed<T>(&self, known: Option<Fact<T>>) -> Option<(T, Timestamp)> {
        let known = known?;
        let last_given = self.last_given.ask((), 1).await.ok()?.ok()?;
        Some((self.shared.known.confirm(known, last_given)?, last_given))
    }
}

impl Changes {
    /// Whether the page came to the end of the timeline.
    pub fn has_caught_up(&self) -> bool {
        self.next >= self.latest
    }

    fn new(after: Option<Timestamp>, page: Page) -> Result<Self, Error> {
        let after = after.unwrap_or(page.latest);
        if after > page.last_given {
            return Err(Error::CursorAhead {
                last: page.last_given,
            });
        }
        Ok(Self {
            after,
            next: page.entries.last().map_or(after, |entry| entry.timestamp),
            latest: page.latest.max(after),
            entries: page.entries,
        })
    }
}

impl Readers {
    /// `waiting_max` callers of each kind may wait, and for looks of each thread; a listener keeps up to date what was `heard`.
    pub fn new(waiting_max: usize, heard: Arc<Heard>) -> Self {
        let (pages, pages_intake) = queue("pages", waiting_max, BATCH_MAX, WAIT_MAX);
        let (data, data_intake) =
            queue("pages_with_messages", waiting_max, DATA_BATCH_MAX, WAIT_MAX);
        let (messages, messages_intake) = queue("messages", waiting_max, BATCH_MAX, WAIT_MAX);
        let shared = Shared {
            known: Known::new(Arc::clone(&heard)),
            versions: Versions::new(Arc::clone(&heard)),
            heard,
            pages,
            pages_with_messages: data,
            messages,
        };
        Self {
            shared: Arc::new(shared),
            waiting_max,
            pages: pages_intake,
            pages_with_messages: data_intake,
            messages: messages_intake,
        }
    }

    /// The way in for the callers of one thread, with the task that looks at the sequence for them: it
    /// belongs on the same thread, so that nobody else has to be woken for an answer that is known.
    pub fn way_in(&self, database: &Database) -> WayIn {
        let (last_given, intake) = queue(
            "last_given",
            self.waiting_max,
            LAST_GIVEN_BATCH_MAX,
            LAST_GIVEN_WAIT_MAX,
        );
        let session = database.session(store::Purpose::Reading);
        let task = Reader::<LastGiven>::task(session, Arc::clone(&self.shared.heard), intake);
        (
            Sync {
                shared: Arc::clone(&self.shared),
                last_given,
            },
            task,
        )
    }

    /// The tasks of the readers for all threads, named. Each ends when its queue is closed and empty.
    pub fn tasks(self, database: &Database) -> Vec<(&'static str, Task)> {
        let session = || database.session(store::Purpose::Reading);
        let heard = || Arc::clone(&self.shared.heard);
        let mut tasks = Vec::new();
        for _ in 0..READERS {
            let (pages, data) = (self.pages.clone(), self.pages_with_messages.clone());
            let messages = self.messages.clone();
            tasks.extend([
                (
                    "page reader",
                    Reader::<Pages>::task(session(), heard(), pages),
                ),
                (
                    "data reader",
                    Reader::<PagesWithMessages>::task(session(), heard(), data),
                ),
                (
                    "message reader",
                    Reader::<Messages>::task(session(), heard(), messages),
                ),
            ]);
        }
        tasks
    }
}

fn queue<Q, A>(
    name: &'static str,
    waiting_max: usize,
    batch_max: usize,
    wait_max: Duration,
) -> (Queue<Q, A>, Batches<Q, A>) {
    batching::queue(Limits {
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
    use crate::store::pages::Subject;

    fn page(timestamps: &[i64], latest: i64, last_given: i64) -> Page {
        let entry = |timestamp: &i64| Entry {
            timestamp: Timestamp(*timestamp),
            subject: Subject::Message(MessageId(1), None),
        };
        Page {
            entries: timestamps.iter().map(entry).collect(),
            latest: Timestamp(latest),
            last_given: Timestamp(last_given),
        }
    }

    fn changes(after: Option<i64>, page: Page) -> Result<(i64, i64), i64> {
        match Changes::new(after.map(Timestamp), page) {
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
