//! Reads about users that may be answered again: the newest updates of a user, and single messages.
//!
//! Nothing here is invalidated one by one. Whether a cached read is valid is asked of [`Freshness`] when it
//! is needed: see [`cache`](super).

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};

use super::freshness::{Freshness, ReadPoint};
use crate::{
    domain::{ApplicationId, Cursor, Message, MessageId, Timestamp, UserId},
    notifications::UserKey,
    store::pages::{Entry, Page, PageRequest},
};

/// What is kept of timelines, in bytes, and again of messages: some 17,000 pages of 50, and 70,000
/// messages of a line of text.
const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// What a cached read costs beside its data, in bytes.
const OVERHEAD_BYTES: usize = 300;

type User = (ApplicationId, UserId);

/// Cached reads, as many as fit.
pub struct ReadCache {
    freshness: Arc<Freshness>,
    updates: Cache<User, Cached<RecentUpdates>, Weight>,
    messages: Cache<(User, MessageId), Cached<Arc<Message>>, Weight>,
}

/// What a read about a user has found.
#[derive(Clone)]
pub struct Cached<T> {
    found: T,
    user: UserKey,
    read: ReadPoint,
}

/// The end of a user's timeline.
#[derive(Clone)]
pub struct RecentUpdates {
    after: Timestamp,
    /// Everything after it, without data.
    entries: Arc<[Entry]>,
    latest: Timestamp,
}

/// A read about a user that is about to begin.
pub struct PendingRead {
    user: User,
    read: ReadPoint,
}

#[derive(Clone)]
struct Weight;

impl Weighter<User, Cached<RecentUpdates>> for Weight {
    fn weight(&self, _: &User, updates: &Cached<RecentUpdates>) -> u64 {
        (size_of_val(&*updates.found.entries) + OVERHEAD_BYTES) as u64
    }
}

impl Weighter<(User, MessageId), Cached<Arc<Message>>> for Weight {
    fn weight(&self, _: &(User, MessageId), message: &Cached<Arc<Message>>) -> u64 {
        (message.found.data_bytes() + OVERHEAD_BYTES) as u64
    }
}

impl ReadCache {
    pub fn new(freshness: Arc<Freshness>) -> Self {
        let expected = BYTES_MAX as usize / (2 * OVERHEAD_BYTES);
        Self {
            freshness,
            updates: Cache::with_weighter(expected, BYTES_MAX, Weight),
            messages: Cache::with_weighter(expected, BYTES_MAX, Weight),
        }
    }

    /// The end of the user's timeline, where it may be current and holds what is asked for.
    pub fn updates(&self, request: &PageRequest) -> Option<Cached<RecentUpdates>> {
        let user = (request.application, request.user.clone());
        let updates = self.updates.get(&user)?;
        let holds_it = request.cursor.or(updates.found.latest) >= updates.found.after;
        (holds_it && self.may_be_current(&updates)).then_some(updates)
    }

    /// A message as the user could read it, where that may be current.
    pub fn message(
        &self,
        application: ApplicationId,
        user: &UserId,
        id: MessageId,
    ) -> Option<Cached<Arc<Message>>> {
        let message = self.messages.get(&((application, user.clone()), id))?;
        self.may_be_current(&message).then_some(message)
    }

    fn may_be_current<T>(&self, cached: &Cached<T>) -> bool {
        self.freshness.may_be_current(cached.user, cached.read)
    }

    /// What was read, if it is valid when the timeline ends at `end`.
    pub fn validate<T>(&self, cached: Cached<T>, end: Timestamp) -> Option<T> {
        let Cached { found, user, read } = cached;
        self.freshness.is_current(user, read, end).then_some(found)
    }

    /// To be called before the database is asked about a user.
    pub fn begin(&self, application: ApplicationId, user: &UserId) -> PendingRead {
        PendingRead {
            user: (application, user.clone()),
            read: self.freshness.read_point(),
        }
    }

    /// Keeps a page without data that was read after a cursor. One that tells of a shorter timeline
    /// than was notified begins an epoch: the database was restored in place.
    pub fn insert_page(&self, pending: PendingRead, cursor: Cursor, page: &Page) {
        if pending.read.may_precede(page.last_given) {
            let updates = pending.cached(RecentUpdates::of(cursor, page));
            self.updates.insert(pending.user, updates);
        } else if pending.read.is_of_epoch(self.freshness.epoch()) {
            self.freshness.begin_epoch();
        }
    }

    /// Keeps a message that the user could read.
    pub fn insert_message(&self, pending: PendingRead, message: Arc<Message>) {
        let id = message.id;
        let message = pending.cached(message);
        self.messages.insert((pending.user, id), message);
    }
}

