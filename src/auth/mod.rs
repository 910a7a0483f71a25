//! Who is asking: bearer tokens and the callers that they stand for.
//!
//! A token is, in this order, the administrator's, an application's, a JSON Web Token of the service
//! or of the configured issuer, or a session key that the configured endpoint resolves. Which key
//! and algorithm verify a token is decided by the configuration, and never by the token alone.

mod applications;
mod endpoint;
mod introspection;
mod jwks;
mod key;
mod once;
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
    domain::{ApplicationId, Clock, UserId},
    store::Pool,
};
use applications::{Applications, Fingerprint, is_same_secret};
use introspection::Introspection;
use jwks::Jwks;
use token::Verifier;

pub use applications::{ApplicationToken, create_application};
pub use endpoint::{BadEndpoint, EndpointUrl};
pub use introspection::{IntrospectionConfig, STRANGERS_PER_SECOND_MAX};
pub use jwks::JwksConfig;
pub use key::{SECRET_BYTES_MIN, WeakSecret, derived_key};
pub use ticket::{TICKET_LIFETIME, Ticket, Tickets};
pub use token::Signer;

/// How long another service may take to say who a caller is.
const ISSUER_TIME_MAX: Duration = Duration::from_secs(5);

/// How often it is looked whether an application, and its token, are still there.
const REVOCATION_PERIOD: Duration = Duration::from_secs(1);

/// Whom a token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    Administrator,
    Application(ApplicationId, Validity),
    User(ApplicationId, UserId, Validity),
}

/// How long what was opened under a token may stay open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validity {
    /// Until then, and while the application exists: a restore may lose one.
    Until(ApplicationId, SystemTime),
    /// While the application's token is the one with this fingerprint.
    WhileCurrent(ApplicationId, Fingerprint),
}

/// What an issuer says of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    pub application: ApplicationId,
    pub user: UserId,
    /// When the token ends, and with it everything that was opened under it.
    pub expires: SystemTime,
}

impl Issued {
    /// What an issuer says of a user, if it may speak for the application.
    fn checked(
        user: &str,
        application: Option<i64>,
        expires: SystemTime,
        allowed: &[ApplicationId],
    ) -> Result<Self, Error> {
        let application = ApplicationId(application.unwrap_or(ApplicationId::DEFAULT.0));
        if !allowed.contains(&application) {
            return Err(Error::BadApplication);
        }
        let user = UserId::parse(user).map_err(|_| Error::BadUser)?;
        Ok(Self {
            application,
            user,
            expires,
        })
    }
}

/// Why a caller is not known. The text may be shown to whoever asks.
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
    #[error("the token is not known, or no longer")]
    UnknownToken,
    #[error("a ticket opens streams and nothing else")]
    TicketElsewhere,
    #[error("the ticket is not one of this service")]
    BadTicket,
    #[error("the ticket has expired")]
    TicketExpired,
    /// The issuer has answered, and this claim is missing or has another JSON type than it must have.
    #[error("what its issuer says of the token has no {0} that can be read")]
    UnreadableClaim(&'static str),
    /// Whoever is not known yet may come back in a moment; who is known goes on.
    #[error("too many unknown session keys are being asked for; try again in a moment")]
    TooManyStrangers,
    /// The issuer does not answer: nobody is let in.
    #[error("its issuer cannot be asked at present whom the token stands for")]
    IssuerUnavailable,
    #[error("the database is not available")]
    DatabaseUnavailable,
}

/// What callers are known by, beside the service's own secret.
pub struct Config {
    pub administrator: Option<SecretString>,
    pub jwks: Option<JwksConfig>,
    pub introspection: Option<IntrospectionConfig>,
}

/// Finds out who is asking.
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
        config: Config,
        signer: Signer,
        pool: Pool,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        // For the client; where the process has one already, that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(ISSUER_TIME_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let Config {
            administrator,
            jwks,
            introspection,
        } = config;
        Ok(Self {
            tokens: Verifier::new(signer, clock),
            administrator,
            applications: Applications::new(pool),
            jwks: jwks.map(|config| Jwks::new(config, client.clone())),
            introspection: introspection.map(|config| Introspection::new(config, client, clock)),
            clock,
        })
    }

    /// Whom a bearer token stands for at present.
    ///
    /// What most requests do not need is awaited in a box, here and below: every request would carry the
    /// room for it.
    pub async fn identify(&self, token: &str) -> Result<Identity, Error> {
        let administrator = self.administrator.as_ref().map(ExposeSecret::expose_secret);
        if administrator.is_some_and(|secret| is_same_secret(secret, token)) {
            return Ok(Identity::Administrator);
        }
        if let Some(identified) = self.applications.identify(token).await {
            let (application, fingerprint) = identified?;
            let validity = Validity::WhileCurrent(application, fingerprint);
            return Ok(Identity::Application(application, validity));
        }
        self.user(self.issued(token).await?).await
    }

    /// The user of whom an issuer speaks, if its application exists.
    async fn user(&self, issued: Issued) -> Result<Identity, Error> {
        let Issued {
            application,
            user,
            expires,
        } = issued;
        self.applications.require(application).await?;
        Ok(Identity::User(
            application,
            user,
            Validity::Until(application, expires),
        ))
    }

    /// Whether what was opened under a token may stay open, apart from its time: the application exists, and
    /// its token is the one that it was.
    pub async fn require_valid(&self, validity: &Validity) -> Result<(), Error> {
        match validity {
            Validity::Until(application, _) => self.applications.require(*application).await,
            Validity::WhileCurrent(application, fingerprint) => {
                // In a box: every stream carries the room for the larger of both.
                Box::pin(self.applications.require_current(*application, fingerprint)).await
            }
        }
    }

    async fn issued(&self, token: &str) -> Result<Issued, Error> {
        if self.jwks.is_none() && self.introspection.is_none() {
            return self.tokens.verify(token);
        }
        match (decode_header(token), &self.jwks, &self.introspection) {
            (Ok(header), Some(jwks), _) if header.alg != Algorithm::HS256 => {
                Box::pin(jwks.verify(token, &header)).await
            }
            (Err(_), _, Some(introspection)) => Box::pin(introspection.verify(token)).await,
            _ => self.tokens.verify(token),
        }
    }

    /// Forgets the token of an application that has just been replaced.
    pub async fn forget(&self, application: ApplicationId) {
        self.applications.forget(application).await;
    }

    /// Waits until what was opened under a token must end.
    pub async fn until_end(&self, validity: &Validity) {
        let expired = async {
            match validity {
                Validity::Until(_, expires) => {
                    sleep(expires.duration_since((self.clock)()).unwrap_or_default()).await;
                }
                Validity::WhileCurrent(..) => pending().await,
            }
        };
        tokio::select! {
            () = expired => {}
            () = self.until_revoked(validity) => {}
        }
    }

    /// While nobody can be asked, what is open stays open.
    async fn until_revoked(&self, validity: &Validity) {
        while !matches!(
            self.require_valid(validity).await,
            Err(Error::UnknownToken | Error::UnknownApplication)
        ) {
            sleep(REVOCATION_PERIOD).await;
        }
    }
}
