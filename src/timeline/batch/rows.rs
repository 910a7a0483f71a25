//! The rows and events that follow from the changes of a batch.

use std::collections::BTreeMap;

use super::BatchChanges;
use crate::{
    domain::{
        ApplicationId, Change, Chat, ChatChange, ChatNumber, MessageChange, Pair, Timestamp, Update,
    },
    store::{
        batch::{MessageToStore, PersonalToStore},
        chats::NewChatRow,
        members::Membership,
        outbox::NewEvents,
        updates::{ChatUpdate, NewUpdate},
    },
};

impl BatchChanges {
    /// Each message that the batch changes, as the batch leaves it.
    pub(super) fn messages(&self) -> Vec<MessageToStore<'_>> {
        let mut messages = BTreeMap::new();
        for (application, change) in self.message_changes() {
            let message =
                messages
                    .entry((application, change.after.id))
                    .or_insert(MessageToStore {
                        application,
                        message: &change.after,
                        is_new: change.is_creation(),
                        idempotency: change.idempotency.as_ref(),
                        changes_text: false,
                    });
            message.message = &change.after;
            message.changes_text |= change.changes_text();
        }
        messages.into_values().collect()
    }

    /// Each chat that the batch changes, as the batch leaves it.
    pub(super) fn chats(&self) -> BTreeMap<(ApplicationId, ChatNumber), &Chat> {
        let changes = self.chat_changes();
        changes
            .map(|(application, change)| ((application, change.after.number), &*change.after))
            .collect()
    }

    pub(super) fn new_chats<'a>(
        &'a self,
        chats: &BTreeMap<(ApplicationId, ChatNumber), &'a Chat>,
    ) -> impl Iterator<Item = NewChatRow<'a>> {
        let creations = self
            .chat_changes()
            .filter(|(_, change)| change.is_creation());
        creations.map(|(application, change)| NewChatRow {
            application,
            chat: chats[&(application, change.after.number)],
            creator: change.after.owner.as_ref(),
            idempotency: change.idempotency.as_ref(),
        })
    }

    pub(super) fn joined(&self) -> impl Iterator<Item = Membership> {
        self.chat_changes().flat_map(|(application, change)| {
            change.joined.iter().map(move |user| Membership {
                application,
                chat: change.after.number,
                user: user.clone(),
                joined: change.after.timestamp,
            })
        })
    }

    /// The memberships that the batch ends, with the timestamps of their ends.
    pub(super) fn departed(&self) -> Vec<(Membership, Timestamp)> {
        let departed = self.chat_changes().filter_map(|(application, change)| {
            let (user, joined) = change.departed.clone()?;
            let chat = change.after.number;
            let membership = Membership {
                application,
                chat,
                user,
                joined,
            };
            Some((membership, change.after.timestamp))
        });
        departed.collect()
    }

    /// Each personal conversation that the batch creates or whose positions it moves, as the batch
    /// leaves it.
    pub(super) fn personal_conversations(&self) -> Vec<PersonalToStore<'_>> {
        let mut conversations = BTreeMap::new();
        for (application, change) in &self.changes {
            let (after, is_new) = match change {
                Change::Message(change) => (change.new_conversation.as_ref(), true),
                Change::Positions(change) => (Some(&change.after), false),
                Change::Chat(_) => (None, false),
            };
            let Some(after) = after else { continue };
            let stored = conversations
                .entry((*application, after.id))
                .or_insert(PersonalToStore {
                    application: *application,
                    conversation: after,
                    is_new,
                });
            stored.conversation = after;
        }
        conversations.into_values().collect()
    }

    /// The updates of personal messages and conversations, one for each user of the conversation.
    pub(super) fn personal_updates(&self) -> Vec<NewUpdate<'_>> {
        let updates = self.changes.iter().flat_map(|(application, change)| {
            let users = change.pair().into_iter().flat_map(Pair::users);
            users.map(|user| NewUpdate {
                application: *application,
                user,
                update: Update {
                    timestamp: change.timestamp(),
                    subject: change.subject(user),
                },
            })
        });
        updates.collect()
    }

    /// The changes in chats. Each concerns the members of its chat.
    pub(super) fn chat_updates(&self) -> impl Iterator<Item = ChatUpdate> {
        self.changes.iter().filter_map(|(application, change)| {
            let (chat, message) = match change {
                Change::Message(change) => {
                    (change.after.conversation.chat()?, Some(change.after.id))
                }
                Change::Chat(change) => (change.after.number, None),
                Change::Positions(_) => return None,
            };
            Some(ChatUpdate {
                application: *application,
                chat,
                timestamp: change.timestamp(),
                message,
            })
        })
    }

    pub(super) fn events(&self) -> impl Iterator<Item = NewEvents> {
        self.message_changes().filter_map(|(application, change)| {
            let files = change.file_uses();
            (!files.is_empty()).then_some(NewEvents {
                application,
                timestamp: change.after.timestamp,
                created: self.next.now,
                files,
            })
        })
    }

    fn message_changes(&self) -> impl Iterator<Item = (ApplicationId, &MessageChange)> {
        self.changes
            .iter()
            .filter_map(|(application, change)| match change {
                Change::Message(change) => Some((*application, change)),
                Change::Chat(_) | Change::Positions(_) => None,
            })
    }

    fn chat_changes(&self) -> impl Iterator<Item = (ApplicationId, &ChatChange)> {
        self.changes
            .iter()
            .filter_map(|(application, change)| match change {
                Change::Chat(change) => Some((*application, change)),
                Change::Message(_) | Change::Positions(_) => None,
            })
    }
}
