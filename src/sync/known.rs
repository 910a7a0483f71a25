//! What was read lately about users, with how much of the timeline had been heard by then.
//!
//! Nothing here is invalidated. Whether a fact still stands is asked of [`Heard`] when it is needed,
//! with a look at the sequence that begins after the question; so an answer from here is the one that
//! the database would give.

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};

use super::heard::Heard;
use crate::{
    domain::{ApplicationId, Message, MessageId, Timestamp, UserId},
    store::wakeups::WakeKey,
};

/// Users whose newest change is kept; each takes about 150 bytes.
const USERS_MAX: usize = 100_000;

/// The messages that are kept, in bytes.
const MESSAGES_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// What a message costs beside its data, in bytes.
const OVERHEAD_BYTES: usize = 500;

type User = (ApplicationId, UserId);

/// What is known of users, as far as it fits.
pub struct Known {
    heard: Arc<Heard>,
    latest: Cache<User, Fact<Timestamp>>,
    messages: Cache<(User, MessageId), Fact<Arc<Message>>, Bytes>,
}

/// Something that was true of a user.
#[derive(Clone)]
pub struct Fact<T> {
    pub what: T,
    user: WakeKey,
    as_of: Timestamp,
}

/// A read about a user that is about to begin.
pub struct Reading {
    user: User,
    as_of: Timestamp,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<(User, MessageId), Fact<Arc<Message>>> for Bytes {
    fn weight(&self, _: &(User, MessageId), message: &Fact<Arc<Message>>) -> u64 {
        (message.what.data_bytes() + OVERHEAD_BYTES) as u64
    }
}

impl Known {
    pub fn new(heard: Arc<Heard>) -> Self {
        let messages_expected = MESSAGES_BYTES_MAX as usize / (2 * OVERHEAD_BYTES);
        Self {
            heard,
            latest: Cache::new(USERS_MAX),
            messages: Cache::with_weighter(messages_expected, MESSAGES_BYTES_MAX, Bytes),
        }
    }

    /// The newest change that concerned the user, where that may still be so.
    pub fn latest(&self, application: ApplicationId, user: &UserId) -> Option<Fact<Timestamp>> {
        let latest = self.latest.get(&(application, user.clone()))?;
        self.may_stand(&latest).then_some(latest)
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

    /// Whether a fact stands now, when the sequence stands at `last_given`.
    pub fn stands<T>(&self, fact: &Fact<T>, last_given: Timestamp) -> bool {
        self.heard.stands(fact.user, fact.as_of, last_given)
    }

    /// Whether it is worth to ask the sequence.
    fn may_stand<T>(&self, fact: &Fact<T>) -> bool {
        self.stands(fact, self.heard.through())
    }

    /// To be called before the database is asked about a user.
    pub fn begin(&self, application: ApplicationId, user: &UserId) -> Reading {
        Reading { user: (application, user.clone()), as_of: self.heard.through() }
    }

    pub fn learn_latest(&self, reading: Reading, latest: Timestamp) {
        let fact = reading.fact(latest);
        self.latest.insert(reading.user, fact);
    }

    pub fn learn_message(&self, reading: Reading, message: Arc<Message>) {
        let id = message.id;
        let fact = reading.fact(message);
        self.messages.insert((reading.user, id), fact);
    }
}

impl Reading {
    fn fact<T>(&self, what: T) -> Fact<T> {
        let user = WakeKey::of(self.user.0, &self.user.1);
        Fact { what, user, as_of: self.as_of }
    }
}
