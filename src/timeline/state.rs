//! The present state of all that a batch of an application names. It changes with each command that
//! is decided, and is kept for the next batch.

mod apply;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use time::OffsetDateTime;

use super::recent::{self, Recent};
use crate::domain::{
    Chat, ChatNumber, ConversationId, Created, Digest, Erasure, Idempotency, IdempotencyKey,
    ImportedMessage, ImportingMember, Member, Message, MessageId, Pair, PersonalConversation,
    Policy, ReactionKey, Reactions, Report, Restrictions, Role, Settings, Timestamp, Title, UserId,
};

/// Beyond so many bytes, what was not used recently is forgotten: of messages, and of each of the
/// other kinds of entries.
const MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;
const ENTRY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The most bytes of a state between two batches: a young half up to its limit, and an old one up to
/// twice as much.
pub const STATE_BYTES_MAX: usize = 3 * (MESSAGE_BYTES_MAX + 4 * ENTRY_BYTES_MAX);

/// The bytes that an entry takes besides a message's data: some 14,000 conversations are a half.
const ENTRY_BYTES: usize = 300;

/// Everything that the batch's commands name, and what the batches before have left. Once all that a
/// command names is loaded, what is missing here does not exist.
#[derive(Debug)]
pub struct BatchState {
    /// The application, if it is known. A restore may have lost it after its callers were
    /// authenticated.
    application: Option<Option<PresentApplication>>,
    /// What the application forbids users, where it may forbid them something.
    restrictions: Recent<UserId, Restrictions>,
    messages: Recent<MessageId, Arc<Message>>,
    chats: Recent<ChatNumber, Arc<Chat>>,
    personal: Recent<Pair, Arc<PersonalConversation>>,
    members: Recent<(ChatNumber, UserId), Member>,
    /// All members of some chats, the highest role and the longest membership first: of new chats, and
    /// of chats that are deleted or whose owner leaves. Not kept.
    rosters: HashMap<ChatNumber, BTreeSet<(Reverse<Role>, Timestamp, UserId)>>,
    /// Who is kept from joining, where somebody is to join. Not kept.
    bans: HashSet<(ChatNumber, UserId)>,
    /// The last number given to a chat of the application, if it is known.
    last_chat: Option<ChatNumber>,
    /// What was created under keys. Not kept.
    created: HashMap<KeyOwner, (Created, Digest)>,
    /// What was imported into conversations under keys. Not kept.
    imported: HashMap<(ConversationId, IdempotencyKey), (ImportedMessage, Digest)>,
    /// Who is to be a member of chats that are being imported. Not kept.
    importing: HashMap<ChatNumber, Vec<(UserId, ImportingMember)>>,
    /// What users have set for conversations. Not kept.
    settings: HashMap<(UserId, ConversationId), Settings>,
    /// The reactions to messages, counted; and the keys with which users have reacted. Not kept.
    reactions: HashMap<MessageId, Reactions>,
    reacted: HashMap<(MessageId, UserId), BTreeSet<ReactionKey>>,
    /// The messages to which this batch has changed the reactions, and when. Not those of a chat whose
    /// members have changed since: who joins has no update of what was before.
    reactions_changed: HashMap<MessageId, (ConversationId, Timestamp)>,
    /// What is pinned in chats, where somebody is to pin. Not kept.
    pins: HashMap<ChatNumber, BTreeSet<MessageId>>,
    /// What users have reported. Not kept.
    reports: HashMap<(MessageId, UserId), Arc<Report>>,
    /// The conversations in which this batch has moved positions, and when.
    moved: HashMap<ConversationId, Timestamp>,
}

/// An application, as commands see it.
#[derive(Debug, Clone)]
pub struct PresentApplication {
    pub name: Title,
    pub policy: Policy,
    /// None of its users is suspended for longer.
    pub suspensions_end: Option<OffsetDateTime>,
    /// Those of its users who are being erased.
    pub erasures: HashMap<UserId, Arc<Erasure>>,
    /// No message with a larger id has expired.
    pub expired: MessageId,
}

type KeyOwner = (Option<UserId>, IdempotencyKey);

/// What is not kept any more. Dropping it takes some time.
pub type Forgotten = (
    Option<recent::Forgotten<MessageId, Arc<Message>>>,
    Option<recent::Forgotten<ChatNumber, Arc<Chat>>>,
    Option<recent::Forgotten<Pair, Arc<PersonalConversation>>>,
    Option<recent::Forgotten<(ChatNumber, UserId), Member>>,
    Option<recent::Forgotten<UserId, Restrictions>>,
);