impl PendingRead {
    fn cached<T>(&self, found: T) -> Cached<T> {
        Cached {
            found,
            user: UserKey::of(self.user.0, &self.user.1),
            read: self.read,
        }
    }
}

impl RecentUpdates {
    fn of(cursor: Cursor, page: &Page) -> Self {
        let (after, entries) = match cursor {
            Cursor::After(after) if page.reaches_end() => {
                (after.min(page.latest), page.entries.as_slice())
            }
            _ => (page.latest, [].as_slice()),
        };
        Self {
            after,
            entries: entries.into(),
            latest: page.latest,
        }
    }

    /// A page of it, when the timeline ends at `end`.
    pub fn page(&self, request: &PageRequest, end: Timestamp) -> Page {
        let after = request.cursor.or(self.latest);
        let first = self
            .entries
            .partition_point(|entry| entry.update.timestamp <= after);
        let rest = self.entries[first..].iter();
        let entries = rest.take(request.size.entries.into()).cloned().collect();
        Page {
            entries,
            latest: self.latest,
            last_given: end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Subject, Update},
        notifications::Notification,
        store::pages::PageSize,
    };

    fn cursor(after: Option<i64>) -> Cursor {
        after.map_or(Cursor::Latest, |after| Cursor::After(Timestamp(after)))
    }

    fn request(after: Option<i64>, entries: u16) -> PageRequest {
        PageRequest {
            application: ApplicationId::DEFAULT,
            user: UserId::trusted("jane"),
            cursor: cursor(after),
            size: PageSize { entries, bytes: 0 },
        }
    }

    /// The timestamps of the page after a cursor, where it holds them; and what is the latest.
    fn given(tail: &RecentUpdates, after: Option<i64>, entries: u16) -> (Vec<i64>, i64) {
        let page = tail.page(&request(after, entries), Timestamp(20));
        assert_eq!(page.last_given, Timestamp(20));
        (
            page.entries
                .iter()
                .map(|entry| entry.update.timestamp.0)
                .collect(),
            page.latest.0,
        )
    }

    fn page(timestamps: &[i64], latest: i64) -> Page {
        let entry = |timestamp: &i64| Entry {
            update: Update {
                timestamp: Timestamp(*timestamp),
                subject: Subject::Message(MessageId(1)),
            },
            message: None,
        };
        let entries = timestamps.iter().map(entry).collect();
        Page {
            entries,
            latest: Timestamp(latest),
            last_given: Timestamp(20),
        }
    }

    #[test]
    fn a_page_to_the_end_answers_every_later_cursor() {
        let tail = RecentUpdates::of(cursor(Some(2)), &page(&[3, 5, 9], 9));
        assert_eq!(tail.after, Timestamp(2));
        assert_eq!(given(&tail, Some(2), 50), (vec![3, 5, 9], 9));
        assert_eq!(given(&tail, Some(2), 2), (vec![3, 5], 9));
        assert_eq!(given(&tail, Some(5), 50), (vec![9], 9));
        assert_eq!(given(&tail, Some(11), 50), (vec![], 9));
        assert_eq!(given(&tail, None, 50), (vec![], 9));
    }

    #[test]
    fn any_other_page_tells_which_change_is_the_latest() {
        let cut = RecentUpdates::of(cursor(Some(2)), &page(&[3, 5], 9));
        let from_now_on = RecentUpdates::of(Cursor::Latest, &page(&[], 9));
        let ahead = RecentUpdates::of(cursor(Some(12)), &page(&[], 9));
        for tail in [cut, from_now_on, ahead] {
            assert_eq!(tail.after, Timestamp(9));
            assert_eq!(given(&tail, Some(9), 50), (vec![], 9));
        }
    }

    #[test]
    fn a_shorter_timeline_voids_what_is_cached() {
        let freshness = Arc::new(Freshness::default());
        let cache = ReadCache::new(Arc::clone(&freshness));
        let notify = |payload: &str| freshness.record(&Notification::parse(payload));
        let read = |user: &str| {
            let pending = cache.begin(ApplicationId::DEFAULT, &UserId::trusted(user));
            cache.insert_page(pending, cursor(Some(2)), &page(&[3], 3));
        };
        notify("1 20 20 0 ");
        read("jane");
        let updates = || cache.updates(&request(Some(2), 50));
        let last_given = Timestamp(20);
        assert!(
            updates()
                .and_then(|updates| cache.validate(updates, last_given))
                .is_some()
        );
        notify("1 20 30 0 ");
        assert!(updates().is_some(), "nothing has concerned her");
        read("john");
        assert!(updates().is_none());
        notify("1 20 20 0 ");
        assert!(updates().is_none());
    }
}
