//! The caller, from the request's bearer token (RFC 6750, section 2.1) or stream ticket, and the
//! user as whom an application acts.

use std::time::SystemTime;

use axum::{
    extract::Query,
    http::{HeaderMap, header, request::Parts},
};
use serde::Deserialize;

use super::media;
use crate::{
    auth::{self, Identity, Validity},
    domain::{ApplicationId, Invalid, UserId},
    http::{
        Service,
        answer::problem::{FieldError, Problem},
        server::Link,
    },
};

const AS_USER: &str = "as-user";

/// A kind of caller, and how it is authenticated. Fails with 401, with 403, with 429 if the user
/// has too many requests, or with 503 if nobody can be authenticated at present.
pub trait Authenticate {
    type Caller: Send;

    /// A bad `As-User` of an application is added to `errors`: it comes later in the order of
    /// checks.
    fn authenticate(
        head: &Parts,
        service: &Service,
        errors: &mut Vec<FieldError>,
    ) -> impl Future<Output = Result<Self::Caller, Problem>> + Send;
}

/// A user, or an application, which acts as one of its users or for itself.
pub struct Caller {
    pub application: ApplicationId,
    /// The user who calls, or as whom the application acts; `None` for the application itself.
    pub user: Option<UserId>,
    pub validity: Validity,
}

/// As [`Caller`], for operations that also accept a ticket. If a request has both, the bearer token
/// counts.
pub struct BearerOrTicket;

/// An application that calls for itself.
pub struct OwnApplication;

/// An application that follows its feed. An answer that is held, or a stream, ends with its token.
pub struct FeedReader;

/// The caller who has the administrator's token.
pub struct Administrator;

impl Caller {
    /// The user, for operations that need one. Fails with 422 for the application itself.
    pub fn require_user(&self) -> Result<UserId, Problem> {
        let missing = || Problem::invalid_field("As-User", "is required for this");
        self.user.clone().ok_or_else(missing)
    }

    fn new(
        identity: Identity,
        headers: &HeaderMap,
        now: SystemTime,
        errors: &mut Vec<FieldError>,
    ) -> Result<Self, Problem> {
        let as_user = as_user(headers);
        let (application, user, validity) = match identity {
            Identity::Administrator => {
                return Err(Problem::forbidden(
                    "the administrator manages applications only",
                ));
            }
            Identity::Application(application, validity) => {
                let user = as_user.unwrap_or_else(|invalid| {
                    errors.push(FieldError::new("As-User", invalid.to_string()));
                    None
                });
                let validity = match &user {
                    Some(user) => validity.acting_as(user, now),
                    None => validity,
                };
                (application, user, validity)
            }
            Identity::User(application, user, validity) => {
                let is_own = as_user.is_ok_and(|named| named.is_none_or(|named| named == user));
                if !is_own {
                    return Err(Problem::forbidden(
                        "a user acts for nobody else: As-User is for applications",
                    ));
                }
                (application, Some(user), validity)
            }
        };
        Ok(Self {
            application,
            user,
            validity,
        })
    }
}

impl Authenticate for Caller {
    type Caller = Self;

    /// Takes a permit for one of the user's requests. The connection keeps it.
    async fn authenticate(
        head: &Parts,
        service: &Service,
        errors: &mut Vec<FieldError>,
    ) -> Result<Self, Problem> {
        let identity = identify(head, service).await?;
        let caller = Self::new(identity, &head.headers, (service.clock)(), errors)?;
        // An application that calls for itself has no limit of requests.
        if let (Some(user), Some(link)) = (&caller.user, head.extensions.get::<Link>()) {
            link.keep(service.budget.enter(caller.application, user)?);
        }
        Ok(caller)
    }
}

#[derive(Deserialize)]
struct TicketQuery {
    ticket: Option<String>,
}

impl Authenticate for BearerOrTicket {
    type Caller = Caller;

    async fn authenticate(
        head: &Parts,
        service: &Service,
        errors: &mut Vec<FieldError>,
    ) -> Result<Caller, Problem> {
        let query = Query::<TicketQuery>::try_from_uri(&head.uri);
        let ticket = query.ok().and_then(|Query(query)| query.ticket);
        let Some(ticket) = ticket.filter(|_| !head.headers.contains_key(header::AUTHORIZATION))
        else {
            return Caller::authenticate(head, service, errors).await;
        };
        if !media::prefers_stream(&head.headers) {
            return Err(auth::Error::TicketElsewhere.into());
        }
        let identity = service.tickets.verify(&ticket)?;
        let caller = Caller::new(identity, &head.headers, (service.clock)(), errors)?;
        service
            .authenticator
            .require_valid(&caller.validity)
            .await?;
        Ok(caller)
    }
}

impl Authenticate for OwnApplication {
    type Caller = ApplicationId;

    async fn authenticate(
        head: &Parts,
        service: &Service,
        _: &mut Vec<FieldError>,
    ) -> Result<ApplicationId, Problem> {
        match identify(head, service).await? {
            Identity::Application(application, _) => Ok(application),
            _ => Err(Problem::forbidden("this is for the application itself")),
        }
    }
}

impl Authenticate for FeedReader {
    type Caller = Caller;

    async fn authenticate(
        head: &Parts,
        service: &Service,
        _: &mut Vec<FieldError>,
    ) -> Result<Caller, Problem> {
        match identify(head, service).await? {
            Identity::Application(application, validity) => Ok(Caller {
                application,
                user: None,
                validity,
            }),
            _ => Err(Problem::forbidden("this is for the application itself")),
        }
    }
}

impl Authenticate for Administrator {
    type Caller = Self;

    async fn authenticate(
        head: &Parts,
        service: &Service,
        _: &mut Vec<FieldError>,
    ) -> Result<Self, Problem> {
        match identify(head, service).await? {
            Identity::Administrator => Ok(Self),
            _ => Err(Problem::forbidden("this is for the administrator")),
        }
    }
}

async fn identify(head: &Parts, service: &Service) -> Result<Identity, Problem> {
    let token = bearer_token(&head.headers)?;
    Ok(service.authenticator.identify(token).await?)
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
