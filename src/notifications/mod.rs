//! Notifications: a commit notifies every replica of the end of its application's timeline and of
//! the users whom it concerns. The notification of a commit carries no data. Signals are notifications of
//! their own, which carry all there is of them.
//!
//! Only this module reads and writes the format of a notification; the [`Listener`] receives them.
//! The [`Subscriber`]s are the cache of reads, the hub of live reads, and the followers.
//!
//! Notifications arrive in the order of commits, and after their commit is visible. A notification
//! is lost only with its connection, so subscribers are called after each new connection.

mod announcements;
mod listener;
mod signals;

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use time::OffsetDateTime;
use xxhash_rust::xxh3::xxh3_64;

pub use announcements::Announcements;
pub use listener::Listener;
pub use signals::{AddressedSignal, SignalsPayload};

use crate::domain::{ApplicationId, Timestamp, UserId};

/// Keys in one notification: 8 characters each, and PostgreSQL allows 7,999 bytes.
const KEYS_MAX: usize = 900;

/// Notifications of one commit. A commit that concerns more users notifies everybody.
const LISTS_MAX: usize = 4;

/// The list of keys that means everybody.
const EVERYBODY: &str = "*";

/// A receiver of notifications. No method may block.
pub trait Subscriber: Send + Sync {
    /// A new connection listens. The notifications of earlier commits may be lost.
    fn reconnected(&self);

    /// The connection is lost: no notification arrives until there is another one.
    fn disconnected(&self) {}

    /// A notification has arrived.
    fn notified(&self, notification: &Notification);

    /// An application has changed its webhooks.
    fn webhooks_changed(&self, _application: ApplicationId) {}

    /// A signal has arrived, for some of its users.
    fn signalled(&self, _signal: &AddressedSignal) {}
}

/// A notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The commit. `None` if nothing is known of it: then nothing that was read before is valid, of
    /// any application.
    pub commit: Option<Commit>,
    /// Whom it concerns: users of the commit's application.
    pub concerned: Concerned,
}

/// A commit as its notification describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    pub application: ApplicationId,
    /// The timestamps that were committed.
    pub range: TimestampRange,
    /// When its batch had the lane's lock, by the clock of the database.
    pub written: Option<SystemTime>,
    /// Whether it begins or ends the use of files.
    pub uses_files: bool,
    /// Whether another notification of the same commit follows, with more users.
    pub continues: bool,
}

/// A part of a timeline: the changes after one timestamp, up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampRange {
    pub after: Timestamp,
    pub last: Timestamp,
}

/// What a commit notifies of.
#[derive(Debug, Clone, Copy)]
pub struct CommitNotice {
    pub application: ApplicationId,
    pub range: TimestampRange,
    /// When its batch had the lane's lock, by the clock of the database.
    pub written: OffsetDateTime,
    /// Whether it begins or ends the use of files.
    pub uses_files: bool,
}

/// Whom a commit concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concerned {
    Users(Vec<UserKey>),
    Everybody,
}

/// Identifies a user in a notification: 32 bits, the same on every replica and in every version of
/// the service. Two users may have the same key; then the other user's watchers read once in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserKey(u32);

impl UserKey {
    pub fn of(application: ApplicationId, user: &UserId) -> Self {
        let name = [&application.get().to_be_bytes(), user.as_str().as_bytes()].concat();
        Self(u32::try_from(xxh3_64(&name) >> 32).expect("the upper half has 32 bits"))
    }

    /// The user's slot, if there are `slots` of them.
    pub fn slot(self, slots: usize) -> usize {
        self.0 as usize % slots
    }
}

impl Concerned {
    /// The kind, for metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Users(_) => "users",
            Self::Everybody => "everybody",
        }
    }

    fn parse(list: &str) -> Option<Self> {
        if list == EVERYBODY {
            return Some(Self::Everybody);
        }
        let keys = list.as_bytes().chunks(8).map(|digits| {
            let digits = std::str::from_utf8(digits)
                .ok()
                .filter(|digits| digits.len() == 8)?;
            u32::from_str_radix(digits, 16).ok().map(UserKey)
        });
        Some(Self::Users(keys.collect::<Option<_>>()?))
    }
}

impl CommitNotice {
    /// The payloads of the commit's notifications, in their order. Each is
    ///
    /// ```text
    /// APPLICATION WRITTEN AFTER LAST FILES REST KEYS
    /// ```
    ///
    /// with microseconds since 1970, the range of timestamps, 1 if the commit uses files, how many
    /// notifications of the commit follow, and 8 hexadecimal digits for each user, or `*` for
    /// everybody.
    pub fn payloads(&self, concerned: BTreeSet<UserKey>) -> Vec<String> {
        let application = self.application.get();
        let TimestampRange { after, last } = self.range;
        let written = self.written.unix_timestamp_nanos() / 1000;
        let files = u8::from(self.uses_files);
        let lists = lists(&Vec::from_iter(concerned));
        let following = (0..lists.len()).rev();
        lists
            .iter()
            .zip(following)
            .map(|(list, rest)| {
                format!("{application} {written} {after} {last} {files} {rest} {list}")
            })
            .collect()
    }
}

/// The users of one commit, in at least one list.
fn lists(keys: &[UserKey]) -> Vec<String> {
    if keys.is_empty() {
        return vec![String::new()];
    }
    if keys.len() > KEYS_MAX * LISTS_MAX {
        return vec![EVERYBODY.to_owned()];
    }
    let list = |keys: &[UserKey]| keys.iter().map(|key| format!("{:08x}", key.0)).collect();
    keys.chunks(KEYS_MAX).map(list).collect()
}

