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
mod change_application;
mod change_chat;
mod change_members;
mod change_settings;
mod clear_message;
mod create_chat;
mod delete_chat;
mod delete_message;
mod edit_message;
mod mark_read;
mod move_position;
mod open_conversation;
mod report_message;
mod restrict_user;
mod send_message;
#[cfg(test)]
mod story;

use std::sync::Arc;

use time::Duration;

pub use alter_member::AlterMember;
pub use announcement::Announcement;
pub use ban_user::BanUser;
pub use change_application::ChangeApplication;
pub use change_chat::{ChangeChat, ChatPatch};
pub use change_members::ChangeMembers;
pub use change_settings::{ChangeSettings, PresentSettings};
pub use clear_message::ClearMessage;
pub use create_chat::CreateChat;
pub use delete_chat::DeleteChat;
pub use delete_message::DeleteMessage;
pub use edit_message::{EditMessage, MessageEdit};
pub use mark_read::MarkRead;
pub use move_position::MovePosition;
pub use open_conversation::OpenConversation;
pub use report_message::ReportMessage;
pub use restrict_user::RestrictUser;
pub use send_message::{Draft, SendMessage};

use super::BatchState;
use crate::domain::{
    Action, Change, Chat, ChatChange, ChatNumber, Content, Conversation, Created, Idempotency,
    Marked, Member, Message, MessageChange, MessageId, MessageNumber, NextNumbers, Pair, Personal,
    PersonalConversation, Policy, Position, PositionsChange, Rank, Refusal, Timestamp, UserId,
};

/// One change that a caller requests.
pub trait Command: Send + Sync + 'static {
    /// What the caller receives: the message, chat, position, settings or report, as the command
    /// leaves it.
    type Output: Send + Sync + 'static;

    /// Whether a user whom the application has suspended may do it: what is part of reading.
    const WHILE_SUSPENDED: bool = false;

    /// What has to be loaded before it is decided.
    fn needs(&self) -> Needs<'_>;

    /// The most rows that it may write, without the message, its conversation and the updates of two
    /// users. `members` are those of its chat; each of them has an update, if it does not say
    /// otherwise.
    fn rows(&self, members: usize) -> usize {
        members
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

/// What a command needs of the present state, besides the caller's membership of its chat.
#[derive(Debug, Default)]
pub struct Needs<'a> {
    /// A message. The conversation that it is in is the command's conversation.
    pub message: Option<MessageId>,
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
    /// What the caller has created with an earlier request.
    pub idempotency: Option<&'a Idempotency>,
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

/// What a decision depends on: the requester, the state and the next numbers.
pub struct Context<'a> {
    /// `None`: the application itself.
    pub caller: Option<&'a UserId>,
    pub state: &'a BatchState,
    pub next: NextNumbers,
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

/// A chat that the caller sees, and who the caller is there.
struct Inside<'a> {
    chat: &'a Arc<Chat>,
    rank: Rank,
    /// `None` for the application itself.
    member: Option<Member>,
    policy: Policy,
}

impl<'a> Inside<'a> {
    fn may(&self, action: Action) -> bool {
        self.rank.may(action, self.chat, &self.policy)
    }

    fn require(&self, action: Action, otherwise: &'static str) -> Result<&'a Arc<Chat>, Refusal> {
        ensure(self.may(action), Refusal::Forbidden(otherwise))?;
        Ok(self.chat)
    }

    /// The number after which the caller reads its messages.
    fn reads_after(&self) -> MessageNumber {
        let history = self.chat.rules.history;
        self.member
            .map_or(MessageNumber::ZERO, |member| member.reads_after(history))
    }
}

/// A conversation that the caller sees.
enum Seen<'a> {
    Personal(&'a Arc<PersonalConversation>, &'a UserId),
    Chat(&'a Arc<Chat>, &'a UserId, Member),
}

impl Seen<'_> {
    /// The number of its newest message.
    fn last(&self) -> MessageNumber {
        match self {
            Self::Personal(personal, _) => personal.messages,
            Self::Chat(chat, ..) => chat.messages,
        }
    }

    /// The number after which the caller reads its messages.
    fn reads_after(&self) -> MessageNumber {
        match self {
            Self::Personal(..) => MessageNumber::ZERO,
            Self::Chat(chat, _, member) => member.reads_after(chat.rules.history),
        }
    }

    /// The caller's position.
    fn position(&self) -> Position {
        match self {
            Self::Personal(personal, user) => personal.position(user),
            Self::Chat(_, _, member) => member.position,
        }
    }
}

