//! The end of the timeline as it was last notified, and the last change that concerns each user:
//! see [`cache`](super).

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::Notify;

use crate::{
    domain::Timestamp,
    notifications::{Concerned, Notification, Subscriber, TimestampRange, UserKey},
};

/// Each user has one of this many slots. A change that concerns one user counts for all users of
/// its slot. They take half a megabyte.
const SLOTS: usize = 1 << 16;

/// No timestamp: smaller than every timestamp.
const NONE: Timestamp = Timestamp::new(-1);

/// What the notifications so far say about the timeline.
pub struct Freshness {
    state: RwLock<NotifiedState>,
    /// Notified when an epoch begins: nothing is current until the end of the timeline is
    /// announced.
    new_epoch: Arc<Notify>,
}

struct NotifiedState {
    epoch: u64,
    notified_up_to: Timestamp,
    valid_from: Timestamp,
    /// By slot.
    last_changes: Box<[Timestamp]>,
}

/// When a read began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadPoint {
    epoch: u64,
    /// `notified_up_to` at that time.
    at: Timestamp,
}

impl ReadPoint {
    pub fn is_of_epoch(self, epoch: u64) -> bool {
        self.epoch == epoch
    }

    /// Whether a read that began at this point can find that the timeline ends at `end`. It cannot,
    /// unless the database was restored in place.
    pub fn may_precede(self, end: Timestamp) -> bool {
        self.at <= end
    }
}

impl Default for Freshness {
    fn default() -> Self {
        Self {
            state: RwLock::new(NotifiedState {
                epoch: 0,
                notified_up_to: NONE,
                valid_from: NONE,
                last_changes: vec![NONE; SLOTS].into(),
            }),
            new_epoch: Arc::default(),
        }
    }
}

impl Freshness {
    /// Starts a new epoch: nothing that was read or notified before is valid.
    pub fn begin_epoch(&self) {
        self.write().begin_epoch();
        self.new_epoch.notify_one();
    }

    /// Notified whenever an epoch begins. Then nothing is current until a notification announces
    /// the end of the timeline.
    pub fn new_epoch(&self) -> Arc<Notify> {
        Arc::clone(&self.new_epoch)
    }

    /// Records a notification. They come in the order of commits.
    pub fn record(&self, notification: &Notification) {
        let begins_epoch = match notification.range {
            Some(range) => self.write().record(notification, range),
            None => {
                self.write().begin_epoch();
                true
            }
        };
        if begins_epoch {
            self.new_epoch.notify_one();
        }
    }

    /// The read point of a read that begins now. Its snapshot holds everything that was notified,
    /// unless an epoch begins before the read.
    pub fn read_point(&self) -> ReadPoint {
        let state = self.read();
        ReadPoint {
            epoch: state.epoch,
            at: state.notified_up_to,
        }
    }

    pub fn epoch(&self) -> u64 {
        self.read().epoch
    }

    /// Whether a read about a user is still what the database would answer, now that the timeline
    /// ends at `end`.
    pub fn is_current(&self, user: UserKey, read: ReadPoint, end: Timestamp) -> bool {
        let state = self.read();
        state.notified_up_to == end && state.may_be_current(user, read)
    }

    /// Whether a read may be current. `false` is certain without reading the end of the timeline.
    pub fn may_be_current(&self, user: UserKey, read: ReadPoint) -> bool {
        self.read().may_be_current(user, read)
    }

    fn read(&self) -> RwLockReadGuard<'_, NotifiedState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, NotifiedState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Freshness {
    fn reconnected(&self) {
        self.begin_epoch();
    }

    fn disconnected(&self) {
        self.begin_epoch();
    }

    fn notified(&self, notification: &Notification) {
        self.record(notification);
    }
}

impl NotifiedState {
    fn begin_epoch(&mut self) {
        self.epoch += 1;
        self.notified_up_to = NONE;
        self.last_changes.fill(NONE);
    }

