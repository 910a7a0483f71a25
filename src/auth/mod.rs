//! Authentication: bearer tokens, and the callers whom they identify.
//!
//! A token is, in this order, the administrator's, an application's, a JSON Web Token of the
//! service or of the configured issuer, or a session key that the configured endpoint resolves. The
//! configuration decides which key and algorithm verify a token, never the token alone.

mod applications;
mod endpoint;
mod erased;
mod expiring;
mod introspection;
mod jwks;
mod jwt;
mod log_once;
mod rates;
mod revoked;
mod ticket;
mod token;

use std::{
    future::pending,
    sync::Arc,
    time::{Duration, SystemTime},
};

use jsonwebtoken::{Algorithm, decode_header};
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::sleep;

use crate::{
    domain::{ApplicationId, Cache, Clock, ErasedUsers, UserDigest, UserId},
    store::{Pool, applications::Access},
};
use applications::{Applications, TokenFingerprint, is_same_secret};
use erased::UserDigester;
use introspection::Introspection;
use jwks::Jwks;
use token::{NewToken, Verifier};

pub use applications::{ApplicationToken, create_application};
pub use endpoint::{BadEndpoint, EndpointUrl};
pub use introspection::{IntrospectionConfig, STRANGERS_PER_SECOND_MAX};
pub use jwks::JwksConfig;
pub use jwt::{SECRET_BYTES_MIN, WeakSecret, derived_key};
pub use rates::{Allowance, Limited, RateLimits, Rates, TooMany};
pub use ticket::{TICKET_LIFETIME, Ticket, Tickets};
pub use token::Signer;

/// How long another service may take to answer.
const ISSUER_TIME_MAX: Duration = Duration::from_secs(5);

/// How often an open stream checks that its application exists and has the same token.
const REVOCATION_PERIOD: Duration = Duration::from_secs(1);

/// The caller whom a token identifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    Administrator,
    Application(ApplicationId, Validity),
    User(ApplicationId, UserId, Validity),
}

/// How long a stream or a held answer that was opened with a token may stay open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validity {
    /// Until the user's token expires, while the application accepts it, and while the application exists: a
    /// restore may lose one.
    Until(Issued),
    /// While the application's token has this fingerprint, and the user as whom the application acts is not
    /// erased.
    WhileCurrent(ApplicationId, TokenFingerprint, Option<Acting>),
}

/// An application acts as a user, from this time on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acting {
    pub user: UserId,
    pub since: SystemTime,
}

impl Validity {
    /// As this one, of an application that acts as a user from `now` on.
    #[must_use]
    pub fn acting_as(self, user: &UserId, now: SystemTime) -> Self {
        match self {
            Self::WhileCurrent(application, token, _) => {
                let user = user.clone();
                Self::WhileCurrent(application, token, Some(Acting { user, since: now }))
            }
            Self::Until(_) => self,
        }
    }
}

/// A user as an issuer identifies one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    pub application: ApplicationId,
    pub user: UserId,
    /// When the token was issued, if it says so.
    pub issued: Option<SystemTime>,
    /// When the token expires, and with it everything that was opened with it.
    pub expires: SystemTime,
}

impl Issued {
    /// The user, if the issuer may speak for the application.
    fn checked(
        user: &str,
        application: Option<i64>,
        (issued, expires): (Option<SystemTime>, SystemTime),
        allowed: &[ApplicationId],
    ) -> Result<Self, Error> {
        let application = named_application(application);
        if !allowed.contains(&application) {
            return Err(Error::BadApplication);
        }
        let user = UserId::parse(user).map_err(|_| Error::BadUser)?;
        Ok(Self {
            application,
            user,
            issued,
            expires,
        })
    }
}

/// The application of a token whose claims name this one, or none.
fn named_application(claim: Option<i64>) -> ApplicationId {
    claim.map_or(ApplicationId::DEFAULT, ApplicationId::new)
}

/// Why a caller is not identified. The text is shown to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the request has no bearer token")]
    Missing,
    #[error("the Authorization header is not of the form \"Bearer TOKEN\"")]
    NotBearer,
    #[error("the token is not a JSON Web Token with sub and exp")]
    Malformed,
    #[error("the token's signature is not valid")]
    BadSignature,
    #[error("the token's header has a critical extension (crit) that is not understood")]
    CriticalExtension,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token's issuer or audience is not the expected one")]
    OtherIssuer,
    #[error("the token's sub is not a user id")]
    BadUser,
    #[error("the token's app is not an application that its issuer speaks for")]
    BadApplication,
    #[error("the token's application does not exist")]
    UnknownApplication,
    #[error("the application accepts no earlier tokens of the user any more")]
    Revoked,
    #[error("the token is unknown or has been replaced")]
    UnknownToken,
    #[error("a ticket opens streams and nothing else")]
    TicketElsewhere,
    #[error("the ticket was not issued by this service")]
    BadTicket,
    #[error("the ticket has expired")]
    TicketExpired,
    /// The issuer has answered, and this claim is missing or has the wrong JSON type.
    #[error("the issuer's answer about the token has no readable {0}")]
    UnreadableClaim(&'static str),
    /// The limit of requests to the endpoint is reached, and this key is new. Recent keys are not
    /// affected.
    #[error("too many new session keys are being used; try again in a moment")]
    TooManyStrangers,
    /// The issuer does not answer, so nobody new is let in.
    #[error("the issuer of the token does not answer at present")]
    IssuerUnavailable,
    #[error("the database is not available")]
    DatabaseUnavailable,
}

