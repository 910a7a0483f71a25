//! Opaque session keys that another service resolves (RFC 7662).

use std::{num::NonZeroU32, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::future::Cache;
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{EndpointUrl, Error, Issued, key::time_of, once::Once};
use crate::domain::{ApplicationId, Clock};

/// How long an answer is trusted, a refusal too: so long does a session live on that was ended.
const ANSWER_LIFETIME: Duration = Duration::from_secs(10);

/// The longest session key, in characters: nothing longer is carried to the endpoint.
const KEY_CHARS_MAX: usize = 4096;

/// Answers that are kept.
const ANSWERS_MAX: u64 = 100_000;

/// Unknown keys that the endpoint is asked for in a second, and how many times as many at once: anybody
/// can invent keys, and whoever does must not load another service. It is more than sign in at a time, and
/// after a restart everybody is let in within a minute or two.
pub const STRANGERS_PER_SECOND_MAX: NonZeroU32 = NonZeroU32::new(100).expect("it is not zero");
const STRANGERS_BURST: NonZeroU32 = NonZeroU32::new(5).expect("it is not zero");

/// How long a key counts as known after it was last active. Its session is asked for again without a
/// limit, whatever strangers do.
const ACQUAINTANCE: Duration = Duration::from_secs(3600);

/// What was opened under a session key ends after this time at the latest, and may be opened again:
/// nobody tells when a session is ended.
const SESSION_TRUST: Duration = Duration::from_secs(300);

/// Where to ask, and as whom.
#[derive(Debug, Clone)]
pub struct IntrospectionConfig {
    pub url: EndpointUrl,
    pub client_id: String,
    pub client_secret: SecretString,
    /// The applications that the endpoint speaks for.
    pub applications: Vec<ApplicationId>,
    /// Keys that are not known yet and may be asked for in a second; five times as many at once.
    pub strangers_per_second_max: NonZeroU32,
}

/// Resolves session keys. Where the endpoint does not answer, nobody is let in.
pub struct Introspection {
    config: IntrospectionConfig,
    client: Client,
    clock: Clock,
    /// By the hash of the key: keys themselves are not kept.
    answers: Cache<KeyHash, Result<Session, Error>>,
    /// The keys that were active not long ago.
    known: Cache<KeyHash, ()>,
    strangers: DefaultDirectRateLimiter,
    logged: Once,
}

type KeyHash = [u8; 32];

/// An active session, as the endpoint tells of it.
#[derive(Debug, Clone, PartialEq)]
struct Session {
    sub: Option<String>,
    exp: Option<f64>,
    app: Option<i64>,
}

impl Introspection {
    pub fn new(config: IntrospectionConfig, client: Client, clock: Clock) -> Self {
        let answers = Cache::builder()
            .max_capacity(ANSWERS_MAX)
            .time_to_live(ANSWER_LIFETIME)
            .build();
        let known = Cache::builder()
            .max_capacity(ANSWERS_MAX)
            .time_to_live(ACQUAINTANCE)
            .build();
        let per_second = config.strangers_per_second_max;
        let quota =
            Quota::per_second(per_second).allow_burst(per_second.saturating_mul(STRANGERS_BURST));
        let strangers = RateLimiter::direct(quota);
        Self {
            config,
            client,
            clock,
            answers,
            known,
            strangers,
            logged: Once::default(),
        }
    }

    /// The user whose session the key is.
    pub async fn verify(&self, key: &str) -> Result<Issued, Error> {
        if !is_session_key(key) {
            return Err(Error::UnknownToken);
        }
        let hash = Sha256::digest(key).into();
        let asking = async { Box::pin(self.ask(key, hash)).await };
        let answer = self.answers.try_get_with(hash, asking).await;
        let session = answer.map_err(|error| *error)??;
        let now = (self.clock)();
        let trusted = now + SESSION_TRUST;
        let expires = session.exp.map_or(trusted, time_of).min(trusted);
        if expires <= now {
            return Err(Error::Expired);
        }
        let user = session.sub.ok_or(Error::BadUser)?;
        Issued::checked(&user, session.app, expires, &self.config.applications)
    }

    /// What the endpoint says of a key, a refusal too; an error where it says nothing.
    async fn ask(&self, key: &str, hash: KeyHash) -> Result<Result<Session, Error>, Error> {
        if !self.known.contains_key(&hash) && self.strangers.check().is_err() {
            return Err(Error::TooManyStrangers);
        }
        let answer = self.request(key).await.map_err(|error| {
            tracing::warn!(
                error = summary(&error),
                "the introspection endpoint does not answer"
            );
            Error::IssuerUnavailable
        })?;
        let session = session(&answer);
        match session {
            Ok(_) => self.known.insert(hash, ()).await,
            Err(Error::UnreadableClaim(claim)) if self.logged.is_new(claim) => {
                tracing::warn!(
                    claim,
                    "the introspection endpoint gives a claim that cannot be read"
                );
            }
            Err(_) => {}
        }
        Ok(session)
    }

    async fn request(&self, key: &str) -> Result<Map<String, Value>, reqwest::Error> {
        let request = self
            .client
            .post(self.config.url.0.clone())
            .header("Accept", "application/json");
        let secret = self.config.client_secret.expose_secret();
        let request = request.basic_auth(&self.config.client_id, Some(secret));
        let form = [("token", key), ("token_type_hint", "access_token")];
        request
            .form(&form)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await
    }
}

/// The session of an answer, if it is active and each claim has the JSON type that it must have.
fn session(answer: &Map<String, Value>) -> Result<Session, Error> {
    if !claim(answer, "active", Value::as_bool)?.ok_or(Error::UnreadableClaim("active"))? {
        return Err(Error::UnknownToken);
    }
    Ok(Session {
        sub: claim(answer, "sub", |value| value.as_str().map(str::to_owned))?,
        exp: claim(answer, "exp", Value::as_f64)?,
        app: claim(answer, "app", Value::as_i64)?,
    })
}

/// A claim, where there is one; null is as good as none.
fn claim<T>(
    answer: &Map<String, Value>,
    name: &'static str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>, Error> {
    match answer.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(value).map(Some).ok_or(Error::UnreadableClaim(name)),
    }
}

/// Whether it can be a bearer token of a reasonable length (RFC 6750, section 2.1).
fn is_session_key(key: &str) -> bool {
    (1..=KEY_CHARS_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What went wrong, without the URL and what the endpoint has said.
fn summary(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_status() {
        "an error"
    } else {
        "an answer that cannot be read"
    }
}
