//! Versions of messages. With them, a page with data mostly costs no more than a page of ids.
//!
//! A timestamp belongs to one change of one thing, so the version that is cached under it never
//! changes. It is valid in one [epoch](Freshness::epoch) only: after a restore, or a failover that
//! loses commits, the same numbers belong to other changes.
//!
//! The cached version of a message's newest entry on a page is the *present* version if the page
//! reaches the end of the user's timeline, and no later entry is of the message's chat. In that
//! case the user has been a member since, has read the message since (a chat that changes what its
//! members read is a later entry), and so every change of it since would be on the user's timeline. A message
//! that may have expired is read again: the page tells up to which id messages have.
//!
//! The figure: without this cache, the service answers 4 times as many pages of 50 without data
//! as with data; with the cache, 1.3 times as many. (In moka's cache, which keeps entries in the
//! order of use, 50 lookups took 70 µs.)

use std::{collections::HashSet, sync::Arc};

use quick_cache::{Weighter, sync::Cache};

use super::freshness::Freshness;
use crate::{
    domain::{ApplicationId, ChatNumber, ErasedUsers, MessageId, Subject, Timestamp},
    store::{
        Version,
        pages::{ENTRY_BYTES, Page, PageRequest},
    },
};

/// The most bytes that are cached: some 40,000 messages of one line of text.
const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The bytes that a version takes besides its data.
const OVERHEAD_BYTES: usize = 500;

/// The epoch, the application, and the timestamp of the change that made the version.
type VersionKey = (u64, ApplicationId, Timestamp);

/// Cached versions of messages, as many as fit.
pub struct VersionCache {
    versions: Cache<VersionKey, Arc<Version>, VersionWeight>,
    freshness: Arc<Freshness>,
}

/// Weighs a version by the bytes that it takes in memory, including its JSON.
#[derive(Clone)]
struct VersionWeight;

impl Weighter<VersionKey, Arc<Version>> for VersionWeight {
    fn weight(&self, _: &VersionKey, version: &Arc<Version>) -> u64 {
        (version.bytes() + OVERHEAD_BYTES) as u64
    }
}

impl VersionCache {
    pub fn new(freshness: Arc<Freshness>) -> Self {
        let expected = BYTES_MAX as usize / (2 * OVERHEAD_BYTES);
        Self {
            versions: Cache::with_weighter(expected, BYTES_MAX, VersionWeight),
            freshness,
        }
    }

    /// Adds the data to a page of ids that was read in `epoch`. `None` if a version is not cached,
    /// or is not certainly the present one, or if the data have more bytes than `request` allows.
    pub fn fill(&self, epoch: u64, request: &PageRequest, mut page: Page) -> Option<Page> {
        if !page.reaches_end() {
            // A change that makes one of these messages what it is now may be on a later page.
            return None;
        }
        let mut bytes = ENTRY_BYTES * page.entries.len();
        let (mut seen, mut changed_chats) = (HashSet::new(), HashSet::new());
        for entry in page.entries.iter_mut().rev() {
            match &entry.update.subject {
                Subject::Chat(chat) => {
                    changed_chats.insert(*chat);
                }
                // It may have expired, of which no entry tells that names it.
                Subject::Message(id) if *id <= page.expired => return None,
                Subject::Message(id) if seen.insert(*id) => {
                    let newest = (epoch, request.application, entry.update.timestamp);
                    let version = self.present(newest, *id, &changed_chats)?;
                    bytes += version.bytes();
                    entry.message = Some(version);
                }
                Subject::Message(_) | Subject::With(_) | Subject::Reactions(_) => {}
            }
        }
        // A new connection begins an epoch. So within one epoch, the page and the versions are of
        // one history of the database.
        let is_whole = bytes < request.size.bytes && self.freshness.epoch() == epoch;
        is_whole.then_some(page)
    }

    /// Drops the versions that name one of the users.
    pub fn forget(&self, erased: &ErasedUsers) {
        self.versions.retain(|(_, application, _), version| {
            !erased.are_named_in(*application, version.json.get())
        });
    }

    /// How many versions are cached.
    pub fn size(&self) -> usize {
        self.versions.len()
    }

