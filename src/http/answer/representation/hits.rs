//! What a search has found, as JSON.

use serde::Serialize;
use utoipa::ToSchema;

use super::{ListPage, MessageJson};
use crate::{http::answer::openapi::schemas::MessageIdSchema, search};

/// A message that matches.
#[derive(Serialize, ToSchema)]
#[schema(as = Hit)]
pub struct HitJson<'a> {
    message: MessageJson<'a>,
    /// Its text as HTML: what matches in `<mark>`, everything else escaped. Without `q` nothing is
    /// marked. Absent where the message has no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        value_type = String,
        required = false,
        example = "<mark>Hello</mark>, John &amp; Jane!"
    )]
    highlight: Option<&'a str>,
}

/// A page of what a search has found, the newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = HitList)]
pub struct HitListJson<'a> {
    hits: Vec<HitJson<'a>>,
    /// The `before` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = MessageIdSchema, required = false)]
    next: Option<i64>,
}

impl<'a> From<&'a ListPage<search::Match, i64>> for HitListJson<'a> {
    fn from(page: &'a ListPage<search::Match, i64>) -> Self {
        let hit = |hit: &'a search::Match| HitJson {
            message: MessageJson::from(hit.message.as_ref()),
            highlight: hit.highlight.as_deref(),
        };
        Self {
            hits: page.items.iter().map(hit).collect(),
            next: page.next,
        }
    }
}
