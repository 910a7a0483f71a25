//! A change on the timeline: the states before and after it.

mod logged;

use std::{collections::BTreeSet, sync::Arc};

use super::{
    ChangeKind, Chat, ChatNumber, ConversationId, Digest, Erasure, ErasureEvent, FileId, History,
    IdempotencyKey, Import, Imported, ImportedMembers, ImportingMember, Member, Mentions, Message,
    MessageId, MessageNumber, Named, Pair, PersonalConversation, Policy, ReactionKey,
    ReactionNumber, Reactions, Report, Restrictions, Settings, Subject, Timestamp, Title, UserId,
};

pub use logged::Place;

/// One change. Every row, notification and event of it follows from this value.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Message(MessageChange),
    Chat(ChatChange),
    Positions(PositionsChange),
    Reactions(ReactionsChange),
    Settings(SettingsChange),
    Report(ReportChange),
    Opening(OpeningChange),
    Renaming(RenamingChange),
    Restrictions(RestrictionsChange),
    Erasure(ErasureChange),
    Application(ApplicationChange),
    Expiry(ExpiryChange),
    Clearing(ClearingChange),
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
    /// What it was imported with, if it was: then its users are not told of it.
    pub imported: Option<Box<Imported>>,
}

/// A change of a chat: of its name, its rules or its members, or its deletion.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatChange {
    /// `None` if the change creates it.
    pub before: Option<Arc<Chat>>,
    pub after: Arc<Chat>,
    /// It is gone, for its members and for the application.
    pub deleted: bool,
    pub joined: Vec<UserId>,
    /// Who is to be a member, or is one now, if the chat is imported.
    pub imported: Option<Box<ImportedMembers>>,
    /// Who has left, as each was.
    pub departed: Vec<(UserId, Member)>,
    /// Whose role or mute has changed, as each is now.
    pub altered: Vec<(UserId, Member)>,
    /// Who is kept from joining from now on.
    pub banned: Vec<UserId>,
    /// Who is not kept from joining any more.
    pub unbanned: Vec<UserId>,
    /// The message that is pinned.
    pub pinned: Option<MessageId>,
    /// The message that is pinned no more.
    pub unpinned: Option<MessageId>,
    /// The request that has created it, if it may be repeated.
    pub idempotency: Option<Box<Idempotency>>,
}

/// A mark by which a user moves its position. All marks in one conversation that a batch makes are
/// one change, with one timestamp, unless the chat changes in between.
#[derive(Debug, Clone, PartialEq)]
pub struct PositionsChange {
    pub timestamp: Timestamp,
    pub user: UserId,
    pub marked: Marked,
}

/// The conversation in which a user has moved its position, as that leaves it.
#[derive(Debug, Clone, PartialEq)]
pub enum Marked {
    Personal(Arc<PersonalConversation>),
    Chat(Arc<Chat>, Member),
}

/// A user has reacted to a message, or has taken a reaction back. All such changes of one message that a
/// batch makes are one change, with one timestamp, unless the members of its chat change in between.
#[derive(Debug, Clone, PartialEq)]
pub struct ReactionsChange {
    pub timestamp: Timestamp,
    pub message: Arc<Message>,
    pub user: UserId,
    pub key: ReactionKey,
    /// The number of the reaction; `None` if it is taken back.
    pub added: Option<ReactionNumber>,
    /// The reactions to the message as the change leaves them.
    pub after: Reactions,
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

/// The application has opened a personal conversation or closed it, or imports its messages or has done so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpeningChange {
    /// The conversation as the change leaves it.
    pub after: Arc<PersonalConversation>,
    /// Whether its users are told of it.
    pub is_told: bool,
}

/// A personal conversation has a pseudonym in place of a user who is erased; or its other user is told once
/// more that it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenamingChange {
    pub timestamp: Timestamp,
    /// The users before the change. The one who stays finds the conversation under this name no more, unless
    /// it is the present one.
    pub before: Pair,
    pub after: Arc<PersonalConversation>,
    /// The user who is erased, and what names it now.
    pub erasure: Arc<Erasure>,
}

/// The application has requested that a user is erased, or that is done. It concerns no timeline of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureChange {
    pub timestamp: Timestamp,
    pub erasure: Arc<Erasure>,
    pub event: ErasureEvent,
}

/// A change of what the application forbids a user. It concerns no timeline of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestrictionsChange {
    pub timestamp: Timestamp,
    pub user: UserId,
    pub after: Restrictions,
}

/// A change of the application itself. It concerns no timeline of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationChange {
    pub timestamp: Timestamp,
    pub name: Title,
    pub policy: Policy,
}

