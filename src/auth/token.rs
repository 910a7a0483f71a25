//! User tokens: JSON Web Tokens (RFC 7519) signed with HS256 by the service's own secret.

use std::time::SystemTime;

use quick_cache::sync::Cache;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Error, Issued,
    jwt::{
        SECRET_BYTES_MIN, SigningKey, WeakSecret, issued_at, numeric_date, precise_date, time_of,
    },
    named_application,
};
use crate::domain::{ApplicationId, Clock, ErasedUsers, UserId};

/// Tokens that are cached; each takes about 200 bytes.
const VERIFIED_MAX: usize = 50_000;

/// Signs and verifies user tokens with one secret.
#[derive(Clone)]
pub struct Signer {
    key: SigningKey,
}

/// The claims of a token. The library checks `exp`, fractions included.
#[derive(Deserialize)]
struct UserClaims {
    sub: String,
    app: Option<i64>,
    exp: f64,
    /// What cannot be read as a time is passed over.
    iat: Option<Value>,
}

#[derive(Serialize)]
struct NewUserClaims<'a> {
    sub: &'a str,
    exp: u64,
    /// To the microsecond: a user's earlier tokens may end a moment before a new one is issued.
    iat: f64,
    app: i64,
}

impl Signer {
    pub fn new(secret: &SecretString) -> Result<Self, WeakSecret> {
        let secret = secret.expose_secret().as_bytes();
        if secret.len() < SECRET_BYTES_MIN {
            return Err(WeakSecret);
        }
        Ok(Self {
            key: SigningKey::new(secret),
        })
    }

    /// A token for a user. It expires at `expires`, to the second.
    pub fn sign(
        &self,
        application: ApplicationId,
        user: &UserId,
        issued: SystemTime,
        expires: SystemTime,
    ) -> String {
        let claims = NewUserClaims {
            sub: user.as_str(),
            exp: numeric_date(expires),
            iat: precise_date(issued),
            app: application.get(),
        };
        self.key.sign(&claims)
    }

    /// The user of a token that is valid at present.
    pub fn verify(&self, token: &str) -> Result<Issued, Error> {
        let claims = self.key.verify::<UserClaims>(token)?;
        let application = named_application(claims.app);
        if application.get() < 1 {
            return Err(Error::BadApplication);
        }
        Ok(Issued {
            application,
            user: UserId::parse(&claims.sub).map_err(|_| Error::BadUser)?,
            issued: issued_at(claims.iat.as_ref()),
            expires: time_of(claims.exp),
        })
    }
}

/// Verifies each token once: its signature stays valid until it expires.
pub struct Verifier {
    signer: Signer,
    clock: Clock,
    /// By the hash of the token: the tokens themselves are not kept.
    verified: Cache<[u8; 32], Issued>,
}

/// The hash of a token that was verified just now.
pub struct NewToken([u8; 32]);

impl Verifier {
    pub fn new(signer: Signer, clock: Clock) -> Self {
        Self {
            signer,
            clock,
            verified: Cache::new(VERIFIED_MAX),
        }
    }

    /// The user of a token that is valid at present. If it is not cached, it comes with what is to be
    /// [kept](Self::keep) of the token.
    pub fn verify(&self, token: &str) -> Result<(Issued, Option<NewToken>), Error> {
        let is_valid = |issued: &Issued| (self.clock)() < issued.expires;
        let hash = Sha256::digest(token).into();
        match self.verified.get(&hash).filter(is_valid) {
            Some(issued) => Ok((issued, None)),
            None => Ok((self.signer.verify(token)?, Some(NewToken(hash)))),
        }
    }

    /// Caches the user of a token, once the application accepts it.
    pub fn keep(&self, token: NewToken, issued: Issued) {
        self.verified.insert(token.0, issued);
    }

    /// Drops the tokens of users.
    pub fn forget(&self, erased: &ErasedUsers) {
        self.verified
            .retain(|_, issued| !erased.contain(issued.application, &issued.user));
    }

    /// How many tokens are cached.
    pub fn size(&self) -> usize {
        self.verified.len()
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tokens are verified against the real clock"
)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    const HOUR: Duration = Duration::from_secs(3600);

    fn signer(secret: &str) -> Signer {
        Signer::new(&SecretString::from(secret.to_owned())).unwrap()
    }

    fn ours() -> Signer {
        signer(SECRET)
    }

    fn janes_token(signer: &Signer, expires: SystemTime) -> String {
        signer.sign(
            ApplicationId::new(7),
            &UserId::parse("jane").unwrap(),
            UNIX_EPOCH,
            expires,
        )
    }

    fn token(claims: serde_json::Value, algorithm: Algorithm) -> String {
        encode(
            &Header::new(algorithm),
            &claims,
            &EncodingKey::from_secret(SECRET.as_bytes()),
        )
        .unwrap()
    }

    fn in_an_hour() -> u64 {
        (SystemTime::now() + HOUR)
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
    }

    #[test]
    fn a_signed_token_identifies_its_user() {
        let expires = UNIX_EPOCH + Duration::from_secs(in_an_hour());
        let token = janes_token(&ours(), expires);
        let user = UserId::parse("jane").unwrap();
        assert_eq!(
            ours().verify(&token),
            Ok(Issued {
                application: ApplicationId::new(7),
                user,
                issued: Some(UNIX_EPOCH),
                expires
            })
        );
    }

