//! What callers send, checked field by field.

mod chats;
mod edits;
mod new_messages;

pub use chats::{NameJson, NewChatJson, NewNameJson};
pub use edits::{Edit, EditedMessageTextJson, MessagePatchJson, MessageReadMarkJson};
pub use new_messages::{NewChatMessageJson, NewPersonalMessageJson};

use crate::{domain::Invalid, http::answer::problem::FieldError};

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
