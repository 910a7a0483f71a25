//! The applications that exist and the tokens that stand for them.

use std::time::Duration;

use moka::future::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::{Instant, sleep_until};

use super::Error;
use crate::{
    domain::{ApplicationId, Title},
    store::{self, Pool, applications::Application},
};

/// How long a hash is trusted. A token that was replaced ends on every replica within this time and
/// a read; a stream that it has opened, within a second more.
const HASH_LIFETIME: Duration = Duration::from_secs(2);

/// How long it is trusted that an application exists, beside the lifetime of what that was read with.
const EXISTENCE_LIFETIME: Duration = Duration::from_secs(1);

/// A token that is not the known one is a reason to read again, this long after the last read: so
/// whoever guesses waits. So is a read that has failed.
const REREAD_PAUSE: Duration = Duration::from_millis(200);

/// Applications whose hashes are kept; more are asked for again.
const APPLICATIONS_MAX: u64 = 100_000;

/// What tokens of applications begin with, for people and for scanners of leaked secrets.
const PREFIX: &str = "msgapp_";

/// Random bytes of a token.
const SECRET_BYTES: usize = 32;

/// The hash of an application's token.
pub type TokenHash = [u8; 32];

/// An application's token, shown once.
pub struct ApplicationToken {
    pub token: String,
    pub hash: TokenHash,
}

impl ApplicationToken {
    /// A new token: a prefix, the application's id, and a random secret.
    pub fn generate(application: ApplicationId) -> Self {
        let mut secret = [0_u8; SECRET_BYTES];
        rand::fill(&mut secret);
        let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let token = format!("{PREFIX}{}_{secret}", application.0);
        Self {
            hash: hash(&token),
            token,
        }
    }
}

/// Creates an application with a token of its own.
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

/// The hash under which a token is stored. The secret is random, so no salt and no slow hash is
/// needed.
fn hash(token: &str) -> TokenHash {
    Sha256::digest(token).into()
}

/// Whether two secrets are the same, in a time that does not tell how much of them is.
pub fn is_same_secret(one: &str, other: &str) -> bool {
    hash(one).ct_eq(&hash(other)).into()
}

/// Stands for an application's token where it may be seen: its hash, hashed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(hash: &TokenHash) -> Self {
        Self(Sha256::digest(hash).into())
    }
}

/// Knows which applications exist, and the hashes of their tokens.
pub struct Applications {
    pool: Pool,
    known: Cache<ApplicationId, Known>,
    /// Those that were there a moment ago. A restore may have lost one, and its tokens end with it.
    existing: Cache<ApplicationId, ()>,
}

/// What was read of an application. A failure is kept as well: thousands of streams ask again every second.
#[derive(Clone)]
struct Known {
    found: Result<Found, Error>,
    read: Instant,
}

#[derive(Clone, Copy)]
struct Found {
    exists: bool,
    token: Option<TokenHash>,
}

impl Applications {
    pub fn new(pool: Pool) -> Self {
        let known = Cache::builder()
            .max_capacity(APPLICATIONS_MAX)
            .time_to_live(HASH_LIFETIME);
        let existing = Cache::builder()
            .max_capacity(APPLICATIONS_MAX)
            .time_to_live(EXISTENCE_LIFETIME);
        Self {
            pool,
            known: known.build(),
            existing: existing.build(),
        }
    }

    /// The application that a token stands for, if it looks like one of an application.
    pub async fn identify(
        &self,
        token: &str,
    ) -> Option<Result<(ApplicationId, Fingerprint), Error>> {
        let (id, _) = token.strip_prefix(PREFIX)?.split_once('_')?;
        let application = ApplicationId(id.parse().ok()?);
        let verified = Box::pin(self.verify(application, &hash(token))).await;
        Some(verified.map(|fingerprint| (application, fingerprint)))
    }

    async fn verify(
        &self,
        application: ApplicationId,
        given: &TokenHash,
    ) -> Result<Fingerprint, Error> {
        let is_given = |found: Found| found.token.is_some_and(|token| token.ct_eq(given).into());
        let known = self.known_anew(application).await;
        let mut found = known.found?;
        if !is_given(found) {
            // The token may be newer than what is known.
            sleep_until(known.read + REREAD_PAUSE).await;
            self.forget(application).await;
            found = self.known(application).await.found?;
        }
        is_given(found)
            .then(|| Fingerprint::of(given))
            .ok_or(Error::UnknownToken)
    }

    /// The application's present token must be the one that a fingerprint stands for.
    pub async fn require_current(
        &self,
        application: ApplicationId,
        given: &Fingerprint,
    ) -> Result<(), Error> {
        let token = self.known(application).await.found?.token;
        let is_given = token.is_some_and(|token| Fingerprint::of(&token) == *given);
        if is_given {
            Ok(())
        } else {
            Err(Error::UnknownToken)
        }
    }

    /// The application must exist.
    pub async fn require(&self, application: ApplicationId) -> Result<(), Error> {
        if self.existing.contains_key(&application) {
            return Ok(());
        }
        Box::pin(self.look_up(application)).await
    }

    async fn look_up(&self, application: ApplicationId) -> Result<(), Error> {
        if !self.known_anew(application).await.found?.exists {
            return Err(Error::UnknownApplication);
        }
        self.existing.insert(application, ()).await;
        Ok(())
    }

    /// Forgets what is known of an application's token.
    pub async fn forget(&self, application: ApplicationId) {
        self.known.invalidate(&application).await;
    }

    /// As [`known`](Self::known), and read again where the last read has failed.
    async fn known_anew(&self, application: ApplicationId) -> Known {
        let known = self.known(application).await;
        if known.found.is_ok() || known.read.elapsed() < REREAD_PAUSE {
            return known;
        }
        self.forget(application).await;
        self.known(application).await
    }

    async fn known(&self, application: ApplicationId) -> Known {
        self.known
            .get_with(application, self.read(application))
            .await
    }

    async fn read(&self, application: ApplicationId) -> Known {
        let began = Instant::now();
        let reading = self.pool.query(async |connection| {
            store::applications::token_hash(connection, application).await
        });
        match reading.await {
            Ok(found) => {
                let found = Found {
                    exists: found.is_some(),
                    token: found.flatten(),
                };
                Known {
                    found: Ok(found),
                    read: began,
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the tokens of applications cannot be read");
                Known {
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
        let [one, other] = [1, 2].map(|_| ApplicationToken::generate(ApplicationId(7)));
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
