//! The ends of timelines as they were last notified, and the last change that concerns each user:
//! see [`cache`](super).

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use crate::{
    domain::{ApplicationId, Timestamp},
    notifications::{Announcements, Commit, Concerned, Notification, Subscriber, UserKey},
};

/// Each user has one of this many slots. A change that concerns one user counts for all users of
/// its slot. They take half a megabyte.
const SLOTS: usize = 1 << 16;

/// What the notifications so far say about the timelines.
pub struct Freshness {
    state: RwLock<NotifiedState>,
    announcements: Arc<Announcements>,
}

struct NotifiedState {
    epoch: u64,
    /// How many notifications were received.
    received: u64,
    /// By application, if its timeline was notified in this epoch.
    timelines: HashMap<ApplicationId, NotifiedTimeline>,
    /// The last notification that concerns a user of the slot, as the value of `received`.
    last_changes: Box<[u64]>,
}

#[derive(Clone, Copy)]
struct NotifiedTimeline {
    notified_up_to: Timestamp,
    /// Nothing is valid that was read before this notification, as the value of `received`.
    valid_from: u64,
}

/// A user of an application, as far as notifications tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotifiedUser {
    pub application: ApplicationId,
    pub key: UserKey,
}

/// When a read began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadPoint {
    epoch: u64,
    /// How many notifications had been received.
    received: u64,
    /// Where the application's timeline ended, as far as it was notified.
    notified_up_to: Option<Timestamp>,
}

impl ReadPoint {
    pub fn is_of_epoch(self, epoch: u64) -> bool {
        self.epoch == epoch
    }

    /// Whether a read that began at this point can find that the timeline ends at `end`. It cannot,
    /// unless the database was restored in place.
    pub fn may_precede(self, end: Timestamp) -> bool {
        self.notified_up_to.is_none_or(|notified| notified <= end)
    }
}

impl Freshness {
    /// The ends of timelines are requested from `announcements`.
    pub fn new(announcements: Arc<Announcements>) -> Self {
        Self::with_slots(announcements, SLOTS)
    }

    pub(super) fn with_slots(announcements: Arc<Announcements>, slots: usize) -> Self {
        let state = NotifiedState {
            epoch: 0,
            received: 0,
            timelines: HashMap::new(),
            last_changes: vec![0; slots].into(),
        };
        Self {
            state: RwLock::new(state),
            announcements,
        }
    }

    /// Starts a new epoch: nothing that was read or notified before is valid.
    pub fn begin_epoch(&self) {
        self.write().begin_epoch();
    }

    /// Records a notification. Those of an application come in the order of its commits.
    pub fn record(&self, notification: &Notification) {
        match &notification.commit {
            Some(commit) => self.write().record(commit, &notification.concerned),
            None => self.begin_epoch(),
        }
    }

    /// The read point of a read of an application that begins now. Its snapshot holds everything
    /// that was notified, unless an epoch begins before the read. Nothing that is read at this point
    /// is ever current if the application's timeline was not notified yet; then its end is
    /// announced soon.
    pub fn read_point(&self, application: ApplicationId) -> ReadPoint {
        let read = self.read().read_point(application);
        if read.notified_up_to.is_none() {
            self.announcements.request(application);
        }
        read
    }

    pub fn epoch(&self) -> u64 {
        self.read().epoch
    }

    /// Whether a read about a user is still what the database would answer, now that the
    /// application's timeline ends at `end`.
    pub fn is_current(&self, user: NotifiedUser, read: ReadPoint, end: Timestamp) -> bool {
        let state = self.read();
        let timeline = state.timelines.get(&user.application);
        timeline.is_some_and(|timeline| timeline.notified_up_to == end)
            && state.may_be_current(user, read)
    }

    /// Whether a read may be current. `false` is certain without reading the end of the timeline.
    pub fn may_be_current(&self, user: NotifiedUser, read: ReadPoint) -> bool {
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
        self.timelines.clear();
        self.last_changes.fill(0);
    }

    fn read_point(&self, application: ApplicationId) -> ReadPoint {
        let timeline = self.timelines.get(&application);
        ReadPoint {
            epoch: self.epoch,
            received: self.received,
            notified_up_to: timeline.map(|timeline| timeline.notified_up_to),
        }
    }

    fn record(&mut self, commit: &Commit, concerned: &Concerned) {
        let (application, range) = (commit.application, commit.range);
        let notified = |state: &Self| state.timelines.get(&application).copied();
        // These numbers were used before: the database was restored in place.
        if notified(self).is_some_and(|timeline| timeline.notified_up_to > range.after) {
            self.begin_epoch();
        }
        self.received += 1;
        let mut timeline = match notified(self) {
            Some(timeline) if timeline.notified_up_to == range.after => timeline,
            _ => NotifiedTimeline {
                notified_up_to: range.after,
                valid_from: self.received,
            },
        };
        match concerned {
            Concerned::Users(keys) => {
                for key in keys {
                    self.last_changes[key.slot(self.last_changes.len())] = self.received;
                }
            }
            Concerned::Everybody => timeline.valid_from = self.received,
        }
        if !commit.continues {
            timeline.notified_up_to = range.last;
        }
        self.timelines.insert(application, timeline);
    }

