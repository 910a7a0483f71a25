//! What decisions depend on, and what several commands ask of it.

use std::sync::Arc;

use time::Duration;

use super::{Command, Decision, MessageDecision, Needs, ensure};
use crate::{
    domain::{
        self, Action, Change, Chat, ChatChange, ChatNumber, Content, Conversation, Created,
        Erasure, Idempotency, Marked, Member, Message, MessageChange, MessageId, MessageNumber,
        NextNumbers, Pair, PersonalConversation, Policy, Position, PositionsChange, Rank, Refusal,
        UserId,
    },
    timeline::BatchState,
};

/// What a decision depends on: the requester, the state and the next numbers.
pub struct Context<'a> {
    /// `None`: the application itself.
    pub caller: Option<&'a UserId>,
    pub state: &'a BatchState,
    pub next: NextNumbers,
}

/// A chat that the caller sees, and who the caller is there.
pub(super) struct Inside<'a> {
    pub(super) chat: &'a Arc<Chat>,
    pub(super) rank: Rank,
    /// `None` for the application itself.
    pub(super) member: Option<Member>,
    pub(super) policy: Policy,
}

impl<'a> Inside<'a> {
    pub(super) fn may(&self, action: Action) -> bool {
        self.rank.may(action, self.chat, &self.policy)
    }

    pub(super) fn require(
        &self,
        action: Action,
        otherwise: &'static str,
    ) -> Result<&'a Arc<Chat>, Refusal> {
        ensure(self.may(action), Refusal::Forbidden(otherwise))?;
        let is_imported = self.chat.import.is_running();
        ensure(!is_imported || action == Action::Manage, Refusal::Importing)?;
        Ok(self.chat)
    }

    /// The number after which the caller reads its messages.
    pub(super) fn reads_after(&self) -> MessageNumber {
        let history = self.chat.rules.history;
        let reads_after = self.member.map(|member| member.reads_after(history));
        reads_after
            .max(Some(self.chat.first.previous()))
            .unwrap_or(MessageNumber::ZERO)
    }
}

/// A conversation that the caller sees.
pub(super) enum Seen<'a> {
    Personal(&'a Arc<PersonalConversation>, &'a UserId),
    Chat(&'a Arc<Chat>, &'a UserId, Member),
}

