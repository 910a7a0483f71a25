//! User tokens that another issuer signs: RS256, ES256 and EdDSA, by the keys of a JWK Set (RFC
//! 7517).
//!
//! Two locks protect the keys. `set` is held for a moment, to read or to replace the keys.
//! `last_attempt` is held for as long as the set is fetched, so that one caller fetches it at a
//! time. Meanwhile, other callers use the old set if it has their key, and wait if it does not.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use reqwest::Client;
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::Instant,
};

use super::{
    EndpointUrl, Error, Issued,
    jwt::{issued_at, time_of, verified_claims},
    log_once::LoggedFaults,
};
use crate::domain::ApplicationId;

/// The pause between two fetches of the set, however many tokens name an unknown key.
const REFETCH_PAUSE: Duration = Duration::from_secs(10);

/// How long keys are used before the set is fetched again, so that a withdrawn key ends.
const KEYS_LIFETIME: Duration = Duration::from_secs(600);

/// How much of a key's id is logged, in characters.
const KEY_ID_CHARS_LOGGED_MAX: usize = 64;

/// Where the keys are, and the claims that their tokens must have.
#[derive(Debug, Clone)]
pub struct JwksConfig {
    pub url: EndpointUrl,
    pub issuer: String,
    pub audience: String,
    /// The applications that the issuer may speak for.
    pub applications: Vec<ApplicationId>,
}

/// The keys of an issuer. They stay in use while its endpoint fails.
pub struct Jwks {
    config: JwksConfig,
    client: Client,
    set: RwLock<Arc<KeySet>>,
    last_attempt: Arc<Mutex<Attempt>>,
    logged: LoggedFaults,
}

/// An attempt to fetch the set.
#[derive(Default)]
struct Attempt {
    at: Option<Instant>,
    succeeded: bool,
}

/// A JWK Set. Its keys are parsed one by one, because implementations should ignore those that they
/// do not understand (RFC 7517, section 5).
#[derive(Deserialize)]
struct KeySetDocument {
    keys: Vec<Value>,
}

/// The keys by their ids, and when they were fetched.
#[derive(Default)]
struct KeySet {
    keys: HashMap<Option<String>, IssuerKey>,
    fetched: Option<Instant>,
}

#[derive(Clone)]
struct IssuerKey {
    /// The key determines it, never the token.
    algorithm: Algorithm,
    decoding: DecodingKey,
}

#[derive(Deserialize)]
struct IssuerClaims {
    sub: String,
    exp: f64,
    iat: Option<Value>,
    app: Option<i64>,
}

impl Jwks {
    pub fn new(config: JwksConfig, client: Client) -> Arc<Self> {
        Arc::new(Self {
            config,
            client,
            set: RwLock::default(),
            last_attempt: Arc::default(),
            logged: LoggedFaults::default(),
        })
    }

    /// The user of a token that is valid at present.
    pub async fn verify(self: &Arc<Self>, token: &str, header: &Header) -> Result<Issued, Error> {
        let key = self.key(header.kid.as_deref()).await?;
        let mut validation = Validation::new(key.algorithm);
        validation.leeway = 5;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&[&self.config.audience]);
        validation.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
        let claims: IssuerClaims = verified_claims(token, &key.decoding, &validation)?;
        Issued::checked(
            &claims.sub,
            claims.app,
            (issued_at(claims.iat.as_ref()), time_of(claims.exp)),
            &self.config.applications,
        )
    }

    /// The key with this id; without an id, the only key of the set. The set is fetched again if
    /// the key is missing or the keys are old.
    async fn key(self: &Arc<Self>, id: Option<&str>) -> Result<IssuerKey, Error> {
        let set = self.set();
        match set.find(id) {
            Some(key) if !set.is_old() => return Ok(key),
            // One caller fetches the set; the others use the old keys meanwhile.
            Some(_) => {
                if let Ok(last) = Arc::clone(&self.last_attempt).try_lock_owned() {
                    self.fetch_again(last).await;
                }
            }
            None => {
                let last = Arc::clone(&self.last_attempt).lock_owned().await;
                if self.set().find(id).is_none() && !self.fetch_again(last).await {
                    return Err(Error::IssuerUnavailable);
                }
            }
        }
        self.set().find(id).ok_or(Error::BadSignature)
    }

    /// Fetches the set, unless the last attempt was a moment ago. Returns whether the last attempt
    /// has succeeded. It is a task of its own, so a caller who goes away does not interrupt it.
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends by itself, at the client's limit of time"
    )]
    async fn fetch_again(self: &Arc<Self>, last: OwnedMutexGuard<Attempt>) -> bool {
        if last.at.is_some_and(|at| at.elapsed() < REFETCH_PAUSE) {
            return last.succeeded;
        }
        tokio::spawn(Arc::clone(self).attempt(last))
            .await
            .unwrap_or(false)
    }

    async fn attempt(self: Arc<Self>, mut last: OwnedMutexGuard<Attempt>) -> bool {
        last.at = Some(Instant::now());
        let fetched = self.fetch().await;
        last.succeeded = fetched.is_ok();
        match fetched {
            Ok(keys) => {
                let set = KeySet {
                    keys,
                    fetched: last.at,
                };
                *self.set.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(
                    error,
                    "the JWK Set cannot be fetched; the present keys stay in use"
                );
            }
        }
        last.succeeded
    }

    async fn fetch(&self) -> Result<HashMap<Option<String>, IssuerKey>, reqwest::Error> {
        let answer = self
            .client
            .get(self.config.url.0.clone())
            .send()
            .await?
            .error_for_status()?;
        let document: KeySetDocument = answer.json().await?;
        let mut keys = HashMap::new();
        for (index, jwk) in document.keys.into_iter().enumerate() {
            let id = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
            match usable_key(jwk) {
                Ok(key) => drop(keys.insert(id, key)),
                Err(reason) => self.log_unusable(index, id.as_deref().unwrap_or_default(), reason),
            }
        }
        Ok(keys)
    }

    fn log_unusable(&self, index: usize, id: &str, reason: &'static str) {
        let id: String = id.chars().take(KEY_ID_CHARS_LOGGED_MAX).collect();
        if self.logged.is_new(&format!("{index} {id} {reason}")) {
            tracing::warn!(
                key.index = index,
                key.id = id,
                reason,
                "a key of the JWK Set is passed over"
            );
        }
    }

    fn set(&self) -> Arc<KeySet> {
        Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The key of a JWK, or why it cannot be used.
fn usable_key(jwk: Value) -> Result<IssuerKey, &'static str> {
    let jwk: Jwk = serde_json::from_value(jwk).map_err(|_| "it cannot be read")?;
    if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
        return Err("it is for encryption");
    }
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(_) => Algorithm::EdDSA,
        _ => return Err("its type or curve is not supported"),
    };
    let declared = jwk
        .common
        .key_algorithm
        .map(|declared| declared.to_string());
    if declared.is_some_and(|declared| declared != format!("{algorithm:?}")) {
        return Err("its algorithm is not supported");
    }
    let decoding = DecodingKey::from_jwk(&jwk).map_err(|_| "its parameters cannot be read")?;
    Ok(IssuerKey {
        algorithm,
        decoding,
    })
}

impl KeySet {
    fn find(&self, id: Option<&str>) -> Option<IssuerKey> {
        match id {
            None if self.keys.len() == 1 => self.keys.values().next().cloned(),
            id => self.keys.get(&id.map(str::to_owned)).cloned(),
        }
    }

    fn is_old(&self) -> bool {
        self.fetched
            .is_none_or(|fetched| fetched.elapsed() > KEYS_LIFETIME)
    }
}
