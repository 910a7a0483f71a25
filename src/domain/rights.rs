//! Who may do what in a chat: one table, which every command asks.

use super::{AddMembers, Chat, ChatRules, Pair, Personal, Policy, Posting, Refusal, names::names};

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
    /// Saying for how long its messages are kept.
    SetRetention,
}

impl Action {
    /// The lowest rank that may.
    fn lowest(self, chat: &Chat, policy: &Policy) -> Rank {
        match self {
            Self::Post => Rank::lowest_to_post(&chat.rules),
            Self::AddMembers => match policy.add_members {
                AddMembers::Moderators => Rank::Moderator,
                AddMembers::Owner => Rank::Owner,
                AddMembers::Application => Rank::Application,
            },
            Self::PostAtOnce | Self::Pin | Self::Moderate | Self::DeleteMessages => Rank::Moderator,
            Self::AppointModerators | Self::Manage => Rank::Owner,
            Self::SetRetention => Rank::Application,
        }
    }
}

impl Rank {
    /// The lowest rank that posts into a chat with these rules.
    fn lowest_to_post(rules: &ChatRules) -> Self {
        match rules.posting {
            _ if rules.frozen => Self::Application,
            Posting::Members => Self::Member,
            Posting::Moderators => Self::Moderator,
        }
    }

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

/// Fails if somebody of this rank reads a chat with these rules and does not post into it.
pub fn require_posting(rank: Rank, rules: &ChatRules, is_muted: bool) -> Result<(), Refusal> {
    require_unmuted(rank, is_muted)?;
    if rank >= Rank::lowest_to_post(rules) {
        return Ok(());
    }
    Err(Refusal::MayNotPost(match rank {
        _ if rules.frozen => "this chat is frozen",
        Rank::Reader => "readers of this chat do not post",
        _ => "only moderators post into this chat",
    }))
}

/// Fails if somebody of this rank reads a chat with these rules and does not react there. Readers do.
pub fn require_reacting(rank: Rank, rules: &ChatRules, is_muted: bool) -> Result<(), Refusal> {
    require_unmuted(rank, is_muted)?;
    if rules.frozen && rank < Rank::Application {
        return Err(Refusal::MayNotPost("this chat is frozen"));
    }
    if rules.reactions_off {
        return Err(Refusal::Forbidden("this chat has no reactions"));
    }
    Ok(())
}

fn require_unmuted(rank: Rank, is_muted: bool) -> Result<(), Refusal> {
    if is_muted && rank < Rank::Owner {
        return Err(Refusal::MayNotPost("you are muted in this chat"));
    }
    Ok(())
}

/// Fails if one of two users wants no messages from the other one, or the application wants none between
/// them. Everybody may write to oneself.
pub fn require_accepted(
    pair: &Pair,
    policy: Personal,
    is_opened: bool,
    is_blocked: bool,
) -> Result<(), Refusal> {
    let is_allowed = match policy {
        _ if pair.least() == pair.greatest() => true,
        Personal::Anyone => true,
        Personal::Opened => is_opened,
        Personal::Nobody => false,
    };
    if is_allowed && !is_blocked {
        Ok(())
    } else {
        Err(Refusal::NotAccepted)
    }
}

names!(Role: Reader = "reader", Member = "member", Moderator = "moderator");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UserId;

    fn post(rank: Rank, rules: ChatRules, is_muted: bool) -> bool {
        require_posting(rank, &rules, is_muted).is_ok()
    }

    #[test]
    fn who_posts_depends_on_the_rules_of_the_chat_and_on_who_is_muted() {
        let rules = ChatRules::default();
        let announcements = ChatRules {
            posting: Posting::Moderators,
            ..rules
        };
        let frozen = ChatRules {
            frozen: true,
            ..rules
        };
        for (rank, usually, announces, muted) in [
            (Rank::Reader, false, false, false),
            (Rank::Member, true, false, false),
            (Rank::Moderator, true, true, false),
            (Rank::Owner, true, true, true),
        ] {
            assert_eq!(post(rank, rules, false), usually, "{rank:?}");
            assert_eq!(post(rank, announcements, false), announces, "{rank:?}");
            assert_eq!(post(rank, rules, true), muted, "{rank:?}");
            assert!(!post(rank, frozen, false), "{rank:?}");
        }
        assert!(post(Rank::Application, frozen, false));
    }

    #[test]
    fn messages_between_two_users_need_the_policy_and_no_block() {
        let pair = |other| Pair::new(&UserId::trusted("jane"), &UserId::trusted(other));
        let accepted = |other, policy, is_opened, is_blocked| {
            require_accepted(&pair(other), policy, is_opened, is_blocked).is_ok()
        };
        assert!(accepted("john", Personal::Anyone, false, false));
        assert!(!accepted("john", Personal::Anyone, true, true));
        assert!(!accepted("john", Personal::Opened, false, false));
        assert!(accepted("john", Personal::Opened, true, false));
        assert!(!accepted("john", Personal::Nobody, true, false));
        assert!(accepted("jane", Personal::Nobody, false, false));
    }
}
