//! The applications that exist, and the tokens that identify them.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::{Instant, sleep_until};

use super::{
    Acting, Error, Issued,
    erased::UserDigester,
    expiring::ExpiringCache,
    revoked::{Revoked, RevokedTokens},
};
use crate::{
    domain::{ApplicationId, Title, UserDigest, UserId},
    random,
    store::{
        self, Pool,
        applications::{Access, Application},
    },
};

/// How long what an application has set is cached, its token's hash above all. A replaced token ends
/// on every replica within this time and the time of a read; a stream that it has opened ends within a
/// second more.
const HASH_LIFETIME: Duration = Duration::from_secs(2);

/// How long the existence of an application is cached, beyond the lifetime of the read that showed
/// it.
const EXISTENCE_LIFETIME: Duration = Duration::from_secs(1);

/// If a token does not match the cached hash, the hash is read again, this long after the last
/// read. So a caller who guesses has to wait. A failed read is repeated after the same pause.
const REREAD_PAUSE: Duration = Duration::from_millis(200);

/// Applications that are cached.
const APPLICATIONS_MAX: usize = 100_000;

/// The prefix of applications' tokens, for people and for scanners of leaked secrets.
const PREFIX: &str = "msgapp_";

/// The hash of an application's token.
pub type TokenHash = [u8; 32];

/// An application's token. It is shown once; the hash is stored.
pub struct ApplicationToken {
    pub token: String,
    pub hash: TokenHash,
}

impl ApplicationToken {
    /// A new token: a prefix, the application's id, and a random secret.
    pub fn generate(application: ApplicationId) -> Self {
        let secret: String = random::secret()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let token = format!("{PREFIX}{}_{secret}", application.get());
        Self {
            hash: hash(&token),
            token,
        }
    }
}

/// Creates an application with its token.
pub async fn create_application(
    pool: &Pool,
    name: &Title,
) -> store::Result<(Application, ApplicationToken)> {
    let id = pool
        .query(async |connection| store::applications::next_id(connection).await)
        .await?;
    let token = ApplicationToken::generate(id);
    let inserting = pool.change(async |connection| {
        store::applications::insert(connection, id, name, &token.hash).await
    });
    Ok((inserting.await?, token))
}

/// The hash that is stored for a token. The secret is random, so it needs no salt and no slow hash.
fn hash(token: &str) -> TokenHash {
    Sha256::digest(token).into()
}

/// Compares two secrets in a time that does not depend on how much of them is equal.
pub fn is_same_secret(one: &str, other: &str) -> bool {
    hash(one).ct_eq(&hash(other)).into()
}

/// Identifies an application's token in places that others can read: the hash of its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenFingerprint([u8; 32]);

impl TokenFingerprint {
    fn of(hash: &TokenHash) -> Self {
        Self(Sha256::digest(hash).into())
    }
}

/// Reads which applications exist and the hashes of their tokens, and caches both.
pub struct Applications {
    pool: Pool,
    lookups: ExpiringCache<ApplicationId, TokenLookup>,
    /// The applications that existed a moment ago. A restore may lose one, and its tokens end with it.
    existing: ExpiringCache<ApplicationId, Result<Arc<Present>, Error>>,
    revoked: RevokedTokens,
}

/// A read of an application, `None` if it does not exist. A failure is cached too: thousands of streams look
/// every second.
#[derive(Clone)]
struct TokenLookup {
    found: Result<Option<Arc<Access>>, Error>,
    read: Instant,
}

/// An application that existed a moment ago.
pub struct Present {
    revoked: Arc<Revoked>,
    pub access: Arc<Access>,
}

impl Applications {
    pub fn new(pool: Pool, digester: UserDigester) -> Self {
        Self {
            revoked: RevokedTokens::new(pool.clone(), digester),
            pool,
            lookups: ExpiringCache::new(APPLICATIONS_MAX),
            existing: ExpiringCache::new(APPLICATIONS_MAX),
        }
    }

    /// The application that a token identifies; `None` if it does not have the form of an
    /// application's token.
    pub async fn identify(
        &self,
        token: &str,
    ) -> Option<Result<(ApplicationId, TokenFingerprint), Error>> {
        let (id, _) = token.strip_prefix(PREFIX)?.split_once('_')?;
        let application = ApplicationId::new(id.parse().ok()?);
        let verified = Box::pin(self.verify(application, &hash(token))).await;
        Some(verified.map(|fingerprint| (application, fingerprint)))
    }

    async fn verify(
        &self,
        application: ApplicationId,
        given: &TokenHash,
    ) -> Result<TokenFingerprint, Error> {
        let matches = |found: &Option<Arc<Access>>| {
            let hash = found.as_ref().and_then(|access| access.token_hash);
            hash.is_some_and(|hash| hash.ct_eq(given).into())
        };
        let lookup = self.look_up_unless_failed(application).await;
        let mut found = lookup.found?;
        if !matches(&found) {
            // The token may be newer than the cached hash.
            sleep_until(lookup.read + REREAD_PAUSE).await;
            found = self.look_up_after(application, lookup.read).await.found?;
        }
        if matches(&found) {
            Ok(TokenFingerprint::of(given))
        } else {
            Err(Error::UnknownToken)
        }
    }