impl Seen<'_> {
    /// The number of its newest message.
    pub(super) fn last(&self) -> MessageNumber {
        match self {
            Self::Personal(personal, _) => personal.messages,
            Self::Chat(chat, ..) => chat.messages,
        }
    }

    /// The number after which the caller reads its messages.
    pub(super) fn reads_after(&self) -> MessageNumber {
        match self {
            Self::Personal(personal, _) => personal.first.previous(),
            Self::Chat(chat, _, member) => {
                let reads_after = member.reads_after(chat.rules.history);
                reads_after.max(chat.first.previous())
            }
        }
    }

    /// The caller's position.
    pub(super) fn position(&self) -> Position {
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
        self.require_not_erased()?;
        if let Some(earlier) = command.replay(self)? {
            return Ok(Decision::Replay(earlier));
        }
        if self.state.is_erasing() && !C::ERASES && !C::MARKS {
            self.require_none_erased(&command.needs())?;
        }
        if !C::WHILE_SUSPENDED {
            self.require_not_suspended()?;
        }
        if command.announcement().is_some() {
            self.require_posting_into(command.needs().chat())?;
        }
        command.decide(self)
    }

    /// Fails if the caller may not post into the chat now.
    fn require_posting_into(&self, chat: Option<ChatNumber>) -> Result<(), Refusal> {
        let inside = self.inside(chat.ok_or(Refusal::NotFound)?)?;
        self.require_posting(&inside)?;
        self.require_patience(&inside)
    }

    /// Fails if the caller is being erased. This comes first, since nothing is left of what it has created.
    fn require_not_erased(&self) -> Result<(), Refusal> {
        let is_erased = self
            .caller
            .and_then(|user| self.state.erasure(user))
            .is_some();
        ensure(!is_erased, Refusal::Forbidden("the user is being erased"))
    }

    /// Fails if the command would store something new that names a user who is being erased.
    fn require_none_erased(&self, needs: &Needs<'_>) -> Result<(), Refusal> {
        let is_erased = |user: &UserId| self.state.erasure(user).is_some();
        let pair = needs.conversation.as_ref().and_then(Conversation::pair);
        let is_personal = pair.is_some_and(|pair| pair.users().any(is_erased));
        ensure(!is_personal, Refusal::NotAccepted)?;
        let banned = needs.leaving.iter().filter(|_| needs.bans);
        let named = needs.joining.iter().chain(banned);
        self.require_present(named.chain(needs.owner).chain(needs.restrictions))
    }

    /// Fails if one of the users is being erased.
    pub(super) fn require_present<'u>(
        &self,
        mut named: impl Iterator<Item = &'u UserId>,
    ) -> Result<(), Refusal> {
        let erased = named.find(|user| self.state.erasure(user).is_some());
        erased.map_or(Ok(()), |user| Err(Refusal::Erased(user.clone())))
    }

    /// Whether this erasure is under way. What a leader has requested that is none any more may come late, when
    /// the id has another user, or another erasure.
    pub(super) fn is_under_way(&self, erasure: &Erasure) -> bool {
        let present = self.state.erasure(&erasure.user);
        present.is_some_and(|present| present.pseudonym == erasure.pseudonym)
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

    pub(super) fn policy(&self) -> Policy {
        self.state.policy()
    }

    pub(super) fn message(&self, id: MessageId) -> Option<&'a Arc<Message>> {
        self.state.message(id)
    }

    /// The chat, if the caller may see it.
    pub(super) fn inside(&self, number: ChatNumber) -> Result<Inside<'a>, Refusal> {
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

    /// Fails if the caller is not the application itself.
    pub(super) fn require_application(&self) -> Result<(), Refusal> {
        let otherwise = Refusal::Forbidden("this is for the application itself");
        ensure(self.caller.is_none(), otherwise)
    }

    /// The message, if the caller may see it, with its chat.
    pub(super) fn visible_message(
        &self,
        id: MessageId,
    ) -> Result<(&'a Arc<Message>, Option<Inside<'a>>), Refusal> {
        let missing = || self.missing(id);
        let message = self.message(id).ok_or_else(missing)?;
        let inside = match &message.conversation {
            Conversation::Chat(chat) => {
                let inside = self.inside(*chat).map_err(|_| missing())?;
                ensure(message.number > inside.reads_after(), missing())?;
                Some(inside)
            }
            Conversation::Personal(pair) => {
                let is_inside = |user: &UserId| pair.contains(user);
                ensure(self.caller.is_some_and(is_inside), missing())?;
                let personal = self.state.personal(pair);
                let is_imported = personal.is_some_and(|personal| personal.import.is_running());
                ensure(!is_imported, missing())?;
                ensure(!self.has_expired(message), missing())?;
                None
            }
        };
        Ok((message, inside))
    }

    /// Whether nobody reads the message any more, although its row may be there.
    pub(super) fn has_expired(&self, message: &Message) -> bool {
        let first = match &message.conversation {
            Conversation::Chat(chat) => self.state.chat(*chat).map(|chat| chat.first),
            Conversation::Personal(pair) => {
                let personal = self.state.personal_by_either_name(pair);
                let personal = personal.filter(|it| it.id == message.conversation_id);
                personal.map(|personal| personal.first)
            }
        };
        // Without a conversation, its users have other names since, or it is too young for that to be loaded.
        first.map_or_else(
            || self.state.has_expired_up_to(message.id),
            |first| message.number < first,
        )
    }

    /// The answer to a caller who does not see a message. It depends on the id alone, and so shows neither whether
    /// there is such a message for others, nor whether its row is deleted already.
    pub(super) fn missing(&self, id: MessageId) -> Refusal {
        match self.state.has_expired_up_to(id) {
            true => Refusal::Expired,
            false => Refusal::NotFound,
        }
    }

    /// Fails if the caller reads the chat and does not post into it.
    pub(super) fn require_posting(&self, inside: &Inside<'_>) -> Result<(), Refusal> {
        ensure(!inside.chat.import.is_running(), Refusal::Importing)?;
        domain::require_posting(inside.rank, &inside.chat.rules, self.is_muted(inside))
    }

    /// Fails if the caller reads the chat and does not react there.
    pub(super) fn require_reacting(&self, inside: &Inside<'_>) -> Result<(), Refusal> {
        domain::require_reacting(inside.rank, &inside.chat.rules, self.is_muted(inside))
    }

    fn is_muted(&self, inside: &Inside<'_>) -> bool {
        let member = inside.member;
        member.is_some_and(|member| member.is_muted(self.next.now))
    }

    /// Fails if the chat is slow and the caller has posted a moment ago.
    pub(super) fn require_patience(&self, inside: &Inside<'_>) -> Result<(), Refusal> {
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

    pub(super) fn member(&self, chat: ChatNumber, user: &UserId) -> Option<Member> {
        self.state.member(chat, user)
    }

    /// The conversation, if the caller is a user who is in it, and it has a message if it is a
    /// personal one.
    pub(super) fn seen(&self, conversation: &Conversation) -> Result<Seen<'a>, Refusal> {
        let user = self.caller.ok_or(Refusal::NotFound)?;
        let seen = match conversation {
            Conversation::Chat(number) => {
                let member = self.member(*number, user);
                let chat = self.state.chat(*number);
                chat.zip(member)
                    .map(|(chat, member)| Seen::Chat(chat, user, member))
            }
            Conversation::Personal(pair) if pair.contains(user) => {
                let personal = self.state.personal_by_either_name(pair);
                let there = personal.filter(|personal| {
                    personal.messages > MessageNumber::ZERO && !personal.import.is_running()
                });
                there.map(|personal| Seen::Personal(personal, user))
            }
            Conversation::Personal(_) => None,
        };
        seen.ok_or(Refusal::NotFound)
    }

    /// Sets the caller's position in a conversation, not before the first message that it reads. All marks in a conversation that a batch makes
    /// have the timestamp of the first one.
    pub(super) fn mark(&self, seen: &Seen<'_>, number: MessageNumber) -> PositionsChange {
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
    pub(super) fn require_accepted(&self, pair: &Pair) -> Result<(), Refusal> {
        let personal = self.state.personal(pair);
        let is_imported = personal.is_some_and(|personal| personal.import.is_running());
        ensure(!is_imported, Refusal::Importing)?;
        let is_blocked = personal.is_some_and(|personal| personal.is_blocked());
        let is_opened = personal.is_some_and(|personal| personal.opened);
        domain::require_accepted(pair, self.policy().personal, is_opened, is_blocked)
    }

    /// Fails if one of the users, whom a message names, is not in its conversation.
    pub(super) fn require_inside<'u>(
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
    pub(super) fn replayed(
        &self,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<Created>, Refusal> {
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

    pub(super) fn change_message(
        &self,
        before: &Arc<Message>,
        content: Option<Content>,
    ) -> MessageDecision {
        let changed = Message {
            content,
            ..Message::clone(before)
        };
        self.message_change(before, changed)
    }

    /// A change of a message. `changed` is the message as it leaves it, except for the timestamp.
    pub(super) fn message_change(
        &self,
        before: &Arc<Message>,
        changed: Message,
    ) -> MessageDecision {
        let after = Arc::new(Message {
            timestamp: self.next.timestamp,
            ..changed
        });
        let change = MessageChange {
            before: Some(Arc::clone(before)),
            after: Arc::clone(&after),
            begun: None,
            recipient_newest: None,
            idempotency: None,
            imported: None,
        };
        Decision::Change(Change::Message(change), after)
    }

    /// A change of a chat. `changed` is the chat as it leaves it, except for the timestamp.
    pub(super) fn chat_change(&self, before: &Arc<Chat>, changed: Chat) -> ChatChange {
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
