//! User tokens: JSON Web Tokens (RFC 7519) signed with HS256 by the service's own secret.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors::ErrorKind,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{Caller, Error};
use crate::domain::{ApplicationId, UserId};

/// The shortest secret: RFC 7518 asks for a key of at least the hash's size (section 3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// The secret is too short to sign with.
#[derive(Debug, thiserror::Error)]
#[error("the secret must be at least {SECRET_BYTES_MIN} bytes")]
pub struct WeakSecret;

/// Signs and verifies user tokens with one secret.
#[derive(Clone)]
pub struct Signer {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

/// What a token says of its caller. `exp` is checked by the library, fractions included.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    app: Option<i64>,
}

#[derive(Serialize)]
struct NewClaims<'a> {
    sub: &'a str,
    exp: u64,
    app: i64,
}

impl Signer {
    pub fn new(secret: &SecretString) -> Result<Self, WeakSecret> {
        let secret = secret.expose_secret().as_bytes();
        if secret.len() < SECRET_BYTES_MIN {
            return Err(WeakSecret);
        }
        // The algorithm is ours and never the token's; clocks are ours on both sides, so no leeway.
        let mut validation = Validation::new(Algorithm::HS256);
        // "On or after" its expiry a token is not accepted (RFC 7519, section 4.1.4).
        validation.leeway = 0;
        validation.reject_tokens_expiring_in_less_than = 1;
        validation.validate_nbf = true;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "sub"]);
        Ok(Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
        })
    }

    /// A token for `caller` that ends `lifetime` after `now`, to the second.
    pub fn sign(&self, caller: &Caller, now: SystemTime, lifetime: Duration) -> String {
        let expires = now + lifetime;
        let since_epoch = expires.duration_since(UNIX_EPOCH).expect("the clock stands after 1970");
        let claims = NewClaims {
            sub: caller.user.as_str(),
            exp: since_epoch.as_secs(),
            app: caller.application.0,
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .expect("claims of strings and numbers can be written as JSON")
    }

    /// The caller whom a token stands for at present.
    pub fn verify(&self, token: &str) -> Result<Caller, Error> {
        let claims = decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => Error::BadSignature,
                ErrorKind::ExpiredSignature => Error::Expired,
                ErrorKind::ImmatureSignature => Error::NotYetValid,
                _ => Error::Malformed,
            })?
            .claims;
        let application = claims.app.unwrap_or(ApplicationId::DEFAULT.0);
        if application < 1 {
            return Err(Error::BadApplication);
        }
        Ok(Caller {
            application: ApplicationId(application),
            user: UserId::parse(&claims.sub).map_err(|_| Error::BadUser)?,
        })
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tokens are verified against the real clock")]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn signer(secret: &str) -> Signer {
        Signer::new(&SecretString::from(secret.to_owned())).unwrap()
    }

    fn ours() -> Signer {
        signer("0123456789abcdef0123456789abcdef")
    }

    fn jane() -> Caller {
        Caller { application: ApplicationId(7), user: UserId::parse("jane").unwrap() }
    }

    fn token(claims: serde_json::Value, algorithm: Algorithm) -> String {
        encode(&Header::new(algorithm), &claims, &ours().encoding).unwrap()
    }

    fn in_an_hour() -> u64 {
        (SystemTime::now() + HOUR).duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    #[test]
    fn a_signed_token_stands_for_its_caller() {
        let token = ours().sign(&jane(), SystemTime::now(), HOUR);
        assert_eq!(ours().verify(&token), Ok(jane()));
    }

    #[test]
    fn a_token_without_app_belongs_to_the_default_application() {
        let token = token(serde_json::json!({ "sub": "jane", "exp": in_an_hour() }), Algorithm::HS256);
        assert_eq!(ours().verify(&token).unwrap().application, ApplicationId::DEFAULT);
    }

    #[test]
    fn an_expiry_may_have_a_fraction() {
        let exp = in_an_hour() as f64 + 0.25;
        let token = token(serde_json::json!({ "sub": "jane", "exp": exp }), Algorithm::HS256);
        assert!(ours().verify(&token).is_ok());
    }

    #[test]
    fn a_token_ends() {
        let token = ours().sign(&jane(), SystemTime::now() - HOUR, HOUR);
        assert_eq!(ours().verify(&token), Err(Error::Expired), "on its expiry it is not accepted");
    }

    #[test]
    fn a_token_of_another_secret_or_algorithm_is_refused() {
        let other = signer("another secret that is long enough").sign(&jane(), SystemTime::now(), HOUR);
        assert_eq!(ours().verify(&other), Err(Error::BadSignature));
        let claims = serde_json::json!({ "sub": "jane", "exp": in_an_hour() });
        assert_eq!(ours().verify(&token(claims, Algorithm::HS512)), Err(Error::BadSignature));
        let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJqYW5lIiwiZXhwIjo5OTk5OTk5OTk5fQ.";
        assert!(ours().verify(unsigned).is_err());
    }

    #[test]
    fn claims_are_checked() {
        let verify = |claims| ours().verify(&token(claims, Algorithm::HS256));
        let exp = in_an_hour();
        assert_eq!(verify(serde_json::json!({ "sub": "jane" })), Err(Error::Malformed));
        assert_eq!(verify(serde_json::json!({ "exp": exp })), Err(Error::Malformed));
        assert_eq!(verify(serde_json::json!({ "sub": "a b", "exp": exp })), Err(Error::BadUser));
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
