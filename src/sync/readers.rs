//! The readers of a process: their queues, their limits and their tasks.

use std::{sync::Arc, time::Duration};

use super::{
    Error, SyncHandle,
    cache::{Freshness, ReadCache, VersionCache},
    reader::{
        Conversations, Feed, Messages, Pages, PagesWithMessages, Read, Reader, Task, TimelineEnd,
    },
};
use crate::{
    batching::{self, Batches, Queue, QueueLimits},
    domain::{ApplicationId, Cache, ErasedUsers},
    store::{Database, Purpose, Render},
};

/// How long a read may wait for a reader.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Callers of one application whom one query for pages of ids, or for single messages, answers.
pub const BATCH_MAX: usize = 256;

/// Callers who share one query for the end of the timeline, which costs the same for any number of
/// them.
const TIMELINE_END_BATCH_MAX: usize = 1024;

/// How long a caller waits for the end of the timeline to be read. After that, the caller's read
/// goes to the database, as if nothing was cached.
const TIMELINE_END_WAIT_MAX: Duration = Duration::from_secs(1);

/// Callers whom one query for pages with data answers. Each page takes up to some 3 MiB while it is
/// read, so this limits the memory of one query.
pub const DATA_BATCH_MAX: usize = 16;

/// Conversations that one query reads; more, if one caller names more.
const CONVERSATION_BATCH_MAX: usize = 256;

/// Readers for each kind of read. Each has a connection and one query at a time.
pub const READERS: usize = 2;

/// A page with data ends after this much of it, in bytes of JSON.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// The queue for one kind of read, and its batches.
pub type ReadQueue<R> =
    Queue<ApplicationId, <R as Read>::Request, Result<<R as Read>::Answer, Error>>;
pub type ReadBatches<R> =
    Batches<ApplicationId, <R as Read>::Request, Result<<R as Read>::Answer, Error>>;

/// The handle for one thread, and the task that reads the end of the timeline for its callers.
pub type ThreadHandle = (SyncHandle, Task);

/// What the callers of all threads share.
pub struct SharedReads {
    pub freshness: Arc<Freshness>,
    pub reads: ReadCache,
    pub versions: VersionCache,
    pub pages: ReadQueue<Pages>,
    pub pages_with_messages: ReadQueue<PagesWithMessages>,
    pub messages: ReadQueue<Messages>,
    pub conversations: ReadQueue<Conversations>,
    pub feed: ReadQueue<Feed>,
}

/// The readers of a process, before their tasks are spawned.
pub struct Readers {
    shared: Arc<SharedReads>,
    waiting_max: usize,
    render: Render,
    pages: ReadBatches<Pages>,
    pages_with_messages: ReadBatches<PagesWithMessages>,
    messages: ReadBatches<Messages>,
    conversations: ReadBatches<Conversations>,
    feed: ReadBatches<Feed>,
}

impl Cache for SharedReads {
    fn forget(&self, erased: &ErasedUsers) {
        if !erased.is_empty() {
            self.reads.forget(erased);
            self.versions.forget(erased);
        }
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        let (timelines, messages) = self.reads.sizes();
        vec![
            ("timelines", timelines),
            ("messages", messages),
            ("versions", self.versions.size()),
        ]
    }
}

impl Readers {
    /// `waiting_max` callers of an application may wait for each kind of read, and on each thread as
    /// many for the end of its timeline. Notifications must be recorded in `freshness`. `render` writes
    /// the messages of pages.
    pub fn new(waiting_max: usize, freshness: Arc<Freshness>, render: Render) -> Self {
        let (pages, page_batches) = queue("pages", waiting_max, BATCH_MAX, WAIT_MAX);
        let (data, data_batches) =
            queue("pages_with_messages", waiting_max, DATA_BATCH_MAX, WAIT_MAX);
        let (messages, message_batches) = queue("messages", waiting_max, BATCH_MAX, WAIT_MAX);
        let (conversations, conversation_batches) = queue(
            "conversations",
            waiting_max,
            CONVERSATION_BATCH_MAX,
            WAIT_MAX,
        );
        let (feed, feed_batches) = queue("feed", waiting_max, DATA_BATCH_MAX, WAIT_MAX);
        let shared = SharedReads {
            reads: ReadCache::new(Arc::clone(&freshness)),
            versions: VersionCache::new(Arc::clone(&freshness)),
            freshness,
            pages,
            pages_with_messages: data,
            messages,
            conversations,
            feed,
        };
        Self {
            shared: Arc::new(shared),
            waiting_max,
            render,
            pages: page_batches,
            pages_with_messages: data_batches,
            messages: message_batches,
            conversations: conversation_batches,
            feed: feed_batches,
        }
    }

    /// What is cached, for all threads.
    pub fn cache(&self) -> Arc<dyn Cache> {
        Arc::clone(&self.shared) as Arc<dyn Cache>
    }

    /// The handle for the callers of one thread, and the task that reads the end of the timeline
    /// for them. The task belongs on the same thread, so that an answer from the cache wakes no
    /// other thread.
    pub fn handle(&self, database: &Database) -> ThreadHandle {
        let (timeline_end, batches) = queue(
            "timeline_end",
            self.waiting_max,
            TIMELINE_END_BATCH_MAX,
            TIMELINE_END_WAIT_MAX,
        );
        let session = database.session(Purpose::Reading);
        let freshness = Arc::clone(&self.shared.freshness);
        let task = Reader::task(TimelineEnd, session, freshness, batches);
        let sync = SyncHandle {
            shared: Arc::clone(&self.shared),
            timeline_end,
        };
        (sync, task)
    }

    /// The tasks of the readers for all threads, with their names. Each ends when its queue is
    /// closed and empty.
    pub fn tasks(self, database: &Database) -> Vec<(&'static str, Task)> {
        let mut tasks = Vec::new();
        for _ in 0..READERS {
            let pages = self.task(Pages, database, &self.pages);
            let with_messages = PagesWithMessages {
                render: self.render,
            };
            let data = self.task(with_messages, database, &self.pages_with_messages);
            let messages = self.task(Messages, database, &self.messages);
            let conversations = self.task(Conversations, database, &self.conversations);
            let feed = Feed {
                render: self.render,
            };
            let feed = self.task(feed, database, &self.feed);
            tasks.extend([
                ("page reader", pages),
                ("data reader", data),
                ("message reader", messages),
                ("conversation reader", conversations),
                ("feed reader", feed),
            ]);
        }
        tasks
    }

    fn task<R: Read>(&self, kind: R, database: &Database, batches: &ReadBatches<R>) -> Task {
        let session = database.session(Purpose::Reading);
        let freshness = Arc::clone(&self.shared.freshness);
        Reader::task(kind, session, freshness, batches.clone())
    }
}

fn queue<Q, A>(
    name: &'static str,
    waiting_max: usize,
    batch_max: usize,
    wait_max: Duration,
) -> (Queue<ApplicationId, Q, A>, Batches<ApplicationId, Q, A>) {
    batching::queue(QueueLimits {
        name,
        waiting_max,
        batch_max,
        // Reads weigh one each, and reads of conversations as many as they name.
        weight_max: batch_max,
        wait_max,
    })
}
