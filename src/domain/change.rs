//! A change on the timeline: the states before and after it.

use std::sync::Arc;

use super::{
    ChangeKind, Chat, ChatNumber, Conversation, ConversationId, Digest, FileId, IdempotencyKey,
    Member, Mentions, Message, MessageId, MessageNumber, Named, Pair, PersonalConversation, Report,
    Settings, Subject, Timestamp, UserId,
};

/// One change. Every row, notification and event of it follows from this value.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Message(MessageChange),
    Chat(ChatChange),
    Positions(PositionsChange),
    Settings(SettingsChange),
    Report(ReportChange),
}

/// A change of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageChange {
    /// `None` if the change creates it.
    pub before: Option<Arc<Message>>,
    pub after: Arc<Message>,
    /// The personal conversation that the message begins, if it is the first one there.
    pub begun: Option<Arc<PersonalConversation>>,
    /// Of a personal message that the change creates: the number of the recipient's newest message
    /// before it; zero for none.
    pub recipient_newest: Option<MessageNumber>,
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
    /// Who has left, and since when each was a member.
    pub departed: Vec<(UserId, Timestamp)>,
    /// The request that has created it, if it may be repeated.
    pub idempotency: Option<Idempotency>,
}

/// A mark by which a user moves its position. All marks in one conversation that a batch makes are
/// one change, with one timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionsChange {
    pub timestamp: Timestamp,
    pub user: UserId,
    pub marked: Marked,
}

/// The conversation in which a user has moved its position, as that leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marked {
    Personal(Arc<PersonalConversation>),
    Chat(Arc<Chat>, Member),
}

/// A change of what a user has set for a conversation. It concerns that user alone.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsChange {
    pub timestamp: Timestamp,
    pub user: UserId,
    pub conversation: ConversationId,
    /// The conversation as the user names it.
    pub subject: Subject,
    pub after: Settings,
    /// The personal conversation, if the change blocks it, unblocks it or creates it.
    pub personal: Option<Arc<PersonalConversation>>,
}

/// A report of a message. It changes nothing that a user sees.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportChange {
    pub report: Arc<Report>,
    pub message: Arc<Message>,
}

/// A conversation, as one of its users names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    Chat(ChatNumber),
    /// The personal conversation with this user.
    With(&'a UserId),
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
            Self::Positions(change) => change.timestamp,
            Self::Settings(change) => change.timestamp,
            Self::Report(change) => change.report.timestamp,
        }
    }

    pub fn kind(&self) -> ChangeKind {
        match self {
            Self::Message(change) if change.is_creation() => ChangeKind::MessageCreated,
            Self::Message(change) if change.after.content.is_none() => ChangeKind::MessageDeleted,
            Self::Message(_) => ChangeKind::MessageEdited,
            Self::Chat(change) => change.kind(),
            Self::Positions(_) => ChangeKind::PositionsMoved,
            Self::Settings(_) => ChangeKind::SettingsChanged,
            Self::Report(_) => ChangeKind::MessageReported,
        }
    }

    /// The message that it changes or reports, if it does.
    pub fn message(&self) -> Option<MessageId> {
        match self {
            Self::Message(change) => Some(change.after.id),
            Self::Report(change) => Some(change.message.id),
            Self::Chat(_) | Self::Positions(_) | Self::Settings(_) => None,
        }
    }

    /// The conversation in which it is made.
    pub fn conversation(&self) -> ConversationId {
        match self {
            Self::Message(change) => change.after.conversation_id,
            Self::Chat(change) => change.after.id,
            Self::Positions(change) => change.marked.conversation(),
            Self::Settings(change) => change.conversation,
            Self::Report(change) => change.message.conversation_id,
        }
    }

    /// The conversation in which it is made, as the actor names it: a chat, or the other user of a
    /// personal one.
    pub fn place(&self, actor: Option<&UserId>) -> Place<'_> {
        match self {
            Self::Message(change) => Place::of_message(&change.after, actor),
            Self::Report(change) => Place::of_message(&change.message, actor),
            Self::Chat(change) => Place::Chat(change.after.number),
            Self::Positions(change) => match &change.marked {
                Marked::Chat(chat, _) => Place::Chat(chat.number),
                Marked::Personal(personal) => Place::of(&personal.pair, actor),
            },
            Self::Settings(change) => match &change.subject {
                Subject::Chat(number) => Place::Chat(*number),
                Subject::With(other) => Place::With(other),
                Subject::Message(_) => unreachable!("settings are of conversations"),
            },
        }
    }

    /// The number of that message.
    pub fn number(&self) -> Option<MessageNumber> {
        match self {
            Self::Message(change) => Some(change.after.number),
            Self::Report(change) => Some(change.message.number),
            Self::Chat(_) | Self::Positions(_) | Self::Settings(_) => None,
        }
    }

    /// The members whom it adds to a chat, or removes from it, or who have moved their position.
    pub fn members(&self) -> Vec<&UserId> {
        match self {
            Self::Chat(change) => change.members(),
            Self::Positions(change) => vec![&change.user],
            Self::Message(_) | Self::Settings(_) | Self::Report(_) => Vec::new(),
        }
    }

    /// The files whose use it begins or ends.
    pub fn files(&self) -> &[FileId] {
        match self {
            Self::Message(change) => change.files(),
            Self::Chat(_) | Self::Positions(_) | Self::Settings(_) | Self::Report(_) => &[],
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
            Self::Positions(_) | Self::Settings(_) | Self::Report(_) => None,
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

impl Marked {
    fn conversation(&self) -> ConversationId {
        match self {
            Self::Personal(personal) => personal.id,
            Self::Chat(chat, _) => chat.id,
        }
    }
}

impl MessageChange {
    pub fn is_creation(&self) -> bool {
        self.before.is_none()
    }

    /// Whom the change names, and the message did not name before; `None` if that is nobody.
    pub fn named(&self) -> Option<Named> {
        let before = self.before.as_ref();
        let before = before.and_then(|before| Some(&before.content.as_ref()?.mentions));
        let after = &self.after.content.as_ref()?.mentions;
        let nobody = Mentions::default();
        after.named_since(before.unwrap_or(&nobody), self.after.from.as_ref())
    }

    /// The files whose use begins with the creation or ends with the deletion.
    pub fn files(&self) -> &[FileId] {
        let message = match &self.before {
            None => &self.after,
            Some(before) if self.after.content.is_none() => before,
            Some(_) => return &[],
        };
        let content = message.content.as_ref();
        content.map_or(&[], |content| content.files.as_slice())
    }
}

impl ChatChange {
    pub fn is_creation(&self) -> bool {
        self.before.is_none()
    }

    fn kind(&self) -> ChangeKind {
        if self.is_creation() {
            return ChangeKind::ChatCreated;
        }
        match (self.joined.is_empty(), self.departed.is_empty()) {
            (true, true) => ChangeKind::ChatChanged,
            (false, true) => ChangeKind::MemberAdded,
            (true, false) => ChangeKind::MemberRemoved,
            (false, false) => ChangeKind::MembersChanged,
        }
    }

    fn members(&self) -> Vec<&UserId> {
        let departed = self.departed.iter().map(|(user, _)| user);
        departed.chain(&self.joined).collect()
    }
}