    /// The application's present token must be the one with this fingerprint.
    pub async fn require_current(
        &self,
        application: ApplicationId,
        given: &TokenFingerprint,
    ) -> Result<(), Error> {
        let found = self.look_up(application).await.found?;
        let hash = found.and_then(|access| access.token_hash);
        if hash.is_some_and(|hash| TokenFingerprint::of(&hash) == *given) {
            Ok(())
        } else {
            Err(Error::UnknownToken)
        }
    }

    /// The application of a token must exist, and accept tokens of its user that were issued then.
    pub async fn require(&self, token: &Issued) -> Result<(), Error> {
        let present = self.present(token.application).await?;
        let digest = || self.digest_of(token.application, &token.user);
        if present.revoked.revokes(&token.user, digest, token.issued) {
            return Err(Error::Revoked);
        }
        Ok(())
    }

    /// The user as whom an application acts must not have been erased since.
    pub async fn require_present(
        &self,
        application: ApplicationId,
        acting: &Acting,
    ) -> Result<(), Error> {
        let present = self.present(application).await?;
        let digest = || self.digest_of(application, &acting.user);
        match present.revoked.erases(digest, Some(acting.since)) {
            true => Err(Error::Revoked),
            false => Ok(()),
        }
    }

    /// What was read of an application, which must exist. One caller reads it for all who wait. A failure is
    /// cached for a moment, too.
    pub async fn present(&self, application: ApplicationId) -> Result<Arc<Present>, Error> {
        if let Some(present) = self.existing.get(&application) {
            return present;
        }
        let reading = async {
            let present = self.read_present(application).await;
            let lifetime = match &present {
                Ok(_) => EXISTENCE_LIFETIME,
                Err(_) => REREAD_PAUSE,
            };
            (present, lifetime)
        };
        Box::pin(self.existing.get_or_load(&application, reading)).await
    }

    async fn read_present(&self, application: ApplicationId) -> Result<Arc<Present>, Error> {
        let found = self.look_up_unless_failed(application).await.found?;
        let access = found.ok_or(Error::UnknownApplication)?;
        let revoked = self.revoked.up_to(application, access.restricted).await;
        let revoked = revoked.map_err(|error| {
            tracing::warn!(%error, "the users whose tokens have ended cannot be read");
            Error::DatabaseUnavailable
        })?;
        Ok(Arc::new(Present { revoked, access }))
    }

    /// See [`Authenticator::digest_of`](super::Authenticator::digest_of).
    pub fn digest_of(&self, application: ApplicationId, user: &UserId) -> UserDigest {
        self.revoked.digest_of(application, user)
    }

    /// Forgets what is cached of an application, which was changed just now.
    pub fn forget(&self, application: ApplicationId) {
        self.lookups.remove(&application);
        self.existing.remove(&application);
    }

    /// As [`look_up`](Self::look_up); a failed read is repeated after a pause.
    async fn look_up_unless_failed(&self, application: ApplicationId) -> TokenLookup {
        let lookup = self.look_up(application).await;
        if lookup.found.is_ok() || lookup.read.elapsed() < REREAD_PAUSE {
            return lookup;
        }
        self.look_up_after(application, lookup.read).await
    }

    /// A read that began after `earlier`, shared by all callers who need one.
    async fn look_up_after(&self, application: ApplicationId, earlier: Instant) -> TokenLookup {
        self.lookups
            .remove_if(&application, |lookup| lookup.read <= earlier);
        self.look_up(application).await
    }

    async fn look_up(&self, application: ApplicationId) -> TokenLookup {
        let reading = async { (self.read(application).await, HASH_LIFETIME) };
        self.lookups.get_or_load(&application, reading).await
    }

    async fn read(&self, application: ApplicationId) -> TokenLookup {
        let started = Instant::now();
        let reading = self.pool.query(async |connection| {
            store::applications::find_access(connection, application).await
        });
        match reading.await {
            Ok(found) => TokenLookup {
                found: Ok(found.map(Arc::new)),
                read: started,
            },
            Err(error) => {
                tracing::warn!(%error, "what applications have set for their callers cannot be read");
                TokenLookup {
                    found: Err(Error::DatabaseUnavailable),
                    read: Instant::now(),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_application_and_is_random() {
        let [one, other] = [1, 2].map(|_| ApplicationToken::generate(ApplicationId::new(7)));
        assert!(one.token.starts_with("msgapp_7_"));
        assert_eq!(one.token.len(), "msgapp_7_".len() + 64);
        assert_ne!(one.token, other.token);
        assert_eq!(one.hash, hash(&one.token));
    }

    #[test]
    fn secrets_are_compared_whole() {
        assert!(is_same_secret("a", "a"));
        assert!(!is_same_secret("a", "ab"));
        assert!(!is_same_secret("", "a"));
    }
}
