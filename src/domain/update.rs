//! The timeline as one user sees it.

use super::{ChatNumber, MessageId, Timestamp};

/// One entry of a user's timeline: a change that concerns the user. It says what has changed, and not
/// how: the data are read by id, or asked for with the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    pub timestamp: Timestamp,
    pub subject: Subject,
}

/// What a change, or an idempotency key, is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    Message(MessageId),
    Chat(ChatNumber),
}

/// From where on a user follows the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// Everything after this timestamp.
    After(Timestamp),
    /// What comes from now on.
    Latest,
}

impl Cursor {
    /// The timestamp, where `latest` is the newest one that concerns the user.
    pub fn or(self, latest: Timestamp) -> Timestamp {
        match self {
            Self::After(timestamp) => timestamp,
            Self::Latest => latest,
        }
    }

    /// The timestamp; `None` for what comes from now on.
    pub fn timestamp(self) -> Option<Timestamp> {
        match self {
            Self::After(timestamp) => Some(timestamp),
            Self::Latest => None,
        }
    }
}
