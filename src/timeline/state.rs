//! The present state of all that a batch names. It changes with each command that is decided.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use crate::domain::{
    ApplicationId, Change, Chat, ChatChange, ChatNumber, Conversation, Created, Digest,
    Idempotency, IdempotencyKey, Message, MessageChange, MessageId, Pair, PersonalConversation,
    Timestamp, UserId,
};

/// Everything that the batch's commands name. What is missing here does not exist.
#[derive(Debug, Default)]
pub struct BatchState {
    /// Applications that do not exist any more: a restore has lost them after their callers were
    /// authenticated.
    missing: HashSet<ApplicationId>,
    messages: HashMap<(ApplicationId, MessageId), Arc<Message>>,
    chats: HashMap<(ApplicationId, ChatNumber), Arc<Chat>>,
    personal: HashMap<(ApplicationId, Pair), Arc<PersonalConversation>>,
    /// Since when users are members.
    members: HashMap<(ApplicationId, ChatNumber, UserId), Timestamp>,
    /// All members of some chats, the longest membership first: of new chats, and of chats whose
    /// owner leaves.
    rosters: HashMap<(ApplicationId, ChatNumber), BTreeSet<(Timestamp, UserId)>>,
    /// The last number given to a chat of the application.
    last_chats: HashMap<ApplicationId, ChatNumber>,
    created: HashMap<KeyOwner, (Created, Digest)>,
}

type KeyOwner = (ApplicationId, Option<UserId>, IdempotencyKey);

impl BatchState {
    pub fn add_missing(&mut self, applications: HashSet<ApplicationId>) {
        self.missing.extend(applications);
    }

    pub fn is_missing(&self, application: ApplicationId) -> bool {
        self.missing.contains(&application)
    }

    pub fn add_message(&mut self, application: ApplicationId, message: Arc<Message>) {
        self.messages.insert((application, message.id), message);
    }

    pub fn add_chat(&mut self, application: ApplicationId, chat: Arc<Chat>) {
        self.chats.insert((application, chat.number), chat);
    }

    pub fn add_personal(
        &mut self,
        application: ApplicationId,
        conversation: Arc<PersonalConversation>,
    ) {
        let key = (application, conversation.pair.clone());
        self.personal.insert(key, conversation);
    }

    pub fn add_member(
        &mut self,
        application: ApplicationId,
        chat: ChatNumber,
        user: UserId,
        joined: Timestamp,
    ) {
        if let Some(roster) = self.rosters.get_mut(&(application, chat)) {
            roster.insert((joined, user.clone()));
        }
        self.members.insert((application, chat, user), joined);
    }

    /// Keeps all members of the chat in the order of their joining, from now on. The members must
    /// be added after this call.
    pub fn add_roster(&mut self, application: ApplicationId, chat: ChatNumber) {
        self.rosters.entry((application, chat)).or_default();
    }

    pub fn add_last_chat(&mut self, application: ApplicationId, last: ChatNumber) {
        self.last_chats.insert(application, last);
    }

    /// Adds what was created under a key. The caller adds the message or chat itself.
    pub fn add_key(
        &mut self,
        application: ApplicationId,
        creator: Option<UserId>,
        request: Idempotency,
        created: Created,
    ) {
        self.created.insert(
            (application, creator, request.key),
            (created, request.digest),
        );
    }

    pub fn message(&self, application: ApplicationId, id: MessageId) -> Option<&Arc<Message>> {
        self.messages.get(&(application, id))
    }

    pub fn messages(&self) -> impl Iterator<Item = (ApplicationId, &Message)> {
        self.messages
            .iter()
            .map(|(key, message)| (key.0, message.as_ref()))
    }

    pub fn chat(&self, application: ApplicationId, number: ChatNumber) -> Option<&Arc<Chat>> {
        self.chats.get(&(application, number))
    }

    /// The personal conversation of two users; `None` if it has no message yet.
    pub fn personal(
        &self,
        application: ApplicationId,
        pair: &Pair,
    ) -> Option<&Arc<PersonalConversation>> {
        self.personal.get(&(application, pair.clone()))
    }

    /// Since when the user is a member.
    pub fn member_since(
        &self,
        application: ApplicationId,
        chat: ChatNumber,
        user: &UserId,
    ) -> Option<Timestamp> {
        self.members
            .get(&(application, chat, user.clone()))
            .copied()
    }

    /// The user with the longest membership, apart from `except`.
    pub fn longest_member(
        &self,
        application: ApplicationId,
        chat: ChatNumber,
        except: &UserId,
    ) -> Option<&UserId> {
        let roster = self.rosters.get(&(application, chat))?;
        roster
            .iter()
            .map(|(_, user)| user)
            .find(|user| *user != except)
    }

    /// The number of the next chat of the application.
    pub fn next_chat(&self, application: ApplicationId) -> ChatNumber {
        ChatNumber::new(
            self.last_chats
                .get(&application)
                .map_or(0, |last| last.get())
                + 1,
        )
    }

    /// What `creator` has created under a key, and the digest of that request.
    pub fn created(
        &self,
        application: ApplicationId,
        creator: Option<&UserId>,
        key: &IdempotencyKey,
    ) -> Option<(Created, Digest)> {
        let owner = (application, creator.cloned(), key.clone());
        self.created.get(&owner).copied()
    }

    /// How many members a change in the chat concerns.
    pub fn member_count(&self, application: ApplicationId, chat: ChatNumber) -> usize {
        let chat = self.chat(application, chat);
        chat.map_or(0, |chat| usize::try_from(chat.members).unwrap_or_default())
    }

    /// Applies a change, so that the commands after it see it.
    pub fn apply(&mut self, application: ApplicationId, change: &Change) {
        match change {
            Change::Message(change) => self.apply_to_message(application, change),
            Change::Chat(change) => self.apply_to_chat(application, change),
            Change::Positions(change) => {
                self.add_personal(application, Arc::clone(&change.after));
            }
        }
        if let Some((creator, request, created)) = change.idempotency() {
            self.add_key(application, creator.cloned(), request.clone(), created);
        }
    }

    fn apply_to_message(&mut self, application: ApplicationId, change: &MessageChange) {
        if let Some(created) = &change.new_conversation {
            self.add_personal(application, Arc::clone(created));
        } else if change.is_creation() {
            self.count(application, &change.after);
        }
        self.add_message(application, Arc::clone(&change.after));
    }

    /// Counts a new message in its conversation.
    fn count(&mut self, application: ApplicationId, message: &Message) {
        match &message.conversation {
            Conversation::Chat(chat) => {
                if let Some(chat) = self.chats.get_mut(&(application, *chat)) {
                    Arc::make_mut(chat).messages = message.number;
                }
            }
            Conversation::Personal(pair) => {
                if let Some(personal) = self.personal.get_mut(&(application, pair.clone())) {
                    Arc::make_mut(personal).messages = message.number;
                }
            }
        }
    }

    fn apply_to_chat(&mut self, application: ApplicationId, change: &ChatChange) {
        let chat = &change.after;
        if change.is_creation() {
            self.add_last_chat(application, chat.number);
            self.add_roster(application, chat.number);
        }
        for user in &change.joined {
            self.add_member(application, chat.number, user.clone(), chat.timestamp);
        }
        if let Some((user, joined)) = &change.departed {
            self.members
                .remove(&(application, chat.number, user.clone()));
            if let Some(roster) = self.rosters.get_mut(&(application, chat.number)) {
                roster.remove(&(*joined, user.clone()));
            }
        }
        self.add_chat(application, Arc::clone(chat));
    }
}
