//! Answers to requests that have created something.

use std::sync::Arc;

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{Json, chat, conversation, message};
use crate::{
    domain::{Chat, Message, Timestamp},
    http::extract::conditional::entity_tag,
    store::conversations::SeenConversation,
    timeline::{Effect, Outcome},
};

/// The answer to a sent message.
pub fn sent(media_type: &'static str, outcome: &Outcome<Arc<Message>>, minimal: bool) -> Response {
    let sent = &outcome.output;
    let (path, whole) = (format!("/messages/{}", sent.id), || {
        message(media_type, sent)
    });
    created(&path, sent.timestamp, outcome.effect, minimal, whole)
}

/// The answer to a created chat: as the caller sees it, if the caller is a member.
pub fn created_chat(
    media_type: &'static str,
    outcome: &Outcome<Arc<Chat>>,
    seen: Option<&SeenConversation>,
    minimal: bool,
) -> Response {
    let new = &outcome.output;
    let (path, whole) = (format!("/chats/{}", new.number.get()), || match seen {
        Some(seen) => conversation(media_type, seen),
        None => chat(media_type, new),
    });
    created(&path, new.timestamp, outcome.effect, minimal, whole)
}

/// 201 with the path of what was created. If the caller prefers that, the answer has no body.
fn created(
    path: &str,
    timestamp: Timestamp,
    effect: Effect,
    minimal: bool,
    whole: impl FnOnce() -> Response,
) -> Response {
    const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
    const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

    let mut response = if minimal {
        [(header::ETAG, entity_tag(timestamp))].into_response()
    } else {
        whole()
    };
    *response.status_mut() = StatusCode::CREATED;
    locate(&mut response, path);
    let headers = response.headers_mut();
    if effect == Effect::Replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    if minimal {
        headers.insert(
            PREFERENCE_APPLIED,
            HeaderValue::from_static("return=minimal"),
        );
    }
    response
}

/// The answer to a PUT of something that has no body: whether it is new.
pub fn put(effect: Effect) -> Response {
    let status = match effect {
        Effect::Changed => StatusCode::CREATED,
        Effect::Unchanged | Effect::Replayed => StatusCode::NO_CONTENT,
    };
    status.into_response()
}

/// As [`secret`], with the path of what was created.
pub fn created_secret(path: &str, media_type: &'static str, body: impl Serialize) -> Response {
    let mut response = secret(media_type, body);
    locate(&mut response, path);
    response
}

fn locate(response: &mut Response, path: &str) {
    let location = HeaderValue::try_from(path).expect("our paths are visible ASCII");
    response.headers_mut().insert(header::LOCATION, location);
}

/// 201 with a secret, which no cache may store.
pub fn secret(media_type: &'static str, body: impl Serialize) -> Response {
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    (StatusCode::CREATED, no_store, Json(media_type, body)).into_response()
}