    #[test]
    fn a_token_without_app_belongs_to_the_default_application() {
        let token = token(
            serde_json::json!({ "sub": "jane", "exp": in_an_hour() }),
            Algorithm::HS256,
        );
        assert_eq!(
            ours().verify(&token).unwrap().application,
            ApplicationId::DEFAULT
        );
    }

    #[test]
    fn an_expiry_may_have_a_fraction() {
        let exp = in_an_hour() as f64 + 0.25;
        let token = token(
            serde_json::json!({ "sub": "jane", "exp": exp }),
            Algorithm::HS256,
        );
        let expires = ours().verify(&token).unwrap().expires;
        assert_eq!(expires, UNIX_EPOCH + Duration::from_secs_f64(exp));
    }

    #[test]
    fn an_expiry_beyond_all_clocks_is_a_very_late_one() {
        let token = token(
            serde_json::json!({ "sub": "jane", "exp": 1e18 }),
            Algorithm::HS256,
        );
        assert!(ours().verify(&token).unwrap().expires > SystemTime::now() + 1_000_000 * HOUR);
    }

    #[test]
    fn a_token_expires() {
        let token = janes_token(&ours(), SystemTime::now());
        assert_eq!(
            ours().verify(&token),
            Err(Error::Expired),
            "on its expiry it is not accepted"
        );
    }

    /// The user of a token that the application accepts, and whether it was cached.
    fn accepted(verifier: &Verifier, token: &str) -> (Issued, bool) {
        let (issued, new) = verifier.verify(token).unwrap();
        let was_cached = new.is_none();
        if let Some(new) = new {
            verifier.keep(new, issued.clone());
        }
        (issued, was_cached)
    }

    #[test]
    fn a_token_is_cached_once_it_is_accepted_until_it_expires() {
        let verifier = Verifier::new(ours(), SystemTime::now);
        let token = janes_token(&ours(), SystemTime::now() + HOUR);
        assert!(verifier.verify(&token).is_ok());
        assert_eq!(verifier.size(), 0, "it may be refused");
        let (jane, was_cached) = accepted(&verifier, &token);
        assert_eq!((&jane.user, was_cached), (&UserId::trusted("jane"), false));
        assert_eq!(accepted(&verifier, &token), (jane.clone(), true));

        let (_, new) = Verifier::new(ours(), SystemTime::now)
            .verify(&token)
            .unwrap();
        let expired = Issued {
            expires: SystemTime::now(),
            ..jane.clone()
        };
        verifier.keep(new.unwrap(), expired);
        assert_eq!(
            accepted(&verifier, &token),
            (jane, false),
            "it was verified anew"
        );
    }

    #[test]
    fn the_tokens_of_an_erased_user_are_forgotten() {
        let verifier = Verifier::new(ours(), SystemTime::now);
        let token = janes_token(&ours(), SystemTime::now() + HOUR);
        let (jane, _) = accepted(&verifier, &token);
        let mut erased = ErasedUsers::default();
        erased.add(jane.application, Some(UserId::trusted("john")));
        verifier.forget(&erased);
        assert_eq!(verifier.size(), 1);
        erased.add(jane.application, Some(jane.user));
        verifier.forget(&erased);
        assert_eq!(verifier.size(), 0);
    }

    #[test]
    fn a_refused_token_is_not_cached() {
        let verifier = Verifier::new(ours(), SystemTime::now);
        let other = signer("another secret that is long enough");
        for token in [
            janes_token(&ours(), SystemTime::now()),
            janes_token(&other, SystemTime::now() + HOUR),
        ] {
            assert!(verifier.verify(&token).is_err());
        }
    }

    #[test]
    fn a_token_of_another_secret_or_algorithm_is_refused() {
        let other = janes_token(
            &signer("another secret that is long enough"),
            SystemTime::now() + HOUR,
        );
        assert_eq!(ours().verify(&other), Err(Error::BadSignature));
        let claims = serde_json::json!({ "sub": "jane", "exp": in_an_hour() });
        assert_eq!(
            ours().verify(&token(claims, Algorithm::HS512)),
            Err(Error::BadSignature)
        );
        let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJqYW5lIiwiZXhwIjo5OTk5OTk5OTk5fQ.";
        assert!(ours().verify(unsigned).is_err());
    }

    #[test]
    fn claims_are_checked() {
        let verify = |claims| ours().verify(&token(claims, Algorithm::HS256));
        let exp = in_an_hour();
        assert_eq!(
            verify(serde_json::json!({ "sub": "jane" })),
            Err(Error::Malformed)
        );
        assert_eq!(
            verify(serde_json::json!({ "exp": exp })),
            Err(Error::Malformed)
        );
        assert_eq!(
            verify(serde_json::json!({ "sub": "a b", "exp": exp })),
            Err(Error::BadUser)
        );
        assert_eq!(
            verify(serde_json::json!({ "sub": "jane", "exp": exp, "app": 0 })),
            Err(Error::BadApplication)
        );
        assert_eq!(
            verify(serde_json::json!({ "sub": "jane", "exp": exp, "nbf": exp })),
            Err(Error::NotYetValid)
        );
        for text in ["", "x", "a.b.c", "...."] {
            assert_eq!(ours().verify(text), Err(Error::Malformed), "{text:?}");
        }
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert!(Signer::new(&SecretString::from("x".repeat(31))).is_err());
        assert!(Signer::new(&SecretString::from("x".repeat(32))).is_ok());
    }
}
