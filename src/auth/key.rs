//! JSON Web Tokens (RFC 7519): what all tokens share, and the HS256 that tokens and tickets of our own
//! are signed with.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors::ErrorKind,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use sha2::Sha256;

use super::Error;

/// The shortest secret: RFC 7518 asks for a key of at least the hash's size (section 3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// The secret is too short to sign with.
#[derive(Debug, thiserror::Error)]
#[error("the secret must be at least {SECRET_BYTES_MIN} bytes")]
pub struct WeakSecret;

/// A key of its own for one `purpose`, derived from the service's secret: what is made with it is
/// worth nothing for another purpose.
pub fn derived_key(secret: &SecretString, purpose: &str) -> [u8; 32] {
    let secret = secret.expose_secret().as_bytes();
    let keyed = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of every length");
    keyed.chain_update(purpose).finalize().into_bytes().into()
}

/// Signs and verifies claims with one key.
#[derive(Clone)]
pub struct Key {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl Key {
    pub fn new(key: &[u8]) -> Self {
        // The algorithm is ours and never the token's; clocks are ours on both sides, so no leeway.
        let mut validation = Validation::new(Algorithm::HS256);
        // "On or after" its expiry a token is not accepted (RFC 7519, section 4.1.4).
        validation.leeway = 0;
        validation.reject_tokens_expiring_in_less_than = 1;
        validation.validate_nbf = true;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "sub"]);
        Self {
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
            validation,
        }
    }

    pub fn sign(&self, claims: &impl Serialize) -> String {
        encode(&Header::new(Algorithm::HS256), claims, &self.encoding)
            .expect("claims of strings and numbers can be written as JSON")
    }

    /// The claims, if the signature is ours and they hold at present.
    pub fn verify<C: DeserializeOwned>(&self, token: &str) -> Result<C, Error> {
        verified_claims(token, &self.decoding, &self.validation)
    }
}

/// The claims of a token, if its signature is that of the key and they hold at present.
///
/// A token whose header has `crit` is refused: whoever does not understand an extension that is named
/// there must do so (RFC 7515, section 4.1.11), and no extension is understood here.
pub fn verified_claims<C: DeserializeOwned>(
    token: &str,
    key: &DecodingKey,
    validation: &Validation,
) -> Result<C, Error> {
    let data = decode::<C>(token, key, validation).map_err(|error| match error.kind() {
        ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => Error::BadSignature,
        ErrorKind::ExpiredSignature => Error::Expired,
        ErrorKind::ImmatureSignature => Error::NotYetValid,
        ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => Error::OtherIssuer,
        _ => Error::Malformed,
    })?;
    if data.header.crit.is_some() {
        return Err(Error::CriticalExtension);
    }
    Ok(data.claims)
}

/// The whole seconds since 1970 (RFC 7519, NumericDate).
pub fn numeric_date(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .expect("the clock stands after 1970")
        .as_secs()
}

/// The time of a NumericDate, which may have a fraction; one beyond all clocks is a very late one.
pub fn time_of(numeric_date: f64) -> SystemTime {
    const LATE: Duration = Duration::from_secs(253_402_300_799); // the end of the year 9999
    // What lies before 1970 ended then.
    let since_epoch = Duration::try_from_secs_f64(numeric_date.max(0.0)).unwrap_or(LATE);
    UNIX_EPOCH + since_epoch.min(LATE)
}