impl Default for BatchState {
    fn default() -> Self {
        Self {
            application: None,
            restrictions: Recent::new(|_| ENTRY_BYTES),
            messages: Recent::new(|message: &Arc<Message>| ENTRY_BYTES + message.data_bytes()),
            chats: Recent::new(|chat: &Arc<Chat>| {
                let attributes = chat.attributes.as_ref();
                ENTRY_BYTES + attributes.map_or(0, |attributes| attributes.as_json().get().len())
            }),
            personal: Recent::new(|_| ENTRY_BYTES),
            members: Recent::new(|_| ENTRY_BYTES),
            rosters: HashMap::new(),
            bans: HashSet::new(),
            last_chat: None,
            created: HashMap::new(),
            imported: HashMap::new(),
            importing: HashMap::new(),
            settings: HashMap::new(),
            reactions: HashMap::new(),
            reacted: HashMap::new(),
            reactions_changed: HashMap::new(),
            pins: HashMap::new(),
            reports: HashMap::new(),
            moved: HashMap::new(),
        }
    }
}

impl BatchState {
    /// What it takes in memory, in bytes.
    pub fn bytes(&self) -> usize {
        let of_chats = self.chats.bytes() + self.members.bytes();
        self.messages.bytes() + self.personal.bytes() + of_chats + self.restrictions.bytes()
    }

    /// Leaves what the next batch may use. Returns what is forgotten.
    pub fn end_batch(&mut self) -> Forgotten {
        self.rosters.clear();
        self.bans.clear();
        self.created.clear();
        self.imported.clear();
        self.importing.clear();
        self.settings.clear();
        self.reactions.clear();
        self.reacted.clear();
        self.reactions_changed.clear();
        self.pins.clear();
        self.reports.clear();
        self.moved.clear();
        (
            self.messages.rotate(MESSAGE_BYTES_MAX),
            self.chats.rotate(ENTRY_BYTES_MAX),
            self.personal.rotate(ENTRY_BYTES_MAX),
            self.members.rotate(ENTRY_BYTES_MAX),
            self.restrictions.rotate(ENTRY_BYTES_MAX),
        )
    }

    pub fn set_application(&mut self, application: Option<PresentApplication>) {
        self.application = Some(application);
    }

    /// The application, if it is known to exist.
    pub fn application(&self) -> Option<&PresentApplication> {
        self.application.as_ref()?.as_ref()
    }

    /// Whether the application is known not to exist.
    pub fn is_application_missing(&self) -> bool {
        matches!(self.application, Some(None))
    }

    /// The erasure of the user, while it lasts.
    pub fn erasure(&self, user: &UserId) -> Option<&Arc<Erasure>> {
        self.application()?.erasures.get(user)
    }

    /// Whether users of the application are being erased.
    pub fn is_erasing(&self) -> bool {
        self.application()
            .is_some_and(|application| !application.erasures.is_empty())
    }

    /// Whether a message with this id or a larger one has expired, in whatever conversation.
    pub fn has_expired_up_to(&self, id: MessageId) -> bool {
        let application = self.application();
        application.is_some_and(|application| id <= application.expired)
    }

    pub fn policy(&self) -> Policy {
        self.application()
            .map(|application| application.policy)
            .unwrap_or_default()
    }

    /// Whether a user of the application may be suspended at `now`.
    pub fn suspends(&self, now: OffsetDateTime) -> bool {
        let end = self
            .application()
            .and_then(|application| application.suspensions_end);
        end.is_some_and(|end| end > now)
    }

    /// Whether the message is known, and so need not be loaded. So do the next four.
    pub fn recall_message(&mut self, id: MessageId) -> bool {
        self.messages.recall(&id)
    }

    pub fn recall_chat(&mut self, number: ChatNumber) -> bool {
        self.chats.recall(&number)
    }

    pub fn recall_personal(&mut self, pair: &Pair) -> bool {
        self.personal.recall(pair)
    }

    pub fn recall_member(&mut self, chat: ChatNumber, user: &UserId) -> bool {
        self.members.recall(&(chat, user.clone()))
    }

    pub fn recall_restrictions(&mut self, user: &UserId) -> bool {
        self.restrictions.recall(user)
    }

