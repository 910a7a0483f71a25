//! What was read lately about users, and what had been heard by then.
//!
//! Nothing here is invalidated one by one. Whether a fact still stands is asked of [`Heard`] when it is
//! needed, with a look at the sequence that begins after the question; so an answer from here is the one
//! that the database would give.

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};

use super::heard::{AsOf, Heard};
use crate::{
    domain::{ApplicationId, Message, MessageId, Timestamp, UserId},
    store::{
        pages::{Entry, Page, PageRequest},
        wakeups::WakeKey,
    },
};

/// What is kept of timelines, in bytes, and again of messages: some 17,000 pages of 50, and 70,000
/// messages of a line of text.
const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// What a fact costs beside its data, in bytes.
const OVERHEAD_BYTES: usize = 300;

type User = (ApplicationId, UserId);

/// What is known of users, as far as it fits.
pub struct Known {
    heard: Arc<Heard>,
    tails: Cache<User, Fact<Tail>, Bytes>,
    messages: Cache<(User, MessageId), Fact<Arc<Message>>, Bytes>,
}

/// Something that was true of a user.
#[derive(Clone)]
pub struct Fact<T> {
    what: T,
    user: WakeKey,
    as_of: AsOf,
}

/// The end of a user's timeline.
#[derive(Clone)]
pub struct Tail {
    after: Timestamp,
    /// Everything after it, without data.
    entries: Arc<[Entry]>,
    latest: Timestamp,
}

/// A read about a user that is about to begin.
pub struct Reading {
    user: User,
    as_of: AsOf,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<User, Fact<Tail>> for Bytes {
    fn weight(&self, _: &User, tail: &Fact<Tail>) -> u64 {
        (size_of_val(&*tail.what.entries) + OVERHEAD_BYTES) as u64
    }
}

impl Weighter<(User, MessageId), Fact<Arc<Message>>> for Bytes {
    fn weight(&self, _: &(User, MessageId), message: &Fact<Arc<Message>>) -> u64 {
        (message.what.data_bytes() + OVERHEAD_BYTES) as u64
    }
}

impl Known {
    pub fn new(heard: Arc<Heard>) -> Self {
        let expected = BYTES_MAX as usize / (2 * OVERHEAD_BYTES);
        Self {
            heard,
            tails: Cache::with_weighter(expected, BYTES_MAX, Bytes),
            messages: Cache::with_weighter(expected, BYTES_MAX, Bytes),
        }
    }

    /// The end of the user's timeline, where it may still be so and holds what is asked for.
    pub fn tail(&self, request: &PageRequest) -> Option<Fact<Tail>> {
        let tail = self
            .tails
            .get(&(request.application, request.user.clone()))?;
        let holds_it = request.after.is_none_or(|after| after >= tail.what.after);
        (holds_it && self.may_stand(&tail)).then_some(tail)
    }

    /// A message as the user could read it, where that may still be so.
    pub fn message(
        &self,
        application: ApplicationId,
        user: &UserId,
        id: MessageId,
    ) -> Option<Fact<Arc<Message>>> {
        let message = self.messages.get(&((application, user.clone()), id))?;
        self.may_stand(&message).then_some(message)
    }

    fn may_stand<T>(&self, fact: &Fact<T>) -> bool {
        self.heard.may_stand(fact.user, fact.as_of)
    }

    /// What the fact says, if it stands now that the sequence stands at `last_given`.
    pub fn confirm<T>(&self, fact: Fact<T>, last_given: Timestamp) -> Option<T> {
        self.heard
            .stands(fact.user, fact.as_of, last_given)
            .then_some(fact.what)
    }

    /// To be called before the database is asked about a user.
    pub fn begin(&self, application: ApplicationId, user: &UserId) -> Reading {
        Reading {
            user: (application, user.clone()),
            as_of: self.heard.now(),
        }
    }

    /// Keeps a page without data that was read after a cursor. One that tells of a shorter timeline than
    /// was heard of voids everything: the database was restored in place.
    pub fn learn_page(&self, reading: Reading, after: Option<Timestamp>, page: &Page) {
        if reading.as_of.may_precede(page.last_given) {
            let tail = reading.fact(Tail::of(after, page));
            self.tails.insert(reading.user, tail);
        } else if reading.as_of.is_of(self.heard.era()) {
            self.heard.begin_era();
        }
    }

