//! Opaque session keys that another service resolves (RFC 7662).

use std::time::Duration;

use moka::future::Cache;
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{EndpointUrl, Error, Issued, key::time_of};
use crate::domain::{ApplicationId, Clock};

/// How long an answer is trusted: so long does a session live on that was ended.
const ANSWER_LIFETIME: Duration = Duration::from_secs(10);

/// The longest session key, in characters: nothing longer is carried to the endpoint.
const KEY_CHARS_MAX: usize = 4096;

/// Answers that are kept.
const ANSWERS_MAX: u64 = 100_000;

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
}

/// Resolves session keys. Where the endpoint does not answer, nobody is let in.
pub struct Introspection {
    config: IntrospectionConfig,
    client: Client,
    clock: Clock,
    /// By the hash of the key: keys themselves are not kept.
    answers: Cache<[u8; 32], Answer>,
}

#[derive(Clone, Deserialize)]
struct Answer {
    active: bool,
    sub: Option<String>,
    exp: Option<f64>,
    app: Option<i64>,
}

impl Introspection {
    pub fn new(config: IntrospectionConfig, client: Client, clock: Clock) -> Self {
        let answers = Cache::builder().max_capacity(ANSWERS_MAX).time_to_live(ANSWER_LIFETIME).build();
        Self { config, client, clock, answers }
    }

    /// The user whose session the key is.
    pub async fn verify(&self, key: &str) -> Result<Issued, Error> {
        if !is_session_key(key) {
            return Err(Error::UnknownToken);
        }
        let asking = async { Box::pin(self.ask(key)).await };
        let answer = self.answers.try_get_with(Sha256::digest(key).into(), asking).await;
        let answer = answer.map_err(|error| *error)?;
        let now = (self.clock)();
        let trusted = now + SESSION_TRUST;
        let expires = answer.exp.map_or(trusted, time_of).min(trusted);
        if !answer.active {
            return Err(Error::UnknownToken);
        }
        if expires <= now {
            return Err(Error::Expired);
        }
        let user = answer.sub.ok_or(Error::BadUser)?;
        Issued::checked(&user, answer.app, expires, &self.config.applications)
    }

    async fn ask(&self, key: &str) -> Result<Answer, Error> {
        self.request(key).await.map_err(|error| {
            tracing::warn!(error = summary(&error), "the introspection endpoint does not answer");
            Error::IssuerUnavailable
        })
    }

    async fn request(&self, key: &str) -> Result<Answer, reqwest::Error> {
        let request = self.client.post(self.config.url.0.clone()).header("Accept", "application/json");
        let secret = self.config.client_secret.expose_secret();
        let request = request.basic_auth(&self.config.client_id, Some(secret));
        let form = [("token", key), ("token_type_hint", "access_token")];
        request.form(&form).send().await?.error_for_status()?.json().await
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
