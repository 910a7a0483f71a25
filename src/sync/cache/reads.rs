//! Cached reads about users: the newest updates of a user, and single messages.
//!
//! No entry is ever invalidated. Each use of an entry compares it with [`Freshness`]: see
//! [`cache`](super).

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};

use super::freshness::{Freshness, NotifiedUser, ReadPoint};
use crate::{
    domain::{ApplicationId, Cursor, ErasedUsers, Message, MessageId, Subject, Timestamp, UserId},
    notifications::UserKey,
    store::pages::{Entry, Page, PageRequest},
};

/// The most bytes that are cached of timelines, and as many of messages: some 14,500 pages of 50,
/// and 70,000 messages of one line of text.
const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The bytes that a cached read takes besides its data.
const OVERHEAD_BYTES: usize = 300;

type User = (ApplicationId, UserId);

/// Cached reads, as many as fit.
pub struct ReadCache {
    freshness: Arc<Freshness>,
    updates: Cache<User, Cached<RecentUpdates>, ReadWeight>,
    messages: Cache<(User, MessageId), Cached<Arc<Message>>, ReadWeight>,
}

/// The result of a read about a user, with what decides whether it is still valid.
#[derive(Clone)]
pub struct Cached<T> {
    found: T,
    user: NotifiedUser,
    read: ReadPoint,
}

/// The newest updates of a user.
#[derive(Clone)]
pub struct RecentUpdates {
    after: Timestamp,
    /// All updates after it, without data.
    entries: Arc<[Entry]>,
    latest: Timestamp,
    trimmed: Timestamp,
    expired: MessageId,
}

/// A read about a user that is about to begin.
pub struct PendingRead {
    user: User,
    read: ReadPoint,
}

/// What the id of a user in an entry takes besides its characters, in bytes.
const NAME_OVERHEAD_BYTES: usize = 32;

#[derive(Clone)]
struct ReadWeight;

impl Weighter<User, Cached<RecentUpdates>> for ReadWeight {
    fn weight(&self, _: &User, updates: &Cached<RecentUpdates>) -> u64 {
        let entries = &*updates.found.entries;
        let names = entries.iter().map(|entry| match &entry.update.subject {
            Subject::With(user) => user.as_str().len() + NAME_OVERHEAD_BYTES,
            Subject::Message(_) | Subject::Chat(_) | Subject::Reactions(_) => 0,
        });
        (size_of_val(entries) + names.sum::<usize>() + OVERHEAD_BYTES) as u64
    }
}

impl Weighter<(User, MessageId), Cached<Arc<Message>>> for ReadWeight {
    fn weight(&self, _: &(User, MessageId), message: &Cached<Arc<Message>>) -> u64 {
        (message.found.data_bytes() + OVERHEAD_BYTES) as u64
    }
}

impl ReadCache {
    pub fn new(freshness: Arc<Freshness>) -> Self {
        let expected = BYTES_MAX as usize / (2 * OVERHEAD_BYTES);
        Self {
            freshness,
            updates: Cache::with_weighter(expected, BYTES_MAX, ReadWeight),
            messages: Cache::with_weighter(expected, BYTES_MAX, ReadWeight),
        }
    }

    /// The user's newest updates, current or not, if they begin at the request's cursor or before
    /// it: then the request goes on where the timeline ended when it was last read.
    pub fn updates(&self, request: &PageRequest) -> Option<Cached<RecentUpdates>> {
        let user = (request.application, request.user.clone());
        let updates = self.updates.get(&user)?;
        let covers_request = request.cursor.or(updates.found.latest) >= updates.found.after;
        covers_request.then_some(updates)
    }

    /// A message that the user could read, current or not.
    pub fn message(
        &self,
        application: ApplicationId,
        user: &UserId,
        id: MessageId,
    ) -> Option<Cached<Arc<Message>>> {
        self.messages.get(&((application, user.clone()), id))
    }

    /// Whether the cached read can be valid, wherever the timeline ends. `false` saves reading the
    /// end.
    pub fn may_be_current<T>(&self, cached: &Cached<T>) -> bool {
        self.freshness.may_be_current(cached.user, cached.read)
    }

    /// The cached result, if it is valid now that the timeline ends at `end`.
    pub fn validate<T>(&self, cached: Cached<T>, end: Timestamp) -> Option<T> {
        let Cached { found, user, read } = cached;
        self.freshness.is_current(user, read, end).then_some(found)
    }