    /// Keeps a message that the user could read.
    pub fn learn_message(&self, reading: Reading, message: Arc<Message>) {
        let id = message.id;
        let message = reading.fact(message);
        self.messages.insert((reading.user, id), message);
    }
}

impl Reading {
    fn fact<T>(&self, what: T) -> Fact<T> {
        let user = WakeKey::of(self.user.0, &self.user.1);
        Fact {
            what,
            user,
            as_of: self.as_of,
        }
    }
}

impl Tail {
    fn of(after: Option<Timestamp>, page: &Page) -> Self {
        let (after, entries) = match after {
            Some(after) if page.reaches_end() => (after.min(page.latest), page.entries.as_slice()),
            _ => (page.latest, [].as_slice()),
        };
        Self {
            after,
            entries: entries.into(),
            latest: page.latest,
        }
    }

    /// A page of it; `last_given` is where the sequence stands.
    pub fn page(&self, request: &PageRequest, last_given: Timestamp) -> Page {
        let after = request.after.unwrap_or(self.latest);
        let first = self
            .entries
            .partition_point(|entry| entry.timestamp <= after);
        let rest = self.entries[first..].iter();
        let entries = rest.take(request.size.entries.into()).cloned().collect();
        Page {
            entries,
            latest: self.latest,
            last_given,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        pages::{PageSize, Subject},
        wakeups::Wakeup,
    };

    fn request(after: Option<i64>, entries: u16) -> PageRequest {
        PageRequest {
            application: ApplicationId::DEFAULT,
            user: UserId::trusted("jane"),
            after: after.map(Timestamp),
            size: PageSize { entries, bytes: 0 },
        }
    }

    /// The timestamps that a tail gives after a cursor, where it holds them; and what is the latest.
    fn given(tail: &Tail, after: Option<i64>, entries: u16) -> (Vec<i64>, i64) {
        let page = tail.page(&request(after, entries), Timestamp(20));
        assert_eq!(page.last_given, Timestamp(20));
        (
            page.entries.iter().map(|entry| entry.timestamp.0).collect(),
            page.latest.0,
        )
    }

    fn page(timestamps: &[i64], latest: i64) -> Page {
        let entry = |timestamp: &i64| Entry {
            timestamp: Timestamp(*timestamp),
            subject: Subject::Message(MessageId(1), None),
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
        let tail = Tail::of(Some(Timestamp(2)), &page(&[3, 5, 9], 9));
        assert_eq!(tail.after, Timestamp(2));
        assert_eq!(given(&tail, Some(2), 50), (vec![3, 5, 9], 9));
        assert_eq!(given(&tail, Some(2), 2), (vec![3, 5], 9));
        assert_eq!(given(&tail, Some(5), 50), (vec![9], 9));
        assert_eq!(given(&tail, Some(11), 50), (vec![], 9));
        assert_eq!(given(&tail, None, 50), (vec![], 9));
    }

    #[test]
    fn any_other_page_tells_which_change_is_the_latest() {
        let cut = Tail::of(Some(Timestamp(2)), &page(&[3, 5], 9));
        let from_now_on = Tail::of(None, &page(&[], 9));
        let ahead = Tail::of(Some(Timestamp(12)), &page(&[], 9));
        for tail in [cut, from_now_on, ahead] {
            assert_eq!(tail.after, Timestamp(9));
            assert_eq!(given(&tail, Some(9), 50), (vec![], 9));
        }
    }

    #[test]
    fn a_shorter_timeline_voids_what_is_known() {
        let heard = Arc::new(Heard::default());
        let known = Known::new(Arc::clone(&heard));
        let hear = |payload: &str| heard.hear(&Wakeup::parse(payload));
        let learn = |user: &str| {
            let reading = known.begin(ApplicationId::DEFAULT, &UserId::trusted(user));
            known.learn_page(reading, Some(Timestamp(2)), &page(&[3], 3));
        };
        hear("1 20 20 0 ");
        learn("jane");
        let tail = || known.tail(&request(Some(2), 50));
        let last_given = Timestamp(20);
        assert!(
            tail()
                .and_then(|tail| known.confirm(tail, last_given))
                .is_some()
        );
        hear("1 20 30 0 ");
        assert!(tail().is_some(), "nothing has concerned her");
        learn("john");
        assert!(tail().is_none());
        hear("1 20 20 0 ");
        assert!(tail().is_none());
    }
}
