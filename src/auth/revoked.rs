//! The users whose earlier tokens an application does not accept any more.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use quick_cache::sync::Cache;

use crate::{
    domain::{ApplicationId, Timestamp, UserId},
    store::{self, Pool},
};

/// Applications whose users are kept. An application that is not kept is read anew, as a whole.
const APPLICATIONS_MAX: usize = 10_000;

/// Since when tokens count: for each user of an application for whom the application has set that. It takes
/// some 100 bytes a user.
#[derive(Debug, Clone, Default)]
pub struct Revoked {
    /// The change up to which it was read.
    up_to: Timestamp,
    since: HashMap<UserId, SystemTime>,
}

impl Revoked {
    /// Whether a token that was issued then does not identify the user any more. One that does not say
    /// when it was issued may be as old as any.
    pub fn revokes(&self, user: &UserId, issued: Option<SystemTime>) -> bool {
        let since = self.since.get(user);
        since.is_some_and(|since| issued.is_none_or(|issued| issued < *since))
    }
}

/// Reads them, and after that only what has changed.
pub struct RevokedTokens {
    pool: Pool,
    known: Cache<ApplicationId, Arc<Revoked>>,
}

impl RevokedTokens {
    pub fn new(pool: Pool) -> Self {
        Self {
            pool,
            known: Cache::new(APPLICATIONS_MAX),
        }
    }

    /// Those of an application whose last change of them is at `last`. Changes of one application become
    /// visible in the order of their timestamps, so whoever has read up to one of them has missed none.
    pub async fn up_to(
        &self,
        application: ApplicationId,
        last: Timestamp,
    ) -> store::Result<Arc<Revoked>> {
        let known = self.known.get(&application).unwrap_or_default();
        if known.up_to == last {
            return Ok(known);
        }
        // A timeline that ends before what is known is another one: a backup was restored.
        let mut revoked = match known.up_to < last {
            true => Revoked::clone(&known),
            false => Revoked::default(),
        };
        let after = revoked.up_to;
        let reading = self.pool.query(async |connection| {
            store::restrictions::tokens_since(connection, application, after).await
        });
        for (user, since) in reading.await? {
            match since {
                Some(since) => revoked.since.insert(user, since.into()),
                None => revoked.since.remove(&user),
            };
        }
        revoked.up_to = last;
        let revoked = Arc::new(revoked);
        self.known.insert(application, Arc::clone(&revoked));
        Ok(revoked)
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
            since: HashMap::from([(jane.clone(), at(10))]),
        };
        assert!(revoked.revokes(&jane, Some(at(9))));
        assert!(!revoked.revokes(&jane, Some(at(10))));
        assert!(revoked.revokes(&jane, None));
        assert!(!revoked.revokes(&john, None));
    }
}
