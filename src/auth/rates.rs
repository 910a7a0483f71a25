//! Limits of rate: how much a user, and an application with all its users, may send.
//!
//! Each has a bucket on each replica. It is full at first, so that much may be sent at once, and it fills again
//! within a minute, one after the other: so a limit
//! holds for each replica, and with several of them up to as many times as much is let through. Nothing is
//! counted where nothing is limited.

use std::{convert::Infallible, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use quick_cache::sync::Cache;

use crate::{
    domain::{ApplicationId, UserId},
    random::KeyedHash,
};

/// The buckets that are kept, of some 200 bytes each. One that is not kept is full again.
const BUCKETS_MAX: usize = 100_000;

/// How much the buckets hold, which comes back within a minute.
#[derive(Debug, Clone, Copy, Default)]
pub struct RateLimits {
    /// By each user.
    pub user: Option<NonZeroU32>,
    /// By each application, with all its users.
    pub application: Option<NonZeroU32>,
}

/// Whose bucket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    User,
    Application,
}

/// What is left in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    pub limited: Limited,
    /// How much it holds, and how much of it comes back within a minute.
    pub quota: NonZeroU32,
    pub remaining: u32,
    /// How long it takes to be full again; of an empty one, until there is something in it.
    pub more_in: Duration,
}

/// A bucket is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooMany {
    /// Of the buckets up to the empty one.
    pub allowances: Vec<Allowance>,
    /// How long it takes until something may be sent.
    pub wait: Duration,
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

struct Bucket {
    quota: NonZeroU32,
    limiter: Limiter,
}

/// The buckets of this replica.
pub struct Rates {
    limits: RateLimits,
    /// `None` is the application itself.
    buckets: Cache<(ApplicationId, Option<KeyedHash>), Arc<Bucket>>,
}

impl Rates {
    pub fn new(limits: RateLimits) -> Self {
        Self {
            limits,
            buckets: Cache::new(BUCKETS_MAX),
        }
    }

    /// Takes the right to send something out of the user's bucket, and then out of the application's: so a
    /// user who is refused takes nothing from the others. `policy` is the application's own limit for each
    /// user; the smaller one counts. Returns what is left in each bucket.
    pub fn take(
        &self,
        application: ApplicationId,
        user: Option<&UserId>,
        policy: Option<NonZeroU32>,
    ) -> Result<Vec<Allowance>, TooMany> {
        let of_user = [self.limits.user, policy].into_iter().flatten().min();
        let of_user = of_user.filter(|_| user.is_some());
        let mut allowances = Vec::new();
        for (limited, user, quota) in [
            (Limited::User, user, of_user),
            (Limited::Application, None, self.limits.application),
        ] {
            let Some(quota) = quota else { continue };
            let bucket = self.bucket((application, user.map(KeyedHash::of)), quota);
            let (allowance, wait) = bucket.take(limited);
            allowances.push(allowance);
            if let Some(wait) = wait {
                return Err(TooMany { allowances, wait });
            }
        }
        Ok(allowances)
    }

    /// A bucket with another quota is a new one.
    fn bucket(&self, key: (ApplicationId, Option<KeyedHash>), quota: NonZeroU32) -> Arc<Bucket> {
        let new = || Ok::<_, Infallible>(Arc::new(Bucket::new(quota)));
        let Ok(bucket) = self.buckets.get_or_insert_with(&key, new);
        if bucket.quota == quota {
            return bucket;
        }
        let bucket = Arc::new(Bucket::new(quota));
        self.buckets.insert(key, Arc::clone(&bucket));
        bucket
    }
}

impl Bucket {
    fn new(quota: NonZeroU32) -> Self {
        Self {
            quota,
            limiter: RateLimiter::direct(Quota::per_minute(quota)).with_middleware(),
        }
    }

    /// Takes one out, if there is one. Returns what is left, and how long to wait if there was none.
    fn take(&self, limited: Limited) -> (Allowance, Option<Duration>) {
        let (remaining, wait) = match self.limiter.check() {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(until) => (0, Some(until.wait_time_from(DefaultClock::default().now()))),
        };
        let period = Quota::per_minute(self.quota).replenish_interval();
        let full_in = period * (self.quota.get() - remaining);
        let allowance = Allowance {
            limited,
            quota: self.quota,
            remaining,
            more_in: wait.unwrap_or(full_in),
        };
        (allowance, wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLICATION: ApplicationId = ApplicationId::new(7);

    fn limit(per_minute: u32) -> Option<NonZeroU32> {
        NonZeroU32::new(per_minute)
    }

    #[test]
    fn nothing_is_counted_where_nothing_is_limited() {
        let rates = Rates::new(RateLimits::default());
        let jane = UserId::trusted("jane");
        assert_eq!(rates.take(APPLICATION, Some(&jane), None), Ok(Vec::new()));
        assert!(rates.buckets.is_empty());
    }

    #[test]
    fn a_user_has_a_bucket_of_its_own_and_the_smaller_limit_counts() {
        let rates = Rates::new(RateLimits {
            user: limit(2),
            application: None,
        });
        let [jane, john] = ["jane", "john"].map(UserId::trusted);
        for policy in [None, limit(3), limit(2)] {
            let taken = rates.take(APPLICATION, Some(&jane), policy);
            match policy == limit(2) {
                false => assert_eq!(taken.unwrap()[0].quota, limit(2).unwrap()),
                true => {
                    let wait = taken.unwrap_err().wait;
                    assert!(wait <= Duration::from_secs(30), "{wait:?}");
                }
            }
        }
        let other = rates.take(APPLICATION, Some(&john), limit(1)).unwrap();
        assert_eq!((other[0].quota.get(), other[0].remaining), (1, 0));
        assert!(rates.take(APPLICATION, Some(&john), limit(1)).is_err());
        // The application itself is no user.
        assert_eq!(rates.take(APPLICATION, None, limit(1)), Ok(Vec::new()));
    }

    #[test]
    fn who_is_refused_takes_nothing_from_the_application() {
        let rates = Rates::new(RateLimits {
            user: limit(1),
            application: limit(3),
        });
        let [jane, john] = ["jane", "john"].map(UserId::trusted);
        let first = rates.take(APPLICATION, Some(&jane), None).unwrap();
        assert_eq!(first[1].remaining, 2);
        for _ in 0..5 {
            let refused = rates.take(APPLICATION, Some(&jane), None).unwrap_err();
            assert_eq!(refused.allowances[0].limited, Limited::User);
        }
        let second = rates.take(APPLICATION, Some(&john), None).unwrap();
        assert_eq!(second[1].remaining, 1);
        rates.take(APPLICATION, None, None).unwrap();
        let refused = rates.take(APPLICATION, None, None).unwrap_err();
        assert_eq!(refused.allowances[0].limited, Limited::Application);
    }
}
