//! Conditional requests (RFC 9110, section 13): timestamps as entity tags.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::checks::FromHeaders;
use crate::{domain::Timestamp, http::answer::problem::Problem, timeline::commands::Expected};

/// The entity tag of a message as it is now.
pub fn entity_tag(timestamp: Timestamp) -> HeaderValue {
    HeaderValue::try_from(format!("\"{timestamp}\"")).expect("digits in quotes are visible ASCII")
}

/// `If-None-Match`. A value that cannot be parsed matches nothing.
pub struct IfNoneMatch(Option<Tags>);

#[derive(Debug, PartialEq, Eq)]
enum Tags {
    /// `*`
    Any,
    /// The tags that are timestamps. No message ever has any other tag.
    Timestamps(Vec<Timestamp>),
}

impl FromHeaders for Expected {
    /// The timestamps of `If-Match`. Fails with 400 if it is not well-formed, and with 428 if it is
    /// missing or `*`: a change must say on which state it is based.
    fn from_headers(headers: &HeaderMap) -> Result<Self, Problem> {
        let tags = read(headers, header::IF_MATCH).map_err(|()| {
            Problem::malformed("If-Match must be an entity tag like \"7\", or a list of them")
        })?;
        match tags {
            Some(Tags::Timestamps(timestamps)) => Ok(Self(timestamps)),
            Some(Tags::Any) | None => Err(Problem::precondition_required()),
        }
    }
}

impl IfNoneMatch {
    pub fn of(headers: &HeaderMap) -> Self {
        Self(read(headers, header::IF_NONE_MATCH).unwrap_or_default())
    }

    /// Whether the caller already has the message as it is at `current`.
    pub fn matches(&self, current: Timestamp) -> bool {
        match &self.0 {
            Some(Tags::Any) => true,
            Some(Tags::Timestamps(timestamps)) => timestamps.contains(&current),
            None => false,
        }
    }
}

/// Whether `If-None-Match` has the entity tag `opaque`, which is not a timestamp and is passed
/// without quotes.
pub fn names(headers: &HeaderMap, opaque: &str) -> bool {
    let lines = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|line| line.to_str().ok());
    lines.map(str::trim).any(|mut rest| {
        if rest == "*" {
            return true;
        }
        while let (false, Ok((tag, tail))) = (rest.is_empty(), next_tag(rest)) {
            if tag == opaque {
                return true;
            }
            rest = tail;
        }
        false
    })
}

/// Reads a list of entity tags over all lines of a header; `None` if there is no line.
fn read(headers: &HeaderMap, name: HeaderName) -> Result<Option<Tags>, ()> {
    let mut timestamps = Vec::new();
    let mut is_present = false;
    for line in headers.get_all(name) {
        is_present = true;
        let mut rest = line.to_str().map_err(|_| ())?.trim();
        if rest == "*" {
            return Ok(Some(Tags::Any));
        }
        while !rest.is_empty() {
            let (tag, tail) = next_tag(rest)?;
            timestamps.extend(Timestamp::parse(tag));
            rest = tail;
        }
    }
    Ok(is_present.then_some(Tags::Timestamps(timestamps)))
}

/// Takes one element of a list, which may be empty: `"7"`, `7` (as people type it) or `W/"7"` (as a
/// compressing proxy makes it). Returns what is within the quotes, and what follows the comma.
fn next_tag(list: &str) -> Result<(&str, &str), ()> {
    let opaque = list.strip_prefix("W/").unwrap_or(list);
    let (tag, tail) = match opaque.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').ok_or(())?,
        None => opaque.split_at(opaque.find(',').unwrap_or(opaque.len())),
    };
    let tail = tail.trim_start();
    let rest = if tail.is_empty() {
        tail
    } else {
        tail.strip_prefix(',').ok_or(())?
    };
    if tag.contains('"') {
        return Err(());
    }
    Ok((tag.trim(), rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tags(value: &str) -> Result<Option<Tags>, ()> {
        let value = HeaderValue::from_str(value).unwrap();
        read(
            &HeaderMap::from_iter([(header::IF_MATCH, value)]),
            header::IF_MATCH,
        )
    }

    fn timestamps(values: &[i64]) -> Result<Option<Tags>, ()> {
        Ok(Some(Tags::Timestamps(
            values.iter().copied().map(Timestamp::new).collect(),
        )))
    }

    #[test]
    fn a_tag_may_be_quoted_bare_or_weak() {
        for value in ["\"7\"", "7", "W/\"7\"", " \"7\" "] {
            assert_eq!(tags(value), timestamps(&[7]), "{value}");
        }
        assert_eq!(tags("\"7\", W/\"9\",8"), timestamps(&[7, 9, 8]));
        assert_eq!(tags("\"a,b\" , \"7\""), timestamps(&[7]));
        for value in ["\"7\",", ",\"7\"", "\"7\", , "] {
            assert_eq!(
                tags(value),
                timestamps(&[7]),
                "empty elements do not count: {value}"
            );
        }
        assert_eq!(tags("*"), Ok(Some(Tags::Any)));
    }

    #[test]
    fn a_tag_that_no_message_has_is_readable_and_matches_nothing() {
        for value in [
            "\"abc\"",
            "\"\"",
            "\"-7\"",
            "abc",
            "\"99999999999999999999\"",
        ] {
            assert_eq!(tags(value), timestamps(&[]), "{value}");
        }
    }

    #[test]
    fn half_a_tag_is_no_tag() {
        for value in ["\"7", "7\"", "\"7\"8\"", "\"7\" 8", "W/\"7"] {
            assert_eq!(tags(value), Err(()), "{value}");
        }
    }

    proptest! {
        #[test]
        fn every_entity_tag_is_read_back(timestamp in 0..=i64::MAX) {
            let written = entity_tag(Timestamp::new(timestamp));
            prop_assert_eq!(tags(written.to_str().unwrap()), timestamps(&[timestamp]));
        }
    }
}
