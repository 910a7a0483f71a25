//! `Prefer`: how much of an answer the caller wants (RFC 7240).

use std::convert::Infallible;

use axum::{extract::FromRequestParts, http::request::Parts};

/// Whether the caller prefers an answer without a body (RFC 7240, section 4.2).
pub struct PrefersMinimal(pub bool);

impl<S: Sync> FromRequestParts<S> for PrefersMinimal {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let lines = parts
            .headers
            .get_all("prefer")
            .iter()
            .filter_map(|line| line.to_str().ok());
        let mut preferences = lines.flat_map(|line| line.split(',')).map(str::trim);
        // Of a preference that is given twice, the first counts (section 2).
        let wanted =
            preferences.find(|preference| preference.to_ascii_lowercase().starts_with("return="));
        let is_minimal = |wanted: &str| {
            wanted[7..]
                .trim_matches('"')
                .eq_ignore_ascii_case("minimal")
        };
        Ok(Self(wanted.is_some_and(is_minimal)))
    }
}
