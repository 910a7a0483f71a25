//! The pace of signals: one a second by each user.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    domain::{ApplicationId, UserId},
    random::KeyedHash,
};

/// The shortest time between two signals of a user.
const PERIOD: Duration = Duration::from_secs(1);

/// When each user has signalled last, within the last few seconds.
pub struct Pace(Mutex<Signalled>);

struct Signalled {
    last: HashMap<(ApplicationId, KeyedHash), Instant>,
    /// When those were last removed who may signal again.
    swept: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self(Mutex::new(Signalled {
            last: HashMap::new(),
            swept: Instant::now(),
        }))
    }
}

impl Pace {
    /// Whether the user may signal now; then the next second begins.
    pub fn allows(&self, application: ApplicationId, user: &UserId) -> bool {
        self.allows_at(Instant::now(), application, user)
    }

    /// The user has not signalled after all, and may again.
    pub fn take_back(&self, application: ApplicationId, user: &UserId) {
        let mut signalled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        signalled.last.remove(&(application, KeyedHash::of(user)));
    }

    fn allows_at(&self, now: Instant, application: ApplicationId, user: &UserId) -> bool {
        let is_recent = |last: &Instant| now.saturating_duration_since(*last) < PERIOD;
        let mut signalled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_recent(&signalled.swept) {
            signalled.last.retain(|_, last| is_recent(last));
            signalled.swept = now;
        }
        let key = (application, KeyedHash::of(user));
        if signalled.last.get(&key).is_some_and(is_recent) {
            return false;
        }
        signalled.last.insert(key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ApplicationId = ApplicationId::new(1);

    #[test]
    fn each_user_signals_once_a_second_and_is_forgotten_afterwards() {
        let pace = Pace::default();
        let start = Instant::now();
        let [jane, john] = ["jane", "john"].map(UserId::trusted);
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert!(pace.allows_at(at(0), ONE, &jane));
        assert!(!pace.allows_at(at(999), ONE, &jane));
        assert!(pace.allows_at(at(999), ONE, &john));
        assert!(pace.allows_at(at(999), ApplicationId::new(2), &jane));
        assert!(
            pace.allows_at(at(1000), ONE, &jane),
            "a refusal does not count"
        );
        assert!(pace.allows_at(at(9000), ONE, &john));
        assert_eq!(pace.0.lock().unwrap().last.len(), 1);
    }
}
