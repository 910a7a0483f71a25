//! JSON Web Tokens (RFC 7519): what all tokens have in common, and HS256, which signs the service's
//! own tokens and tickets.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hkdf::Hkdf;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors::ErrorKind,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::Sha256;

use super::Error;

/// The shortest secret: a key must be at least as long as the hash (RFC 7518, section 3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// The secret is too short to sign with.
#[derive(Debug, thiserror::Error)]
#[error("the secret must be at least {SECRET_BYTES_MIN} bytes")]
pub struct WeakSecret;

/// A key for one `purpose`, derived from the service's secret with HKDF (RFC 5869): a signature or
/// a digest made for one purpose is not valid for another one.
///
/// Digests are stored, so the key of a purpose must never change.
pub fn derived_key(secret: &SecretString, purpose: &str) -> [u8; 32] {
    let secret = secret.expose_secret().as_bytes();
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, secret)
        .expand(purpose.as_bytes(), &mut key)
        .expect("HKDF derives up to 255 times the size of the hash");
    key
}

/// Signs and verifies claims with one key.
#[derive(Clone)]
pub struct SigningKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl SigningKey {
    pub fn new(key: &[u8]) -> Self {
        // The service chooses the algorithm, never the token. Its own clocks need no leeway.
        let mut validation = Validation::new(Algorithm::HS256);
        // A token is not accepted "on or after" its expiry (RFC 7519, section 4.1.4).
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

    /// The claims, if this key has signed them and they are valid at present.
    pub fn verify<C: DeserializeOwned>(&self, token: &str) -> Result<C, Error> {
        verified_claims(token, &self.decoding, &self.validation)
    }
}

/// The claims of a token, if the key has signed them and they are valid at present.
///
/// A token whose header has `crit` is refused: it names extensions that must be understood (RFC
/// 7515, section 4.1.11), and none is understood here.
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
        .expect("the clock is past 1970")
        .as_secs()
}

/// The seconds since 1970 with a fraction, to the microsecond.
pub fn precise_date(time: SystemTime) -> f64 {
    let since_epoch = time.duration_since(UNIX_EPOCH);
    let since_epoch = since_epoch.expect("the clock is past 1970");
    since_epoch.as_micros() as f64 / 1e6
}

/// When a token was issued, by its claim `iat`. `None` if it has none that can be read.
pub fn issued_at(claim: Option<&Value>) -> Option<SystemTime> {
    claim.and_then(Value::as_f64).map(time_of)
}

/// The time of a NumericDate, which may have a fraction, to the microsecond. A time before 1970 or after
/// 9999 becomes the first or the last second of that range.
pub fn time_of(numeric_date: f64) -> SystemTime {
    const LATE: Duration = Duration::from_secs(253_402_300_799); // the end of the year 9999
    let micros = (numeric_date.max(0.0) * 1e6).round();
    // A float beyond the range becomes its end.
    UNIX_EPOCH + Duration::from_micros(micros as u64).min(LATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_purpose_never_changes() {
        let secret = SecretString::from("0123456789abcdef0123456789abcdef".to_owned());
        let hex = |purpose| -> String {
            let key = derived_key(&secret, purpose);
            key.iter().map(|byte| format!("{byte:02x}")).collect()
        };
        assert_eq!(
            hex("messages: digests of requests"),
            "06668893c9cbc7faacf0ca270f50b43bceb7789525fb3c164c4ffe2b982357e4"
        );
        assert_eq!(
            hex("messages: stream tickets"),
            "9554dcc67aadab53cee8055ee5ef3ba98e12079b45fc1742a615b9252038d4df"
        );
    }
}
