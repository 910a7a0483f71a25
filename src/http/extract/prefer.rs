//! `Prefer`: how much of an answer the caller prefers to receive (RFC 7240).

use axum::http::HeaderMap;

/// Whether the caller prefers an answer without a body (RFC 7240, section 4.2).
pub fn prefers_minimal(headers: &HeaderMap) -> bool {
    let lines = headers.get_all("prefer").iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let preferences = lines.flat_map(|line| line.split(','));
    let mut preferences = preferences
        .filter_map(|preference| preference.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()));
    // If a preference is given twice, the first one counts (section 2).
    let preferred = preferences.find(|(name, _)| name.eq_ignore_ascii_case("return"));
    preferred.is_some_and(|(_, value)| value.trim_matches('"').eq_ignore_ascii_case("minimal"))
}
