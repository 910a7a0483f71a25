//! What the log and the timelines say of a change.

use super::{Change, Created, Expiring, Idempotency, Marked};
use crate::domain::{
    ChangeKind, ChatNumber, Conversation, ConversationId, ErasureEvent, FileId, Message, MessageId,
    MessageNumber, Pair, Subject, Timestamp, UserId,
};

/// A conversation, as one of its users names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    Chat(ChatNumber),
    /// The personal conversation with this user.
    With(&'a UserId),
}

impl Change {
    pub fn timestamp(&self) -> Timestamp {
        match self {
            Self::Message(change) => change.after.timestamp,
            Self::Chat(change) => change.after.timestamp,
            Self::Positions(change) => change.timestamp,
            Self::Reactions(change) => change.timestamp,
            Self::Settings(change) => change.timestamp,
            Self::Report(change) => change.report.timestamp,
            Self::Opening(change) => change.after.timestamp,
            Self::Renaming(change) => change.timestamp,
            Self::Restrictions(change) => change.timestamp,
            Self::Erasure(change) => change.timestamp,
            Self::Application(change) => change.timestamp,
            Self::Expiry(change) => change.timestamp,
            Self::Clearing(change) => change.timestamp,
        }
    }

    pub fn kind(&self) -> ChangeKind {
        match self {
            Self::Message(change) if change.imported.is_some() => ChangeKind::MessageImported,
            Self::Message(change) if change.is_creation() => ChangeKind::MessageCreated,
            Self::Message(change) if change.after.content.is_none() => ChangeKind::MessageDeleted,
            Self::Message(_) => ChangeKind::MessageEdited,
            Self::Chat(change) => change.kind(),
            Self::Positions(_) => ChangeKind::PositionsMoved,
            Self::Reactions(_) => ChangeKind::ReactionsChanged,
            Self::Settings(_) => ChangeKind::SettingsChanged,
            Self::Report(_) => ChangeKind::MessageReported,
            Self::Opening(_) | Self::Renaming(_) => ChangeKind::ConversationOpened,
            Self::Restrictions(_) => ChangeKind::UserRestricted,
            Self::Erasure(change) => match change.event {
                ErasureEvent::Requested { .. } => ChangeKind::UserRestricted,
                ErasureEvent::Finished { .. } => ChangeKind::UserErased,
            },
            Self::Application(_) => ChangeKind::ApplicationChanged,
            Self::Expiry(_) => ChangeKind::MessagesExpired,
            Self::Clearing(_) => ChangeKind::MessagesCleared,
        }
    }

    /// The message that it changes, reports or reacts to, if it does.
    pub fn message(&self) -> Option<MessageId> {
        match self {
            Self::Message(change) => Some(change.after.id),
            Self::Report(change) => Some(change.message.id),
            Self::Reactions(change) => Some(change.message.id),
            _ => None,
        }
    }

