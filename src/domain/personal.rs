//! A personal conversation as it is now.

use time::OffsetDateTime;

use super::{ConversationId, Message, MessageNumber, Pair, Timestamp, UserId};

/// A personal conversation as it is now. It exists from its first message on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalConversation {
    pub id: ConversationId,
    pub pair: Pair,
    /// Its creation, or the last change of a position.
    pub timestamp: Timestamp,
    pub created: OffsetDateTime,
    /// The number of its newest message, and so the count of its messages, with the deleted ones.
    pub messages: MessageNumber,
    pub positions: Positions,
}

/// How far the users of a [`Pair`] have read: the number of the last message that each has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positions {
    pub least: MessageNumber,
    pub greatest: MessageNumber,
}

impl Positions {
    /// Nobody has read anything.
    pub const ZERO: Self = Self {
        least: MessageNumber::ZERO,
        greatest: MessageNumber::ZERO,
    };
}

impl PersonalConversation {
    /// The conversation that `message`, the first one of `pair`, creates.
    pub fn created_by(message: &Message, pair: &Pair) -> Self {
        Self {
            id: message.conversation_id,
            pair: pair.clone(),
            timestamp: message.timestamp,
            created: message.created,
            messages: message.number,
            positions: Positions::ZERO,
        }
    }

    /// How far `user` has read. In a conversation with oneself, the position of `least` counts.
    pub fn position(&self, user: &UserId) -> MessageNumber {
        if self.pair.least() == user {
            self.positions.least
        } else {
            self.positions.greatest
        }
    }

    /// The positions once `user` has read up to `number`.
    pub fn moved(&self, user: &UserId, number: MessageNumber) -> Positions {
        if self.pair.least() == user {
            Positions {
                least: number,
                ..self.positions
            }
        } else {
            Positions {
                greatest: number,
                ..self.positions
            }
        }
    }
}
