//! How far this replica was notified, and what each user's last change was: see [`cache`](super).

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::Notify;

use crate::{
    domain::Timestamp,
    notifications::{Concerned, Notification, Subscriber, TimestampRange, UserKey},
};

/// Users are told apart by this many slots: those who share one are taken to have changed together.
/// Half a megabyte.
const SLOTS: usize = 1 << 16;

/// Stands for no timestamp. It is smaller than every timestamp.
const NONE: Timestamp = Timestamp(-1);

/// What the notifications so far have told.
pub struct Freshness {
    state: RwLock<State>,
    /// Notified when an epoch begins: nothing is current until how far the timeline has come is announced.
    epoch_begun: Arc<Notify>,
}

struct State {
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

    /// Whether a read that began then may find the end of the timeline here. It may not where the
    /// database was restored in place.
    pub fn may_precede(self, end: Timestamp) -> bool {
        self.at <= end
    }
}

impl Default for Freshness {
    fn default() -> Self {
        Self {
            state: RwLock::new(State {
                epoch: 0,
                notified_up_to: NONE,
                valid_from: NONE,
                last_changes: vec![NONE; SLOTS].into(),
            }),
            epoch_begun: Arc::default(),
        }
    }
}

impl Freshness {
    /// Starts a new epoch: nothing that was read or notified before is valid.
    pub fn begin_epoch(&self) {
        self.write().begin_epoch();
        self.epoch_begun.notify_one();
    }

