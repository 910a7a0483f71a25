//! Notifications: a commit notifies every replica of the end of the timeline and of the users whom
//! it concerns. A notification carries no data.
//!
//! Only this module reads and writes the format of a notification; the [`Listener`] receives them.
//! The [`Subscriber`]s are the cache of reads, the hub of followers, and the publisher of events.
//!
//! Notifications arrive in the order of commits, and after their commit is visible. A notification
//! is lost only with its connection, so subscribers are called after each new connection.

mod listener;

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use time::OffsetDateTime;
use xxhash_rust::xxh3::xxh3_64;

pub use listener::Listener;

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
    fn notified(&self, _: &Notification) {}

    /// A commit has added events.
    fn events_added(&self) {}
}

/// A notification of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    pub concerned: Concerned,
    /// When its batch had the lane's lock, by the clock of the database, if that is known.
    pub written: Option<SystemTime>,
    /// The timestamps that were committed. `None` if they are unknown: then nothing that was read
    /// before is valid.
    pub range: Option<TimestampRange>,
    /// Whether another notification of the same commit follows, with more users.
    pub continues: bool,
}

/// A part of the timeline: the changes after one timestamp, up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampRange {
    pub after: Timestamp,
    pub last: Timestamp,
}

/// Whom a commit concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concerned {
    Users(Vec<UserKey>),
    Everybody,
}

/// Identifies a user in a notification: 32 bits, the same on every replica and in every version of
/// the service. Two users may have the same key; then the other user's followers read once in vain.
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

/// The payloads of a commit's notifications, in their order. Each is
///
/// ```text
/// WRITTEN AFTER LAST REST KEYS
/// ```
///
/// with microseconds since 1970, the range of timestamps, how many notifications of the commit
/// follow, and 8 hexadecimal digits for each user, or `*` for everybody.
pub fn payloads(
    range: TimestampRange,
    written: OffsetDateTime,
    concerned: BTreeSet<UserKey>,
) -> Vec<String> {
    let TimestampRange { after, last } = range;
    let written = written.unix_timestamp_nanos() / 1000;
    let lists = lists(&Vec::from_iter(concerned));
    let following = (0..lists.len()).rev();
    lists
        .iter()
        .zip(following)
        .map(|(list, rest)| format!("{written} {after} {last} {rest} {list}"))
        .collect()
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
        concerned: Concerned::Everybody,
        written: None,
        range: None,
        continues: false,
    };

    /// Parses a payload. If it cannot be parsed, since another version of the service may have sent
    /// it, it concerns everybody.
    pub fn parse(payload: &str) -> Self {
        Self::try_parse(payload).unwrap_or(Self::EVERYBODY)
    }

    fn try_parse(payload: &str) -> Option<Self> {
        let mut fields = payload.splitn(5, ' ');
        let written = fields.next()?.parse().ok()?;
        let after = Timestamp::new(fields.next()?.parse().ok()?);
        let last = Timestamp::new(fields.next()?.parse().ok()?);
        let following: usize = fields.next()?.parse().ok()?;
        Some(Self {
            concerned: Concerned::parse(fields.next()?)?,
            written: UNIX_EPOCH.checked_add(Duration::from_micros(written)),
            range: Some(TimestampRange { after, last }),
            continues: following > 0,
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

    const WRITTEN: OffsetDateTime = datetime!(2023-11-14 22:13:20.000001 UTC);

    /// The notifications of a commit, as they are received.
    fn received(keys: impl Iterator<Item = UserKey>) -> Vec<Notification> {
        let payloads = payloads(RANGE, WRITTEN, keys.collect());
        payloads
            .iter()
            .map(|payload| Notification::parse(payload))
            .collect()
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
        let Concerned::Users(read) = &parsed[0].concerned else {
            panic!("users are named")
        };
        assert_eq!(
            BTreeSet::from_iter(read),
            BTreeSet::from([&keys[0], &keys[1]])
        );
        assert_eq!(
            parsed[0].written,
            Some(UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001))
        );
        assert_eq!((parsed[0].range, parsed[0].continues), (Some(RANGE), false));
        assert_eq!(parsed.len(), 1);
    }

    #[test]
    fn a_commit_that_concerns_nobody_notifies_its_range() {
        let parsed = received(std::iter::empty());
        assert_eq!(parsed.len(), 1);
        assert_eq!(
            (&parsed[0].concerned, parsed[0].range),
            (&Concerned::Users(Vec::new()), Some(RANGE))
        );
    }

    #[test]
    fn a_commit_for_many_users_takes_several_notifications_and_the_last_one_says_so() {
        let continues = |count: u32| {
            let continues = |notification: &Notification| notification.continues;
            received((0..count).map(UserKey))
                .iter()
                .map(continues)
                .collect::<Vec<_>>()
        };
        assert_eq!(continues(900), [false]);
        assert_eq!(continues(901), [true, false]);
        assert_eq!(continues(3600), [true, true, true, false]);
        let payloads = payloads(RANGE, WRITTEN, (0..3600).map(UserKey).collect());
        assert!(payloads.iter().all(|payload| payload.len() < 7900));
    }

    #[test]
    fn a_commit_for_very_many_users_wakes_everybody() {
        let parsed = received((0..3601).map(UserKey));
        assert_eq!(parsed.len(), 1);
        assert_eq!(
            (&parsed[0].concerned, parsed[0].range),
            (&Concerned::Everybody, Some(RANGE))
        );
    }

    #[test]
    fn a_payload_that_cannot_be_parsed_wakes_everybody() {
        let others = [
            "",
            EVERYBODY,
            "1",
            "1 *",
            "1 6 9 *",
            "x 6 9 0 *",
            "1 6 9 0",
            "-1 6 9 0 *",
        ];
        let lists = ["1 6 9 0 123", "1 6 9 0 zzzzzzzz", "1 6 9 0 0123456789"];
        for payload in others.iter().chain(&lists) {
            assert_eq!(
                Notification::parse(payload),
                Notification::EVERYBODY,
                "{payload:?}"
            );
        }
    }
}
