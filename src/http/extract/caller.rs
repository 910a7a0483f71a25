//! The caller, from the request's bearer token (RFC 6750, section 2.1) or stream ticket, and the
//! user as whom an application acts.

use axum::{
    RequestPartsExt,
    extract::{FromRequestParts, Query},
    http::{HeaderMap, header, request::Parts},
};
use serde::Deserialize;

use super::media;
use crate::{
    auth::{self, Identity, Validity},
    domain::{ApplicationId, Invalid, UserId},
    http::{Service, answer::problem::Problem, server::Link},
};

const AS_USER: &str = "as-user";

/// A user, or an application, which acts as one of its users or for itself.
pub struct Caller {
    pub application: ApplicationId,
    user: Result<Option<UserId>, Invalid>,
    pub validity: Validity,
}

impl Caller {
    /// The user who calls, or as whom the application does; `None` for the application itself.
    pub fn actor(&self) -> Result<Option<UserId>, Problem> {
        self.user
            .clone()
            .map_err(|invalid| Problem::invalid_field("As-User", invalid.to_string()))
    }

    /// As [`Caller::actor`], for what needs a user.
    pub fn user(&self) -> Result<UserId, Problem> {
        self.actor()?
            .ok_or_else(|| Problem::invalid_field("As-User", "is required for this"))
    }

    fn new(identity: Identity, headers: &HeaderMap) -> Result<Self, Problem> {
        let as_user = as_user(headers);
        match identity {
            Identity::Administrator => Err(Problem::forbidden(
                "the administrator manages applications only",
            )),
            Identity::Application(application, validity) => Ok(Self {
                application,
                user: as_user,
                validity,
            }),
            Identity::User(application, user, validity) => match as_user {
                Ok(None) => Ok(Self {
                    application,
                    user: Ok(Some(user)),
                    validity,
                }),
                Ok(Some(other)) if other == user => Ok(Self {
                    application,
                    user: Ok(Some(user)),
                    validity,
                }),
                _ => Err(Problem::forbidden(
                    "a user acts for nobody else: As-User is for applications",
                )),
            },
        }
    }
}

impl FromRequestParts<Service> for Caller {
    type Rejection = Problem;

    /// Takes a place among the user's requests, which the connection keeps.
    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Problem> {
        let caller = Self::new(identify(parts, service).await?, &parts.headers)?;
        // An application that calls for itself is trusted with what it needs.
        if let (Ok(Some(user)), Some(link)) = (&caller.user, parts.extensions.get::<Link>()) {
            link.keep(service.budget.enter(caller.application, user)?);
        }
        Ok(caller)
    }
}

/// The caller of what can also be opened with a ticket. A bearer token counts where both are given.
pub struct StreamCaller(pub Caller);

#[derive(Deserialize)]
struct TicketQuery {
    ticket: Option<String>,
}

impl FromRequestParts<Service> for StreamCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Problem> {
        let query = parts.extract::<Query<TicketQuery>>().await;
        let ticket = query.ok().and_then(|Query(query)| query.ticket);
        let Some(ticket) = ticket.filter(|_| !parts.headers.contains_key(header::AUTHORIZATION))
        else {
            return Caller::from_request_parts(parts, service).await.map(Self);
        };
        if !media::prefers_stream(&parts.headers) {
            return Err(auth::Error::TicketElsewhere.into());
        }
        let caller = Caller::new(service.tickets.verify(&ticket)?, &parts.headers)?;
        service
            .authenticator
            .require_valid(&caller.validity)
            .await?;
        Ok(Self(caller))
    }
}

/// An application that calls for itself.
pub struct OwnApplication(pub ApplicationId);

impl FromRequestParts<Service> for OwnApplication {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Problem> {
        match identify(parts, service).await? {
            Identity::Application(application, _) => Ok(Self(application)),
            _ => Err(Problem::forbidden("this is for the application itself")),
        }
    }
}

/// Whoever has the administrator's token.
pub struct Administrator;

impl FromRequestParts<Service> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Problem> {
        match identify(parts, service).await? {
            Identity::Administrator => Ok(Self),
            _ => Err(Problem::forbidden("this is for the administrator")),
        }
    }
}

async fn identify(parts: &Parts, service: &Service) -> Result<Identity, Problem> {
    Ok(service
        .authenticator
        .identify(bearer_token(&parts.headers)?)
        .await?)
}

fn bearer_token(headers: &HeaderMap) -> Result<&str, auth::Error> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let line = lines.next().ok_or(auth::Error::Missing)?;
    if lines.next().is_some() {
        return Err(auth::Error::NotBearer);
    }
    let credentials = line.to_str().map_err(|_| auth::Error::NotBearer)?;
    let (scheme, token) = credentials.split_once(' ').ok_or(auth::Error::NotBearer)?;
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(auth::Error::NotBearer);
    }
    Ok(token.trim())
}

fn as_user(headers: &HeaderMap) -> Result<Option<UserId>, Invalid> {
    let mut lines = headers.get_all(AS_USER).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => UserId::parse(line.to_str().unwrap_or_default()).map(Some),
        (Some(_), Some(_)) => Err(Invalid("must be given once")),
    }
}
