//! What a caller may change. Each command is a type in a file of its own, with its needs, its
//! decision, its output and its tests.
//!
//! A decision is pure: (state, command, next numbers) → change or refusal. So a batch may be
//! decided again from the start, and a new command is a new file.
//!
//! The order of the checks is part of the contract: not found, forbidden, gone, nothing to do,
//! stale, and last what the present state makes unacceptable. "Nothing to do" comes before "stale",
//! so that a repeated edit does not fail against itself.

mod alter_member;
mod announcement;
mod ban_user;
mod begin_import;
mod change_application;
mod change_chat;
mod change_members;
mod change_settings;
mod clear_expired;
mod clear_message;
mod context;
mod create_chat;
mod delete_chat;
mod delete_message;
mod edit_message;
mod erase_membership;
mod erase_message;
mod erase_reaction;
mod erase_user;
mod expire_messages;
mod finish_import;
mod import_message;
mod mark_read;
mod move_position;
mod open_conversation;
mod pin_message;
mod react;
mod rename_conversation;
mod report_message;
mod restrict_user;
mod send_message;
#[cfg(test)]
mod story;

use std::sync::Arc;

pub use alter_member::AlterMember;
pub use announcement::Announcement;
pub use ban_user::BanUser;
pub use begin_import::BeginImport;
pub use change_application::ChangeApplication;
pub use change_chat::{ChangeChat, ChatPatch};
pub use change_members::ChangeMembers;
pub use change_settings::{ChangeSettings, PresentSettings};
pub use clear_expired::{CLEARED_FILES_MAX, ClearExpired};
pub use clear_message::ClearMessage;
pub use context::Context;
use context::Inside;
pub use create_chat::{ChatImport, CreateChat};
pub use delete_chat::DeleteChat;
pub use delete_message::DeleteMessage;
pub use edit_message::{EditMessage, MessageEdit};
pub use erase_membership::EraseMembership;
pub use erase_message::EraseMessage;
pub use erase_reaction::EraseReaction;
pub use erase_user::{EraseUser, FinishErasure};
pub use expire_messages::ExpireMessages;
pub use finish_import::FinishImport;
pub use import_message::{ImportMessage, ImportedContent, ReplyTo};
pub use mark_read::MarkRead;
pub use move_position::MovePosition;
pub use open_conversation::OpenConversation;
pub use pin_message::PinMessage;
pub use react::React;
pub use rename_conversation::RenameConversation;
pub use report_message::ReportMessage;
pub use restrict_user::RestrictUser;
pub use send_message::{Draft, SendMessage};

use crate::{
    domain::{
        Change, Chat, ChatChange, ChatNumber, Content, Conversation, Idempotency, IdempotencyKey,
        Message, MessageId, Refusal, Timestamp, UserId,
    },
    timeline::BatchState,
};

/// One change that a caller requests.
pub trait Command: Send + Sync + 'static {
    /// What the caller receives: the message, chat, position, settings or report, as the command
    /// leaves it.
    type Output: Send + Sync + 'static;

    /// Whether a user whom the application has suspended may do it: what is part of reading.
    const WHILE_SUSPENDED: bool = false;

    /// Whether it is a part of the erasure of the user whom it names. Nothing else names such a user.
    const ERASES: bool = false;

    /// Whether it only says how far the caller has read: allowed also in a conversation with a user who is being
    /// erased, by either of its names.
    const MARKS: bool = false;

    /// What has to be loaded before it is decided.
    fn needs(&self) -> Needs<'_>;

    /// The most rows that it may write, without the message, its conversation and the updates of two
    /// users. `members` are those of its chat; each of them has an update, if it does not say
    /// otherwise.
    fn rows(&self, members: usize) -> usize {
        members
    }

    /// Whether it would only add to an earlier change of the batch, which has the rows that it needs.
    fn is_part_of_earlier(&self, _: &BatchState) -> bool {
        false
    }

    /// The message that its chat gets with the change, if there is a change.
    fn announcement(&self) -> Option<&Announcement> {
        None
    }

    /// What an earlier request under the same idempotency key has created, as it is now. It comes before
    /// every other check of the state.
    fn replay(&self, _: &Context<'_>) -> Result<Option<Self::Output>, Refusal> {
        Ok(None)
    }

    /// Decides it against the state that the commands before it have left.
    fn decide(&self, context: &Context<'_>) -> Result<Decision<Self::Output>, Refusal>;
}

