//! The feed: the timeline of an application as the application itself reads it.

use std::sync::Arc;

use super::{Error, SyncHandle};
use crate::{
    domain::{Cursor, Timestamp},
    store::feed::{FeedEntry, FeedPage, FeedRequest},
};

/// A page of the feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedChanges {
    /// The cursor after which the page begins.
    pub after: Timestamp,
    /// Ascending by timestamp.
    pub entries: Vec<FeedEntry>,
    /// The cursor of the next call. It moves on where the page has no entry, too.
    pub next: Timestamp,
    /// The application has caught up when `next` has reached it.
    pub latest: Timestamp,
}

impl SyncHandle {
    /// The changes of an application after a cursor, the oldest first.
    ///
    /// Every change that was committed before the call is on this page or a later one.
    pub async fn feed_after(&self, request: FeedRequest) -> Result<FeedChanges, Error> {
        let (application, cursor) = (request.application, request.cursor);
        let answer = self.shared.feed.ask(application, request, 1).await;
        let page = answer.map_err(Error::QueueError)??;
        FeedChanges::new(cursor, page)
    }
}

impl FeedChanges {
    /// Whether no change comes after this page.
    pub fn has_caught_up(&self) -> bool {
        self.next >= self.latest
    }

    fn new(cursor: Cursor, page: Arc<FeedPage>) -> Result<Self, Error> {
        let end = page.timeline_end;
        let after = cursor.or(end);
        if after > end {
            return Err(Error::CursorAhead { end });
        }
        if after < page.trimmed {
            return Err(Error::CursorBehind {
                trimmed: page.trimmed,
            });
        }
        let page = Arc::unwrap_or_clone(page);
        Ok(Self {
            after,
            entries: page.entries,
            next: page.reached,
            latest: end,
        })
    }
}
