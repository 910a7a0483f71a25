//! Messages from elsewhere.

use super::{
    Idempotency, Member, MessageId, MessageNumber, ReactionKey, ReactionNumber, Reactions, Role,
    UserId,
};

/// The most reactions that a message is imported with.
pub const IMPORTED_REACTIONS_MAX: usize = 1000;

/// Whether the messages of a conversation are from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Import {
    /// None is.
    #[default]
    None,
    /// They are being imported: nobody is told of the conversation, and nobody else writes.
    Running,
    /// Those were imported that came before all others.
    Done,
}

impl Import {
    pub fn is_running(self) -> bool {
        self == Self::Running
    }

    /// Whether it is running, if anything was imported at all.
    pub fn to_stored(self) -> Option<bool> {
        match self {
            Self::None => None,
            Self::Running => Some(true),
            Self::Done => Some(false),
        }
    }

    pub fn stored(is_running: Option<bool>) -> Self {
        match is_running {
            None => Self::None,
            Some(true) => Self::Running,
            Some(false) => Self::Done,
        }
    }
}

/// What a message is imported with, beside itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The line that it is imported from: its key in the conversation, and its digest.
    pub line: Idempotency,
    /// Who has reacted with what, in the order in which the keys came up.
    pub reactions: ImportedReactions,
}

/// What a user is to be in a chat once that is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportingMember {
    pub role: Role,
    /// The number of the newest message when the user joined the chat from which it is imported. It may be beyond
    /// the last message that comes to be imported.
    pub since: MessageNumber,
}

/// The members of a chat that is imported.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImportedMembers {
    /// Who is to be a member once the chat is imported.
    pub importing: Vec<(UserId, ImportingMember)>,
    /// Who is a member from now on since the chat is imported, as each is.
    pub admitted: Vec<(UserId, Member)>,
}

/// The users who have reacted with each key, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportedReactions(pub Vec<(ReactionKey, Vec<UserId>)>);

/// A message that was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportedMessage {
    pub id: MessageId,
    pub number: MessageNumber,
}

impl ImportedReactions {
    pub fn count(&self) -> usize {
        self.0.iter().map(|(_, users)| users.len()).sum()
    }

    /// The reactions, numbered in their order.
    pub fn numbered(&self) -> impl Iterator<Item = (ReactionNumber, &UserId, &ReactionKey)> {
        let reactions = self.0.iter();
        let reactions =
            reactions.flat_map(|(key, users)| users.iter().map(move |user| (user, key)));
        reactions
            .zip(1..)
            .map(|((user, key), number)| (ReactionNumber::new(number), user, key))
    }

    /// The reactions, counted.
    pub fn counted(&self) -> Reactions {
        let mut counted = Reactions::default();
        for (_, _, key) in self.numbered() {
            counted.add(key);
        }
        counted
    }
}
