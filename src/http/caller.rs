//! The caller, from the request's bearer token (RFC 6750, section 2.1).

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};

use super::{Service, problem::Problem};
use crate::auth::{self, Caller};

impl FromRequestParts<Service> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Problem> {
        let token = bearer_token(&parts.headers)?;
        Ok(service.signer.verify(token)?)
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
