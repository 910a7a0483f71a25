//! What this replica has heard of the commits of all replicas: enough to know that an earlier read
//! would find the same today.
//!
//! Every commit notifies, in the order of the timeline, which stretch of it was written and whom it
//! concerns. So whoever has heard everything up to `N` knows for each user the last change that he has
//! heard of; and if the timeline's sequence stands at `N`, there is nothing else to know. To ask the
//! sequence is one small query for everybody who waits, and makes what was read before as good as what
//! is read now.
//!
//! What is heard may be late; the comparison with the sequence finds that. A gap between two stretches
//! (a commit that was not heard, or numbers that a failed transaction has lost) voids whatever was
//! read before, and so does a new connection.

use std::sync::{
    Mutex, PoisonError,
    atomic::{
        AtomicI64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

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
    /// Everything up to here was heard.
    through: AtomicI64,
    /// What was read before this point is void.
    since: AtomicI64,
    /// The last change of the users of each slot.
    changed: Box<[AtomicI64]>,
}

impl Default for Heard {
    fn default() -> Self {
        let changed = (0..SLOTS).map(|_| AtomicI64::new(NOTHING)).collect();
        let nothing = || AtomicI64::new(NOTHING);
        Self { writing: Mutex::default(), through: nothing(), since: nothing(), changed }
    }
}

impl Heard {
    /// What was heard so far counts no more: a connection to the database was lost, and it may have
    /// another history now.
    pub fn nothing(&self) {
        self.write(|| self.through.store(NOTHING, Release));
    }

    /// Takes a notification in; they come in the order of commits.
    pub fn hear(&self, wakeup: &Wakeup) {
        match wakeup.stretch {
            Some(stretch) => self.write(|| self.note(wakeup, stretch)),
            None => self.nothing(),
        }
    }

    fn note(&self, wakeup: &Wakeup, stretch: Stretch) {
        let last = stretch.last.0;
        if self.through.load(Relaxed) != stretch.after.0 {
            self.since.store(last, Relaxed);
        }
        match &wakeup.who {
            Who::Users(keys) => {
                keys.iter().for_each(|key| self.slot(*key).store(last, Relaxed));
            }
            Who::Everybody => self.since.store(last, Relaxed),
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

    /// The point up to which everything was heard. Whatever is read from now on was read in a snapshot
    /// that holds all of it.
    pub fn through(&self) -> Timestamp {
        Timestamp(self.through.load(Acquire))
    }

    /// Whether what was read about a user, with everything up to `as_of` in its snapshot, is what a
    /// read would find that begins now, when the sequence stands at `last_given`.
    pub fn stands(&self, user: WakeKey, as_of: Timestamp, last_given: Timestamp) -> bool {
        let is_complete = self.through() == last_given;
        let since = self.since.load(Relaxed);
        is_complete && since <= as_of.0 && self.slot(user).load(Relaxed) <= as_of.0
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
        let stretch = Stretch { after: Timestamp(after), last: Timestamp(last) };
        let users = users.iter().map(|user| key(user)).collect();
        Wakeup { who: Who::Users(users), written: None, stretch: Some(stretch), goes_on: false }
    }

    /// What has heard all of these.
    fn heard(wakeups: &[Wakeup]) -> Heard {
        let heard = Heard::default();
        wakeups.iter().for_each(|wakeup| heard.hear(wakeup));
        heard
    }

    /// Whether what was read of a user as of one point stands when the sequence has come to another.
    fn stands(heard: &Heard, user: &str, as_of: i64, last_given: i64) -> bool {
        heard.stands(key(user), Timestamp(as_of), Timestamp(last_given))
    }

    #[test]
    fn what_was_read_stands_until_the_user_is_concerned() {
        let heard = heard(&[commit(5, 5, &[]), commit(5, 7, &["jane"]), commit(7, 9, &["john"])]);
        assert_eq!(heard.through(), Timestamp(9));
        assert!(!stands(&heard, "jane", 5, 9), "a change concerned her");
        assert!(stands(&heard, "jane", 7, 9));
        assert!(!stands(&heard, "john", 7, 9));
        assert!(stands(&heard, "john", 9, 9));
        assert!(stands(&heard, "jim", 5, 9), "nothing concerned him");
    }

    #[test]
    fn nothing_stands_while_something_was_not_heard() {
        let heard = heard(&[commit(5, 7, &["jane"])]);
        assert!(stands(&heard, "jim", 7, 7));
        assert!(!stands(&heard, "jim", 7, 8), "a commit may be on its way");
        assert!(!stands(&heard, "jim", 7, 6), "the database has another history");
    }

    #[test]
    fn what_was_read_before_the_first_commit_that_was_heard_is_void() {
        let heard = heard(&[commit(5, 7, &["jane"])]);
        assert!(!stands(&heard, "jim", 5, 7));
        assert!(!stands(&heard, "jim", -1, 7), "nothing was heard when it was read");
        assert!(!stands(&Heard::default(), "jim", -1, 0));
    }

    #[test]
    fn a_gap_voids_what_was_read_before() {
        let heard = heard(&[commit(5, 7, &["jane"]), commit(8, 9, &["john"])]);
        assert!(!stands(&heard, "jim", 7, 9));
        assert!(stands(&heard, "jim", 9, 9));
    }

    #[test]
    fn another_connection_knows_nothing_until_it_hears_something() {
        let heard = heard(&[commit(5, 7, &["jane"])]);
        heard.nothing();
        assert!(!stands(&heard, "jim", 7, 7));
        heard.hear(&commit(7, 7, &[]));
        assert!(stands(&heard, "jim", 7, 7), "nothing has happened meanwhile");
        heard.nothing();
        heard.hear(&commit(9, 9, &[]));
        assert!(!stands(&heard, "jim", 7, 9), "something has");
    }

    #[test]
    fn a_commit_in_several_notifications_is_heard_with_the_last_one() {
        let first = Wakeup { goes_on: true, ..commit(7, 9, &["jane"]) };
        let heard = heard(&[commit(5, 7, &[]), first]);
        assert_eq!(heard.through(), Timestamp(7));
        heard.hear(&commit(7, 9, &["john"]));
        assert_eq!(heard.through(), Timestamp(9));
        assert!(!stands(&heard, "jane", 7, 9));
        assert!(!stands(&heard, "john", 7, 9));
        assert!(stands(&heard, "jim", 7, 9));
    }

    #[test]
    fn a_commit_that_may_concern_everybody_voids_what_was_read_before() {
        let heard = heard(&[commit(5, 7, &[]), Wakeup { who: Who::Everybody, ..commit(7, 9, &[]) }]);
        assert!(!stands(&heard, "jim", 7, 9));
        assert!(stands(&heard, "jim", 9, 9));
        heard.hear(&Wakeup::EVERYBODY);
        assert!(!stands(&heard, "jim", 9, 9), "nobody knows how far this one went");
    }
}
