//! A model of the database and of one replica's cache: random commits, reads, late notifications,
//! lost connections and restores. The tests compare the [formula](super) with what the database
//! would answer.

use std::{collections::VecDeque, sync::Arc};

use proptest::prelude::*;

use super::freshness::{Freshness, NotifiedUser, ReadPoint};
use crate::{
    domain::{ApplicationId, Timestamp, UserId},
    notifications::{Commit, Concerned, Notification, TimestampRange, UserKey},
};

pub fn fresh() -> Freshness {
    Freshness::new(Arc::default())
}

pub fn user(name: &str) -> NotifiedUser {
    user_of(ApplicationId::DEFAULT, name)
}

fn user_of(application: ApplicationId, name: &str) -> NotifiedUser {
    NotifiedUser {
        application,
        key: UserKey::of(application, &UserId::trusted(name)),
    }
}

pub fn read_point(freshness: &Freshness) -> ReadPoint {
    freshness.read_point(ApplicationId::DEFAULT)
}

/// The notification of a commit of the changes after one timestamp, up to another.
pub fn commit(after: i64, last: i64, users: &[&str]) -> Notification {
    let users: Vec<_> = users.iter().map(|name| user(name)).collect();
    commit_of(ApplicationId::DEFAULT, after, last, &users)
}

fn commit_of(
    application: ApplicationId,
    after: i64,
    last: i64,
    users: &[NotifiedUser],
) -> Notification {
    let range = TimestampRange {
        after: Timestamp::new(after),
        last: Timestamp::new(last),
    };
    let commit = Commit {
        application,
        range,
        written: None,
        uses_files: false,
        continues: false,
    };
    Notification {
        commit: Some(commit),
        concerned: Concerned::Users(users.iter().map(|user| user.key).collect()),
    }
}

/// The notification, if another one of its commit follows.
pub fn continued(notification: Notification) -> Notification {
    let commit = notification.commit.map(|commit| Commit {
        continues: true,
        ..commit
    });
    Notification {
        commit,
        ..notification
    }
}

pub fn is_current(freshness: &Freshness, name: &str, read: ReadPoint, end: i64) -> bool {
    freshness.is_current(user(name), read, Timestamp::new(end))
}

/// A database with two applications, whose timelines draw from one sequence, and users 0 to 3; and
/// what a replica has cached of them. Users of both applications share slots.
struct Model {
    freshness: Freshness,
    /// The last number that was drawn.
    last: i64,
    ends: [i64; 2],
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
    /// A transaction of an application fails and loses so many numbers, or another application draws
    /// them. Then one commits for these of its users.
    Commit {
        application: usize,
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

fn application_of(user: usize) -> usize {
    user % 2
}

fn id(application: usize) -> ApplicationId {
    ApplicationId::new(1 + application as i64)
}

fn notified(user: usize) -> NotifiedUser {
    user_of(id(application_of(user)), &format!("user-{user}"))
}

impl Model {
    /// A replica that has just begun to listen.
    fn connected() -> Self {
        let mut model = Self {
            freshness: Freshness::with_slots(Arc::default(), 2),
            last: 0,
            ends: [0; 2],
            content: [0; 4],
            changes: 0,
            notifications: VecDeque::new(),
            reading: [None; 4],
            cached: [None; 4],
        };
        model.reconnect();
        model
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Commit {
                application,
                lost,
                users,
                names_all,
                parts,
            } => {
                self.last += lost;
                self.commit(application, &users, names_all, parts);
            }
            Step::Deliver => {
                if let Some(notification) = self.notifications.pop_front() {
                    self.freshness.record(&notification);
                }
            }
            Step::BeginRead(user) => self.reading[user] = Some(self.read_point(user)),
            Step::EndRead(user) => {
                if let Some(read) = self.reading[user].take() {
                    self.cached[user] = Some((read, self.content[user]));
                }
            }
            Step::Reconnect => self.reconnect(),
            Step::Restore(back) => {
                self.last = (self.last - back).max(0);
                self.ends = self.ends.map(|end| end.min(self.last));
                // A read in progress fails with its connection.
                self.reading = Default::default();
                self.change(&[0, 1, 2, 3]);
                self.reconnect();
            }
        }
    }

    fn commit(&mut self, application: usize, users: &[usize], names_all: bool, parts: bool) {
        let after = self.ends[application];
        self.last += 1;
        self.ends[application] = self.last;
        let users = users.iter().copied();
        let users: Vec<_> = users
            .filter(|user| application_of(*user) == application)
            .collect();
        self.change(&users);
        let names: Vec<_> = users.into_iter().map(notified).collect();
        let notification = |names: &[_]| commit_of(id(application), after, self.last, names);
        if names_all {
            let concerned = Concerned::Everybody;
            self.notifications.push_back(Notification {
                concerned,
                ..notification(&names)
            });
        } else if let (true, Some((first, rest))) = (parts, names.split_first()) {
            self.notifications
                .push_back(continued(notification(&[*first])));
            self.notifications.push_back(notification(rest));
        } else {
            self.notifications.push_back(notification(&names));
        }
    }

    fn change(&mut self, users: &[usize]) {
        for user in users {
            self.changes += 1;
            self.content[*user] = self.changes;
        }
    }

    /// Notifications on their way are lost. Then the ends of the timelines are announced.
    fn reconnect(&mut self) {
        self.notifications.clear();
        self.freshness.begin_epoch();
        for (application, end) in self.ends.into_iter().enumerate() {
            let announcement = commit_of(id(application), end, end, &[]);
            self.notifications.push_back(announcement);
        }
    }

    fn read_point(&self, user: usize) -> ReadPoint {
        self.freshness.read_point(id(application_of(user)))
    }

    fn is_current(&self, user: usize, read: ReadPoint) -> bool {
        let end = Timestamp::new(self.ends[application_of(user)]);
        self.freshness.is_current(notified(user), read, end)
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let users = proptest::collection::vec(0..4usize, 0..3);
    let commit = (
        0..2usize,
        0..2i64,
        users,
        prop::bool::weighted(0.1),
        any::<bool>(),
    );
    let step = prop_oneof![
        4 => commit.prop_map(|(application, lost, users, names_all, parts)| {
            Step::Commit { application, lost, users, names_all, parts }
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
        let mut model = Model::connected();
        for step in steps {
            model.take(step.clone());
            for user in 0..4 {
                let Some((read, content)) = model.cached[user] else { continue };
                if model.is_current(user, read) {
                    prop_assert_eq!(content, model.content[user], "user {} after {:?}", user, step);
                }
            }
        }
    }

    #[test]
    fn a_read_after_everything_was_delivered_is_current(steps in steps()) {
        let mut model = Model::connected();
        steps.into_iter().for_each(|step| model.take(step));
        while !model.notifications.is_empty() {
            model.take(Step::Deliver);
        }
        for user in 0..4 {
            prop_assert!(model.is_current(user, model.read_point(user)));
        }
    }
}
