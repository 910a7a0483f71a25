//! What callers send, checked field by field.

mod applications;
mod chats;
mod conversations;
mod edits;
mod hooks;
mod imports;
mod new_messages;
mod reports;
mod signals;
mod webhooks;

pub use applications::{ApplicationPatchJson, NameJson, RestrictionsJson};
pub use chats::{ChatPatchJson, MemberPatchJson, MembersPatchJson, NewChat, NewChatJson};
pub use conversations::{NewReadPositionJson, SettingsPatchJson};
pub use edits::{Edit, EditedMessageTextJson, MessagePatchJson, MessageReadMarkJson};
pub use hooks::NewHookJson;
pub use imports::{
    ChatName, IMPORT_BYTES_MAX, IMPORT_LINES_MAX, ImportItem, ImportLine, ImportLineJson,
    ImportLinesJson, ImportedPlace, NewImportedChat, NewImportedMessage,
};
pub use new_messages::{NewChatMessageJson, NewPersonalMessageJson};
pub use reports::{NewReportJson, ResolutionJson};
pub use signals::NewSignalJson;
pub use webhooks::{NewWebhookJson, WebhookPatchJson};

use serde::{Deserialize, Deserializer};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

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

/// The value of a name of a patch; `null` is the one that counts at first.
fn named<T: Default>(
    name: Option<Option<String>>,
    of_name: fn(&str) -> Option<T>,
    otherwise: &'static str,
) -> Result<Option<T>, Invalid> {
    match name {
        None => Ok(None),
        Some(None) => Ok(Some(T::default())),
        Some(Some(name)) => of_name(&name).map(Some).ok_or(Invalid(otherwise)),
    }
}

/// The time of a patch, to the microsecond, which is what PostgreSQL keeps.
fn parse_time_patch(
    time: Option<Option<String>>,
) -> Result<Option<Option<OffsetDateTime>>, Invalid> {
    let time = time.map(|time| time.map(|time| parse_time(&time)).transpose());
    time.transpose()
}

/// A time, to the microsecond.
pub fn parse_time(text: &str) -> Result<OffsetDateTime, Invalid> {
    let time = OffsetDateTime::parse(text, &Rfc3339);
    let time = time.ok().and_then(|time| {
        let time = time.checked_to_offset(UtcOffset::UTC)?;
        let is_written_in_four_digits = (0..=9999).contains(&time.year());
        is_written_in_four_digits
            .then(|| time.replace_nanosecond(time.microsecond() * 1000).ok())
            .flatten()
    });
    time.ok_or(Invalid("must be a time as RFC 3339 has it"))
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
