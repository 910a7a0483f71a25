//! Signals, and who has a stream open, as JSON.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    domain::{ChatNumber, Signal, SignalData, UserId},
    http::answer::openapi::schemas::{ChatNumberSchema, UserIdSchema, signal_data},
};

/// A signal, as the `data` of an `event: signal` of a stream has it: in a chat with `chat`, in a personal
/// conversation with `with`, which is its sender.
#[derive(Serialize, ToSchema)]
#[schema(as = Signal, example = json!({ "from": "jane", "chat": 1, "kind": "typing", "ttl": 5 }))]
pub struct SignalJson<'a> {
    #[schema(value_type = UserIdSchema)]
    from: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ChatNumberSchema, required = false)]
    chat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = UserIdSchema, required = false)]
    with: Option<&'a str>,
    kind: &'a str,
    /// For how many seconds it holds.
    #[schema(minimum = 1, maximum = 30)]
    ttl: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = signal_data, required = false)]
    data: Option<&'a RawValue>,
}

/// Which users have a stream open.
#[derive(Serialize, ToSchema)]
#[schema(as = PresenceList)]
pub struct PresenceListJson<'a> {
    pub users: Vec<UserPresenceJson<'a>>,
}

/// Whether a user has a stream open.
#[derive(Serialize, ToSchema)]
#[schema(as = UserPresence)]
pub struct UserPresenceJson<'a> {
    #[schema(value_type = UserIdSchema)]
    user: &'a str,
    online: bool,
}

impl<'a> From<&'a Signal> for SignalJson<'a> {
    /// As its recipient sees it.
    fn from(signal: &'a Signal) -> Self {
        let from = signal.from.as_str();
        Self {
            from,
            chat: signal.chat.map(ChatNumber::get),
            with: signal.chat.is_none().then_some(from),
            kind: signal.kind.as_str(),
            ttl: signal.ttl_seconds,
            data: signal.data.as_ref().map(SignalData::as_json),
        }
    }
}

impl<'a> From<(&'a UserId, bool)> for UserPresenceJson<'a> {
    fn from((user, online): (&'a UserId, bool)) -> Self {
        Self {
            user: user.as_str(),
            online,
        }
    }
}
