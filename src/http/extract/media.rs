//! Media types: what the service reads and writes, and what a caller accepts (RFC 9110, section
//! 12.5.1).

use std::str::FromStr;

use axum::http::{HeaderMap, header};
use mediatype::{MediaType, Name};

use crate::http::answer::problem::Problem;

pub const JSON: &str = "application/json";
pub const MERGE_PATCH: &str = "application/merge-patch+json";
pub const PERSONAL_MESSAGE: &str = "application/vnd.personalMessage.v1+json";
pub const NEW_PERSONAL_MESSAGE: &str = "application/vnd.newPersonalMessage.v1+json";
pub const CHAT_MESSAGE: &str = "application/vnd.chatMessage.v1+json";
pub const NEW_CHAT_MESSAGE: &str = "application/vnd.newChatMessage.v1+json";
pub const EDITED_TEXT: &str = "application/vnd.editedMessageText.v1+json";
pub const READ_MARK: &str = "application/vnd.messageReadMark.v1+json";
pub const JSON_LINES: &str = "application/x-ndjson";
pub const EVENT_STREAM: &str = "text/event-stream";
pub const UPDATES: &str = "application/vnd.messageUpdates.v1+json";

/// A media type that an answer can have.
pub struct Offer {
    accepted_as: MediaType<'static>,
    /// The `Content-Type` of the answer.
    label: &'static str,
    /// Offered only if the caller accepts it by name.
    is_alias: bool,
}

impl Offer {
    const fn vendor(subtype: &'static str, label: &'static str) -> Self {
        let application = Name::new_unchecked("application");
        let json = Name::new_unchecked("json");
        let subtype = Name::new_unchecked(subtype);
        let accepted_as = MediaType::from_parts(application, subtype, Some(json), &[]);
        Self {
            accepted_as,
            label,
            is_alias: false,
        }
    }

    /// Another name for an answer that is labelled `label`.
    const fn alias(subtype: &'static str, label: &'static str) -> Self {
        let mut offer = Self::vendor(subtype, label);
        offer.is_alias = true;
        offer
    }

    const fn plain_json() -> Self {
        Self::standard("application", "json", JSON)
    }

    const fn json_lines() -> Self {
        Self::standard("application", "x-ndjson", JSON_LINES)
    }

    const fn event_stream() -> Self {
        let mut offer = Self::standard("text", "event-stream", EVENT_STREAM);
        offer.is_alias = true;
        offer
    }

    const fn standard(kind: &'static str, subtype: &'static str, label: &'static str) -> Self {
        let (kind, subtype) = (Name::new_unchecked(kind), Name::new_unchecked(subtype));
        Self {
            accepted_as: MediaType::new(kind, subtype),
            label,
            is_alias: false,
        }
    }
}

/// What an operation can answer with, the preferred first.
pub trait Answers {
    const OFFERS: &'static [Offer];
}

/// A new personal message.
pub struct PersonalMessage;

/// A new message in a chat.
pub struct ChatMessage;

/// A message of either kind. The kind is only clear once the message is read, so both names are
/// accepted, and the answer has the label of its kind.
pub struct AnyMessage;

/// A page of the timeline, or a stream of it.
pub struct Updates;

/// A page of the feed, or a stream of it.
pub struct Feed;

/// What has no vendor type.
pub struct PlainJson;

/// A JSON object a line.
pub struct JsonLines;

impl Answers for PersonalMessage {
    const OFFERS: &'static [Offer] = &[
        Offer::vendor("vnd.personalMessage.v1", PERSONAL_MESSAGE),
        Offer::plain_json(),
    ];
}

impl Answers for ChatMessage {
    const OFFERS: &'static [Offer] = &[
        Offer::vendor("vnd.chatMessage.v1", CHAT_MESSAGE),
        Offer::plain_json(),
    ];
}

impl Answers for AnyMessage {
    const OFFERS: &'static [Offer] = &[
        Offer::vendor("vnd.personalMessage.v1", PERSONAL_MESSAGE),
        Offer::alias("vnd.chatMessage.v1", PERSONAL_MESSAGE),
        Offer::plain_json(),
    ];
}

impl Answers for Updates {
    const OFFERS: &'static [Offer] = &[
        Offer::vendor("vnd.messageUpdates.v1", UPDATES),
        Offer::plain_json(),
        Offer::event_stream(),
    ];
}

impl Answers for Feed {
    const OFFERS: &'static [Offer] = &[Offer::plain_json(), Offer::event_stream()];
}

impl Answers for JsonLines {
    const OFFERS: &'static [Offer] = &[Offer::json_lines()];
}

impl Answers for PlainJson {
    const OFFERS: &'static [Offer] = &[Offer::plain_json()];
}

/// The media type of the answer, out of those that the operation offers. Fails with 406 if the
/// caller accepts none.
pub fn negotiate<A: Answers>(headers: &HeaderMap) -> Result<&'static str, Problem> {
    best_offer(headers, A::OFFERS).ok_or_else(|| {
        let names: Vec<_> = A::OFFERS
            .iter()
            .map(|offer| offer.accepted_as.to_string())
            .collect();
        Problem::not_acceptable(&names.join(", "))
    })
}

/// Whether the caller prefers a stream to a page.
pub fn prefers_stream(headers: &HeaderMap) -> bool {
    best_offer(headers, Updates::OFFERS) == Some(EVENT_STREAM)
}

