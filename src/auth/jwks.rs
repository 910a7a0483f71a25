//! User tokens that another issuer signs: RS256, ES256 and EdDSA by the keys of a JWK Set (RFC 7517).

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
    key::{time_of, verified_claims},
    once::Once,
};
use crate::domain::ApplicationId;

/// The pause between two reads of the set: a key that is not known is asked for at this rate at most.
const REFETCH_PAUSE: Duration = Duration::from_secs(10);

/// How long keys are used before the set is read again, so that one that was withdrawn ends.
const KEYS_LIFETIME: Duration = Duration::from_secs(600);

/// How much of a key's id stands in the log, in characters.
const KEY_ID_CHARS_LOGGED_MAX: usize = 64;

/// Where the keys are, and what their tokens must say.
#[derive(Debug, Clone)]
pub struct JwksConfig {
    pub url: EndpointUrl,
    pub issuer: String,
    pub audience: String,
    /// The applications that the issuer speaks for.
    pub applications: Vec<ApplicationId>,
}

/// The keys of an issuer, kept when its endpoint fails.
pub struct Jwks {
    config: JwksConfig,
    client: Client,
    set: RwLock<Arc<KeySet>>,
    asked: Arc<Mutex<Attempt>>,
    passed_over: Once,
}

/// The last attempt to read the set.
#[derive(Default)]
struct Attempt {
    at: Option<Instant>,
    succeeded: bool,
}

/// A JWK Set. Its keys are read one by one, because implementations should ignore those that they do
/// not understand (RFC 7517, section 5).
#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// The keys by their ids, and when they were read.
#[derive(Default)]
struct KeySet {
    keys: HashMap<Option<String>, Key>,
    read: Option<Instant>,
}

#[derive(Clone)]
struct Key {
    /// The key's own: a token does not choose it.
    algorithm: Algorithm,
    decoding: DecodingKey,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    app: Option<i64>,
}

impl Jwks {
    pub fn new(config: JwksConfig, client: Client) -> Arc<Self> {
        Arc::new(Self {
            config,
            client,
            set: RwLock::default(),
            asked: Arc::default(),
            passed_over: Once::default(),
        })
    }

    /// The user whom a token stands for at present.
    pub async fn verify(self: &Arc<Self>, token: &str, header: &Header) -> Result<Issued, Error> {
        let key = self.key(header.kid.as_deref()).await?;
        let mut validation = Validation::new(key.algorithm);
        validation.leeway = 5;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&[&self.config.audience]);
        validation.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
        let claims: Claims = verified_claims(token, &key.decoding, &validation)?;
        Issued::checked(
            &claims.sub,
            claims.app,
            time_of(claims.exp),
            &self.config.applications,
        )
    }

    /// The key of this id; of a set of one key, that one. The set is read again where the key is
    /// missing, or the keys are old.
    async fn key(self: &Arc<Self>, id: Option<&str>) -> Result<Key, Error> {
        let set = self.set();
        match set.find(id) {
            Some(key) if !set.is_old() => return Ok(key),
            // One reads the set again; who comes meanwhile uses the keys that there are.
            Some(_) => {
                if let Ok(asked) = Arc::clone(&self.asked).try_lock_owned() {
                    self.read_again(asked).await;
                }
            }
            None => {
                let asked = Arc::clone(&self.asked).lock_owned().await;
                if self.set().find(id).is_none() && !self.read_again(asked).await {
                    return Err(Error::IssuerUnavailable);
                }
            }
        }
        self.set().find(id).ok_or(Error::BadSignature)
    }

    /// Reads the set, unless that was tried a moment ago. Whether the keys that there are come from
    /// the last attempt. A caller who goes away does not interrupt it.
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends by itself, at the client's limit of time"
    )]
    async fn read_again(self: &Arc<Self>, asked: OwnedMutexGuard<Attempt>) -> bool {
        if asked.at.is_some_and(|at| at.elapsed() < REFETCH_PAUSE) {
            return asked.succeeded;
        }
        tokio::spawn(Arc::clone(self).attempt(asked))
            .await
            .unwrap_or(false)
    }

    async fn attempt(self: Arc<Self>, mut asked: OwnedMutexGuard<Attempt>) -> bool {
        asked.at = Some(Instant::now());
        let fetched = self.fetch().await;
        asked.succeeded = fetched.is_ok();
        match fetched {
            Ok(keys) => {
                let set = KeySet {
                    keys,
                    read: asked.at,
                };
                *self.set.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "the JWK Set cannot be read; known keys are kept");
            }
        }
        asked.succeeded
    }

    async fn fetch(&self) -> Result<HashMap<Option<String>, Key>, reqwest::Error> {
        let answer = self
            .client
            .get(self.config.url.0.clone())
            .send()
            .await?
            .error_for_status()?;
        let document: Document = answer.json().await?;
        let mut keys = HashMap::new();
        for (index, jwk) in document.keys.into_iter().enumerate() {
            let id = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
            match usable_key(jwk) {
                Ok(key) => drop(keys.insert(id, key)),
                Err(reason) => self.pass_over(index, id.as_deref().unwrap_or_default(), reason),
            }
        }
        Ok(keys)
    }

    /// Says of a key once that it is of no use.
    fn pass_over(&self, index: usize, id: &str, reason: &'static str) {
        let id: String = id.chars().take(KEY_ID_CHARS_LOGGED_MAX).collect();
        if self.passed_over.is_new(&format!("{index} {id} {reason}")) {
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

/// The key of a JWK, or why it is of no use.
fn usable_key(jwk: Value) -> Result<Key, &'static str> {
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
    Ok(Key {
        algorithm,
        decoding,
    })
}

impl KeySet {
    fn find(&self, id: Option<&str>) -> Option<Key> {
        match id {
            None if self.keys.len() == 1 => self.keys.values().next().cloned(),
            id => self.keys.get(&id.map(str::to_owned)).cloned(),
        }
    }

    fn is_old(&self) -> bool {
        self.read.is_none_or(|read| read.elapsed() > KEYS_LIFETIME)
    }
}
