//! Digests of the users whom applications have had erased.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::SecretString;
use sha2::Sha256;

use super::derived_key;
use crate::domain::{ApplicationId, UserDigest, UserId};

/// Makes the digests under which erasures of users are stored.
///
/// The key is derived from the service's secret, so a reader of the database can neither tell who was erased nor
/// find out by trying ids. Under another secret no earlier erasure is found; nor is any token of before valid
/// then that the service has signed.
pub struct UserDigester {
    key: Hmac<Sha256>,
}

impl UserDigester {
    pub fn new(secret: &SecretString) -> Self {
        let key = derived_key(secret, "messages: digests of erased users");
        Self {
            key: Hmac::new_from_slice(&key).expect("HMAC takes keys of every length"),
        }
    }

    pub fn digest(&self, application: ApplicationId, user: &UserId) -> UserDigest {
        let key = self.key.clone();
        let key = key.chain_update(application.get().to_be_bytes());
        let digest = key.chain_update(user.as_str()).finalize();
        UserDigest(digest.into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_depends_on_the_user_its_application_and_the_secret() {
        let [one, other] = [
            "0123456789abcdef0123456789abcdef",
            "fedcba9876543210fedcba9876543210",
        ]
        .map(|secret| UserDigester::new(&SecretString::from(secret)));
        let [jane, john] = ["jane", "john"].map(UserId::trusted);
        let [first, second] = [1, 2].map(ApplicationId::new);
        let digest = one.digest(first, &jane);
        assert_eq!(digest, one.digest(first, &jane));
        for another in [
            one.digest(first, &john),
            one.digest(second, &jane),
            other.digest(first, &jane),
        ] {
            assert_ne!(digest, another);
        }
    }
}
