//! (state, command, next numbers) → change or refusal: pure, so a batch may be decided again from the start.
//!
//! Commands are decided in the order of the queue, and each sees what the ones before it did: the
//! [`State`] that was loaded from the database is carried along in memory.

mod chats;
mod messages;
mod state;

use std::sync::Arc;

pub use state::State;

use super::command::{Action, Command, Expected, Idempotency, Subject};
use crate::{
    domain::{Chat, ChatNumber, FileUse, Message, Refusal, Timestamp, UserId},
    store::timeline::Next,
};

/// What a command comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    Change(Change),
    /// Everything is already as the command wants it: no timestamp is taken.
    Keep(Subject),
    /// The command was carried out before, under the same idempotency key.
    Replay(Subject),
}

/// One change on the timeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Message(MessageChange),
    Chat(ChatChange),
}

#[derive(Debug, Clone, PartialEq)]
pub struct MessageChange {
    /// The message as the change leaves it.
    pub message: Arc<Message>,
    /// `Some` for a creation.
    pub created: Option<Creation>,
    /// The chat whose next number a new message has taken.
    pub numbered_by: Option<Arc<Chat>>,
    /// Whether its text has changed, by which it is found.
    pub text_changed: bool,
    /// The uses of files that begin or end with it.
    pub files: Vec<FileUse>,
}

/// A change of a chat's name or members, at the chat's new timestamp.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatChange {
    /// The chat as the change leaves it.
    pub chat: Arc<Chat>,
    /// `Some` for a creation.
    pub created: Option<Creation>,
    pub joined: Vec<UserId>,
    /// Who has left, and since when that user was a member.
    pub departed: Option<(UserId, Timestamp)>,
}

/// What only the creation of a message or chat stores.
#[derive(Debug, Clone, PartialEq)]
pub struct Creation {
    /// Who has created it; `None` for the application itself.
    pub creator: Option<UserId>,
    pub idempotency: Option<Idempotency>,
}

impl Change {
    pub fn subject(&self) -> Subject {
        match self {
            Self::Message(change) => Subject::Message(Arc::clone(&change.message)),
            Self::Chat(change) => Subject::Chat(Arc::clone(&change.chat)),
        }
    }
}

/// Decides one command against the state that the commands before it left.
pub fn decide(state: &State, command: &Command, next: &Next) -> Result<Decision, Refusal> {
    if state.is_missing(command.application) {
        return Err(Refusal::UnknownApplication);
    }
    match &command.action {
        Action::Send { draft, idempotency } => {
            messages::send(state, command, draft, idempotency.as_ref(), next)
        }
        Action::EditText { id, text, expected } => {
            messages::edit_text(state, command, *id, text.as_ref(), expected, next)
        }
        Action::MarkRead { id, read, expected } => {
            messages::mark_read(state, command, *id, *read, expected, next)
        }
        Action::Delete { id, expected } => messages::delete(state, command, *id, expected, next),
        Action::CreateChat {
            name,
            members,
            idempotency,
        } => chats::create(state, command, name, members, idempotency.as_ref(), next),
        Action::RenameChat {
            chat,
            name,
            expected,
        } => chats::rename(state, command, *chat, name, expected, next),
        Action::AddMember { chat, user } => chats::add_member(state, command, *chat, user, next),
        Action::RemoveMember { chat, user } => {
            chats::remove_member(state, command, *chat, user, next)
        }
    }
}

/// What the same request under the same key has created.
fn replay(
    state: &State,
    command: &Command,
    idempotency: Option<&Idempotency>,
) -> Result<Option<Subject>, Refusal> {
    let known = idempotency.and_then(|asked| Some((asked, state.key(command, &asked.key)?)));
    let Some((asked, (subject, digest))) = known else {
        return Ok(None);
    };
    if asked.digest != digest {
        return Err(Refusal::KeyReused);
    }
    Ok(Some(subject))
}

fn require_current(current: Timestamp, expected: &Expected) -> Result<(), Refusal> {
    expected
        .allows(current)
        .then_some(())
        .ok_or(Refusal::Stale { current })
}

/// The caller's view of a chat: a chat that the caller may not know of is not there.
fn visible_chat<'s>(
    state: &'s State,
    command: &Command,
    chat: ChatNumber,
) -> Result<&'s Arc<Chat>, Refusal> {
    let chat = state
        .chat(command.application, chat)
        .ok_or(Refusal::NotFound)?;
    let is_inside = match &command.caller {
        None => true,
        Some(user) => state
            .member_since(command.application, chat.number, user)
            .is_some(),
    };
    is_inside.then_some(chat).ok_or(Refusal::NotFound)
}

/// Whether the caller is the application itself or this user.
fn is_application_or(command: &Command, user: Option<&UserId>) -> bool {
    command.caller.is_none() || command.caller.as_ref() == user
}
