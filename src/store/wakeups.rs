//! Wake-ups: what a commit tells every replica. They say "look" and carry no data.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use xxhash_rust::xxh3::xxh3_64;

use crate::domain::{ApplicationId, UserId};

/// The channel on which commits notify.
pub const CHANNEL: &str = "updates";

/// Keys in one notification: 8 characters each, and PostgreSQL allows 7,999 bytes.
const KEYS_MAX: usize = 900;

/// Notifications of one commit; one that concerns more users wakes everybody.
const LISTS_MAX: usize = 4;

/// Stands for the keys of everybody.
const EVERYBODY: &str = "*";

/// Stands for a user in a notification. It is the same on every replica and in every version of the
/// service. Two users may share one (they are 32 bits): the other one looks once in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WakeKey(u32);

impl WakeKey {
    pub fn of(application: ApplicationId, user: &UserId) -> Self {
        let name = [&application.0.to_be_bytes(), user.as_str().as_bytes()].concat();
        Self(u32::try_from(xxh3_64(&name) >> 32).expect("the upper half has 32 bits"))
    }
}

/// A notification: who should look, and when what they will find was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wakeup {
    pub who: Who,
    /// By the clock of the database, just before the commit. `None` where nobody knows.
    pub written: Option<SystemTime>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    Users(Vec<WakeKey>),
    Everybody,
}

impl Who {
    /// The kind, for metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Users(_) => "users",
            Self::Everybody => "everybody",
        }
    }
}

/// The users of one commit as the lists of its notifications.
pub fn lists(keys: impl Iterator<Item = WakeKey>) -> Vec<String> {
    let keys: Vec<_> = keys.collect::<BTreeSet<_>>().into_iter().collect();
    if keys.len() > KEYS_MAX * LISTS_MAX {
        return vec![EVERYBODY.to_owned()];
    }
    let list = |keys: &[WakeKey]| keys.iter().map(|key| format!("{:08x}", key.0)).collect();
    keys.chunks(KEYS_MAX).map(list).collect()
}

impl Wakeup {
    /// Reads a notification: microseconds since 1970, a blank, and a list. One that cannot be read,
    /// as another version of the service may send it, wakes everybody.
    pub fn parse(payload: &str) -> Self {
        Self::try_parse(payload).unwrap_or(Self { who: Who::Everybody, written: None })
    }

    fn try_parse(payload: &str) -> Option<Self> {
        let (written, list) = payload.split_once(' ')?;
        let written = UNIX_EPOCH.checked_add(Duration::from_micros(written.parse().ok()?));
        if list == EVERYBODY {
            return Some(Self { who: Who::Everybody, written });
        }
        let keys = list.as_bytes().chunks(8).map(|digits| {
            let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.len() == 8)?;
            u32::from_str_radix(digits, 16).ok().map(WakeKey)
        });
        Some(Self { who: Who::Users(keys.collect::<Option<_>>()?), written })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(application: i64, user: &str) -> WakeKey {
        WakeKey::of(ApplicationId(application), &UserId::parse(user).unwrap())
    }

    fn read(list: &str) -> Who {
        Wakeup::parse(&format!("1700000000000000 {list}")).who
    }

    #[test]
    fn a_key_is_stable_and_tells_users_and_applications_apart() {
        assert_eq!(format!("{:08x}", key(1, "jane").0), "7b56f74a");
        assert_ne!(key(1, "jane"), key(2, "jane"));
        assert_ne!(key(1, "jane"), key(1, "john"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let keys = vec![key(1, "jane"), key(1, "john"), key(1, "jane")];
        let lists = lists(keys.into_iter());
        assert_eq!(lists.len(), 1);
        let Who::Users(read) = read(&lists[0]) else { panic!("users are named") };
        assert_eq!(BTreeSet::from_iter(read), BTreeSet::from([key(1, "jane"), key(1, "john")]));
        let wakeup = Wakeup::parse("1700000000000001 *");
        assert_eq!(wakeup.who, Who::Everybody);
        assert_eq!(wakeup.written, Some(UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001)));
    }

    #[test]
    fn a_commit_for_very_many_users_wakes_everybody() {
        let users = |count: u32| lists((0..count).map(WakeKey));
        assert_eq!(users(900).len(), 1);
        assert_eq!(users(901).len(), 2);
        assert!(users(3600).iter().all(|list| list.len() <= 7200));
        assert_eq!(users(3601), ["*"]);
    }

    #[test]
    fn what_cannot_be_read_wakes_everybody() {
        for payload in ["", "1", "x *", "1 123", "1 zzzzzzzz", "-1 *", "1 0123456789"] {
            assert_eq!(Wakeup::parse(payload).who, Who::Everybody, "{payload:?}");
        }
    }
}