impl<'a> Context<'a> {
    /// Decides a command, if its application still exists and lets the caller write.
    pub fn decide<C: Command>(&self, command: &C) -> Result<Decision<C::Output>, Refusal> {
        let exists = !self.state.is_application_missing();
        ensure(exists, Refusal::UnknownApplication)?;
        if let Some(earlier) = command.replay(self)? {
            return Ok(Decision::Replay(earlier));
        }
        if !C::WHILE_SUSPENDED {
            self.require_not_suspended()?;
        }
        let decision = command.decide(self)?;
        if let (Decision::Change(..), Some(_)) = (&decision, command.announcement()) {
            self.require_posting_into(command.needs().chat())?;
        }
        Ok(decision)
    }

    /// Fails if the caller may not post into the chat now.
    fn require_posting_into(&self, chat: Option<ChatNumber>) -> Result<(), Refusal> {
        let inside = self.inside(chat.ok_or(Refusal::NotFound)?)?;
        self.require_posting(&inside)?;
        self.require_patience(&inside)
    }

    fn require_not_suspended(&self) -> Result<(), Refusal> {
        let until = self
            .caller
            .and_then(|user| self.state.suspended_until(user));
        match until.filter(|until| *until > self.next.now) {
            Some(until) => Err(Refusal::Suspended { until }),
            None => Ok(()),
        }
    }

    fn policy(&self) -> Policy {
        self.state.policy()
    }