    /// The version that a message's newest change has made, unless the chat has changed since. In
    /// that case the user may have left, and may not read it, or may have come back and missed
    /// changes in between.
    fn present(
        &self,
        newest: VersionKey,
        id: MessageId,
        changed_chats: &HashSet<ChatNumber>,
    ) -> Option<Arc<Version>> {
        let version = self.versions.get(&newest)?;
        let is_of_changed_chat = |chat| changed_chats.contains(&chat);
        let has_changed = version.conversation.chat().is_some_and(is_of_changed_chat);
        (version.id == id && !has_changed).then_some(version)
    }

    /// Caches the versions of a page that was read in `epoch` and reaches the end of the user's timeline.
    /// The page takes the cached version instead of its own if they are equal, so that the pages of slow
    /// followers share memory.
    pub fn insert(&self, epoch: u64, application: ApplicationId, page: &mut Page) {
        for entry in &mut page.entries {
            if let Some(version) = &mut entry.message {
                let key = (epoch, application, version.timestamp);
                match self.versions.get(&key).filter(|cached| cached == version) {
                    Some(cached) => *version = cached,
                    None => self.versions.insert(key, Arc::clone(version)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::{
        domain::{Conversation, Cursor, Update, UserId},
        store::pages::{Entry, PageSize},
    };

    /// Message `id` as the change at `timestamp` has left it: in a chat, or else in a conversation
    /// of two.
    fn version(id: i64, timestamp: i64, chat: Option<i64>, json: &str) -> Arc<Version> {
        let (jane, john) = (UserId::trusted("jane"), UserId::trusted("john"));
        Arc::new(Version {
            id: MessageId::new(id),
            timestamp: Timestamp::new(timestamp),
            conversation: match chat {
                Some(chat) => Conversation::Chat(ChatNumber::new(chat)),
                None => Conversation::between(&jane, &john),
            },
            json: RawValue::from_string(json.to_owned()).unwrap(),
        })
    }

    fn entry(timestamp: i64, subject: Subject) -> Entry {
        let timestamp = Timestamp::new(timestamp);
        Entry {
            update: Update {
                timestamp,
                subject,
                mention: false,
            },
            message: None,
        }
    }

    fn message(timestamp: i64, id: i64) -> Entry {
        entry(timestamp, Subject::Message(MessageId::new(id)))
    }

    fn chat(timestamp: i64, number: i64) -> Entry {
        entry(timestamp, Subject::Chat(ChatNumber::new(number)))
    }

    /// The entry of the change that has made a version, with the version.
    fn with_data(version: &Arc<Version>) -> Entry {
        Entry {
            message: Some(Arc::clone(version)),
            ..message(version.timestamp.get(), version.id.get())
        }
    }

    /// A page that reaches the end of the timeline.
    fn page(entries: Vec<Entry>) -> Page {
        let latest = entries
            .last()
            .map_or(Timestamp::new(0), |entry| entry.update.timestamp);
        Page {
            entries,
            latest,
            timeline_end: Timestamp::new(1000),
            trimmed: Timestamp::new(0),
            expired: MessageId::new(0),
        }
    }

    /// A cache that holds `versions`.
    fn caching(versions: &[Arc<Version>]) -> VersionCache {
        let cache = VersionCache::new(Arc::new(Freshness::new(Arc::default())));
        for version in versions {
            cache.insert(
                0,
                ApplicationId::DEFAULT,
                &mut page(vec![with_data(version)]),
            );
        }
        cache
    }

    fn request(bytes: usize) -> PageRequest {
        PageRequest {
            application: ApplicationId::DEFAULT,
            user: UserId::trusted("john"),
            cursor: Cursor::After(Timestamp::new(0)),
            size: PageSize { entries: 50, bytes },
        }
    }

    /// The data on the page. `None` if it has to be read from the database.
    fn data(cache: &VersionCache, page: Page) -> Option<Vec<Option<String>>> {
        let data = |entry: &Entry| Some(entry.message.as_ref()?.json.get().to_owned());
        let filled = cache.fill(cache.freshness.epoch(), &request(1024 * 1024), page)?;
        Some(filled.entries.iter().map(data).collect())
    }

    fn some(json: &str) -> Option<String> {
        Some(json.to_owned())
    }

    #[test]
    fn what_is_cached_is_on_the_page_once_at_its_newest_entry() {
        let cache = caching(&[
            version(1, 5, None, r#""edited""#),
            version(2, 4, None, r#""hi""#),
        ]);
        let page = page(vec![message(3, 1), message(4, 2), message(5, 1)]);
        assert_eq!(
            data(&cache, page),
            Some(vec![None, some(r#""hi""#), some(r#""edited""#)])
        );
        assert_eq!(data(&cache, self::page(Vec::new())), Some(Vec::new()));
    }

    #[test]
    fn what_is_not_cached_has_to_be_read() {
        let cache = caching(&[version(1, 3, None, r#""hi""#)]);
        assert_eq!(data(&cache, page(vec![message(3, 1), message(4, 2)])), None);
        assert_eq!(
            data(&cache, page(vec![message(3, 1), message(5, 1)])),
            None,
            "it was edited"
        );
    }

    #[test]
    fn a_page_before_the_end_has_to_be_read() {
        let cache = caching(&[version(1, 3, None, r#""hi""#)]);
        let earlier = Page {
            latest: Timestamp::new(9),
            ..page(vec![message(3, 1)])
        };
        assert_eq!(data(&cache, earlier), None);
    }

    #[test]
    fn a_message_of_a_chat_that_has_changed_since_has_to_be_read() {
        let cache = caching(&[version(1, 3, Some(7), r#""hi""#)]);
        assert_eq!(
            data(&cache, page(vec![chat(2, 7), message(3, 1)])),
            Some(vec![None, some(r#""hi""#)])
        );
        assert_eq!(
            data(&cache, page(vec![message(3, 1), chat(4, 8)])),
            Some(vec![some(r#""hi""#), None])
        );
        assert_eq!(data(&cache, page(vec![message(3, 1), chat(4, 7)])), None);
    }

    #[test]
    fn a_page_that_may_be_too_long_has_to_be_read() {
        let cache = caching(&[version(1, 3, None, &format!("\"{}\"", "x".repeat(600)))]);
        let (page, beside) = (page(vec![message(3, 1)]), ENTRY_BYTES);
        let too_long = cache.fill(0, &request(beside + 602), page.clone());
        assert_eq!(too_long, None);
        assert!(cache.fill(0, &request(beside + 603), page).is_some());
    }

    #[test]
    fn what_names_an_erased_user_has_to_be_read() {
        let cache = caching(&[
            version(1, 3, None, r#"{"from":"jane"}"#),
            version(2, 4, None, r#"{"from":"john"}"#),
        ]);
        let mut erased = ErasedUsers::default();
        erased.add(ApplicationId::DEFAULT, Some(UserId::trusted("jane")));
        cache.forget(&erased);
        assert_eq!(cache.size(), 1);
        assert_eq!(data(&cache, page(vec![message(3, 1)])), None);
        assert!(data(&cache, page(vec![message(4, 2)])).is_some());
    }

    #[test]
    fn reused_numbers_show_nothing_of_an_earlier_history() {
        let cache = caching(&[version(1, 3, None, r#""before""#)]);
        assert_eq!(
            data(&cache, page(vec![message(3, 2)])),
            None,
            "it is another message"
        );

        let again = version(1, 3, None, r#""after""#);
        let mut read = page(vec![with_data(&again)]);
        cache.insert(0, ApplicationId::DEFAULT, &mut read);
        let shared = read.entries[0].message.as_ref();
        assert_eq!(shared, Some(&again), "what was read counts");
        cache.freshness.begin_epoch();
        assert_eq!(
            data(&cache, page(vec![message(3, 1)])),
            None,
            "the connection is another"
        );
        let cache = caching(&[version(1, 3, None, r#""before""#)]);
        cache.freshness.begin_epoch();
        let read_before = page(vec![message(3, 1)]);
        let filled = cache.fill(0, &request(1024 * 1024), read_before);
        assert_eq!(filled, None);
    }
}
