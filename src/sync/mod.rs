//! The read path of the timeline: pages of changes and single messages, for many callers at a time.
//!
//! One query answers all callers of an application who wait. Pages of ids, pages with data and
//! single messages have queues of their own, and each queue has several readers: so a heavy first
//! sync delays no caller who reads less. No caller joins a query that has already started. So a caller who comes after a
//! change was acknowledged reads a snapshot that contains it, on every replica.
//!
//! Most callers have already read everything. So what was read about a user is cached, and answers
//! again as long as it is provably current: see [`cache`].

mod cache;
mod changes;
mod feed;
mod reader;
mod readers;

use std::sync::Arc;

pub use cache::Freshness;
pub use changes::ChangesPage;
pub use feed::FeedChanges;
pub use readers::{BATCH_MAX, DATA_BATCH_MAX, PAGE_BYTES_MAX, READERS, Readers, ThreadHandle};

use crate::{
    batching::{Queue, QueueError},
    domain::{ApplicationId, Message, MessageId, Timestamp, UserId},
    store::{
        self,
        conversations::{SeenConversation, SeenRequest},
        pages::{Page, PageRequest},
    },
};
use cache::Cached;
use reader::TimelineEnd;
use readers::{ReadQueue, SharedReads};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cursor is beyond the end of the timeline: it was read before the database was restored.
    #[error("the timeline ends at {end}")]
    CursorAhead { end: Timestamp },
    /// Changes after the cursor may have been trimmed.
    #[error("the timeline is not kept up to {trimmed}")]
    CursorBehind { trimmed: Timestamp },
    /// The service is overloaded or shutting down.
    #[error(transparent)]
    QueueError(QueueError),
    #[error("the database is not available")]
    Unavailable(#[source] Arc<store::Error>),
    #[error("the database refused the query")]
    Failed(#[source] Arc<store::Error>),
}

impl Error {
    fn of(cause: Arc<store::Error>) -> Self {
        if cause.is_unavailable() {
            Self::Unavailable(cause)
        } else {
            Self::Failed(cause)
        }
    }

    /// Whether the same read may succeed in a moment.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::QueueError(QueueError::Full | QueueError::Overdue)
        )
    }
}

/// Reads the timeline for the callers of one thread.
#[derive(Clone)]
pub struct SyncHandle {
    shared: Arc<SharedReads>,
    timeline_end: ReadQueue<TimelineEnd>,
}

impl SyncHandle {
    /// The changes that concern a user after a cursor, the oldest first. `with_messages`: with the
    /// present data of their messages.
    ///
    /// Every change that was committed before the call is on this page or a later one.
    pub async fn changes_after(
        &self,
        request: PageRequest,
        with_messages: bool,
    ) -> Result<ChangesPage, Error> {
        let (cursor, epoch) = (request.cursor, self.shared.freshness.epoch());
        let application = request.application;
        // A client that catches up wants messages that nobody has read lately. One that follows
        // wants new ones, and what one member of a chat has read serves the others: most often
        // their versions are cached, and the page of ids is all that has to be read.
        let cached = self.shared.reads.updates(&request);
        if with_messages && cached.is_none() {
            let page = self.read_page_with_messages(epoch, request).await?;
            return ChangesPage::new(cursor, page);
        }
        let page = match self.validated(application, cached).await {
            Some((updates, end)) => updates.page(&request, end),
            None => self.read_page(&self.shared.pages, request.clone()).await?,
        };
        if !with_messages {
            return ChangesPage::new(cursor, page);
        }
        let page = match self.shared.versions.fill(epoch, &request, page) {
            Some(page) => page,
            None => self.read_page_with_messages(epoch, request).await?,
        };
        ChangesPage::new(cursor, page)
    }

    /// Reads a page, and caches its ids.
    async fn read_page(
        &self,
        queue: &Queue<ApplicationId, PageRequest, Result<Page, Error>>,
        request: PageRequest,
    ) -> Result<Page, Error> {
        let reads = &self.shared.reads;
        let pending = reads.begin(request.application, &request.user);
        let cursor = request.cursor;
        let page = queue
            .ask(request.application, request, 1)
            .await
            .map_err(Error::QueueError)??;
        reads.insert_page(pending, cursor, &page);
        Ok(page)
    }

    async fn read_page_with_messages(
        &self,
        epoch: u64,
        request: PageRequest,
    ) -> Result<Page, Error> {
        let queue = &self.shared.pages_with_messages;
        let application = request.application;
        let mut page = self.read_page(queue, request).await?;
        // Versions are taken from the cache for such pages alone. Those of a client that catches up
        // would push out what followers need.
        if page.reaches_end() {
            self.shared.versions.insert(epoch, application, &mut page);
        }
        Ok(page)
    }

    /// A message of one of the user's conversations and chats. The application itself reads
    /// messages of all its chats. `None` if there is no such message, or the caller may not read
    /// it.
    pub async fn message(
        &self,
        application: ApplicationId,
        user: Option<UserId>,
        id: MessageId,
    ) -> Result<Option<Arc<Message>>, Error> {
        let SharedReads {
            reads, messages, ..
        } = &*self.shared;
        let cached = user
            .as_ref()
            .and_then(|user| reads.message(application, user, id));
        if let Some((message, _)) = self.validated(application, cached).await {
            return Ok(Some(message));
        }
        let pending = user.as_ref().map(|user| reads.begin(application, user));
        let answer = messages.ask(application, (user, id), 1).await;
        let message = answer.map_err(Error::QueueError)??;
        if let Some((pending, message)) = pending.zip(message.clone()) {
            reads.insert_message(pending, message);
        }
        Ok(message)
    }

    /// Conversations as a user sees them now, in the order in which they are named, without those that
    /// the user does not see.
    pub async fn conversations(
        &self,
        application: ApplicationId,
        request: SeenRequest,
    ) -> Result<Vec<SeenConversation>, Error> {
        let weight = request.named.len();
        let queue = &self.shared.conversations;
        let answer = queue.ask(application, request, weight).await;
        answer.map_err(Error::QueueError)?
    }

    /// What is cached, with the end of the timeline, if it is current. If the end cannot be read,
    /// nothing counts as current: the connection of this thread may have failed while those of the
    /// readers work.
    async fn validated<T>(
        &self,
        application: ApplicationId,
        cached: Option<Cached<T>>,
    ) -> Option<(T, Timestamp)> {
        let cached = cached.filter(|cached| self.shared.reads.may_be_current(cached))?;
        let end = self.timeline_end.ask(application, (), 1).await.ok()?.ok()?;
        Some((self.shared.reads.validate(cached, end)?, end))
    }
}