    pub fn add_restrictions(&mut self, user: UserId, restrictions: Restrictions) {
        self.restrictions.insert(user, restrictions);
    }

    pub fn add_ban(&mut self, chat: ChatNumber, user: UserId) {
        self.bans.insert((chat, user));
    }

    pub fn add_message(&mut self, message: Arc<Message>) {
        self.messages.insert(message.id, message);
    }

    pub fn add_chat(&mut self, chat: Arc<Chat>) {
        self.chats.insert(chat.number, chat);
    }

    pub fn add_personal(&mut self, conversation: Arc<PersonalConversation>) {
        self.personal
            .insert(conversation.pair.clone(), conversation);
    }

    pub fn add_member(&mut self, chat: ChatNumber, user: UserId, member: Member) {
        self.leave_roster(chat, &user);
        if let Some(roster) = self.rosters.get_mut(&chat) {
            roster.insert((Reverse(member.role), member.joined, user.clone()));
        }
        self.members.insert((chat, user), member);
    }

    fn leave_roster(&mut self, chat: ChatNumber, user: &UserId) {
        if let Some(roster) = self.rosters.get_mut(&chat)
            && let Some(before) = self.members.get(&(chat, user.clone()))
        {
            roster.remove(&(Reverse(before.role), before.joined, user.clone()));
        }
    }

    /// Keeps all members of the chat in their order, from now on. The members must
    /// be added after this call.
    pub fn add_roster(&mut self, chat: ChatNumber) {
        self.rosters.entry(chat).or_default();
    }

    pub fn add_report(&mut self, report: Arc<Report>) {
        let key = (report.message, report.reporter.clone());
        self.reports.insert(key, report);
    }

    pub fn add_settings(&mut self, user: UserId, conversation: ConversationId, settings: Settings) {
        self.settings.insert((user, conversation), settings);
    }

    pub fn add_reactions(&mut self, message: MessageId, reactions: Reactions) {
        self.reactions.insert(message, reactions);
    }

    pub fn add_reacted(&mut self, message: MessageId, user: UserId, key: ReactionKey) {
        self.reacted.entry((message, user)).or_default().insert(key);
    }

    /// Keeps what is pinned in the chat, from now on. The pins must be added after this call.
    pub fn add_pins(&mut self, chat: ChatNumber) -> &mut BTreeSet<MessageId> {
        self.pins.entry(chat).or_default()
    }

    pub fn set_last_chat(&mut self, last: ChatNumber) {
        self.last_chat = Some(last);
    }

    /// Adds what was created under a key. The caller adds the message or chat itself.
    pub fn add_key(&mut self, creator: Option<UserId>, request: Idempotency, created: Created) {
        self.created
            .insert((creator, request.key), (created, request.digest));
    }

    /// Adds what was imported into a conversation under a key.
    pub fn add_imported(
        &mut self,
        conversation: ConversationId,
        line: Idempotency,
        message: ImportedMessage,
    ) {
        self.imported
            .insert((conversation, line.key), (message, line.digest));
    }

    /// Keeps who is to be a member of the chat once it is imported, from now on. They must be added after
    /// this call.
    pub fn add_importing(&mut self, chat: ChatNumber) -> &mut Vec<(UserId, ImportingMember)> {
        self.importing.entry(chat).or_default()
    }

    pub fn message(&self, id: MessageId) -> Option<&Arc<Message>> {
        self.messages.get(&id)
    }

    pub fn chat(&self, number: ChatNumber) -> Option<&Arc<Chat>> {
        self.chats.get(&number)
    }

    /// The personal conversation of two users; `None` if it has no message, and nobody has set
    /// anything for it.
    pub fn personal(&self, pair: &Pair) -> Option<&Arc<PersonalConversation>> {
        self.personal.get(pair)
    }

    /// As above; if one of the users is being erased, also where the pseudonym has its place already.
    pub fn personal_by_either_name(&self, pair: &Pair) -> Option<&Arc<PersonalConversation>> {
        let renamed = || self.personal(&self.renamed(pair)?);
        self.personal(pair).or_else(renamed)
    }

    /// The pair with the pseudonym in place of a user who is being erased, if one of them is.
    pub fn renamed(&self, pair: &Pair) -> Option<Pair> {
        let erasure = pair.users().find_map(|user| self.erasure(user))?;
        Some(erasure.renamed(pair))
    }

