//! The timeline as one user sees it.

use super::{ChatNumber, MessageId, Timestamp};

/// One entry of a user's timeline: a change that concerns the user. It names the message or chat
/// that has changed, and not the change itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    pub timestamp: Timestamp,
    pub subject: Subject,
}

/// The message or chat that a change, or an idempotency key, refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    Message(MessageId),
    Chat(ChatNumber),
}

/// The point after which a user reads the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// Everything after this timestamp.
    After(Timestamp),
    /// Everything from now on.
    Latest,
}

impl Cursor {
    /// The timestamp. `latest` is the newest one that concerns the user.
    pub fn or(self, latest: Timestamp) -> Timestamp {
        match self {
            Self::After(timestamp) => timestamp,
            Self::Latest => latest,
        }
    }

    /// The timestamp; `None` for [`Latest`](Self::Latest).
    pub fn timestamp(self) -> Option<Timestamp> {
        match self {
            Self::After(timestamp) => Some(timestamp),
            Self::Latest => None,
        }
    }
}
