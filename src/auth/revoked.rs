//! The users whose earlier tokens an application does not accept any more: it has set that, or has had them
//! erased.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use quick_cache::sync::Cache;

use super::erased::UserDigester;
use crate::{
    domain::{ApplicationId, Timestamp, UserDigest, UserId},
    random::KeyedHash,
    store::{self, Pool},
};

/// Applications whose users are kept. An application that is not kept is read anew, as a whole.
const APPLICATIONS_MAX: usize = 10_000;

/// How many users are read at once.
const PAGE: i64 = 10_000;

/// Since when tokens count: for each user of an application for whom the application has set that.
#[derive(Debug, Clone, Default)]
pub struct Revoked {
    /// The change up to which it was read.
    up_to: Timestamp,
    since: HashMap<KeyedHash, SystemTime>,
    /// The same for users who are erased, or were: nobody knows their names any more.
    erased: HashMap<UserDigest, SystemTime>,
}

impl Revoked {
    fn set(&mut self, user: &UserId, since: Option<SystemTime>) {
        let user = KeyedHash::of(user);
        match since {
            Some(since) => self.since.insert(user, since),
            None => self.since.remove(&user),
        };
    }

    /// Whether a token that was issued then does not identify the user any more. One that does not say
    /// when it was issued may be as old as any. `digest` is called where the application has had a user
    /// erased.
    pub fn revokes(
        &self,
        user: &UserId,
        digest: impl FnOnce() -> UserDigest,
        issued: Option<SystemTime>,
    ) -> bool {
        let ends = |since: &SystemTime| issued.is_none_or(|issued| issued < *since);
        self.since.get(&KeyedHash::of(user)).is_some_and(ends) || self.erases(digest, issued)
    }

    /// Whether the application has had the user erased after this time; `None` is before any.
    pub fn erases(&self, digest: impl FnOnce() -> UserDigest, time: Option<SystemTime>) -> bool {
        let is_later = |erased: &SystemTime| time.is_none_or(|time| time < *erased);
        !self.erased.is_empty() && self.erased.get(&digest()).is_some_and(is_later)
    }
}

/// Reads them, and after that only what has changed.
pub struct RevokedTokens {
    pool: Pool,
    digester: UserDigester,
    cached: Cache<ApplicationId, Arc<Revoked>>,
}

impl RevokedTokens {
    pub fn new(pool: Pool, digester: UserDigester) -> Self {
        Self {
            pool,
            digester,
            cached: Cache::new(APPLICATIONS_MAX),
        }
    }

    pub fn digest_of(&self, application: ApplicationId, user: &UserId) -> UserDigest {
        self.digester.digest(application, user)
    }

    /// Those of an application whose last change of them is at `last`. Changes of one application become
    /// visible in the order of their timestamps, so whoever has read up to one of them has missed none.
    pub async fn up_to(
        &self,
        application: ApplicationId,
        last: Timestamp,
    ) -> store::Result<Arc<Revoked>> {
        let cached = self.cached.get(&application).unwrap_or_default();
        if cached.up_to == last {
            return Ok(cached);
        }
        // A timeline that ends before what is cached is another one: a backup was restored.
        let mut revoked = match cached.up_to < last {
            true => Revoked::clone(&cached),
            false => Revoked::default(),
        };
        let mut after = revoked.up_to;
        while after < last {
            let reading = self.pool.query(async |connection| {
                store::restrictions::tokens_since(connection, application, after, PAGE).await
            });
            let page = reading.await?;
            after = page.last().map_or(last, |(timestamp, ..)| *timestamp);
            for (_, user, since) in page {
                revoked.set(&user, since.map(SystemTime::from));
            }
        }
        self.add_erased(application, last, &mut revoked).await?;
        revoked.up_to = last;
        let revoked = Arc::new(revoked);
        self.cached.insert(application, Arc::clone(&revoked));
        Ok(revoked)
    }

    /// Adds those who were erased since, up to the change at `last`.
    async fn add_erased(
        &self,
        application: ApplicationId,
        last: Timestamp,
        revoked: &mut Revoked,
    ) -> store::Result<()> {
        let mut after = revoked.up_to;
        while after < last {
            let reading = self.pool.query(async |connection| {
                store::erasures::tokens_since(connection, application, after, PAGE).await
            });
            let page = reading.await?;
            after = page.last().map_or(last, |(timestamp, ..)| *timestamp);
            for (_, digest, since) in page {
                revoked.erased.insert(digest, since.into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_token_counts_if_it_is_not_older_than_what_is_set() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let (jane, john) = (UserId::trusted("jane"), UserId::trusted("john"));
        let revoked = Revoked {
            up_to: Timestamp::new(3),
            since: HashMap::from([(KeyedHash::of(&jane), at(10))]),
            erased: HashMap::new(),
        };
        let unused = || -> UserDigest { panic!("nobody was erased") };
        assert!(revoked.revokes(&jane, unused, Some(at(9))));
        assert!(!revoked.revokes(&jane, unused, Some(at(10))));
        assert!(revoked.revokes(&jane, unused, None));
        assert!(!revoked.revokes(&john, unused, None));
    }

    #[test]
    fn tokens_of_before_an_erasure_count_no_more() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let jane = UserId::trusted("jane");
        let revoked = Revoked {
            up_to: Timestamp::new(3),
            since: HashMap::from([(KeyedHash::of(&jane), at(10))]),
            erased: HashMap::from([(UserDigest([1; 32]), at(20))]),
        };
        let revokes =
            |digest, second| revoked.revokes(&jane, || UserDigest([digest; 32]), Some(at(second)));
        assert!(revokes(1, 19) && !revokes(1, 20));
        assert!(!revokes(2, 19) && revokes(2, 9));
    }
}