    fn may_be_current(&self, user: NotifiedUser, read: ReadPoint) -> bool {
        let timeline = self.timelines.get(&user.application);
        self.last_changes[user.key.slot(self.last_changes.len())] <= read.received
            && timeline.is_some_and(|timeline| timeline.valid_from <= read.received)
            && self.epoch == read.epoch
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::model::{commit, continued, fresh, is_current, read_point, user},
        *,
    };

    #[test]
    fn a_read_is_current_until_a_change_concerns_its_user() {
        let freshness = fresh();
        freshness.record(&commit(5, 5, &[]));
        let at_5 = read_point(&freshness);
        freshness.record(&commit(5, 7, &["jane"]));
        let at_7 = read_point(&freshness);
        freshness.record(&commit(7, 9, &["john"]));
        assert!(!is_current(&freshness, "jane", at_5, 9));
        assert!(is_current(&freshness, "jane", at_7, 9));
        assert!(!is_current(&freshness, "john", at_7, 9));
        assert!(is_current(&freshness, "jim", at_5, 9));
    }

    #[test]
    fn nothing_is_current_while_a_notification_is_late() {
        let freshness = fresh();
        freshness.record(&commit(5, 7, &["jane"]));
        let at_7 = read_point(&freshness);
        assert!(is_current(&freshness, "jim", at_7, 7));
        assert!(!is_current(&freshness, "jim", at_7, 8));
        assert!(freshness.may_be_current(user("jim"), at_7));
        assert!(!is_current(&freshness, "jim", at_7, 6), "another history");
        assert!(at_7.may_precede(Timestamp::new(7)) && !at_7.may_precede(Timestamp::new(6)));
    }

    #[test]
    fn a_gap_invalidates_earlier_reads() {
        let freshness = fresh();
        freshness.record(&commit(5, 7, &["jane"]));
        let at_7 = read_point(&freshness);
        freshness.record(&commit(8, 9, &["john"]));
        assert!(!is_current(&freshness, "jim", at_7, 9));
        assert!(is_current(&freshness, "jim", read_point(&freshness), 9));
    }

    #[test]
    fn a_new_epoch_invalidates_earlier_reads() {
        let freshness = fresh();
        freshness.record(&commit(5, 7, &["jane"]));
        let before = read_point(&freshness);
        freshness.begin_epoch();
        let between = read_point(&freshness);
        for last in [7, 6, 9] {
            freshness.record(&commit(last, last, &[]));
            assert!(!is_current(&freshness, "jim", before, last), "{last}");
            assert!(!is_current(&freshness, "jim", between, last), "{last}");
            assert!(is_current(&freshness, "jim", read_point(&freshness), last));
        }
    }

    #[test]
    fn reused_numbers_begin_an_epoch() {
        let freshness = fresh();
        freshness.record(&commit(5, 7, &["jane"]));
        let before = read_point(&freshness);
        freshness.record(&commit(2, 3, &["john"]));
        for last in 3..=9 {
            for user in ["jane", "john", "jim"] {
                assert!(!is_current(&freshness, user, before, last), "{user} {last}");
                assert!(is_current(&freshness, user, read_point(&freshness), last));
            }
            freshness.record(&commit(last, last + 1, &["john"]));
        }
    }

    #[test]
    fn a_commit_in_several_notifications_counts_with_the_last_one() {
        let freshness = fresh();
        freshness.record(&commit(5, 7, &[]));
        let at_7 = read_point(&freshness);
        freshness.record(&continued(commit(7, 9, &["jane"])));
        assert!(!is_current(&freshness, "jim", read_point(&freshness), 9));
        freshness.record(&commit(7, 9, &["john"]));
        assert!(!is_current(&freshness, "jane", at_7, 9));
        assert!(!is_current(&freshness, "john", at_7, 9));
        assert!(is_current(&freshness, "jim", at_7, 9));
    }

    #[test]
    fn applications_have_timelines_of_their_own_and_share_slots() {
        let freshness = Freshness::with_slots(Arc::default(), 1);
        freshness.record(&commit(5, 7, &["jane"]));
        let at_7 = read_point(&freshness);
        let elsewhere = |after, last| {
            let mut notification = commit(after, last, &["jim"]);
            let commit = notification.commit.as_mut().unwrap();
            commit.application = ApplicationId::new(2);
            notification
        };
        freshness.record(&elsewhere(3, 9));
        assert!(
            !is_current(&freshness, "jane", at_7, 7),
            "they share a slot"
        );
        freshness.record(&elsewhere(9, 12));
        freshness.record(&commit(7, 11, &["jane"]));
        assert!(is_current(&freshness, "jane", read_point(&freshness), 11));
    }
}
