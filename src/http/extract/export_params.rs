//! Where an export of a user continues.

use std::fmt;

use super::params::Position;
use crate::domain::{ChatNumber, ConversationId, MessageId, MessageNumber, Timestamp};

/// A place in an export, which comes in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportPlace {
    /// After a message of a conversation.
    Messages(ConversationId, MessageNumber),
    /// After a message without a sender of a chat.
    Announcements(ConversationId, MessageNumber),
    /// After the reactions to a message.
    Reactions(MessageId),
    /// After what was pinned at a point of the timeline.
    Pins(Timestamp),
    /// After the report that was made at a point of the timeline.
    Reports(Timestamp),
    /// After the ban from a chat.
    Bans(ChatNumber),
}

impl ExportPlace {
    pub const START: Self = Self::Messages(ConversationId::new(0), MessageNumber::ZERO);

    /// The beginning of what comes after everything of this kind, if there is more.
    pub fn following(self) -> Option<Self> {
        match self {
            Self::Messages(..) => Some(Self::Announcements(
                ConversationId::new(0),
                MessageNumber::ZERO,
            )),
            Self::Announcements(..) => Some(Self::Reactions(MessageId::new(0))),
            Self::Reactions(_) => Some(Self::Pins(Timestamp::new(0))),
            Self::Pins(_) => Some(Self::Reports(Timestamp::new(0))),
            Self::Reports(_) => Some(Self::Bans(ChatNumber::new(0))),
            Self::Bans(_) => None,
        }
    }
}

impl fmt::Display for ExportPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Messages(conversation, number) => {
                write!(f, "messages.{}.{}", conversation.get(), number.get())
            }
            Self::Announcements(conversation, number) => {
                write!(f, "announcements.{}.{}", conversation.get(), number.get())
            }
            Self::Reactions(message) => write!(f, "reactions.{}", message.get()),
            Self::Pins(timestamp) => write!(f, "pins.{}", timestamp.get()),
            Self::Bans(chat) => write!(f, "bans.{}", chat.get()),
            Self::Reports(timestamp) => write!(f, "reports.{}", timestamp.get()),
        }
    }
}

impl Position for ExportPlace {
    fn parse(value: String) -> Option<Self> {
        let number = |part: &str| Timestamp::parse(part).map(Timestamp::get);
        let (kind, numbers) = value.split_once('.')?;
        match (kind, numbers.split_once('.')) {
            ("messages", Some((conversation, message))) => Some(Self::Messages(
                ConversationId::new(number(conversation)?),
                MessageNumber::new(number(message)?),
            )),
            ("announcements", Some((conversation, message))) => Some(Self::Announcements(
                ConversationId::new(number(conversation)?),
                MessageNumber::new(number(message)?),
            )),
            ("reactions", None) => Some(Self::Reactions(MessageId::new(number(numbers)?))),
            ("pins", None) => Some(Self::Pins(Timestamp::new(number(numbers)?))),
            ("bans", None) => Some(Self::Bans(ChatNumber::new(number(numbers)?))),
            ("reports", None) => Some(Self::Reports(Timestamp::new(number(numbers)?))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let mut place = ExportPlace::Messages(ConversationId::new(7), MessageNumber::new(42));
        assert_eq!(place.to_string(), "messages.7.42");
        loop {
            assert_eq!(ExportPlace::parse(place.to_string()), Some(place));
            match place.following() {
                Some(following) => place = following,
                None => break,
            }
        }
        assert_eq!(place, ExportPlace::Bans(ChatNumber::new(0)));
    }

    #[test]
    fn nothing_else_is_a_place() {
        for value in [
            "",
            "7",
            "messages.7",
            "messages.7.x",
            "announcements.7",
            "reactions.1.2",
            "reports.",
            "pins.1.2",
            "bans.jane",
            "users.1",
        ] {
            assert_eq!(ExportPlace::parse(value.to_owned()), None, "{value}");
        }
    }
}