/// The label of the best offer. Without an `Accept`, everything is accepted; one that cannot be
/// read accepts nothing.
fn best_offer(headers: &HeaderMap, offers: &'static [Offer]) -> Option<&'static str> {
    let mut lines = headers.get_all(header::ACCEPT).iter().peekable();
    if lines.peek().is_none_or(|line| line.as_bytes() == b"*/*") {
        return Some(offers[0].label);
    }
    let lines: Vec<_> = lines
        .map(|line| Some(weighted_ranges(line.to_str().ok()?)))
        .collect::<Option<_>>()?;
    let accept = headers_accept::Accept::from_str(&lines.join(",")).ok()?;
    let is_named = |offer: &Offer| {
        accept
            .media_types()
            .any(|range| range.essence() == offer.accepted_as)
    };
    let offered = offers
        .iter()
        .filter(|offer| !offer.is_alias || is_named(offer));
    let best = accept.negotiate(offered.map(|offer| &offer.accepted_as))?;
    offers
        .iter()
        .find(|offer| offer.accepted_as == *best)
        .map(|offer| offer.label)
}

/// The media ranges of a line with their weights alone: a parameter such as `charset` would make a
/// range more specific than anything that is offered. What is no media range (old clients send `*`)
/// is ignored.
fn weighted_ranges(line: &str) -> String {
    let weighted = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find(|part| part.starts_with("q=") || part.starts_with("Q="));
        weight.map_or_else(|| name.to_owned(), |weight| format!("{name};{weight}"))
    };
    let is_range = |range: &String| MediaType::parse(range).is_ok();
    line.split(',')
        .map(weighted)
        .filter(is_range)
        .collect::<Vec<_>>()
        .join(",")
}

/// Which of `accepted` the body is, by its `Content-Type`; parameters (charset) do not count, since
/// JSON is UTF-8 (RFC 8259, section 8.1).
pub fn content_type(
    headers: &HeaderMap,
    accepted: &'static [&'static str],
) -> Option<&'static str> {
    let given = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let given = MediaType::parse(given).ok()?;
    accepted
        .iter()
        .find(|media_type| {
            MediaType::parse(media_type).is_ok_and(|accepted| accepted == given.essence())
        })
        .copied()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn agreed(accept: &str) -> Option<&'static str> {
        let value = HeaderValue::from_str(accept).unwrap();
        best_offer(
            &HeaderMap::from_iter([(header::ACCEPT, value)]),
            AnyMessage::OFFERS,
        )
    }

    #[test]
    fn the_vendor_type_is_the_default() {
        assert_eq!(
            best_offer(&HeaderMap::new(), AnyMessage::OFFERS),
            Some(PERSONAL_MESSAGE)
        );
        for accept in [
            "*/*",
            "application/*",
            "text/html, */*;q=0.1",
            PERSONAL_MESSAGE,
        ] {
            assert_eq!(agreed(accept), Some(PERSONAL_MESSAGE), "{accept}");
        }
    }

    #[test]
    fn plain_json_is_the_answer_if_the_caller_names_it() {
        for accept in [
            "application/json",
            "application/json, */*",
            "application/json;charset=utf-8;q=0.9",
            "APPLICATION/JSON",
        ] {
            assert_eq!(agreed(accept), Some(JSON), "{accept}");
        }
    }

    #[test]
    fn the_types_of_both_kinds_are_accepted_while_the_kind_is_unknown() {
        assert_eq!(
            agreed("application/vnd.chatMessage.v1+json"),
            Some(PERSONAL_MESSAGE)
        );
        assert_eq!(
            agreed("application/vnd.personalMessage.v1+json;q=0, application/*"),
            Some(JSON)
        );
    }

    #[test]
    fn a_stream_is_the_answer_only_if_the_caller_names_it() {
        let prefers = |accept: &'static str| {
            prefers_stream(&HeaderMap::from_iter([(
                header::ACCEPT,
                HeaderValue::from_static(accept),
            )]))
        };
        assert!(prefers("text/event-stream"));
        assert!(prefers("text/event-stream, */*;q=0.1"));
        assert!(!prefers("*/*"));
        assert!(!prefers("application/json, text/event-stream"));
        assert!(!prefers("text/html, text/*;q=0.8, */*;q=0.1"));
        assert!(!prefers(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        ));
    }

    #[test]
    fn what_is_no_media_range_is_ignored() {
        assert_eq!(
            agreed("text/html, image/gif, *; q=.2, */*; q=.2"),
            Some(PERSONAL_MESSAGE)
        );
        assert_eq!(agreed("nonsense, application/json"), Some(JSON));
    }

    #[test]
    fn a_type_that_is_not_offered_is_not_acceptable() {
        for accept in [
            "text/html",
            "application/xml",
            "application/json;q=0",
            "application/vnd.personalMessage.v2+json",
            "",
            "nonsense",
        ] {
            assert_eq!(agreed(accept), None, "{accept}");
        }
    }

    #[test]
    fn a_content_type_is_accepted_with_or_without_parameters() {
        let accepted = |value: &'static str| {
            let headers =
                HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))]);
            content_type(&headers, &[NEW_PERSONAL_MESSAGE, JSON])
        };
        assert_eq!(accepted("application/json; charset=utf-8"), Some(JSON));
        assert_eq!(
            accepted("Application/VND.newPersonalMessage.v1+JSON"),
            Some(NEW_PERSONAL_MESSAGE)
        );
        for other in ["text/plain", "application/merge-patch+json", "json", ""] {
            assert_eq!(accepted(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_accept_header_panics(accept in "[ -~]{0,60}") {
            agreed(&accept);
        }
    }
}
