//! Wake-ups: what a commit tells every replica. They say how far the timeline has come and who should
//! look, and carry no data.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sqlx::PgConnection;
use xxhash_rust::xxh3::xxh3_64;

use super::Result;
use crate::domain::{ApplicationId, Timestamp, UserId};

/// The channel on which commits notify.
pub const CHANNEL: &str = "updates";

/// The channel on which every replica shows, every few seconds, that notifications still arrive.
pub const PULSE_CHANNEL: &str = "pulse";

/// The share of PostgreSQL's queue of notifications up to which pulses are sent: what is left is room for
/// millions of them.
const QUEUE_USAGE_MAX: f64 = 0.99;

/// Keys in one notification: 8 characters each, and PostgreSQL allows 7,999 bytes.
const KEYS_MAX: usize = 900;

/// Notifications of one commit; one that concerns more users wakes everybody.
const LISTS_MAX: usize = 4;

/// Stands for the keys of everybody. Alone it says that the timeline has made a leap: nothing that was
/// heard before counts.
pub const EVERYBODY: &str = "*";

/// Stands for a user in a notification. It is the same on every replica and in every version of the
/// service. Two users may share one (they are 32 bits): the other one looks once in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WakeKey(u32);

impl WakeKey {
    pub fn of(application: ApplicationId, user: &UserId) -> Self {
        let name = [&application.0.to_be_bytes(), user.as_str().as_bytes()].concat();
        Self(u32::try_from(xxh3_64(&name) >> 32).expect("the upper half has 32 bits"))
    }

    /// Its place among `slots`.
    pub fn slot(self, slots: usize) -> usize {
        self.0 as usize % slots
    }
}