/// The earlier messages of a conversation have expired: nobody reads them any more.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpiryChange {
    pub timestamp: Timestamp,
    /// The conversation as the change leaves it.
    pub after: Expiring,
    /// The newest message that has expired.
    pub newest: MessageId,
}

/// A conversation in which messages expire.
#[derive(Debug, Clone, PartialEq)]
pub enum Expiring {
    Personal(Arc<PersonalConversation>),
    Chat(Arc<Chat>),
}

/// Messages that have expired are cleared: no trace of them stays, and the use of their files ends. It
/// concerns no timeline of a user.
#[derive(Debug, Clone, PartialEq)]
pub struct ClearingChange {
    pub timestamp: Timestamp,
    pub conversation: ConversationId,
    /// The messages as they were.
    pub before: Vec<Arc<Message>>,
    /// The newest message of the conversation, if it is one of them, as it is left: its data are cleared, and
    /// its number stays. The others leave nothing.
    pub emptied: Option<Arc<Message>>,
    /// The files of all of them, each as often as a message has it.
    pub files: Vec<FileId>,
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

impl ClearingChange {
    /// The messages that leave nothing.
    pub fn deleted(&self) -> impl Iterator<Item = &Arc<Message>> {
        let emptied = self.emptied.as_ref().map(|message| message.id);
        let before = self.before.iter();
        before.filter(move |message| Some(message.id) != emptied)
    }
}

impl Expiring {
    pub fn conversation(&self) -> ConversationId {
        match self {
            Self::Personal(personal) => personal.id,
            Self::Chat(chat) => chat.id,
        }
    }

    /// The number of its first message that has not expired.
    pub fn first(&self) -> MessageNumber {
        match self {
            Self::Personal(personal) => personal.first,
            Self::Chat(chat) => chat.first,
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
    /// The change that creates a chat without members.
    pub fn new(after: Arc<Chat>) -> Self {
        Self {
            before: None,
            after,
            deleted: false,
            joined: Vec::new(),
            imported: None,
            departed: Vec::new(),
            altered: Vec::new(),
            banned: Vec::new(),
            unbanned: Vec::new(),
            pinned: None,
            unpinned: None,
            idempotency: None,
        }
    }

    pub fn is_creation(&self) -> bool {
        self.before.is_none()
    }

    fn kind(&self) -> ChangeKind {
        if self.is_creation() {
            return ChangeKind::ChatCreated;
        }
        if self.deleted {
            return ChangeKind::ChatDeleted;
        }
        match (
            self.joined.is_empty() && self.admitted().is_empty(),
            self.departed.is_empty(),
            self.altered.is_empty(),
        ) {
            (true, true, true) => ChangeKind::ChatChanged,
            (false, true, true) => ChangeKind::MemberAdded,
            (true, false, true) => ChangeKind::MemberRemoved,
            _ => ChangeKind::MembersChanged,
        }
    }

    /// Everybody who joins, leaves, or is another one now. The members of a deleted chat are not named.
    fn members(&self) -> Vec<&UserId> {
        if self.deleted {
            return Vec::new();
        }
        let members = [self.admitted(), &self.departed, &self.altered];
        let members = members.into_iter().flatten();
        let users = [&self.joined, &self.banned, &self.unbanned]
            .into_iter()
            .flatten();
        let named = members.map(|(user, _)| user).chain(users);
        let mut seen = BTreeSet::new();
        named.filter(|user| seen.insert(*user)).collect()
    }

    /// Who is to be a member once the chat is imported.
    pub fn importing(&self) -> &[(UserId, ImportingMember)] {
        let imported = self.imported.as_deref();
        imported.map_or(&[], |imported| imported.importing.as_slice())
    }

    /// Who is a member from now on since the chat is imported, as each is.
    pub fn admitted(&self) -> &[(UserId, Member)] {
        let imported = self.imported.as_deref();
        imported.map_or(&[], |imported| imported.admitted.as_slice())
    }

    /// The user who has created it; `None` is the application itself, which alone imports chats.
    pub fn creator(&self) -> Option<&UserId> {
        let owner = self.after.owner.as_ref();
        owner.filter(|_| self.after.import == Import::None)
    }

    /// Whether it has ended the import of the chat.
    pub fn ends_import(&self) -> bool {
        let before = self.before.as_ref();
        let was_running = before.is_some_and(|before| before.import.is_running());
        was_running && (self.deleted || !self.after.import.is_running())
    }

    /// The history that members read from now on, if the change makes it another one.
    pub fn new_history(&self) -> Option<History> {
        let history = self.after.rules.history;
        let before = self.before.as_ref();
        before
            .is_some_and(|before| before.rules.history != history)
            .then_some(history)
    }
}