    /// Begins a read about a user. Must be called before the database is read.
    pub fn begin(&self, application: ApplicationId, user: &UserId) -> PendingRead {
        PendingRead {
            user: (application, user.clone()),
            read: self.freshness.read_point(application),
        }
    }

    /// Caches a page, without its data, that was read after a cursor. If the timeline of the page
    /// ends before what was notified, the database was restored in place: that begins an epoch.
    pub fn insert_page(&self, pending: PendingRead, cursor: Cursor, page: &Page) {
        if pending.read.may_precede(page.timeline_end) {
            let updates = pending.cached(RecentUpdates::of(cursor, page));
            self.updates.insert(pending.user, updates);
        } else if pending.read.is_of_epoch(self.freshness.epoch()) {
            self.freshness.begin_epoch();
        }
    }

    /// Drops what names one of the users, or is theirs.
    pub fn forget(&self, erased: &ErasedUsers) {
        self.updates.retain(|(application, user), updates| {
            let names = |entry: &Entry| match &entry.update.subject {
                Subject::With(other) => erased.contain(*application, other),
                Subject::Message(_) | Subject::Chat(_) | Subject::Reactions(_) => false,
            };
            !erased.contain(*application, user) && !updates.found.entries.iter().any(names)
        });
        self.messages.retain(|((application, user), _), message| {
            let mut named = message.found.named_users();
            !erased.contain(*application, user)
                && !named.any(|user| erased.contain(*application, user))
        });
    }

    /// How many timelines, and how many messages, are cached.
    pub fn sizes(&self) -> (usize, usize) {
        (self.updates.len(), self.messages.len())
    }

