//! The timeline as one user sees it.

use super::{ChatNumber, MessageId, Timestamp, UserId};

/// One entry of a user's timeline: a change that concerns the user. It names what has changed, and
/// not the change itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    pub timestamp: Timestamp,
    pub subject: Subject,
    /// Whether the change names the user, whom the message did not name just before.
    pub mention: bool,
}

/// What has changed, as one user names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    Message(MessageId),
    Chat(ChatNumber),
    /// The personal conversation with this user.
    With(UserId),
    /// The reactions to this message.
    Reactions(MessageId),
}

impl Subject {
    pub fn message(&self) -> Option<MessageId> {
        match self {
            Self::Message(id) => Some(*id),
            Self::Chat(_) | Self::With(_) | Self::Reactions(_) => None,
        }
    }

    pub fn chat(&self) -> Option<ChatNumber> {
        match self {
            Self::Chat(number) => Some(*number),
            Self::Message(_) | Self::With(_) | Self::Reactions(_) => None,
        }
    }

    pub fn with(&self) -> Option<&UserId> {
        match self {
            Self::With(user) => Some(user),
            Self::Message(_) | Self::Chat(_) | Self::Reactions(_) => None,
        }
    }

    /// The message to which the reactions have changed.
    pub fn reactions_to(&self) -> Option<MessageId> {
        match self {
            Self::Reactions(id) => Some(*id),
            Self::Message(_) | Self::Chat(_) | Self::With(_) => None,
        }
    }
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
