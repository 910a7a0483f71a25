//! The present state of all that a batch names, carried along as the batch is decided.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::{Change, ChatChange, Creation, MessageChange};
use crate::{
    domain::{
        ApplicationId, Chat, ChatNumber, Digest, IdempotencyKey, Message, MessageId, Timestamp,
        UserId,
    },
    store::keys::Named,
    timeline::command::{Command, Idempotency, Subject},
};

/// What is not in it does not exist, as far as the batch's commands name it.
#[derive(Debug, Default)]
pub struct State {
    /// Applications that do not exist: a restore has lost them since their callers were let in.
    missing: HashSet<ApplicationId>,
    messages: HashMap<(ApplicationId, MessageId), Arc<Message>>,
    chats: HashMap<(ApplicationId, ChatNumber), Arc<Chat>>,
    /// Since when users are members.
    members: HashMap<(ApplicationId, ChatNumber, UserId), Timestamp>,
    /// All members by the length of their membership, of chats that somebody leaves.
    rosters: HashMap<(ApplicationId, ChatNumber), BTreeSet<(Timestamp, UserId)>>,
    /// The last number given to a chat of the application.
    last_chats: HashMap<ApplicationId, ChatNumber>,
    keys: HashMap<KeyOwner, (Named, Digest)>,
}

type KeyOwner = (ApplicationId, Option<UserId>, IdempotencyKey);

impl State {
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

    /// From now on the chat's members are all known; those are to be added.
    pub fn add_roster(&mut self, application: ApplicationId, chat: ChatNumber) {
        self.rosters.entry((application, chat)).or_default();
    }

    pub fn add_last_chat(&mut self, application: ApplicationId, last: ChatNumber) {
        self.last_chats.insert(application, last);
    }

    /// Makes a key known; what it stands for is added by itself.
    pub fn add_key(
        &mut self,
        application: ApplicationId,
        creator: Option<UserId>,
        known: Idempotency,
        named: Named,
    ) {
        self.keys
            .insert((application, creator, known.key), (named, known.digest));
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

    /// The member who has been there longest, leaving one aside.
    pub fn longest_member(
        &self,
        application: ApplicationId,
        chat: ChatNumber,
        aside: &UserId,
    ) -> Option<&UserId> {
        let roster = self.rosters.get(&(application, chat))?;
        roster
            .iter()
            .map(|(_, user)| user)
            .find(|user| *user != aside)
    }

    /// The number of the next chat of the application.
    pub fn next_chat(&self, application: ApplicationId) -> ChatNumber {
        ChatNumber(self.last_chats.get(&application).map_or(0, |last| last.0) + 1)
    }

    /// What a key of the command's caller stands for, as it is now.
    pub fn key(&self, command: &Command, key: &IdempotencyKey) -> Option<(Subject, Digest)> {
        let owner = (command.application, command.caller.clone(), key.clone());
        let (named, digest) = *self.keys.get(&owner)?;
        let subject = match named {
            Named::Message(id) => {
                Subject::Message(Arc::clone(self.message(command.application, id)?))
            }
            Named::Chat(number) => {
                Subject::Chat(Arc::clone(self.chat(command.application, number)?))
            }
        };
        Some((subject, digest))
    }

    /// How many members of a chat are told of the command's change.
    pub fn members_told(&self, command: &Command) -> usize {
        let message = command
            .touches()
            .and_then(|id| self.message(command.application, id));
        let chat = command.chat().or_else(|| message?.chat());
        let chat = chat.and_then(|chat| self.chat(command.application, chat));
        chat.map_or(0, |chat| usize::try_from(chat.members).unwrap_or_default())
    }

    /// Lets the commands that follow see a change.
    pub fn apply(&mut self, application: ApplicationId, change: &Change) {
        match change {
            Change::Message(change) => self.apply_to_message(application, change),
            Change::Chat(change) => self.apply_to_chat(application, change),
        }
        let (Change::Message(MessageChange { created, .. })
        | Change::Chat(ChatChange { created, .. })) = change;
        if let Some(Creation {
            creator,
            idempotency: Some(known),
        }) = created
        {
            let named = match change {
                Change::Message(change) => Named::Message(change.message.id),
                Change::Chat(change) => Named::Chat(change.chat.number),
            };
            self.add_key(application, creator.clone(), known.clone(), named);
        }
    }

    fn apply_to_message(&mut self, application: ApplicationId, change: &MessageChange) {
        if let Some(chat) = &change.numbered_by {
            self.add_chat(application, Arc::clone(chat));
        }
        self.add_message(application, Arc::clone(&change.message));
    }

    fn apply_to_chat(&mut self, application: ApplicationId, change: &ChatChange) {
        let chat = &change.chat;
        if change.created.is_some() {
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
