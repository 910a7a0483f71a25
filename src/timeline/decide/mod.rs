//! (state, command, draw) → change or refusal: pure, so a batch may be decided again from the start.
//!
//! Commands are decided in the order of the queue, and each sees what the ones before it did: the
//! [`State`] that was loaded from the database is carried along in memory.

mod messages;

use std::{collections::HashMap, sync::Arc};

use super::command::{Action, Command, Idempotency};
use crate::{
    domain::{ApplicationId, Digest, FileUse, IdempotencyKey, Message, MessageId, Refusal, UserId},
    store::timeline::Draw,
};

/// What a command comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    Change(Change),
    /// Everything is already as the command wants it: no timestamp is taken.
    Keep(Arc<Message>),
    /// The command was carried out before, under the same idempotency key.
    Replay(Arc<Message>),
}

/// One change on the timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The message as the change leaves it.
    pub message: Arc<Message>,
    /// `Some` for a creation.
    pub created: Option<Creation>,
    /// The uses of files that begin or end with it.
    pub files: Vec<FileUse>,
}

/// What only the creation of a message stores.
#[derive(Debug, Clone, PartialEq)]
pub struct Creation {
    pub idempotency: Option<Idempotency>,
}

/// The present state of all that a batch names.
#[derive(Debug, Default)]
pub struct State {
    messages: HashMap<(ApplicationId, MessageId), Arc<Message>>,
    keys: HashMap<KeyOwner, (MessageId, Digest)>,
}

type KeyOwner = (ApplicationId, UserId, IdempotencyKey);

/// Decides one command against the state that the commands before it left.
pub fn decide(state: &State, command: &Command, draw: &Draw) -> Result<Decision, Refusal> {
    match &command.action {
        Action::Send { draft, idempotency } => {
            messages::send(state, command, draft, idempotency.as_ref(), draw)
        }
        Action::EditText { id, text, expected } => {
            messages::edit_text(state, command, *id, text.as_ref(), expected, draw)
        }
        Action::MarkRead { id, read, expected } => {
            messages::mark_read(state, command, *id, *read, expected, draw)
        }
        Action::Delete { id, expected } => messages::delete(state, command, *id, expected, draw),
    }
}

impl State {
    pub fn add_message(&mut self, application: ApplicationId, message: Arc<Message>) {
        self.messages.insert((application, message.id), message);
    }

    pub fn add_key(
        &mut self,
        application: ApplicationId,
        sender: UserId,
        known: Idempotency,
        message: MessageId,
    ) {
        let owner = (application, sender, known.key);
        self.keys.insert(owner, (message, known.digest));
    }

    pub fn message(&self, application: ApplicationId, id: MessageId) -> Option<&Arc<Message>> {
        self.messages.get(&(application, id))
    }

    /// Lets the commands that follow see a change.
    pub fn apply(&mut self, application: ApplicationId, change: &Change) {
        let message = &change.message;
        if let Some(Creation { idempotency: Some(known) }) = &change.created {
            self.add_key(application, message.from.clone(), known.clone(), message.id);
        }
        self.add_message(application, Arc::clone(message));
    }

    fn key(&self, command: &Command, key: &IdempotencyKey) -> Option<(MessageId, Digest)> {
        let owner = (command.application, command.caller.clone(), key.clone());
        self.keys.get(&owner).copied()
    }
}
