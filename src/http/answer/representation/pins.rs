//! Pinned messages as JSON.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{super::instant, MessageJson};
use crate::{
    domain::Message, http::answer::openapi::schemas::UserIdSchema, store::pins::ListedPin,
};

/// A message that is pinned in a chat.
#[derive(Serialize, ToSchema)]
#[schema(as = Pin)]
pub struct PinJson<'a> {
    message: MessageJson<'a>,
    /// Who has pinned it; absent where the application itself has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = UserIdSchema, required = false)]
    by: Option<&'a str>,
    /// When it was pinned.
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pinned: OffsetDateTime,
}

/// What is pinned in a chat, the newest pin first: 100 messages at the most.
#[derive(Serialize, ToSchema)]
#[schema(as = PinList)]
pub struct PinListJson<'a> {
    pins: Vec<PinJson<'a>>,
}

impl<'a> PinListJson<'a> {
    pub fn of(pins: impl Iterator<Item = (&'a ListedPin, &'a Message)>) -> Self {
        let pins = pins.map(|(pin, message)| PinJson {
            message: message.into(),
            by: pin.pinned_by.as_ref().map(|user| user.as_str()),
            pinned: pin.created,
        });
        Self {
            pins: pins.collect(),
        }
    }
}
