//! Pinned messages as JSON.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{super::instant, ListPage, MessageJson};
use crate::{
    domain::UserId,
    http::answer::openapi::schemas::{TimestampSchema, UserIdSchema},
    store::pins::ListedPin,
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

/// A page of what is pinned in a chat, the newest pin first.
#[derive(Serialize, ToSchema)]
#[schema(as = PinList)]
pub struct PinListJson<'a> {
    pins: Vec<PinJson<'a>>,
    /// The `before` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = TimestampSchema, required = false)]
    next: Option<i64>,
}

impl<'a> From<&'a ListPage<ListedPin, i64>> for PinListJson<'a> {
    fn from(page: &'a ListPage<ListedPin, i64>) -> Self {
        let pins = page.items.iter().map(|pin| PinJson {
            message: pin.message.as_ref().into(),
            by: pin.pinned_by.as_ref().map(UserId::as_str),
            pinned: pin.created,
        });
        Self {
            pins: pins.collect(),
            next: page.next,
        }
    }
}