impl Notification {
    /// A notification that concerns everybody and says nothing more.
    pub const EVERYBODY: Self = Self {
        commit: None,
        concerned: Concerned::Everybody,
    };

    /// Parses a payload. If it cannot be parsed, since another version of the service may have sent
    /// it, it concerns everybody.
    pub fn parse(payload: &str) -> Self {
        Self::try_parse(payload).unwrap_or(Self::EVERYBODY)
    }

    fn try_parse(payload: &str) -> Option<Self> {
        let mut fields = payload.splitn(7, ' ');
        let application = ApplicationId::new(fields.next()?.parse().ok()?);
        let written = fields.next()?.parse().ok()?;
        let after = Timestamp::new(fields.next()?.parse().ok()?);
        let last = Timestamp::new(fields.next()?.parse().ok()?);
        let files: u8 = fields.next()?.parse().ok()?;
        let following: usize = fields.next()?.parse().ok()?;
        let commit = Commit {
            application,
            range: TimestampRange { after, last },
            written: UNIX_EPOCH.checked_add(Duration::from_micros(written)),
            uses_files: files > 0,
            continues: following > 0,
        };
        Some(Self {
            commit: Some(commit),
            concerned: Concerned::parse(fields.next()?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn key(application: i64, user: &str) -> UserKey {
        UserKey::of(
            ApplicationId::new(application),
            &UserId::parse(user).unwrap(),
        )
    }

    const RANGE: TimestampRange = TimestampRange {
        after: Timestamp::new(6),
        last: Timestamp::new(9),
    };

    const NOTICE: CommitNotice = CommitNotice {
        application: ApplicationId::new(7),
        range: RANGE,
        written: datetime!(2023-11-14 22:13:20.000001 UTC),
        uses_files: true,
    };

    /// The notifications of a commit, as they are received.
    fn received(keys: impl Iterator<Item = UserKey>) -> Vec<(Commit, Concerned)> {
        let payloads = NOTICE.payloads(keys.collect());
        let parse = |payload: &String| {
            let Notification { commit, concerned } = Notification::parse(payload);
            (commit.unwrap(), concerned)
        };
        payloads.iter().map(parse).collect()
    }

    #[test]
    fn a_key_is_stable_and_distinguishes_users_and_applications() {
        assert_eq!(format!("{:08x}", key(1, "jane").0), "7b56f74a");
        assert_ne!(key(1, "jane"), key(2, "jane"));
        assert_ne!(key(1, "jane"), key(1, "john"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let keys = [key(1, "jane"), key(1, "john"), key(1, "jane")];
        let parsed = received(keys.into_iter());
        let [(commit, Concerned::Users(read))] = parsed.as_slice() else {
            panic!("users are named: {parsed:?}")
        };
        assert_eq!(
            BTreeSet::from_iter(read),
            BTreeSet::from([&keys[0], &keys[1]])
        );
        let expected = Commit {
            application: ApplicationId::new(7),
            range: RANGE,
            written: Some(UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001)),
            uses_files: true,
            continues: false,
        };
        assert_eq!(*commit, expected);
    }

    #[test]
    fn a_commit_that_concerns_nobody_notifies_its_range() {
        let parsed = received(std::iter::empty());
        let [(commit, concerned)] = parsed.as_slice() else {
            panic!("{parsed:?}")
        };
        assert_eq!(
            (concerned, commit.range),
            (&Concerned::Users(Vec::new()), RANGE)
        );
    }

    #[test]
    fn a_commit_for_many_users_takes_several_notifications_and_the_last_one_says_so() {
        let continues = |count: u32| {
            let parsed = received((0..count).map(UserKey));
            let continues = parsed.iter().map(|(commit, _)| commit.continues);
            continues.collect::<Vec<_>>()
        };
        assert_eq!(continues(900), [false]);
        assert_eq!(continues(901), [true, false]);
        assert_eq!(continues(3600), [true, true, true, false]);
        let longest = CommitNotice {
            application: ApplicationId::new(i64::MAX),
            range: TimestampRange {
                after: Timestamp::new(i64::MAX),
                last: Timestamp::new(i64::MAX),
            },
            ..NOTICE
        };
        let payloads = longest.payloads((0..3600).map(UserKey).collect());
        assert!(payloads.iter().all(|payload| payload.len() < 7999));
    }

    #[test]
    fn a_commit_for_very_many_users_wakes_everybody() {
        let parsed = received((0..3601).map(UserKey));
        let [(commit, concerned)] = parsed.as_slice() else {
            panic!("{parsed:?}")
        };
        assert_eq!((concerned, commit.range), (&Concerned::Everybody, RANGE));
    }

    #[test]
    fn a_payload_that_cannot_be_parsed_wakes_everybody() {
        let others = [
            "",
            EVERYBODY,
            "1",
            "1 *",
            "1 1 6 9 *",
            "7 x 6 9 0 0 *",
            "7 1 6 9 0 0",
            "7 -1 6 9 0 0 *",
        ];
        let lists = [
            "7 1 6 9 0 0 123",
            "7 1 6 9 0 0 zzzzzzzz",
            "7 1 6 9 0 0 0123456789",
        ];
        for payload in others.iter().chain(&lists) {
            assert_eq!(
                Notification::parse(payload),
                Notification::EVERYBODY,
                "{payload:?}"
            );
        }
    }
}
