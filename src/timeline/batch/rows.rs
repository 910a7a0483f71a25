//! The rows and events that follow from the changes of a batch.

use std::collections::BTreeMap;

use super::BatchChanges;
use crate::{
    domain::{ApplicationId, Change, Chat, ChatChange, ChatNumber, MessageChange, Timestamp},
    store::{
        batch::MessageToStore,
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

    /// The updates of changes of personal messages, one for each user of the conversation.
    pub(super) fn personal_updates(&self) -> Vec<NewUpdate<'_>> {
        let updates = self.message_changes().flat_map(|(application, change)| {
            let pair = change.after.conversation.pair().into_iter();
            pair.flat_map(|pair| pair.users())
                .map(move |user| NewUpdate {
                    application,
                    user,
                    timestamp: change.after.timestamp,
                    message: change.after.id,
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
                Change::Chat(_) => None,
            })
    }

    fn chat_changes(&self) -> impl Iterator<Item = (ApplicationId, &ChatChange)> {
        self.changes
            .iter()
            .filter_map(|(application, change)| match change {
                Change::Chat(change) => Some((*application, change)),
                Change::Message(_) => None,
            })
    }
}
