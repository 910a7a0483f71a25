//! What a caller may ask the timeline for, and what it is told.

use std::sync::Arc;

use crate::domain::{
    ApplicationId, Attributes, Chat, ChatNumber, Digest, FILES_MAX, Files, IdempotencyKey, Message,
    MessageId, Text, Timestamp, Title, UserId,
};

/// One caller's wish for one change.
#[derive(Debug, Clone)]
pub struct Command {
    pub application: ApplicationId,
    /// `None`: the application itself.
    pub caller: Option<UserId>,
    pub action: Action,
}

#[derive(Debug, Clone)]
pub enum Action {
    Send {
        draft: Draft,
        idempotency: Option<Idempotency>,
    },
    /// Replaces the text; `None` empties it.
    EditText {
        id: MessageId,
        text: Option<Text>,
        expected: Expected,
    },
    MarkRead {
        id: MessageId,
        read: bool,
        expected: Expected,
    },
    Delete {
        id: MessageId,
        expected: Expected,
    },
    /// The caller, if it is a user, owns the chat and is a member.
    CreateChat {
        name: Title,
        members: Vec<UserId>,
        idempotency: Option<Idempotency>,
    },
    RenameChat {
        chat: ChatNumber,
        name: Title,
        expected: Expected,
    },
    AddMember {
        chat: ChatNumber,
        user: UserId,
    },
    RemoveMember {
        chat: ChatNumber,
        user: UserId,
    },
}

/// A message before it is sent: at least one of text, files and attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub to: Target,
    pub text: Option<Text>,
    pub files: Files,
    pub attributes: Option<Attributes>,
    pub reply_to: Option<MessageId>,
}

/// Where a message is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    User(UserId),
    Chat(ChatNumber),
}

/// A request that may be repeated without being done again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    pub key: IdempotencyKey,
    pub digest: Digest,
}

/// The timestamps that the caller accepts as present (RFC 9110, If-Match). None of them is the
/// present one where the list is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected(pub Vec<Timestamp>);

impl Expected {
    pub fn allows(&self, current: Timestamp) -> bool {
        self.0.contains(&current)
    }
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// What the command was about, as it is now.
    pub subject: Subject,
    pub how: How,
}

/// What a change is about: a message, or a chat with its name and members.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    Message(Arc<Message>),
    Chat(Arc<Chat>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Changed,
    /// Everything was as the command wanted it.
    Kept,
    /// The command was a repetition under its idempotency key, and nothing was done again.
    Replayed,
}

impl Subject {
    pub fn timestamp(&self) -> Timestamp {
        match self {
            Self::Message(message) => message.timestamp,
            Self::Chat(chat) => chat.timestamp,
        }
    }
}

impl Done {
    /// The message that a command about a message has come to.
    pub fn message(&self) -> &Message {
        match &self.subject {
            Subject::Message(message) => message,
            Subject::Chat(_) => unreachable!("a command about a message ends in a message"),
        }
    }

    /// The chat that a command about a chat has come to.
    pub fn chat(&self) -> &Chat {
        match &self.subject {
            Subject::Chat(chat) => chat,
            Subject::Message(_) => unreachable!("a command about a chat ends in a chat"),
        }
    }
}

impl Command {
    /// The rows that the command may write, counted before anything is known of the state: the
    /// message, two updates, and an event for each file; or the chat and its new members with their
    /// updates. The updates of a chat's members come on top, once it is known how many there are.
    pub fn weight(&self) -> usize {
        3 + match &self.action {
            Action::Send { draft, .. } => draft.files.len(),
            Action::Delete { .. } => FILES_MAX,
            Action::CreateChat { members, .. } => 2 * members.len(),
            Action::EditText { .. }
            | Action::MarkRead { .. }
            | Action::RenameChat { .. }
            | Action::AddMember { .. }
            | Action::RemoveMember { .. } => 0,
        }
    }

    /// The message whose present state the decision needs.
    pub fn touches(&self) -> Option<MessageId> {
        match &self.action {
            Action::Send { draft, .. } => draft.reply_to,
            Action::EditText { id, .. }
            | Action::MarkRead { id, .. }
            | Action::Delete { id, .. } => Some(*id),
            Action::CreateChat { .. }
            | Action::RenameChat { .. }
            | Action::AddMember { .. }
            | Action::RemoveMember { .. } => None,
        }
    }

    /// The chat that the command names.
    pub fn chat(&self) -> Option<ChatNumber> {
        match &self.action {
            Action::Send { draft, .. } => match draft.to {
                Target::Chat(chat) => Some(chat),
                Target::User(_) => None,
            },
            Action::RenameChat { chat, .. }
            | Action::AddMember { chat, .. }
            | Action::RemoveMember { chat, .. } => Some(*chat),
            Action::EditText { .. }
            | Action::MarkRead { .. }
            | Action::Delete { .. }
            | Action::CreateChat { .. } => None,
        }
    }

    /// The users whose membership the decision needs.
    pub fn members(&self) -> impl Iterator<Item = &UserId> {
        let named = match &self.action {
            Action::AddMember { user, .. } | Action::RemoveMember { user, .. } => Some(user),
            _ => None,
        };
        self.caller.iter().chain(named)
    }

    /// The idempotency key whose earlier result the decision needs.
    pub fn key(&self) -> Option<&IdempotencyKey> {
        match &self.action {
            Action::Send { idempotency, .. } | Action::CreateChat { idempotency, .. } => {
                idempotency.as_ref().map(|known| &known.key)
            }
            _ => None,
        }
    }
}
