//! A personal conversation as it is now.

use time::OffsetDateTime;

use super::{ConversationId, Import, MessageNumber, Pair, Position, Timestamp, UserId};

/// A personal conversation as it is now. It exists from its first message on, or from when one of its
/// users has set something for it, or the application has opened it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalConversation {
    pub id: ConversationId,
    pub pair: Pair,
    /// Its creation, the last mark of a position, or its opening.
    pub timestamp: Timestamp,
    pub created: OffsetDateTime,
    /// The number of its newest message, and so the count of its messages, with the deleted ones.
    pub messages: MessageNumber,
    /// Messages with smaller numbers have expired.
    pub first: MessageNumber,
    /// The change that has created its newest message; its own creation, if it has none.
    pub last: Timestamp,
    pub positions: Each<Position>,
    /// Whether each user wants no messages from the other one.
    pub blocks: Each<bool>,
    /// Whether the application has opened it, which counts where its policy says so.
    pub opened: bool,
    /// While it is imported, its users do not see it.
    pub import: Import,
}

/// A value for each user of a [`Pair`]. In a conversation with oneself, that of `least` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Each<T> {
    pub least: T,
    pub greatest: T,
}

impl<T> Each<T> {
    /// The value of `user`, one of the pair.
    pub fn of(&self, pair: &Pair, user: &UserId) -> &T {
        if pair.least() == user {
            &self.least
        } else {
            &self.greatest
        }
    }

    pub fn of_mut(&mut self, pair: &Pair, user: &UserId) -> &mut T {
        if pair.least() == user {
            &mut self.least
        } else {
            &mut self.greatest
        }
    }
}

impl PersonalConversation {
    /// A conversation of `pair` that a change creates. It has no message.
    pub fn created_at(timestamp: Timestamp, created: OffsetDateTime, pair: &Pair) -> Self {
        Self {
            id: ConversationId::created_at(timestamp),
            pair: pair.clone(),
            timestamp,
            created,
            messages: MessageNumber::ZERO,
            first: MessageNumber::FIRST,
            last: timestamp,
            positions: Each {
                least: Position::ZERO,
                greatest: Position::ZERO,
            },
            blocks: Each {
                least: false,
                greatest: false,
            },
            opened: false,
            import: Import::None,
        }
    }

    /// How far `user` has read.
    pub fn position(&self, user: &UserId) -> Position {
        *self.positions.of(&self.pair, user)
    }

    /// Whether one of its users wants no messages from the other one.
    pub fn is_blocked(&self) -> bool {
        self.blocks.least || self.blocks.greatest
    }

    /// Counts a message that `sender`, one of its users, has sent.
    pub fn count(&mut self, number: MessageNumber, timestamp: Timestamp, sender: &UserId) {
        self.messages = number;
        self.last = timestamp;
        let position = self.positions.of_mut(&self.pair, sender);
        *position = position.after_sending(number);
    }
}
