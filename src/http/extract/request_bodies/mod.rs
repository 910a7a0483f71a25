//! What callers send, checked field by field.

mod chats;
mod conversations;
mod edits;
mod new_messages;
mod reports;
mod webhooks;

pub use chats::{MembersPatchJson, NameJson, NewChatJson, NewNameJson};
pub use conversations::{NewReadPositionJson, SettingsPatchJson};
pub use edits::{Edit, EditedMessageTextJson, MessagePatchJson, MessageReadMarkJson};
pub use new_messages::{NewChatMessageJson, NewPersonalMessageJson};
pub use reports::{NewReportJson, ResolutionJson};
pub use webhooks::{NewWebhookJson, WebhookPatchJson};

use serde::{Deserialize, Deserializer};

use crate::{
    domain::{Invalid, Mentions, UserId},
    http::answer::problem::FieldError,
};

/// Distinguishes a member that is `null` from one that is absent.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// Whom a message names.
fn parse_mentions(users: &[String], all: bool) -> Result<Mentions, Invalid> {
    let users = users.iter().map(|user| UserId::parse(user));
    Mentions::new(users.collect::<Result<_, _>>()?, all)
}

/// The value. If it is invalid, adds that to `errors`.
pub fn collect<T>(
    errors: &mut Vec<FieldError>,
    field: &str,
    parsed: Result<T, Invalid>,
) -> Option<T> {
    parsed
        .map_err(|invalid| {
            errors.push(FieldError::new(field, invalid.to_string()));
        })
        .ok()
}
