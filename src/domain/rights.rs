//! Who may do what in a chat: one table, which every command asks.

use super::{AddMembers, Chat, Policy, Posting};

/// What a member may do in a chat that it does not own. A moderator acts on members and readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Role {
    /// It reads, and does not post.
    Reader,
    #[default]
    Member,
    Moderator,
}

/// Who somebody is in a chat. Whoever stands higher may do what those below may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
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
    AddMembers,
    /// Removing, muting and banning those who stand lower, and seeing who is banned.
    Moderate,
    /// Giving and taking the role of a moderator.
    AppointModerators,
    /// Deleting the messages of others.
    DeleteMessages,
    /// Changing its name, its attributes and its rules, handing it on, deleting it.
    Manage,
}

impl Action {
    /// The lowest standing of those who may.
    fn lowest(self, chat: &Chat, policy: &Policy) -> Standing {
        match self {
            Self::Post if chat.rules.frozen => Standing::Application,
            Self::Post => match chat.rules.posting {
                Posting::Members => Standing::Member,
                Posting::Moderators => Standing::Moderator,
            },
            Self::AddMembers => match policy.add_members {
                AddMembers::Moderators => Standing::Moderator,
                AddMembers::Owner => Standing::Owner,
                AddMembers::Application => Standing::Application,
            },
            Self::PostAtOnce | Self::Moderate | Self::DeleteMessages => Standing::Moderator,
            Self::AppointModerators | Self::Manage => Standing::Owner,
        }
    }
}

impl Standing {
    pub fn may(self, action: Action, chat: &Chat, policy: &Policy) -> bool {
        self >= action.lowest(chat, policy)
    }
}

impl From<Role> for Standing {
    fn from(role: Role) -> Self {
        match role {
            Role::Reader => Self::Reader,
            Role::Member => Self::Member,
            Role::Moderator => Self::Moderator,
        }
    }
}

impl Role {
    const ALL: [Self; 3] = [Self::Reader, Self::Member, Self::Moderator];

    /// The role of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Its name, in the interface and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Member => "member",
            Self::Moderator => "moderator",
        }
    }
}
