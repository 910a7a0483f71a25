//! Callbacks: signed requests to the servers of applications, at URLs that these have named.
//!
//! # The promise
//! A request goes to no address that is not public, unless the configuration allows it: not by the name
//! of the host, which is resolved once and whose addresses are checked before anything is connected to
//! one of them, and not by a redirect, which is not followed. No proxy is used, since that would resolve
//! the name again.
//!
//! Of the answer only the head is read, within a limit of time for the whole call. So a server that
//! hangs, or that sends without end, costs a connection until then, and little memory.
//!
//! Requests are signed as [Standard Webhooks] has it.
//!
//! [Standard Webhooks]: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

mod addresses;
mod signature;
mod url;

use std::{
    error::Error,
    io,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use hickory_resolver::net::NetError;
use ipnet::IpNet;
use reqwest::{Client, StatusCode, header, redirect::Policy};
use tokio::time::timeout;

use crate::domain::Clock;
use addresses::{Addresses, Resolver};

pub use addresses::Unreachable;
pub use signature::SigningSecret;
pub use url::CallbackUrl;

/// How long a connection waits for the next request. Firewalls forget older ones in silence.
const IDLE_TIME_MAX: Duration = Duration::from_secs(4);

/// How long a name may take to be resolved while its application waits.
const CHECK_TIME_MAX: Duration = Duration::from_secs(3);

/// Calls the servers of applications.
pub struct Callbacks {
    client: Client,
    resolver: Resolver,
    clock: Clock,
    answer_time_max: Duration,
}

/// Where requests may go, and how long an answer may take.
#[derive(Debug, Clone)]
pub struct CallbacksConfig {
    /// Networks whose addresses may be called although they are not public.
    pub networks: Vec<IpNet>,
    /// From the name of the host to the status of the answer.
    pub answer_time_max: Duration,
}

/// A request. A repeated one has the same id.
pub struct Request<'a> {
    pub url: &'a CallbackUrl,
    pub id: String,
    pub body: Vec<u8>,
    /// The request is signed with each of them.
    pub secrets: &'a [SigningSecret],
}

/// Why nothing can be called at all.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("the resolver of names cannot be set up: {0}")]
    Resolver(#[from] NetError),
    #[error("the client cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
}

/// Why a server has not taken a request. The text is shown to its application.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error("no connection can be made")]
    NoConnection,
    #[error("no answer within {} s", .0.as_secs_f32())]
    NoAnswer(Duration),
    #[error("no secure connection can be made: {0}")]
    Tls(String),
    #[error("the connection broke before an answer")]
    Broken,
    #[error("the answer is a redirect ({}), which is not followed", .0.as_u16())]
    Redirect(StatusCode),
    #[error("the answer is {0}")]
    Status(StatusCode),
}

impl Callbacks {
    pub fn new(config: CallbacksConfig, clock: Clock) -> Result<Self, SetupError> {
        let CallbacksConfig {
            networks,
            answer_time_max,
        } = config;
        let resolver = Resolver::new(Addresses::new(networks))?;
        let client = Client::builder()
            .timeout(answer_time_max)
            // It is divided among the addresses of a host.
            .connect_timeout(answer_time_max / 2)
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(IDLE_TIME_MAX)
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(resolver.clone()))
            .user_agent(concat!("messages/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            client,
            resolver,
            clock,
            answer_time_max,
        })
    }

    /// Whether a URL could be called at present. A name that cannot be resolved at present passes: it may
    /// be resolved when it is called, and is checked then.
    pub async fn check(&self, url: &CallbackUrl) -> Result<(), Unreachable> {
        let resolving = self.resolver.addresses_of(url);
        match timeout(CHECK_TIME_MAX, resolving).await {
            Ok(Err(Unreachable::NotPublic)) => Err(Unreachable::NotPublic),
            _ => Ok(()),
        }
    }

    /// Posts JSON. It is taken if the answer's status is 2xx.
    pub async fn post(&self, request: Request<'_>) -> Result<(), Failure> {
        let Request {
            url,
            id,
            body,
            secrets,
        } = request;
        // The client asks the resolver for names alone.
        if let Some(address) = url.literal_address() {
            self.resolver.permit(address)?;
        }
        let now = (self.clock)().duration_since(UNIX_EPOCH);
        let timestamp = now.map_or(0, |now| now.as_secs()).to_string();
        let signature = signature::sign(secrets, &id, &timestamp, &body);
        let sending = self
            .client
            .post(url.as_url().clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(body)
            .send();
        let answer = sending.await.map_err(|error| self.failure(&error))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status if status.is_redirection() => Err(Failure::Redirect(status)),
            status => Err(Failure::Status(status)),
        }
    }

    fn failure(&self, error: &reqwest::Error) -> Failure {
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(unreachable) = cause.downcast_ref::<Unreachable>() {
                return Failure::Unreachable(*unreachable);
            }
            if let Some(tls) = of_tls(cause) {
                return Failure::Tls(tls.to_string());
            }
            source = cause.source();
        }
        if error.is_timeout() {
            Failure::NoAnswer(self.answer_time_max)
        } else if error.is_connect() {
            Failure::NoConnection
        } else {
            Failure::Broken
        }
    }
}

fn of_tls<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let wrapped = cause.downcast_ref::<io::Error>()?.get_ref()?;
    wrapped.downcast_ref::<rustls::Error>()
}
