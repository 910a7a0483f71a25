//! What a caller may ask the timeline for, and what it is told.

use std::sync::Arc;

use crate::domain::{
    ApplicationId, Attributes, Digest, FILES_MAX, Files, IdempotencyKey, Message, MessageId, Text,
    Timestamp, UserId,
};

/// One caller's wish for one change.
#[derive(Debug, Clone)]
pub struct Command {
    pub application: ApplicationId,
    pub caller: UserId,
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
}

/// A message before it is sent: at least one of text, files and attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub to: UserId,
    pub text: Option<Text>,
    pub files: Files,
    pub attributes: Option<Attributes>,
    pub reply_to: Option<MessageId>,
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

/// What became of a command: the message as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    pub message: Arc<Message>,
    /// The command was a repetition, and nothing was sent again.
    pub replayed: bool,
}

impl Command {
    /// The rows that the command may write, counted before anything is known of the state: the
    /// message, its two updates, and an event for each file.
    pub fn weight(&self) -> usize {
        3 + match &self.action {
            Action::Send { draft, .. } => draft.files.len(),
            Action::Delete { .. } => FILES_MAX,
            Action::EditText { .. } | Action::MarkRead { .. } => 0,
        }
    }

    /// The messages whose present state the decision needs.
    pub fn touches(&self) -> Option<MessageId> {
        match &self.action {
            Action::Send { draft, .. } => draft.reply_to,
            Action::EditText { id, .. } | Action::MarkRead { id, .. } | Action::Delete { id, .. } => {
                Some(*id)
            }
        }
    }

    /// The idempotency key whose earlier result the decision needs.
    pub fn key(&self) -> Option<&IdempotencyKey> {
        match &self.action {
            Action::Send { idempotency, .. } => idempotency.as_ref().map(|known| &known.key),
            _ => None,
        }
    }
}
