//! The applications that exist and the tokens that stand for them.

use std::time::Duration;

use moka::future::Cache;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Error;
use crate::{
    domain::ApplicationId,
    store::{self, PgPool},
};

/// How long a hash is trusted: a token that was replaced ends on every replica within this time.
const HASH_LIFETIME: Duration = Duration::from_secs(3);

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
        Self { hash: hash(&token), token }
    }
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

/// Knows which applications exist, and the hashes of their tokens.
pub struct Applications {
    pool: PgPool,
    /// `None` for an application that does not exist; in it, `None` for one without a token.
    hashes: Cache<ApplicationId, Option<Option<TokenHash>>>,
    /// Applications never cease to exist: these need not be asked for again.
    existing: Cache<ApplicationId, ()>,
}

impl Applications {
    pub fn new(pool: PgPool) -> Self {
        let hashes = Cache::builder().max_capacity(APPLICATIONS_MAX).time_to_live(HASH_LIFETIME).build();
        Self { pool, hashes, existing: Cache::new(APPLICATIONS_MAX) }
    }

    /// The application that a token stands for, if it looks like one of an application.
    pub async fn identify(&self, token: &str) -> Option<Result<(ApplicationId, TokenHash), Error>> {
        let (id, _) = token.strip_prefix(PREFIX)?.split_once('_')?;
        let application = ApplicationId(id.parse().ok()?);
        let given = hash(token);
        Some(match self.is_current(application, &given).await {
            Ok(true) => Ok((application, given)),
            Ok(false) => Err(Error::UnknownToken),
            Err(error) => Err(error),
        })
    }

    /// Whether a hash is that of the application's present token.
    pub async fn is_current(
        &self,
        application: ApplicationId,
        given: &TokenHash,
    ) -> Result<bool, Error> {
        let known = self.token_hash(application).await?.flatten();
        Ok(known.is_some_and(|known| known.ct_eq(given).into()))
    }

    /// Whether the application exists.
    pub async fn require(&self, application: ApplicationId) -> Result<(), Error> {
        if self.existing.contains_key(&application) {
            return Ok(());
        }
        self.token_hash(application).await?.ok_or(Error::UnknownApplication)?;
        self.existing.insert(application, ()).await;
        Ok(())
    }

    /// Forgets what is known of an application's token.
    pub async fn forget(&self, application: ApplicationId) {
        self.hashes.invalidate(&application).await;
    }

    async fn token_hash(&self, application: ApplicationId) -> Result<Option<Option<TokenHash>>, Error> {
        let reading = async {
            let mut connection = self.pool.acquire().await.map_err(store::Error::from)?;
            store::applications::token_hash(&mut connection, application).await
        };
        self.hashes.try_get_with(application, reading).await.map_err(|error| {
            tracing::warn!(%error, "the tokens of applications cannot be read");
            Error::Unavailable
        })
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
