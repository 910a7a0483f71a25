//! What a search has found, as JSON.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Message, Page};
use crate::search;

/// A message that matches.
#[derive(Serialize, ToSchema)]
pub struct Hit<'a> {
    message: Message<'a>,
    /// Its text as HTML: what matches in `<mark>`, everything else escaped.
    #[schema(example = "<mark>Hello</mark>, John &amp; Jane!")]
    highlight: &'a str,
}

/// A page of what a search has found, the newest first.
#[derive(Serialize, ToSchema)]
pub struct HitList<'a> {
    hits: Vec<Hit<'a>>,
    /// The `before` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 9007199254740991_i64)]
    next: Option<i64>,
}

impl<'a> From<&'a Page<search::Match, i64>> for HitList<'a> {
    fn from(page: &'a Page<search::Match, i64>) -> Self {
        let hit = |hit: &'a search::Match| Hit {
            message: Message::from(hit.message.as_ref()),
            highlight: &hit.highlight,
        };
        Self {
            hits: page.items.iter().map(hit).collect(),
            next: page.next,
        }
    }
}