    /// Caches a message that the user may read.
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
            user: NotifiedUser {
                application: self.user.0,
                key: UserKey::of(self.user.0, &self.user.1),
            },
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
        let without_data = entries.iter().map(|entry| Entry {
            update: entry.update.clone(),
            message: None,
        });
        Self {
            after,
            entries: without_data.collect(),
            latest: page.latest,
            trimmed: page.trimmed,
            expired: page.expired,
        }
    }

    /// The page that answers a request, now that the timeline ends at `end`.
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
            timeline_end: end,
            trimmed: self.trimmed,
            expired: self.expired,
        }
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::{
        domain::{ChatNumber, Conversation, ConversationId, MessageNumber, Subject, Update},
        notifications::Notification,
        store::pages::PageSize,
    };

    fn cursor(after: Option<i64>) -> Cursor {
        after.map_or(Cursor::Latest, |after| Cursor::After(Timestamp::new(after)))
    }

    fn request(after: Option<i64>, entries: u16) -> PageRequest {
        PageRequest {
            application: ApplicationId::DEFAULT,
            user: UserId::trusted("jane"),
            cursor: cursor(after),
            size: PageSize { entries, bytes: 0 },
        }
    }

    /// The timestamps on the page after a cursor, and the latest timestamp.
    fn page_after(updates: &RecentUpdates, after: Option<i64>, entries: u16) -> (Vec<i64>, i64) {
        let page = updates.page(&request(after, entries), Timestamp::new(20));
        assert_eq!(page.timeline_end, Timestamp::new(20));
        (
            page.entries
                .iter()
                .map(|entry| entry.update.timestamp.get())
                .collect(),
            page.latest.get(),
        )
    }

    fn page(timestamps: &[i64], latest: i64) -> Page {
        let entry = |timestamp: &i64| Entry {
            update: Update {
                timestamp: Timestamp::new(*timestamp),
                subject: Subject::Message(MessageId::new(1)),
                mention: false,
            },
            message: None,
        };
        let entries = timestamps.iter().map(entry).collect();
        Page {
            entries,
            latest: Timestamp::new(latest),
            timeline_end: Timestamp::new(20),
            trimmed: Timestamp::new(0),
            expired: MessageId::new(0),
        }
    }

    fn erased(application: ApplicationId, user: &str) -> ErasedUsers {
        let mut erased = ErasedUsers::default();
        erased.add(application, Some(UserId::trusted(user)));
        erased
    }

    /// A page whose only entry is of the conversation with a user.
    fn with(user: &str) -> Page {
        let mut page = page(&[3], 3);
        page.entries[0].update.subject = Subject::With(UserId::trusted(user));
        page
    }

    fn deleted_message() -> Message {
        Message {
            id: MessageId::new(1),
            timestamp: Timestamp::new(3),
            from: Some(UserId::trusted("jane")),
            conversation: Conversation::Chat(ChatNumber::new(7)),
            conversation_id: ConversationId::new(1),
            number: MessageNumber::new(1),
            created: OffsetDateTime::UNIX_EPOCH,
            system: false,
            content: None,
        }
    }

    #[test]
    fn a_page_to_the_end_answers_every_later_cursor() {
        let updates = RecentUpdates::of(cursor(Some(2)), &page(&[3, 5, 9], 9));
        assert_eq!(updates.after, Timestamp::new(2));
        assert_eq!(page_after(&updates, Some(2), 50), (vec![3, 5, 9], 9));
        assert_eq!(page_after(&updates, Some(2), 2), (vec![3, 5], 9));
        assert_eq!(page_after(&updates, Some(5), 50), (vec![9], 9));
        assert_eq!(page_after(&updates, Some(11), 50), (vec![], 9));
        assert_eq!(page_after(&updates, None, 50), (vec![], 9));
    }

    #[test]
    fn any_other_page_caches_the_latest_timestamp_alone() {
        let cut = RecentUpdates::of(cursor(Some(2)), &page(&[3, 5], 9));
        let from_now_on = RecentUpdates::of(Cursor::Latest, &page(&[], 9));
        let ahead = RecentUpdates::of(cursor(Some(12)), &page(&[], 9));
        for updates in [cut, from_now_on, ahead] {
            assert_eq!(updates.after, Timestamp::new(9));
            assert_eq!(page_after(&updates, Some(9), 50), (vec![], 9));
        }
    }

    #[test]
    fn a_request_follows_where_the_timeline_was_read_to_its_end() {
        let cache = ReadCache::new(Arc::new(Freshness::new(Arc::default())));
        let is_followed = |after| cache.updates(&request(after, 50)).is_some();
        assert!(!is_followed(Some(0)));
        let pending = cache.begin(ApplicationId::DEFAULT, &UserId::trusted("jane"));
        cache.insert_page(pending, cursor(Some(2)), &page(&[3, 5, 9], 9));
        for (after, follows) in [
            (Some(0), false),
            (Some(2), true),
            (Some(9), true),
            (None, true),
        ] {
            assert_eq!(is_followed(after), follows, "{after:?}");
        }
    }

    #[test]
    fn what_names_an_erased_user_is_dropped_and_nothing_else() {
        let cache = ReadCache::new(Arc::new(Freshness::new(Arc::default())));
        let (one, other) = (ApplicationId::DEFAULT, ApplicationId::new(2));
        for application in [one, other] {
            let pending = || cache.begin(application, &UserId::trusted("jane"));
            cache.insert_page(pending(), cursor(Some(2)), &page(&[3], 3));
            cache.insert_message(pending(), Arc::new(deleted_message()));
        }
        assert_eq!(cache.sizes(), (2, 2));
        cache.forget(&erased(other, "jim"));
        assert_eq!(cache.sizes(), (2, 2));
        cache.forget(&erased(other, "jane"));
        assert_eq!(cache.sizes(), (1, 1));
        assert!(cache.updates(&request(Some(2), 50)).is_some());
        let john = cache.begin(one, &UserId::trusted("john"));
        cache.insert_page(john, cursor(Some(2)), &with("jim"));
        cache.forget(&erased(one, "jim"));
        assert_eq!(cache.sizes(), (1, 1));
        cache.forget(&erased(one, "jane"));
        assert_eq!(cache.sizes(), (0, 0));
    }

    #[test]
    fn a_timeline_that_becomes_shorter_invalidates_the_cache() {
        let freshness = Arc::new(Freshness::new(Arc::default()));
        let cache = ReadCache::new(Arc::clone(&freshness));
        let notify = |payload: &str| freshness.record(&Notification::parse(payload));
        let read = |user: &str| {
            let pending = cache.begin(ApplicationId::DEFAULT, &UserId::trusted(user));
            cache.insert_page(pending, cursor(Some(2)), &page(&[3], 3));
        };
        notify("1 1 20 20 0 0 ");
        read("jane");
        let updates = || {
            let updates = cache.updates(&request(Some(2), 50));
            updates.filter(|updates| cache.may_be_current(updates))
        };
        let end = Timestamp::new(20);
        assert!(
            updates()
                .and_then(|updates| cache.validate(updates, end))
                .is_some()
        );
        notify("1 1 20 30 0 0 ");
        assert!(updates().is_some(), "no change has concerned the user");
        read("john");
        assert!(updates().is_none());
        notify("1 1 20 20 0 0 ");
        assert!(updates().is_none());
    }
}
