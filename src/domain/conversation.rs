//! Conversations: of two users, or of the members of a chat.

use super::{ChatNumber, MessageNumber, Subject, UserId};

/// A conversation. A message never moves to another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Conversation {
    /// Of two users, or of one with itself.
    Personal(Pair),
    Chat(ChatNumber),
}

/// What a search covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchScope {
    /// In everything that a user may read.
    Everything(UserId),
    /// In one conversation, which the caller may read: in the messages after this number.
    In(Conversation, MessageNumber),
}

/// The users of a personal conversation, in no order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pair {
    least: UserId,
    greatest: UserId,
}

impl Conversation {
    /// The personal conversation of two users, who may be the same one.
    pub fn between(one: &UserId, other: &UserId) -> Self {
        Self::Personal(Pair::new(one, other))
    }

    /// The chat; `None` for a personal conversation.
    pub fn chat(&self) -> Option<ChatNumber> {
        match self {
            Self::Chat(chat) => Some(*chat),
            Self::Personal(_) => None,
        }
    }

    /// The conversation as `user`, who is in it, names it.
    pub fn named_by(&self, user: &UserId) -> Subject {
        match self {
            Self::Chat(chat) => Subject::Chat(*chat),
            Self::Personal(pair) => Subject::With(pair.other_of(user).clone()),
        }
    }

    /// The users of a personal conversation; `None` for a chat.
    pub fn pair(&self) -> Option<&Pair> {
        match self {
            Self::Personal(pair) => Some(pair),
            Self::Chat(_) => None,
        }
    }
}

impl Pair {
    pub fn new(one: &UserId, other: &UserId) -> Self {
        Self {
            least: one.min(other).clone(),
            greatest: one.max(other).clone(),
        }
    }

    /// The user whose id is the smaller one.
    pub fn least(&self) -> &UserId {
        &self.least
    }

    /// The user whose id is the larger one.
    pub fn greatest(&self) -> &UserId {
        &self.greatest
    }

    /// Each user once: one user in a conversation with oneself, or else two.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        let other = (self.least != self.greatest).then_some(&self.greatest);
        std::iter::once(&self.least).chain(other)
    }

    pub fn contains(&self, user: &UserId) -> bool {
        self.least == *user || self.greatest == *user
    }

    /// The other user of the conversation. In a conversation with oneself: the user.
    pub fn other_of(&self, user: &UserId) -> &UserId {
        if self.least == *user {
            &self.greatest
        } else {
            &self.least
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    #[test]
    fn a_personal_conversation_is_the_same_from_both_sides() {
        let (jane, john) = (user("jane"), user("john"));
        let conversation = Conversation::between(&jane, &john);
        assert_eq!(conversation, Conversation::between(&john, &jane));
        let pair = conversation.pair().unwrap();
        assert_eq!(pair.users().collect::<Vec<_>>(), [&jane, &john]);
        assert_eq!((pair.other_of(&jane), pair.other_of(&john)), (&john, &jane));
        assert!(!pair.contains(&user("jim")));
    }

    #[test]
    fn a_conversation_with_oneself_has_one_user() {
        let jane = user("jane");
        let pair = Pair::new(&jane, &jane);
        assert_eq!(pair.users().collect::<Vec<_>>(), [&jane]);
        assert_eq!(pair.other_of(&jane), &jane);
    }
}