    /// Is notified whenever an epoch begins. Nothing is current from then on until a notification says how
    /// far the timeline has come.
    pub fn epoch_begun(&self) -> Arc<Notify> {
        Arc::clone(&self.epoch_begun)
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
            self.epoch_begun.notify_one();
        }
    }

    /// Where a read stands that begins now. Its snapshot holds everything that was notified, or it is of
    /// a later epoch.
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

    /// Whether what was read about a user is what a read would find that begins now, when the timeline
    /// ends at `end`.
    pub fn is_current(&self, user: UserKey, read: ReadPoint, end: Timestamp) -> bool {
        let state = self.read();
        state.notified_up_to == end && state.may_be_current(user, read)
    }

    /// Whether it may be current, as far as can be told without asking for the end of the timeline.
    pub fn may_be_current(&self, user: UserKey, read: ReadPoint) -> bool {
        self.read().may_be_current(user, read)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
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

impl State {
    fn begin_epoch(&mut self) {
        self.epoch += 1;
        self.notified_up_to = NONE;
        self.last_changes.fill(NONE);
    }

    /// Returns whether it has begun an epoch.
    fn record(&mut self, notification: &Notification, range: TimestampRange) -> bool {
        // Numbers that were given before: the database was restored in place.
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
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{ApplicationId, UserId};

    fn key(user: &str) -> UserKey {
        UserKey::of(ApplicationId::DEFAULT, &UserId::trusted(user))
    }

    /// The notification of a commit of the changes after one timestamp, up to another.
    fn commit(after: i64, last: i64, users: &[&str]) -> Notification {
        let stretch = TimestampRange {
            after: Timestamp(after),
            last: Timestamp(last),
        };
        Notification {
            concerned: Concerned::Users(users.iter().map(|user| key(user)).collect()),
            written: None,
            range: Some(stretch),
            continues: false,
        }
    }

    fn is_current(freshness: &Freshness, user: &str, read: ReadPoint, end: i64) -> bool {
        freshness.is_current(key(user), read, Timestamp(end))
    }

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
        assert!(at_7.may_precede(Timestamp(7)) && !at_7.may_precede(Timestamp(6)));
    }

    #[test]
    fn a_gap_voids_what_was_read_before() {
        let freshness = Freshness::default();
        freshness.record(&commit(5, 7, &["jane"]));
        let at_7 = freshness.read_point();
        freshness.record(&commit(8, 9, &["john"]));
        assert!(!is_current(&freshness, "jim", at_7, 9));
        assert!(is_current(&freshness, "jim", freshness.read_point(), 9));
    }

    #[test]
    fn a_new_epoch_voids_what_was_read_before() {
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
    fn numbers_that_are_given_again_begin_an_epoch() {
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

    /// A database with users 0 to 3, and what a replica has cached of them.
    #[derive(Default)]
    struct Model {
        freshness: Freshness,
        end: i64,
        /// What a read of each user finds. Every change makes it another one.
        content: [u64; 4],
        changes: u64,
        /// Sent and not yet delivered, in order.
        notifications: std::collections::VecDeque<Notification>,
        /// Reads that have begun, by user.
        begun: [Option<ReadPoint>; 4],
        cached: [Option<(ReadPoint, u64)>; 4],
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// A transaction fails and loses so many numbers, then one commits for these users.
        Commit {
            lost: i64,
            users: Vec<usize>,
            names_all: bool,
            parts: bool,
        },
        /// The next notification arrives.
        Deliver,
        BeginRead(usize),
        EndRead(usize),
        /// The listener or a reader gets another connection; what was on its way is lost.
        Reconnect,
        /// The database goes back by so many numbers, and every connection ends.
        Restore(i64),
    }

    fn name(user: usize) -> String {
        format!("user-{user}")
    }

    impl Model {
        fn take(&mut self, step: Step) {
            match step {
                Step::Commit {
                    lost,
                    users,
                    names_all,
                    parts,
                } => {
                    self.commit(lost, &users, names_all, parts);
                }
                Step::Deliver => {
                    if let Some(notification) = self.notifications.pop_front() {
                        self.freshness.record(&notification);
                    }
                }
                Step::BeginRead(user) => self.begun[user] = Some(self.freshness.read_point()),
                Step::EndRead(user) => {
                    if let Some(read) = self.begun[user].take() {
                        self.cached[user] = Some((read, self.content[user]));
                    }
                }
                Step::Reconnect => self.reconnect(),
                Step::Restore(back) => {
                    self.end = (self.end - back).max(0);
                    // A read that has begun fails with its connection.
                    self.begun = Default::default();
                    self.change(&[0, 1, 2, 3]);
                    self.reconnect();
                }
            }
        }

        fn commit(&mut self, lost: i64, users: &[usize], names_all: bool, parts: bool) {
            let after = self.end + lost;
            self.end = after + 1;
            self.change(users);
            let names: Vec<_> = users.iter().map(|user| name(*user)).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let whole = commit(after, self.end, &names);
            if names_all {
                let concerned = Concerned::Everybody;
                self.notifications
                    .push_back(Notification { concerned, ..whole });
            } else if let (true, Some((first, rest))) = (parts, names.split_first()) {
                let continues = true;
                let first = commit(after, self.end, &[*first]);
                self.notifications
                    .push_back(Notification { continues, ..first });
                self.notifications.push_back(commit(after, self.end, rest));
            } else {
                self.notifications.push_back(whole);
            }
        }

        fn change(&mut self, users: &[usize]) {
            for user in users {
                self.changes += 1;
                self.content[*user] = self.changes;
            }
        }

        /// What is on its way is lost; then how far the timeline has come is announced.
        fn reconnect(&mut self) {
            self.notifications.clear();
            self.freshness.begin_epoch();
            self.notifications
                .push_back(commit(self.end, self.end, &[]));
        }
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let users = proptest::collection::vec(0..4usize, 0..3);
        let commit = (0..2i64, users, prop::bool::weighted(0.1), any::<bool>());
        let step = prop_oneof![
            4 => commit.prop_map(|(lost, users, names_all, parts)| {
                Step::Commit { lost, users, names_all, parts }
            }),
            6 => Just(Step::Deliver),
            4 => (0..4usize).prop_map(Step::BeginRead),
            4 => (0..4usize).prop_map(Step::EndRead),
            1 => Just(Step::Reconnect),
            1 => (0..5i64).prop_map(Step::Restore),
        ];
        proptest::collection::vec(step, 1..80)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn what_is_current_is_what_the_database_would_answer(steps in steps()) {
            let mut model = Model::default();
            model.reconnect();
            for step in steps {
                model.take(step.clone());
                for user in 0..4 {
                    let Some((read, content)) = model.cached[user] else { continue };
                    if is_current(&model.freshness, &name(user), read, model.end) {
                        prop_assert_eq!(content, model.content[user], "user {} after {:?}", user, step);
                    }
                }
            }
        }

        #[test]
        fn a_read_after_everything_was_delivered_is_current(steps in steps()) {
            let mut model = Model::default();
            model.reconnect();
            steps.into_iter().for_each(|step| model.take(step));
            while !model.notifications.is_empty() {
                model.take(Step::Deliver);
            }
            let read = model.freshness.read_point();
            prop_assert!(is_current(&model.freshness, &name(0), read, model.end));
        }
    }
}
