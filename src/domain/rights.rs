//! Who may do what in a chat: one table, which every command asks.

use super::{AddMembers, Chat, Policy, Posting, names::names};

/// What a member may do in a chat that it does not own. A moderator acts on members and readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Role {
    /// It reads, and does not post.
    Reader,
    #[default]
    Member,
    Moderator,
}

/// The rank of a caller in a chat, the lowest first. A higher rank may do whatever a lower one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    Reader,
    Member,
    Moderator,
    Owner,
    /// The application itself.
    Application,
}

/// What not every member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Posting, and editing what one has posted.
    Post,
    /// Posting without waiting where the chat is slow.
    PostAtOnce,
    /// Reacting to messages. Taking one's own reactions back is free.
    React,
    AddMembers,
    /// Pinning messages, and the opposite.
    Pin,
    /// Removing, muting and banning members of a lower rank, and seeing who is banned.
    Moderate,
    /// Giving and taking the role of a moderator.
    AppointModerators,
    /// Deleting the messages of others.
    DeleteMessages,
    /// Changing its name, its attributes and its rules, handing it on, deleting it.
    Manage,
}

impl Action {
    /// The lowest rank that may.
    fn lowest(self, chat: &Chat, policy: &Policy) -> Rank {
        match self {
            Self::Post if chat.rules.frozen => Rank::Application,
            Self::Post => match chat.rules.posting {
                Posting::Members => Rank::Member,
                Posting::Moderators => Rank::Moderator,
            },
            Self::React if chat.rules.frozen => Rank::Application,
            Self::React => Rank::Reader,
            Self::AddMembers => match policy.add_members {
                AddMembers::Moderators => Rank::Moderator,
                AddMembers::Owner => Rank::Owner,
                AddMembers::Application => Rank::Application,
            },
            Self::PostAtOnce | Self::Pin | Self::Moderate | Self::DeleteMessages => Rank::Moderator,
            Self::AppointModerators | Self::Manage => Rank::Owner,
        }
    }
}

impl Rank {
    pub fn may(self, action: Action, chat: &Chat, policy: &Policy) -> bool {
        self >= action.lowest(chat, policy)
    }
}

impl From<Role> for Rank {
    fn from(role: Role) -> Self {
        match role {
            Role::Reader => Self::Reader,
            Role::Member => Self::Member,
            Role::Moderator => Self::Moderator,
        }
    }
}

names!(Role: Reader = "reader", Member = "member", Moderator = "moderator");