/// How callers are identified, apart from the tokens that the service signs itself.
pub struct AuthenticatorConfig {
    /// The secret of the service.
    pub secret: SecretString,
    pub administrator: Option<SecretString>,
    pub jwks: Option<JwksConfig>,
    pub introspection: Option<IntrospectionConfig>,
}

/// Identifies callers.
pub struct Authenticator {
    tokens: Verifier,
    administrator: Option<SecretString>,
    applications: Applications,
    jwks: Option<Arc<Jwks>>,
    introspection: Option<Introspection>,
    clock: Clock,
}

impl Authenticator {
    pub fn new(
        config: AuthenticatorConfig,
        signer: Signer,
        pool: Pool,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .timeout(ISSUER_TIME_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let AuthenticatorConfig {
            secret,
            administrator,
            jwks,
            introspection,
        } = config;
        Ok(Self {
            tokens: Verifier::new(signer, clock),
            administrator,
            applications: Applications::new(pool, UserDigester::new(&secret)),
            jwks: jwks.map(|config| Jwks::new(config, client.clone())),
            introspection: introspection.map(|config| Introspection::new(config, client, clock)),
            clock,
        })
    }

    /// The caller whom a bearer token identifies at present.
    ///
    /// Here and below, futures that most requests do not need are boxed, so that not every request
    /// has to be large enough to hold them.
    pub async fn identify(&self, token: &str) -> Result<Identity, Error> {
        let administrator = self.administrator.as_ref().map(ExposeSecret::expose_secret);
        if administrator.is_some_and(|secret| is_same_secret(secret, token)) {
            return Ok(Identity::Administrator);
        }
        if let Some(identified) = self.applications.identify(token).await {
            let (application, fingerprint) = identified?;
            let validity = Validity::WhileCurrent(application, fingerprint, None);
            return Ok(Identity::Application(application, validity));
        }
        let (issued, new) = self.issued(token).await?;
        let identity = self.user(issued.clone()).await?;
        if let Some(new) = new {
            self.tokens.keep(new, issued);
        }
        Ok(identity)
    }

    /// The user, if the application exists and accepts the token.
    async fn user(&self, issued: Issued) -> Result<Identity, Error> {
        self.applications.require(&issued).await?;
        let (application, user) = (issued.application, issued.user.clone());
        Ok(Identity::User(application, user, Validity::Until(issued)))
    }

    /// Fails when a stream that was opened with a token must end, apart from its expiry: the
    /// application is gone, accepts the token no longer, or has another one.
    pub async fn require_valid(&self, validity: &Validity) -> Result<(), Error> {
        match validity {
            Validity::Until(token) => self.applications.require(token).await,
            Validity::WhileCurrent(application, fingerprint, acting) => {
                // Boxed, or else the future of every stream would be as large as these.
                Box::pin(self.applications.require_current(*application, fingerprint)).await?;
                match acting {
                    Some(acting) => {
                        Box::pin(self.applications.require_present(*application, acting)).await
                    }
                    None => Ok(()),
                }
            }
        }
    }

    /// The user of a token; and what is to be cached of it, once the application accepts it.
    async fn issued(&self, token: &str) -> Result<(Issued, Option<NewToken>), Error> {
        if self.jwks.is_none() && self.introspection.is_none() {
            return self.tokens.verify(token);
        }
        match (decode_header(token), &self.jwks, &self.introspection) {
            (Ok(header), Some(jwks), _) if header.alg != Algorithm::HS256 => {
                Ok((Box::pin(jwks.verify(token, &header)).await?, None))
            }
            (Err(_), _, Some(introspection)) => {
                Ok((Box::pin(introspection.verify(token)).await?, None))
            }
            _ => self.tokens.verify(token),
        }
    }

    /// What the application has set for its callers. What it sets counts on every replica within 5 seconds.
    pub async fn access(&self, application: ApplicationId) -> Result<Arc<Access>, Error> {
        let present = self.applications.present(application).await?;
        Ok(Arc::clone(&present.access))
    }

    /// The digest under which an erasure of the user is found.
    pub fn digest_of(&self, application: ApplicationId, user: &UserId) -> UserDigest {
        self.applications.digest_of(application, user)
    }

    /// Forgets what is cached of an application, which was changed just now.
    pub fn forget(&self, application: ApplicationId) {
        self.applications.forget(application);
    }

    /// Waits until a stream with this validity must end.
    pub async fn until_end(&self, validity: &Validity) {
        let expired = async {
            match validity {
                Validity::Until(token) => {
                    sleep(
                        token
                            .expires
                            .duration_since((self.clock)())
                            .unwrap_or_default(),
                    )
                    .await;
                }
                Validity::WhileCurrent(..) => pending().await,
            }
        };
        tokio::select! {
            () = expired => {}
            () = self.until_revoked(validity) => {}
        }
    }

    /// While the database does not answer, an open stream stays open.
    async fn until_revoked(&self, validity: &Validity) {
        while !matches!(
            self.require_valid(validity).await,
            Err(Error::UnknownToken | Error::UnknownApplication | Error::Revoked)
        ) {
            sleep(REVOCATION_PERIOD).await;
        }
    }
}

impl Cache for Authenticator {
    fn forget(&self, erased: &ErasedUsers) {
        if !erased.is_empty() {
            self.tokens.forget(erased);
        }
        if let Some(introspection) = &self.introspection {
            introspection.forget(erased);
        }
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        let sessions = self.introspection.as_ref().map(Introspection::size);
        vec![
            ("tokens", self.tokens.size()),
            ("sessions", sessions.unwrap_or_default()),
        ]
    }
}
