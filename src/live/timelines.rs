//! The timelines that can be watched: that of a user, and the feed of an application.

use super::watch::{Turns, Watched, WatchedPage};
use crate::{
    domain::{ApplicationId, Cursor, Timestamp, UserId},
    store::{feed::FeedRequest, pages::PageRequest},
    sync::{self, ChangesPage, FeedChanges, SyncHandle},
};

/// The timeline of a user.
pub struct UserTimeline {
    pub request: PageRequest,
    pub with_messages: bool,
}

impl Watched for UserTimeline {
    type Page = ChangesPage;

    fn reader(&self) -> (ApplicationId, Option<&UserId>) {
        (self.request.application, Some(&self.request.user))
    }

    fn turns(&self) -> Turns {
        if self.with_messages {
            Turns::Data
        } else {
            Turns::Ids
        }
    }

    async fn read(&self, sync: &SyncHandle) -> Result<ChangesPage, sync::Error> {
        sync.changes_after(self.request.clone(), self.with_messages)
            .await
    }

    fn go_on_after(&mut self, cursor: Timestamp) {
        self.request.cursor = Cursor::After(cursor);
    }
}

impl Watched for FeedRequest {
    type Page = FeedChanges;

    fn reader(&self) -> (ApplicationId, Option<&UserId>) {
        (self.application, None)
    }

    fn turns(&self) -> Turns {
        Turns::Feeds
    }

    async fn read(&self, sync: &SyncHandle) -> Result<FeedChanges, sync::Error> {
        sync.feed_after(self.clone()).await
    }

    fn go_on_after(&mut self, cursor: Timestamp) {
        self.cursor = Cursor::After(cursor);
    }
}

impl WatchedPage for ChangesPage {
    fn last(&self) -> Option<Timestamp> {
        self.entries.last().map(|entry| entry.update.timestamp)
    }

    fn after(&self) -> Timestamp {
        self.after
    }

    fn next(&self) -> Timestamp {
        self.next
    }

    fn latest(&self) -> Timestamp {
        self.latest
    }
}

impl WatchedPage for FeedChanges {
    fn last(&self) -> Option<Timestamp> {
        self.entries.last().map(|entry| entry.timestamp)
    }

    fn after(&self) -> Timestamp {
        self.after
    }

    fn next(&self) -> Timestamp {
        self.next
    }

    fn latest(&self) -> Timestamp {
        self.latest
    }
}
