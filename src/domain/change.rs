//! A change on the timeline: the states before and after it.

use std::sync::Arc;

use super::{
    Chat, ChatNumber, Digest, FileId, FileUse, IdempotencyKey, Message, MessageId, Pair,
    PersonalConversation, Subject, Text, Timestamp, UserId,
};

/// One change. Every row, notification and event of it follows from this value.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Message(MessageChange),
    Chat(ChatChange),
    Positions(PositionsChange),
}

/// A change of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageChange {
    /// `None` if the change creates it.
    pub before: Option<Arc<Message>>,
    pub after: Arc<Message>,
    /// The personal conversation that the message creates, if it is the first one there.
    pub new_conversation: Option<Arc<PersonalConversation>>,
    /// The request that has created it, if it may be repeated.
    pub idempotency: Option<Idempotency>,
}

/// A change of a chat's name or members.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatChange {
    /// `None` if the change creates it.
    pub before: Option<Arc<Chat>>,
    pub after: Arc<Chat>,
    pub joined: Vec<UserId>,
    /// Who has left, and since when that user was a member.
    pub departed: Option<(UserId, Timestamp)>,
    /// The request that has created it, if it may be repeated.
    pub idempotency: Option<Idempotency>,
}

/// A change of the positions of a personal conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionsChange {
    pub after: Arc<PersonalConversation>,
}

/// What a request has created under an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    Message(MessageId),
    Chat(ChatNumber),
}

/// What makes a request safe to repeat: its key, and a digest that differs for another request
/// under the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    pub key: IdempotencyKey,
    pub digest: Digest,
}

impl Change {
    pub fn timestamp(&self) -> Timestamp {
        match self {
            Self::Message(change) => change.after.timestamp,
            Self::Chat(change) => change.after.timestamp,
            Self::Positions(change) => change.after.timestamp,
        }
    }

    /// What has changed, as `user` names it.
    pub fn subject(&self, user: &UserId) -> Subject {
        match self {
            Self::Message(change) => Subject::Message(change.after.id),
            Self::Chat(change) => Subject::Chat(change.after.number),
            Self::Positions(change) => Subject::With(change.after.pair.other_of(user).clone()),
        }
    }

    /// The users whom a change in a personal conversation concerns; `None` for a change in a chat.
    pub fn pair(&self) -> Option<&Pair> {
        match self {
            Self::Message(change) => change.after.conversation.pair(),
            Self::Chat(_) => None,
            Self::Positions(change) => Some(&change.after.pair),
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
                Some((
                    change.after.owner.as_ref(),
                    change.idempotency.as_ref()?,
                    created,
                ))
            }
            Self::Positions(_) => None,
        }
    }
}

impl MessageChange {
    pub fn is_creation(&self) -> bool {
        self.before.is_none()
    }

    /// Whether the change replaces the text, so that the message must be indexed again.
    pub fn changes_text(&self) -> bool {
        self.before.as_deref().and_then(text) != text(&self.after)
    }

    /// The uses of files that begin with the creation or end with the deletion.
    pub fn file_uses(&self) -> Vec<FileUse> {
        let (message, in_use) = match &self.before {
            None => (&self.after, true),
            Some(before) if self.after.content.is_none() => (before, false),
            Some(_) => return Vec::new(),
        };
        let files = message
            .content
            .iter()
            .flat_map(|content| content.files.iter());
        let file_use = |file: &FileId| FileUse {
            file: file.clone(),
            in_use,
        };
        files.map(file_use).collect()
    }
}

impl ChatChange {
    pub fn is_creation(&self) -> bool {
        self.before.is_none()
    }
}

fn text(message: &Message) -> Option<&Text> {
    message.content.as_ref()?.text.as_ref()
}
