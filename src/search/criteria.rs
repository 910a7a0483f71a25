//! What a search looks for: words, and what else a message must be.

use std::sync::Arc;

use time::OffsetDateTime;

use super::{Match, Query, highlight::highlight};
use crate::domain::{Content, Message, UserId};

/// What a message must fulfil to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Criteria {
    /// The words of its text; `None` if the text does not matter.
    pub query: Option<Query>,
    pub filters: Filters,
}

/// What a message must be, beside its text. The default is any message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filters {
    /// Its sender.
    pub from: Option<UserId>,
    /// Whether it must have a file.
    pub has_file: bool,
    /// The earliest time at which it was created.
    pub since: Option<OffsetDateTime>,
    /// The time before which it was created.
    pub until: Option<OffsetDateTime>,
}

impl Criteria {
    /// Whether no message fulfils them: the query has no words.
    pub fn match_nothing(&self) -> bool {
        let query = self.query.as_ref();
        query.is_some_and(|query| query.terms().is_empty())
    }

    /// The message as a match, with its text highlighted; `None` if it does not fulfil them as it is
    /// now.
    pub fn find_in(&self, message: &Arc<Message>) -> Option<Match> {
        let content = message.content.as_ref()?;
        if !self.filters.accept(message, content) {
            return None;
        }
        let text = content.text.as_ref().map(|text| text.as_str());
        let ranges = match &self.query {
            Some(query) => query.find_in(text?)?,
            None => Vec::new(),
        };
        Some(Match {
            message: Arc::clone(message),
            highlight: text.map(|text| highlight(text, &ranges)),
        })
    }
}

impl Filters {
    /// Whether every message passes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn accept(&self, message: &Message, content: &Content) -> bool {
        let is_from = |user| message.from.as_ref() == Some(user);
        self.from.as_ref().is_none_or(is_from)
            && !(self.has_file && content.files.is_empty())
            && self.since.is_none_or(|since| message.created >= since)
            && self.until.is_none_or(|until| message.created < until)
    }
}