/// How full PostgreSQL's queue of notifications is, from 0 to 1. All databases of a server share the queue,
/// and whoever listens and stays in a transaction fills it.
///
/// Asking is what makes PostgreSQL free the room of what everybody has read: without it a queue that is
/// full stays so, since nothing can be put into it any more.
pub async fn queue_usage(connection: &mut PgConnection) -> Result<f64> {
    let usage = sqlx::query_scalar!(r#"SELECT pg_notification_queue_usage() AS "usage!""#);
    Ok(usage.fetch_one(connection).await?)
}

/// Shows every replica that notifications arrive, unless the queue, which is at `usage`, is all but full.
pub async fn send_pulse(connection: &mut PgConnection, usage: f64) -> Result<()> {
    if usage < QUEUE_USAGE_MAX {
        let pulse = sqlx::query!(r#"SELECT pg_notify($1, '') AS "sent!: ()""#, PULSE_CHANNEL);
        pulse.execute(connection).await?;
    }
    Ok(())
}

/// A notification: who should look, when what they will find was written, and how far the timeline has
/// come with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wakeup {
    pub who: Who,
    /// By the clock of the database, just before the commit. `None` where nobody knows.
    pub written: Option<SystemTime>,
    /// Which part of the timeline was committed. `None` where nobody knows.
    pub stretch: Option<Stretch>,
    /// Whether another notification of the same commit names more of those whom it concerns.
    pub goes_on: bool,
}

/// A part of the timeline: the changes after one timestamp, up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    pub after: Timestamp,
    pub last: Timestamp,
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

/// What a commit of `stretch` notifies, in this order, each behind the time of its writing and a blank.
pub fn notifications(stretch: Stretch, concerned: impl Iterator<Item = WakeKey>) -> Vec<String> {
    let Stretch { after, last } = stretch;
    let lists = lists(concerned);
    let following = (0..lists.len()).rev();
    lists
        .iter()
        .zip(following)
        .map(|(list, rest)| format!("{after} {last} {rest} {list}"))
        .collect()
}

/// The users of one commit, in at least one list.
fn lists(keys: impl Iterator<Item = WakeKey>) -> Vec<String> {
    let keys: Vec<_> = keys.collect::<BTreeSet<_>>().into_iter().collect();
    if keys.is_empty() {
        return vec![String::new()];
    }
    if keys.len() > KEYS_MAX * LISTS_MAX {
        return vec![EVERYBODY.to_owned()];
    }
    let list = |keys: &[WakeKey]| keys.iter().map(|key| format!("{:08x}", key.0)).collect();
    keys.chunks(KEYS_MAX).map(list).collect()
}

impl Wakeup {
    /// Wakes everybody, for whatever reason.
    pub const EVERYBODY: Self = Self {
        who: Who::Everybody,
        written: None,
        stretch: None,
        goes_on: false,
    };

    /// Reads a notification: microseconds since 1970, and what [`notifications`] gives. One that cannot
    /// be read, as another version of the service may send it, wakes everybody.
    pub fn parse(payload: &str) -> Self {
        Self::try_parse(payload).unwrap_or(Self::EVERYBODY)
    }

    fn try_parse(payload: &str) -> Option<Self> {
        let mut fields = payload.splitn(5, ' ');
        let written = fields.next()?.parse().ok()?;
        let after = Timestamp(fields.next()?.parse().ok()?);
        let last = Timestamp(fields.next()?.parse().ok()?);
        let following: usize = fields.next()?.parse().ok()?;
        Some(Self {
            who: Who::parse(fields.next()?)?,
            written: UNIX_EPOCH.checked_add(Duration::from_micros(written)),
            stretch: Some(Stretch { after, last }),
            goes_on: following > 0,
        })
    }
}

impl Who {
    fn parse(list: &str) -> Option<Self> {
        if list == EVERYBODY {
            return Some(Self::Everybody);
        }
        let keys = list.as_bytes().chunks(8).map(|digits| {
            let digits = std::str::from_utf8(digits)
                .ok()
                .filter(|digits| digits.len() == 8)?;
            u32::from_str_radix(digits, 16).ok().map(WakeKey)
        });
        Some(Self::Users(keys.collect::<Option<_>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(application: i64, user: &str) -> WakeKey {
        WakeKey::of(ApplicationId(application), &UserId::parse(user).unwrap())
    }

    const STRETCH: Stretch = Stretch {
        after: Timestamp(6),
        last: Timestamp(9),
    };

    /// What a commit notifies, as it is heard.
    fn heard(keys: impl Iterator<Item = WakeKey>) -> Vec<Wakeup> {
        let heard = |sent: &String| Wakeup::parse(&format!("1700000000000001 {sent}"));
        notifications(STRETCH, keys).iter().map(heard).collect()
    }

    #[test]
    fn a_key_is_stable_and_tells_users_and_applications_apart() {
        assert_eq!(format!("{:08x}", key(1, "jane").0), "7b56f74a");
        assert_ne!(key(1, "jane"), key(2, "jane"));
        assert_ne!(key(1, "jane"), key(1, "john"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let keys = [key(1, "jane"), key(1, "john"), key(1, "jane")];
        let wakeups = heard(keys.into_iter());
        let Who::Users(read) = &wakeups[0].who else {
            panic!("users are named")
        };
        assert_eq!(
            BTreeSet::from_iter(read),
            BTreeSet::from([&keys[0], &keys[1]])
        );
        assert_eq!(
            wakeups[0].written,
            Some(UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001))
        );
        assert_eq!(
            (wakeups[0].stretch, wakeups[0].goes_on),
            (Some(STRETCH), false)
        );
        assert_eq!(wakeups.len(), 1);
    }

    #[test]
    fn a_commit_that_concerns_nobody_tells_how_far_it_went() {
        let wakeups = heard(std::iter::empty());
        assert_eq!(wakeups.len(), 1);
        assert_eq!(
            (&wakeups[0].who, wakeups[0].stretch),
            (&Who::Users(Vec::new()), Some(STRETCH))
        );
    }

    #[test]
    fn a_commit_for_many_users_takes_several_notifications_and_the_last_one_says_so() {
        let goes_on = |count: u32| {
            let goes_on = |wakeup: &Wakeup| wakeup.goes_on;
            heard((0..count).map(WakeKey))
                .iter()
                .map(goes_on)
                .collect::<Vec<_>>()
        };
        assert_eq!(goes_on(900), [false]);
        assert_eq!(goes_on(901), [true, false]);
        assert_eq!(goes_on(3600), [true, true, true, false]);
        assert!(
            notifications(STRETCH, (0..3600).map(WakeKey))
                .iter()
                .all(|sent| sent.len() < 7900)
        );
    }

    #[test]
    fn a_commit_for_very_many_users_wakes_everybody() {
        let wakeups = heard((0..3601).map(WakeKey));
        assert_eq!(wakeups.len(), 1);
        assert_eq!(
            (&wakeups[0].who, wakeups[0].stretch),
            (&Who::Everybody, Some(STRETCH))
        );
    }

    #[test]
    fn what_cannot_be_read_wakes_everybody() {
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
            assert_eq!(Wakeup::parse(payload), Wakeup::EVERYBODY, "{payload:?}");
        }
    }
}
