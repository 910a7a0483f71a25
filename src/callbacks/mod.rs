//! Callbacks: signed requests to the servers of applications, at URLs that these have named.
//!
//! # The promise
//! A request goes to no address that is not public, unless the configuration allows it: not by the name
//! of the host, which is resolved once and whose addresses are checked before anything is connected to
//! one of them, and not by a redirect, which is not followed. No proxy is used, since that would resolve
//! the name again.
//!
//! Of the answer of a webhook only the head is read; of that of a hook, up to 256 KiB. The whole call has a
//! limit of time. So a server that hangs, or that sends without end, costs a connection until then, and little
//! memory.
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
use reqwest::{Client, ClientBuilder, Response, StatusCode, header, redirect::Policy};
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

/// The longest answer that is read. A text and attributes of the largest size fit into it, however they are
/// escaped.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// The connections to one host that wait for the next question.
const IDLE_FOR_QUESTIONS_MAX: usize = 64;

/// How long a connection for a question may take to be made, divided among the addresses of the host.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// Calls the servers of applications.
pub struct Callbacks {
    /// For requests whose answers have no content that counts, one at a time to each host.
    notifier: Client,
    /// For questions, of which many are asked at once.
    asker: Client,
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
#[derive(Clone)]
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
    #[error("the answer is longer than 256 KiB")]
    TooLong,
}

impl Callbacks {
    pub fn new(config: CallbacksConfig, clock: Clock) -> Result<Self, SetupError> {
        let CallbacksConfig {
            networks,
            answer_time_max,
        } = config;
        let resolver = Resolver::new(Addresses::new(networks))?;
        Self::with_resolver(resolver, answer_time_max, clock)
    }

    /// As [`new`](Self::new), with a resolver that is there already.
    fn with_resolver(
        resolver: Resolver,
        answer_time_max: Duration,
        clock: Clock,
    ) -> Result<Self, SetupError> {
        let notifier = client(resolver.clone())
            .timeout(answer_time_max)
            // It is divided among the addresses of a host.
            .connect_timeout(answer_time_max / 2)
            .pool_max_idle_per_host(1);
        let asker = client(resolver.clone())
            .connect_timeout(CONNECT_TIME_MAX)
            .pool_max_idle_per_host(IDLE_FOR_QUESTIONS_MAX);
        Ok(Self {
            notifier: notifier.build()?,
            asker: asker.build()?,
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
        self.send(&self.notifier, request).await.map(drop)
    }

    /// Posts JSON, and reads what is answered with a status of 2xx, which may be up to 256 KiB. If the connection
    /// breaks before an answer, as one does that the server has closed while nothing was sent, it asks once more.
    /// How long it may take is the caller's matter.
    pub async fn ask(&self, request: Request<'_>) -> Result<Vec<u8>, Failure> {
        let mut answer = match self.send(&self.asker, request.clone()).await {
            Err(Failure::Broken) => self.send(&self.asker, request).await?,
            answered => answered?,
        };
        let mut body = Vec::new();
        loop {
            let part = answer.chunk().await;
            let Some(part) = part.map_err(|error| self.failure(&error))? else {
                return Ok(body);
            };
            if body.len() + part.len() > ANSWER_BYTES_MAX {
                return Err(Failure::TooLong);
            }
            body.extend_from_slice(&part);
        }
    }

    /// The answer, if its status is 2xx.
    async fn send(&self, client: &Client, request: Request<'_>) -> Result<Response, Failure> {
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
        let sending = client
            .post(url.as_url().clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(body)
            .send();
        let answer = sending.await.map_err(|error| self.failure(&error))?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
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
        if error.is_connect() {
            Failure::NoConnection
        } else if error.is_timeout() {
            Failure::NoAnswer(self.answer_time_max)
        } else {
            Failure::Broken
        }
    }
}

fn client(resolver: Resolver) -> ClientBuilder {
    Client::builder()
        .pool_idle_timeout(IDLE_TIME_MAX)
        .redirect(Policy::none())
        .no_proxy()
        .dns_resolver(Arc::new(resolver))
        .user_agent(concat!("messages/", env!("CARGO_PKG_VERSION")))
}

fn of_tls<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let wrapped = cause.downcast_ref::<io::Error>()?.get_ref()?;
    wrapped.downcast_ref::<rustls::Error>()
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test spawns its servers and reads the clock"
)]
mod tests;
