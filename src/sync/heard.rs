//! What this replica has heard of the commits of all replicas: enough to know that an earlier read
//! would find the same today.
//!
//! Every commit notifies, in the order of the timeline, which stretch of it was written and whom it
//! concerns. So whoever has heard everything up to `N` knows for each user the last change of it. And a
//! batch sets the sequence before it commits: if the sequence stands at `N`, nothing beyond `N` is
//! committed, and there is nothing else to know. To ask the sequence is one small query for everybody
//! on a thread who waits, and makes what was read before as good as what is read now.
//!
//! What is heard may be late; the comparison with the sequence finds that. PostgreSQL delivers a
//! notification to whoever sees its commit already, so what was heard before a read is in the read's
//! snapshot. A gap between two stretches (a commit that was not heard, or numbers that a failed
//! transaction has lost) voids what was read before.
//!
//! All of this is true of one history of the database. After a restore, or a failover that has lost
//! commits, the same numbers name other changes. So every connection that is made to read or to listen
//! begins an *era*, and so does a stretch that begins before what was heard. Nothing counts in it that
//! was heard or read before; the listener then has how far the timeline has come announced anew.

use std::sync::{
    Mutex, PoisonError,
    atomic::{
        AtomicI64, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use tokio::sync::Notify;

use crate::{
    domain::Timestamp,
    store::wakeups::{Stretch, WakeKey, Wakeup, Who},
};

/// Users are told apart by this many slots: those who share one are taken to have changed together.
/// Half a megabyte.
const SLOTS: usize = 1 << 16;

/// Stands for the point up to which everything was heard where that is nothing. No sequence stands there.
const NOTHING: i64 = -1;

/// What was heard so far. Those who write it take turns; any number ask.
pub struct Heard {
    writing: Mutex<()>,
    /// Counts how often everything was void.
    era: AtomicU64,
    /// Notified when an era begins.
    begun: Notify,
    /// Everything up to here was heard.
    through: AtomicI64,
    /// What was read before this point is void.
    since: AtomicI64,
    /// The last change of the users of each slot.
    changed: Box<[AtomicI64]>,
}

/// What was known of the timeline when something was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsOf {
    era: u64,
    through: i64,
}

impl AsOf {
    /// Whether it is of an era.
    pub fn is_of(self, era: u64) -> bool {
        self.era == era
    }

    /// Whether a read that began then may find the sequence at `last_given`. It may not where the
    /// database was restored in place.
    pub fn may_precede(self, last_given: Timestamp) -> bool {
        self.through <= last_given.0
    }
}

impl Default for Heard {
    fn default() -> Self {
        let changed = (0..SLOTS).map(|_| AtomicI64::new(NOTHING)).collect();
        let nothing = || AtomicI64::new(NOTHING);
        Self {
            writing: Mutex::default(),
            era: AtomicU64::new(0),
            begun: Notify::new(),
            through: nothing(),
            since: nothing(),
            changed,
        }
    }
}

impl Heard {
    /// Begins an era: nothing was heard, and what was read so far is void.
    pub fn begin_era(&self) {
        self.write(|| self.void());
    }

    fn void(&self) {
        self.through.store(NOTHING, Release);
        // Whoever sees the new era, or anything that is stored after it, sees nothing of the one before.
        self.era.fetch_add(1, Release);
        self.changed
            .iter()
            .for_each(|changed| changed.store(NOTHING, Release));
        self.begun.notify_one();
    }

    /// Waits until an era begins, unless one has since the last wait.
    pub async fn era_begun(&self) {
        self.begun.notified().await;
    }

    /// Takes a notification in; they come in the order of commits.
    pub fn hear(&self, wakeup: &Wakeup) {
        match wakeup.stretch {
            Some(stretch) => self.write(|| self.note(wakeup, stretch)),
            None => self.begin_era(),
        }
    }

    fn note(&self, wakeup: &Wakeup, stretch: Stretch) {
        let (through, last) = (self.through.load(Relaxed), stretch.last.0);
        if through > stretch.after.0 {
            // The numbers were given before: the database was restored in place.
            self.void();
        }
        if through != stretch.after.0 {
            self.since.store(last, Release);
        }
        match &wakeup.who {
            Who::Users(keys) => {
                keys.iter()
                    .for_each(|key| self.slot(*key).store(last, Release));
            }
            Who::Everybody => self.since.store(last, Release),
        }
        if !wakeup.goes_on {
            // Whoever sees it sees what was stored before.
            self.through.store(last, Release);
        }
    }

    fn write(&self, step: impl FnOnce()) {
        // It guards nothing but the turn.
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        step();
    }

    /// What is known now. A read that begins now has all of it in its snapshot, or is of a later era.
    pub fn now(&self) -> AsOf {
        let era = self.era();
        AsOf {
            era,
            through: self.through.load(Acquire),
        }
    }

    /// Which era it is.
    pub fn era(&self) -> u64 {
        self.era.load(Acquire)
    }

    /// Whether what was read about a user, with everything of `as_of` in its snapshot, is what a read
    /// would find that begins now, when the sequence stands at `last_given`.
    pub fn stands(&self, user: WakeKey, as_of: AsOf, last_given: Timestamp) -> bool {
        let is_complete = self.through.load(Acquire) == last_given.0;
        let void_before = self.since.load(Acquire).max(self.slot(user).load(Acquire));
        // The era last: whoever has seen something of a new one sees that it has begun.
        is_complete && void_before <= as_of.through && as_of.era == self.era()
    }

    /// Whether it may stand, as far as is known without a look at the sequence.
    pub fn may_stand(&self, user: WakeKey, as_of: AsOf) -> bool {
        self.stands(user, as_of, Timestamp(self.through.load(Acquire)))
    }

    fn slot(&self, user: WakeKey) -> &AtomicI64 {
        &self.changed[user.slot(SLOTS)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ApplicationId, UserId};

    fn key(user: &str) -> WakeKey {
        WakeKey::of(ApplicationId::DEFAULT, &UserId::trusted(user))
    }

    /// A commit of the changes after one timestamp, up to another.
    fn commit(after: i64, last: i64, users: &[&str]) -> Wakeup {
        let stretch = Stretch {
            after: Timestamp(after),
            last: Timestamp(last),
        };
        let users = users.iter().map(|user| key(user)).collect();
        Wakeup {
            who: Who::Users(users),
            written: None,
            stretch: Some(stretch),
            goes_on: false,
        }
    }

    /// Whether what was read of a user at one time stands when the sequence has come to a timestamp.
    fn stands(heard: &Heard, user: &str, as_of: AsOf, last_given: i64) -> bool {
        heard.stands(key(user), as_of, Timestamp(last_given))
    }

    #[test]
    fn what_was_read_stands_until_the_user_is_concerned() {
        let heard = Heard::default();
        heard.hear(&commit(5, 5, &[]));
        let at_5 = heard.now();
        heard.hear(&commit(5, 7, &["jane"]));
        let at_7 = heard.now();
        heard.hear(&commit(7, 9, &["john"]));
        assert!(!stands(&heard, "jane", at_5, 9), "a change concerned her");
        assert!(stands(&heard, "jane", at_7, 9));
        assert!(!stands(&heard, "john", at_7, 9));
        assert!(stands(&heard, "john", heard.now(), 9));
        assert!(stands(&heard, "jim", at_5, 9), "nothing concerned him");
    }

    #[test]
    fn nothing_stands_while_something_was_not_heard() {
        let heard = Heard::default();
        heard.hear(&commit(5, 7, &["jane"]));
        let at_7 = heard.now();
        assert!(stands(&heard, "jim", at_7, 7));
        assert!(
            !stands(&heard, "jim", at_7, 8),
            "a commit may be on its way"
        );
        assert!(heard.may_stand(key("jim"), at_7), "nobody knows of it yet");
        assert!(
            !stands(&heard, "jim", at_7, 6),
            "the database has another history"
        );
        assert!(at_7.may_precede(Timestamp(7)) && !at_7.may_precede(Timestamp(6)));
    }

    #[test]
    fn what_was_read_before_the_first_commit_that_was_heard_is_void() {
        let heard = Heard::default();
        let at_first = heard.now();
        assert!(!stands(&heard, "jim", at_first, 0));
        for last in [0, 7] {
            heard.hear(&commit(last, last, &[]));
            assert!(!stands(&heard, "jim", at_first, last));
            assert!(stands(&heard, "jim", heard.now(), last));
        }
    }

    #[test]
    fn a_gap_voids_what_was_read_before() {
        let heard = Heard::default();
        heard.hear(&commit(5, 7, &["jane"]));
        let at_7 = heard.now();
        heard.hear(&commit(8, 9, &["john"]));
        assert!(!stands(&heard, "jim", at_7, 9));
        assert!(stands(&heard, "jim", heard.now(), 9));
    }

    #[test]
    fn another_connection_voids_what_was_read_before() {
        let heard = Heard::default();
        heard.hear(&commit(5, 7, &["jane"]));
        let before = heard.now();
        heard.begin_era();
        let between = heard.now();
        assert!(!stands(&heard, "jim", before, 7));
        for last in [7, 6, 9] {
            heard.hear(&commit(last, last, &[]));
            assert!(
                !stands(&heard, "jim", before, last),
                "{last} may be another"
            );
            assert!(
                !stands(&heard, "jim", between, last),
                "nothing was heard yet"
            );
            assert!(stands(&heard, "jim", heard.now(), last));
        }
    }

    #[test]
    fn numbers_that_are_given_again_void_what_was_read_before() {
        let heard = Heard::default();
        heard.hear(&commit(5, 7, &["jane"]));
        let before = heard.now();
        heard.hear(&commit(2, 3, &["john"]));
        for last in 3..=9 {
            for user in ["jane", "john", "jim"] {
                assert!(!stands(&heard, user, before, last), "{user} at {last}");
                assert!(stands(&heard, user, heard.now(), last), "{user} at {last}");
            }
            heard.hear(&commit(last, last + 1, &["john"]));
        }
    }

    #[test]
    fn a_commit_in_several_notifications_is_heard_with_the_last_one() {
        let heard = Heard::default();
        heard.hear(&commit(5, 7, &[]));
        let at_7 = heard.now();
        heard.hear(&Wakeup {
            goes_on: true,
            ..commit(7, 9, &["jane"])
        });
        assert_eq!(heard.now(), at_7);
        heard.hear(&commit(7, 9, &["john"]));
        assert!(!stands(&heard, "jane", at_7, 9));
        assert!(!stands(&heard, "john", at_7, 9));
        assert!(stands(&heard, "jim", at_7, 9));
    }

    #[test]
    fn a_commit_that_may_concern_everybody_voids_what_was_read_before() {
        let heard = Heard::default();
        heard.hear(&commit(5, 7, &[]));
        let at_7 = heard.now();
        heard.hear(&Wakeup {
            who: Who::Everybody,
            ..commit(7, 9, &[])
        });
        assert!(!stands(&heard, "jim", at_7, 9));
        let at_9 = heard.now();
        assert!(stands(&heard, "jim", at_9, 9));
        heard.hear(&Wakeup::EVERYBODY);
        assert!(
            !stands(&heard, "jim", at_9, 9),
            "nobody knows how far this one went"
        );
    }
}