/// A command that may carry a message for its chat.
pub trait Announcing: Command<Output = Arc<Chat>> {
    /// The message, with the chat, to be judged before the command is submitted.
    fn announcement_mut(&mut self) -> Option<(ChatNumber, &mut Announcement)>;
}

/// What a command needs of the present state, besides the caller's membership of its chat.
#[derive(Debug, Default)]
pub struct Needs<'a> {
    /// A message. The conversation that it is in is the command's conversation.
    pub message: Option<MessageId>,
    /// Messages that are to be cleared.
    pub cleared: &'a [MessageId],
    pub conversation: Option<Conversation>,
    /// The state of the personal conversation that the message is in.
    pub conversation_of_message: bool,
    /// Users whose memberships of the chat count, besides the caller's.
    pub mentioned: &'a [UserId],
    pub joining: &'a [UserId],
    /// The same; and if the owner is among them, and leaves by itself or by the application, so do those of
    /// all members: one of them becomes the owner.
    pub leaving: &'a [UserId],
    /// Whether those who are leaving are kept from joining, as it always counts for those who are joining.
    pub bans: bool,
    /// The memberships of all members, if the caller is the application or the owner.
    pub everybody: bool,
    /// Who is to own the chat. Its membership counts.
    pub owner: Option<&'a UserId>,
    /// What the caller has set for the conversation.
    pub settings: bool,
    /// What the application forbids this user.
    pub restrictions: Option<&'a UserId>,
    /// The caller's report of the message.
    pub report: bool,
    /// The reactions to the message, and those of the caller.
    pub reactions: bool,
    /// The user whose reactions count in place of the caller's.
    pub reacted_by: Option<&'a UserId>,
    /// What is pinned in the chat.
    pub pins: bool,
    /// What the caller has created with an earlier request.
    pub idempotency: Option<&'a Idempotency>,
    /// The messages that were imported into the conversation under these keys.
    pub imported: [Option<&'a IdempotencyKey>; 3],
    /// Who is to be a member of the chat once it is imported.
    pub importing: bool,
    /// The number of the application's next chat.
    pub next_chat: bool,
}

impl Needs<'_> {
    /// A chat alone.
    fn of_chat(chat: ChatNumber) -> Self {
        Self {
            conversation: Some(Conversation::Chat(chat)),
            ..Self::default()
        }
    }

    /// The chat that the command names.
    pub fn chat(&self) -> Option<ChatNumber> {
        self.conversation.as_ref()?.chat()
    }

    /// A message alone.
    fn of_message(id: MessageId) -> Self {
        Self {
            message: Some(id),
            ..Self::default()
        }
    }
}

/// The result of deciding a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision<T> {
    Change(Change, T),
    /// Everything is already as the command makes it: no timestamp is taken.
    Keep(T),
    /// The same request was carried out before, under the same idempotency key.
    Replay(T),
}

impl<T> Decision<T> {
    /// The same with another output.
    fn map<U>(self, output: impl FnOnce(T) -> U) -> Decision<U> {
        match self {
            Self::Change(change, before) => Decision::Change(change, output(before)),
            Self::Keep(before) => Decision::Keep(output(before)),
            Self::Replay(before) => Decision::Replay(output(before)),
        }
    }
}

/// The timestamps that the caller accepts as present (RFC 9110, If-Match). An empty list accepts
/// none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected(pub Vec<Timestamp>);

impl Expected {
    fn require(&self, current: Timestamp) -> Result<(), Refusal> {
        ensure(self.0.contains(&current), Refusal::Stale { current })
    }
}

fn ensure(holds: bool, refusal: Refusal) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(refusal) }
}

type MessageDecision = Decision<Arc<Message>>;
type ChatDecision = Decision<Arc<Chat>>;

fn content(message: &Message) -> Result<&Content, Refusal> {
    message.content.as_ref().ok_or(Refusal::Gone)
}

/// The chat as the change leaves it.
fn changed_chat(change: ChatChange) -> ChatDecision {
    let after = Arc::clone(&change.after);
    Decision::Change(Change::Chat(change), after)
}