    /// Returns whether an epoch begins.
    fn record(&mut self, notification: &Notification, range: TimestampRange) -> bool {
        // These numbers were used before: the database was restored in place.
        let begins_epoch = self.notified_up_to > range.after;
        if begins_epoch {
            self.begin_epoch();
        }
        if self.notified_up_to != range.after {
            self.valid_from = range.last;
        }
        match &notification.concerned {
            Concerned::Users(keys) => {
                for key in keys {
                    self.last_changes[key.slot(SLOTS)] = range.last;
                }
            }
            Concerned::Everybody => self.valid_from = range.last,
        }
        if !notification.continues {
            self.notified_up_to = range.last;
        }
        begins_epoch
    }

    fn may_be_current(&self, user: UserKey, read: ReadPoint) -> bool {
        self.last_changes[user.slot(SLOTS)] <= read.at
            && self.valid_from <= read.at
            && self.epoch == read.epoch
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::model::{commit, is_current, key},
        *,
    };

    #[test]
    fn a_read_is_current_until_a_change_concerns_its_user() {
        let freshness = Freshness::default();
        freshness.record(&commit(5, 5, &[]));
        let at_5 = freshness.read_point();
        freshness.record(&commit(5, 7, &["jane"]));
        let at_7 = freshness.read_point();
        freshness.record(&commit(7, 9, &["john"]));
        assert!(!is_current(&freshness, "jane", at_5, 9));
        assert!(is_current(&freshness, "jane", at_7, 9));
        assert!(!is_current(&freshness, "john", at_7, 9));
        assert!(is_current(&freshness, "jim", at_5, 9));
    }

    #[test]
    fn nothing_is_current_while_a_notification_is_late() {
        let freshness = Freshness::default();
        freshness.record(&commit(5, 7, &["jane"]));
        let at_7 = freshness.read_point();
        assert!(is_current(&freshness, "jim", at_7, 7));
        assert!(!is_current(&freshness, "jim", at_7, 8));
        assert!(freshness.may_be_current(key("jim"), at_7));
        assert!(!is_current(&freshness, "jim", at_7, 6), "another history");
        assert!(at_7.may_precede(Timestamp::new(7)) && !at_7.may_precede(Timestamp::new(6)));
    }

    #[test]
    fn a_gap_invalidates_earlier_reads() {
        let freshness = Freshness::default();
        freshness.record(&commit(5, 7, &["jane"]));
        let at_7 = freshness.read_point();
        freshness.record(&commit(8, 9, &["john"]));
        assert!(!is_current(&freshness, "jim", at_7, 9));
        assert!(is_current(&freshness, "jim", freshness.read_point(), 9));
    }

    #[test]
    fn a_new_epoch_invalidates_earlier_reads() {
        let freshness = Freshness::default();
        freshness.record(&commit(5, 7, &["jane"]));
        let before = freshness.read_point();
        freshness.begin_epoch();
        let between = freshness.read_point();
        for last in [7, 6, 9] {
            freshness.record(&commit(last, last, &[]));
            assert!(!is_current(&freshness, "jim", before, last), "{last}");
            assert!(!is_current(&freshness, "jim", between, last), "{last}");
            assert!(is_current(&freshness, "jim", freshness.read_point(), last));
        }
    }

    #[test]
    fn reused_numbers_begin_an_epoch() {
        let freshness = Freshness::default();
        freshness.record(&commit(5, 7, &["jane"]));
        let before = freshness.read_point();
        freshness.record(&commit(2, 3, &["john"]));
        for last in 3..=9 {
            for user in ["jane", "john", "jim"] {
                assert!(!is_current(&freshness, user, before, last), "{user} {last}");
                assert!(is_current(&freshness, user, freshness.read_point(), last));
            }
            freshness.record(&commit(last, last + 1, &["john"]));
        }
    }

    #[test]
    fn a_commit_in_several_notifications_counts_with_the_last_one() {
        let freshness = Freshness::default();
        freshness.record(&commit(5, 7, &[]));
        let at_7 = freshness.read_point();
        freshness.record(&Notification {
            continues: true,
            ..commit(7, 9, &["jane"])
        });
        assert_eq!(freshness.read_point(), at_7);
        freshness.record(&commit(7, 9, &["john"]));
        assert!(!is_current(&freshness, "jane", at_7, 9));
        assert!(!is_current(&freshness, "john", at_7, 9));
        assert!(is_current(&freshness, "jim", at_7, 9));
    }
}
