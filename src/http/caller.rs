//! The caller, from the request's bearer token (RFC 6750, section 2.1) or stream ticket.

use axum::{
    RequestPartsExt,
    extract::{FromRequestParts, Query},
    http::{HeaderMap, header, request::Parts},
};
use serde::Deserialize;

use super::{Service, media, problem::Problem};
use crate::auth::{self, Caller};

impl FromRequestParts<Service> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Problem> {
        let token = bearer_token(&parts.headers)?;
        Ok(service.signer.verify(token)?)
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
        let Some(ticket) = ticket.filter(|_| !parts.headers.contains_key(header::AUTHORIZATION)) else {
            return Caller::from_request_parts(parts, service).await.map(Self);
        };
        if !media::prefers_stream(&parts.headers) {
            return Err(auth::Error::TicketElsewhere.into());
        }
        Ok(Self(service.tickets.take(&ticket)?))
    }
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
