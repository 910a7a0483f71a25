//! A model of the database and of one replica's cache: random commits, reads, late notifications,
//! lost connections and restores. The tests compare the [formula](super) with what the database
//! would answer.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::freshness::{Freshness, ReadPoint};
use crate::{
    domain::{ApplicationId, Timestamp, UserId},
    notifications::{Concerned, Notification, TimestampRange, UserKey},
};

pub fn key(user: &str) -> UserKey {
    UserKey::of(ApplicationId::DEFAULT, &UserId::trusted(user))
}

/// The notification of a commit of the changes after one timestamp, up to another.
pub fn commit(after: i64, last: i64, users: &[&str]) -> Notification {
    let range = TimestampRange {
        after: Timestamp::new(after),
        last: Timestamp::new(last),
    };
    Notification {
        concerned: Concerned::Users(users.iter().map(|user| key(user)).collect()),
        written: None,
        range: Some(range),
        continues: false,
    }
}

pub fn is_current(freshness: &Freshness, user: &str, read: ReadPoint, end: i64) -> bool {
    freshness.is_current(key(user), read, Timestamp::new(end))
}

/// A database with users 0 to 3, and what a replica has cached of them.
#[derive(Default)]
struct Model {
    freshness: Freshness,
    end: i64,
    /// What a read of each user finds: another number after each change that concerns the user.
    content: [u64; 4],
    changes: u64,
    /// Sent and not yet delivered, in order.
    notifications: VecDeque<Notification>,
    /// Reads in progress, by user.
    reading: [Option<ReadPoint>; 4],
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
    /// The listener or a reader has a new connection. Notifications on their way are lost.
    Reconnect,
    /// The database goes back by so many numbers, and all connections end.
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
            Step::BeginRead(user) => self.reading[user] = Some(self.freshness.read_point()),
            Step::EndRead(user) => {
                if let Some(read) = self.reading[user].take() {
                    self.cached[user] = Some((read, self.content[user]));
                }
            }
            Step::Reconnect => self.reconnect(),
            Step::Restore(back) => {
                self.end = (self.end - back).max(0);
                // A read in progress fails with its connection.
                self.reading = Default::default();
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

    /// Notifications on their way are lost. Then the end of the timeline is announced.
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
