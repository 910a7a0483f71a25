//! Opaque session keys that another service resolves (RFC 7662).

use std::{
    num::NonZeroU32,
    time::{Duration, SystemTime},
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{
    EndpointUrl, Error, Issued,
    expiring::ExpiringCache,
    jwt::{issued_at, time_of},
    log_once::LoggedFaults,
    named_application,
};
use crate::domain::{ApplicationId, Clock, ErasedUsers, UserId};

/// How long an answer is cached, a refusal too. A session that has ended stays valid for this long
/// at most.
const ANSWER_LIFETIME: Duration = Duration::from_secs(10);

/// The longest session key, in characters: the endpoint is not asked about a longer one.
const KEY_CHARS_MAX: usize = 4096;

/// Answers that are cached.
const ANSWERS_MAX: usize = 100_000;

/// Requests to the endpoint about new keys per second, and the factor by which a burst may exceed
/// that. Anybody can invent keys, and must not be able to load another service with them. Fewer
/// people than this sign in at the same time, and after a restart everybody is signed in within a
/// minute or two.
pub const STRANGERS_PER_SECOND_MAX: NonZeroU32 = NonZeroU32::new(100).expect("it is not zero");
const STRANGERS_BURST: NonZeroU32 = NonZeroU32::new(5).expect("it is not zero");

/// How long a key counts as recent after its session was last active. Requests about recent keys
/// have no limit, so new keys cannot delay them.
const RECENT_LIFETIME: Duration = Duration::from_secs(3600);

/// A stream or a held answer that was opened with a session key ends after this time at the latest,
/// and may be opened again: the endpoint does not announce the end of a session.
const SESSION_TRUST: Duration = Duration::from_secs(300);

/// The endpoint, and the client's name and secret there.
#[derive(Debug, Clone)]
pub struct IntrospectionConfig {
    pub url: EndpointUrl,
    pub client_id: String,
    pub client_secret: SecretString,
    /// The applications that the endpoint may speak for.
    pub applications: Vec<ApplicationId>,
    /// New keys that the endpoint may be asked about in a second; five times as many at once.
    pub strangers_per_second_max: NonZeroU32,
}

/// Resolves session keys. While the endpoint does not answer, no new session is accepted.
pub struct Introspection {
    config: IntrospectionConfig,
    client: Client,
    clock: Clock,
    /// By the hash of the key: the keys themselves are not kept.
    answers: ExpiringCache<KeyHash, Answered>,
    /// The keys whose sessions were active within [`RECENT_LIFETIME`].
    recent: ExpiringCache<KeyHash, ()>,
    strangers: DefaultDirectRateLimiter,
    logged: LoggedFaults,
}

type KeyHash = [u8; 32];

/// What the endpoint has answered, a refusal too; or why there is no answer.
type Answered = Result<SessionClaims, Error>;

/// The claims of an active session, as the endpoint returns them.
#[derive(Debug, Clone, PartialEq)]
struct SessionClaims {
    sub: Option<String>,
    exp: Option<f64>,
    app: Option<i64>,
    issued: Option<SystemTime>,
}

impl SessionClaims {
    /// Whether its user is one of the erased.
    fn names(&self, erased: &ErasedUsers) -> bool {
        let application = named_application(self.app);
        let user = || UserId::parse(self.sub.as_deref()?).ok();
        erased.are_of(application) && user().is_some_and(|user| erased.contain(application, &user))
    }
}

impl Introspection {
    pub fn new(config: IntrospectionConfig, client: Client, clock: Clock) -> Self {
        let per_second = config.strangers_per_second_max;
        let quota =
            Quota::per_second(per_second).allow_burst(per_second.saturating_mul(STRANGERS_BURST));
        Self {
            config,
            client,
            clock,
            answers: ExpiringCache::new(ANSWERS_MAX),
            recent: ExpiringCache::new(ANSWERS_MAX),
            strangers: RateLimiter::direct(quota),
            logged: LoggedFaults::default(),
        }
    }

    /// The user whose session has this key.
    pub async fn verify(&self, key: &str) -> Result<Issued, Error> {
        if !is_session_key(key) {
            return Err(Error::UnknownToken);
        }
        let hash = Sha256::digest(key).into();
        let asking = async { Box::pin(self.ask(key, hash)).await };
        let session = self.answers.get_or_load(&hash, asking).await?;
        let now = (self.clock)();
        let trusted = now + SESSION_TRUST;
        let expires = session.exp.map_or(trusted, time_of).min(trusted);
        if expires <= now {
            return Err(Error::Expired);
        }
        let user = session.sub.ok_or(Error::BadUser)?;
        let times = (session.issued, expires);
        Issued::checked(&user, session.app, times, &self.config.applications)
    }

    /// Drops the answers about users, and those that have expired.
    pub fn forget(&self, erased: &ErasedUsers) {
        self.answers.retain(|answer| match answer {
            Ok(session) => !session.names(erased),
            Err(_) => true,
        });
    }

    /// How many answers are cached.
    pub fn size(&self) -> usize {
        self.answers.size()
    }

    /// Asks the endpoint about a key. Returns the answer and how long it may be cached: not at all
    /// if there is none.
    async fn ask(&self, key: &str, hash: KeyHash) -> (Answered, Duration) {
        if !self.recent.contains(&hash) && self.strangers.check().is_err() {
            return (Err(Error::TooManyStrangers), Duration::ZERO);
        }
        let answer = match self.request(key).await {
            Ok(answer) => answer,
            Err(error) => {
                let error = summary(&error);
                tracing::warn!(error, "the introspection endpoint does not answer");
                return (Err(Error::IssuerUnavailable), Duration::ZERO);
            }
        };
        let session = session_claims(&answer);
        match session {
            Ok(_) => self.recent.insert(hash, (), RECENT_LIFETIME),
            Err(Error::UnreadableClaim(claim)) if self.logged.is_new(claim) => {
                tracing::warn!(
                    claim,
                    "the introspection endpoint returns a claim that cannot be read"
                );
            }
            Err(_) => {}
        }
        (session, ANSWER_LIFETIME)
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

/// The claims of an answer, if the session is active and each claim has its JSON type.
fn session_claims(answer: &Map<String, Value>) -> Answered {
    if !claim(answer, "active", Value::as_bool)?.ok_or(Error::UnreadableClaim("active"))? {
        return Err(Error::UnknownToken);
    }
    Ok(SessionClaims {
        sub: claim(answer, "sub", |value| value.as_str().map(str::to_owned))?,
        exp: claim(answer, "exp", Value::as_f64)?,
        app: claim(answer, "app", Value::as_i64)?,
        issued: issued_at(answer.get("iat")),
    })
}

/// A claim; `None` if it is missing or null.
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

/// Whether it can be a bearer token (RFC 6750, section 2.1) of a reasonable length.
fn is_session_key(key: &str) -> bool {
    (1..=KEY_CHARS_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The kind of the error, without the URL and the body of the answer.
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