    /// The user's membership, if it is a member.
    pub fn member(&self, chat: ChatNumber, user: &UserId) -> Option<Member> {
        self.members.get(&(chat, user.clone())).copied()
    }

    /// What the user has set; `None` where nothing was ever set.
    pub fn settings(&self, user: &UserId, conversation: ConversationId) -> Option<&Settings> {
        self.settings.get(&(user.clone(), conversation))
    }

    /// The reactions to the message; `None` where there never was one.
    pub fn reactions(&self, message: MessageId) -> Option<&Reactions> {
        self.reactions.get(&message)
    }

    /// The keys with which the user has reacted to the message.
    pub fn reacted(&self, message: MessageId, user: &UserId) -> Option<&BTreeSet<ReactionKey>> {
        self.reacted.get(&(message, user.clone()))
    }

    /// The change by which this batch has changed the reactions to the message.
    pub fn reactions_changed(&self, message: MessageId) -> Option<Timestamp> {
        let (_, timestamp) = self.reactions_changed.get(&message)?;
        Some(*timestamp)
    }

    /// The messages that are pinned in the chat.
    pub fn pins(&self, chat: ChatNumber) -> Option<&BTreeSet<MessageId>> {
        self.pins.get(&chat)
    }

    /// The user's report of the message.
    pub fn report(&self, message: MessageId, reporter: &UserId) -> Option<&Arc<Report>> {
        self.reports.get(&(message, reporter.clone()))
    }

    /// The change by which this batch has moved positions in the conversation.
    pub fn positions_moved(&self, conversation: ConversationId) -> Option<Timestamp> {
        self.moved.get(&conversation).copied()
    }

    /// The user with the longest membership of those with the highest role, apart from those who are
    /// `leaving`.
    pub fn successor(&self, chat: ChatNumber, leaving: &BTreeSet<&UserId>) -> Option<&UserId> {
        let roster = self.rosters.get(&chat)?;
        let mut users = roster.iter().map(|(_, _, user)| user);
        users.find(|user| !leaving.contains(user))
    }

    /// All members of a chat, which must have been loaded.
    pub fn all_members(&self, chat: ChatNumber) -> Vec<(UserId, Member)> {
        let roster = self.rosters.get(&chat).into_iter().flatten();
        let members =
            roster.filter_map(|(_, _, user)| Some((user.clone(), self.member(chat, user)?)));
        members.collect()
    }

    /// Whether the user is kept from joining the chat.
    pub fn is_banned(&self, chat: ChatNumber, user: &UserId) -> bool {
        self.bans.contains(&(chat, user.clone()))
    }

    /// What the application forbids the user.
    pub fn restrictions(&self, user: &UserId) -> Restrictions {
        self.restrictions.get(user).copied().unwrap_or_default()
    }

    /// Until when the application has suspended the user; a time that is over does not count.
    pub fn suspended_until(&self, user: &UserId) -> Option<OffsetDateTime> {
        self.restrictions(user).suspended_until
    }

    pub fn knows_last_chat(&self) -> bool {
        self.last_chat.is_some()
    }

    /// The number of the next chat of the application.
    pub fn next_chat(&self) -> ChatNumber {
        ChatNumber::new(self.last_chat.map_or(0, ChatNumber::get) + 1)
    }

    /// What `creator` has created under a key, and the digest of that request.
    pub fn created(
        &self,
        creator: Option<&UserId>,
        key: &IdempotencyKey,
    ) -> Option<(Created, Digest)> {
        let owner = (creator.cloned(), key.clone());
        self.created.get(&owner).copied()
    }

    /// What was imported into the conversation under a key, and the digest of that line.
    pub fn imported(
        &self,
        conversation: ConversationId,
        key: &IdempotencyKey,
    ) -> Option<(ImportedMessage, Digest)> {
        self.imported.get(&(conversation, key.clone())).copied()
    }

    /// Who is to be a member of the chat once it is imported.
    pub fn importing_members(&self, chat: ChatNumber) -> &[(UserId, ImportingMember)] {
        self.importing.get(&chat).map_or(&[], Vec::as_slice)
    }

    /// How many members a change in the chat concerns. While it is imported, these are those who are to be members.
    pub fn member_count(&self, number: ChatNumber) -> usize {
        let members = self.chat(number).map_or(0, |chat| chat.members);
        usize::try_from(members).unwrap_or_default() + self.importing_members(number).len()
    }
}