    /// The conversation in which it is made, if it is made in one.
    pub fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::Message(change) => Some(change.after.conversation_id),
            Self::Chat(change) => Some(change.after.id),
            Self::Positions(change) => Some(change.marked.conversation()),
            Self::Settings(change) => Some(change.conversation),
            Self::Report(change) => Some(change.message.conversation_id),
            Self::Reactions(change) => Some(change.message.conversation_id),
            Self::Opening(change) => Some(change.after.id),
            Self::Renaming(change) => Some(change.after.id),
            Self::Expiry(change) => Some(change.after.conversation()),
            Self::Clearing(change) => Some(change.conversation),
            Self::Restrictions(_) | Self::Erasure(_) | Self::Application(_) => None,
        }
    }

    /// That conversation as the actor names it: a chat, or the other user of a personal one.
    pub fn place(&self, actor: Option<&UserId>) -> Option<Place<'_>> {
        let place = match self {
            // Nobody has made it; it is told as its sender names it.
            Self::Message(change) if change.imported.is_some() => {
                Place::of_message(&change.after, change.after.from.as_ref())
            }
            Self::Message(change) => Place::of_message(&change.after, actor),
            Self::Report(change) => Place::of_message(&change.message, actor),
            Self::Reactions(change) => Place::of_message(&change.message, actor),
            Self::Chat(change) => Place::Chat(change.after.number),
            Self::Positions(change) => match &change.marked {
                Marked::Chat(chat, _) => Place::Chat(chat.number),
                Marked::Personal(personal) => Place::of(&personal.pair, actor),
            },
            Self::Settings(change) => match &change.subject {
                Subject::Chat(number) => Place::Chat(*number),
                Subject::With(other) => Place::With(other),
                Subject::Message(_) | Subject::Reactions(_) => {
                    unreachable!("settings are of conversations")
                }
            },
            Self::Opening(change) => Place::of(&change.after.pair, actor),
            Self::Renaming(change) => Place::of(&change.after.pair, actor),
            Self::Expiry(change) => match &change.after {
                Expiring::Chat(chat) => Place::Chat(chat.number),
                // Nobody is the actor, so neither user is the other one: both are named.
                Expiring::Personal(_) => return None,
            },
            Self::Restrictions(_) | Self::Erasure(_) | Self::Application(_) | Self::Clearing(_) => {
                return None;
            }
        };
        Some(place)
    }

    /// The chat whose name, rules or members it changes.
    pub fn changed_chat(&self) -> Option<ChatNumber> {
        match self {
            Self::Chat(change) => Some(change.after.number),
            _ => None,
        }
    }

    /// The number of that message; of messages that expire, that of the first one that is kept.
    pub fn number(&self) -> Option<MessageNumber> {
        match self {
            Self::Message(change) => Some(change.after.number),
            Self::Report(change) => Some(change.message.number),
            Self::Reactions(change) => Some(change.message.number),
            Self::Expiry(change) => Some(change.after.first()),
            _ => None,
        }
    }

    /// The users whom it adds to a chat, removes from it or makes other ones there, who have moved their
    /// position or reacted, whom the application restricts, or in whose personal conversation messages
    /// expire; the sender of a message that it imports; of a user who is erased, the pseudonym.
    pub fn members(&self) -> Vec<&UserId> {
        match self {
            Self::Message(change) if change.imported.is_some() => {
                change.after.from.iter().collect()
            }
            Self::Chat(change) => change.members(),
            Self::Positions(change) => vec![&change.user],
            Self::Reactions(change) => vec![&change.user],
            Self::Restrictions(change) => vec![&change.user],
            Self::Erasure(change) => vec![&change.erasure.pseudonym],
            Self::Expiry(change) => match &change.after {
                Expiring::Chat(_) => Vec::new(),
                Expiring::Personal(personal) => personal.pair.users().collect(),
            },
            _ => Vec::new(),
        }
    }

    /// The files whose use it begins or ends.
    pub fn files(&self) -> &[FileId] {
        match self {
            Self::Message(change) => change.files(),
            Self::Clearing(change) => &change.files,
            _ => &[],
        }
    }

    /// What the change has created under an idempotency key, if it has one: the key's owner, the
    /// request, and the message or chat. `None` as an owner is the application itself.
    pub fn idempotency(&self) -> Option<(Option<&UserId>, &Idempotency, Created)> {
        match self {
            Self::Message(change) => {
                let created = Created::Message(change.after.id);
                Some((
                    change.after.from.as_ref(),
                    change.idempotency.as_ref()?,
                    created,
                ))
            }
            Self::Chat(change) => {
                let created = Created::Chat(change.after.number);
                Some((change.creator(), change.idempotency.as_deref()?, created))
            }
            _ => None,
        }
    }
}

impl<'a> Place<'a> {
    fn of_message(message: &'a Message, actor: Option<&UserId>) -> Self {
        match &message.conversation {
            Conversation::Chat(number) => Self::Chat(*number),
            Conversation::Personal(pair) => Self::of(pair, actor),
        }
    }

    /// The conversation of a pair. Nobody but one of the two is an actor there.
    fn of(pair: &'a Pair, actor: Option<&UserId>) -> Self {
        Self::With(actor.map_or(pair.least(), |actor| pair.other_of(actor)))
    }

    pub fn chat(self) -> Option<ChatNumber> {
        match self {
            Self::Chat(number) => Some(number),
            Self::With(_) => None,
        }
    }

    pub fn with(self) -> Option<&'a UserId> {
        match self {
            Self::With(user) => Some(user),
            Self::Chat(_) => None,
        }
    }
}