    fn message(&self, id: MessageId) -> Option<&'a Arc<Message>> {
        self.state.message(id)
    }

    /// The chat, if the caller may see it.
    fn inside(&self, number: ChatNumber) -> Result<Inside<'a>, Refusal> {
        let chat = self.state.chat(number).ok_or(Refusal::NotFound)?;
        let (rank, member) = match self.caller {
            None => (Rank::Application, None),
            Some(user) => {
                let member = self.member(number, user).ok_or(Refusal::NotFound)?;
                (chat.rank(user, &member), Some(member))
            }
        };
        Ok(Inside {
            chat,
            rank,
            member,
            policy: self.policy(),
        })
    }

    /// The message, if the caller may see it, with its chat.
    fn visible_message(
        &self,
        id: MessageId,
    ) -> Result<(&'a Arc<Message>, Option<Inside<'a>>), Refusal> {
        let message = self.message(id).ok_or(Refusal::NotFound)?;
        let inside = match message.conversation.chat() {
            Some(chat) => {
                let inside = self.inside(chat)?;
                ensure(message.number > inside.reads_after(), Refusal::NotFound)?;
                Some(inside)
            }
            None => {
                let pair = message.conversation.pair();
                let is_inside = |user: &UserId| pair.is_some_and(|pair| pair.contains(user));
                ensure(self.caller.is_some_and(is_inside), Refusal::NotFound)?;
                None
            }
        };
        Ok((message, inside))
    }

    /// Fails if the caller reads the chat and does not post into it.
    fn require_posting(&self, inside: &Inside<'_>) -> Result<(), Refusal> {
        let is_muted = inside
            .member
            .is_some_and(|member| member.is_muted(self.next.now));
        let is_muted = is_muted && inside.rank < Rank::Owner;
        ensure(!is_muted, Refusal::MayNotPost("you are muted in this chat"))?;
        let otherwise = match inside.chat.rules.frozen {
            true => "this chat is frozen",
            false if inside.rank == Rank::Reader => "readers of this chat do not post",
            false => "only moderators post into this chat",
        };
        ensure(inside.may(Action::Post), Refusal::MayNotPost(otherwise))
    }

    /// Fails if the chat is slow and the caller has posted a moment ago.
    fn require_patience(&self, inside: &Inside<'_>) -> Result<(), Refusal> {
        let posted = inside.member.and_then(|member| member.posted);
        let Some(posted) = posted.filter(|_| !inside.may(Action::PostAtOnce)) else {
            return Ok(());
        };
        let pause = Duration::seconds(inside.chat.rules.slow_mode.into());
        let left = posted + pause - self.next.now;
        // It is a day at the most.
        let seconds = left.as_seconds_f64().ceil() as u32;
        ensure(!left.is_positive(), Refusal::SlowMode { seconds })
    }

    fn member(&self, chat: ChatNumber, user: &UserId) -> Option<Member> {
        self.state.member(chat, user)
    }

    /// The conversation, if the caller is a user who is in it, and it has a message if it is a
    /// personal one.
    fn seen(&self, conversation: &Conversation) -> Result<Seen<'a>, Refusal> {
        let user = self.caller.ok_or(Refusal::NotFound)?;
        let seen = match conversation {
            Conversation::Chat(number) => {
                let member = self.member(*number, user);
                let chat = self.state.chat(*number);
                chat.zip(member)
                    .map(|(chat, member)| Seen::Chat(chat, user, member))
            }
            Conversation::Personal(pair) if pair.contains(user) => {
                let personal = self.state.personal(pair);
                let begun = personal.filter(|personal| personal.messages > MessageNumber::ZERO);
                begun.map(|personal| Seen::Personal(personal, user))
            }
            Conversation::Personal(_) => None,
        };
        seen.ok_or(Refusal::NotFound)
    }

    /// Sets the caller's position in a conversation, not before the first message that it reads. All marks in a conversation that a batch makes
    /// have the timestamp of the first one.
    fn mark(&self, seen: &Seen<'_>, number: MessageNumber) -> PositionsChange {
        let number = number.max(seen.reads_after());
        let position = seen.position().set_to(number, seen.last());
        let earlier = |id| self.state.positions_moved(id);
        let (user, timestamp, marked) = match seen {
            Seen::Personal(before, user) => {
                let timestamp = earlier(before.id).unwrap_or(self.next.timestamp);
                let mut after = PersonalConversation {
                    timestamp,
                    ..PersonalConversation::clone(before)
                };
                *after.positions.of_mut(&before.pair, user) = position;
                (user, timestamp, Marked::Personal(Arc::new(after)))
            }
            Seen::Chat(chat, user, member) => {
                let timestamp = earlier(chat.id).unwrap_or(self.next.timestamp);
                let member = Member {
                    position,
                    ..*member
                };
                (user, timestamp, Marked::Chat(Arc::clone(chat), member))
            }
        };
        PositionsChange {
            timestamp,
            user: UserId::clone(user),
            marked,
        }
    }

    /// Fails if one of two users wants no messages from the other one, or the application wants none
    /// between them. Everybody may write to oneself.
    fn require_accepted(&self, pair: &Pair) -> Result<(), Refusal> {
        let personal = self.state.personal(pair);
        let is_blocked = personal.is_some_and(|personal| personal.is_blocked());
        let is_allowed = match self.policy().personal {
            _ if pair.least() == pair.greatest() => true,
            Personal::Anyone => true,
            Personal::Opened => personal.is_some_and(|personal| personal.opened),
            Personal::Nobody => false,
        };
        ensure(is_allowed && !is_blocked, Refusal::NotAccepted)
    }

    /// Fails if one of the users, whom a message names, is not in its conversation.
    fn require_inside<'u>(
        &self,
        conversation: &Conversation,
        mut named: impl Iterator<Item = &'u UserId>,
    ) -> Result<(), Refusal> {
        let is_inside = |user: &UserId| match conversation {
            Conversation::Personal(pair) => pair.contains(user),
            Conversation::Chat(chat) => self.member(*chat, user).is_some(),
        };
        let stranger = named.find(|user| !is_inside(user));
        stranger.map_or(Ok(()), |user| Err(Refusal::MentionElsewhere(user.clone())))
    }

    /// What the caller has created with the same request under the same key.
    fn replayed(&self, idempotency: Option<&Idempotency>) -> Result<Option<Created>, Refusal> {
        let Some(request) = idempotency else {
            return Ok(None);
        };
        let earlier = self.state.created(self.caller, &request.key);
        let Some((created, digest)) = earlier else {
            return Ok(None);
        };
        ensure(digest == request.digest, Refusal::KeyReused)?;
        Ok(Some(created))
    }

    fn change_message(&self, before: &Arc<Message>, content: Option<Content>) -> MessageDecision {
        let after = Arc::new(Message {
            timestamp: self.next.timestamp,
            content,
            ..Message::clone(before)
        });
        let change = MessageChange {
            before: Some(Arc::clone(before)),
            after: Arc::clone(&after),
            begun: None,
            recipient_newest: None,
            idempotency: None,
        };
        Decision::Change(Change::Message(change), after)
    }

    /// A change of a chat. `changed` is the chat as it leaves it, except for the timestamp.
    fn chat_change(&self, before: &Arc<Chat>, changed: Chat) -> ChatChange {
        let after = Arc::new(Chat {
            timestamp: self.next.timestamp,
            ..changed
        });
        ChatChange {
            before: Some(Arc::clone(before)),
            ..ChatChange::new(after)
        }
    }
}

/// The chat as the change leaves it.
fn changed_chat(change: ChatChange) -> ChatDecision {
    let after = Arc::clone(&change.after);
    Decision::Change(Change::Chat(change), after)
}

type MessageDecision = Decision<Arc<Message>>;
type ChatDecision = Decision<Arc<Chat>>;

fn content(message: &Message) -> Result<&Content, Refusal> {
    message.content.as_ref().ok_or(Refusal::Gone)
}
