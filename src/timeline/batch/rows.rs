//! The rows that follow from the changes of a batch.

use std::collections::BTreeMap;

use super::BatchChanges;
use crate::{
    domain::{
        Change, Chat, ChatChange, ChatNumber, Message, MessageChange, Pair, Timestamp, Update,
    },
    store::{
        batch::{AmendedConversation, ChangeRow, NewMessageRow},
        chats::NewChatRow,
        members::Membership,
        updates::{ChatUpdate, NewUpdate},
    },
};

impl BatchChanges {
    /// The changes, as the timeline keeps them.
    pub(super) fn log(&self) -> Vec<ChangeRow<'_>> {
        let log = self.changes.iter().map(|made| ChangeRow {
            timestamp: made.change.timestamp(),
            kind: made.change.kind(),
            message: made.change.message(),
            conversation: made.change.conversation(),
            actor: made.actor.as_ref(),
            files: made.change.files(),
        });
        log.collect()
    }

    /// Whether a change begins or ends the use of a file.
    pub(super) fn uses_files(&self) -> bool {
        self.changes().any(|change| !change.files().is_empty())
    }

    /// The messages that the batch creates, and those that it only amends, as the batch leaves them.
    pub(super) fn messages(&self) -> (Vec<NewMessageRow<'_>>, Vec<&Message>) {
        let (mut created, mut amended) = (BTreeMap::new(), BTreeMap::new());
        for change in self.message_changes() {
            let message = &*change.after;
            let idempotency = change.idempotency.as_ref();
            if change.is_creation() {
                created.insert(
                    message.id,
                    NewMessageRow {
                        message,
                        idempotency,
                    },
                );
            } else if let Some(row) = created.get_mut(&message.id) {
                row.message = message;
            } else {
                amended.insert(message.id, message);
            }
        }
        (
            created.into_values().collect(),
            amended.into_values().collect(),
        )
    }

    /// Each chat that the batch changes, as the batch leaves it.
    pub(super) fn chats(&self) -> BTreeMap<ChatNumber, &Chat> {
        let changes = self.chat_changes();
        changes
            .map(|change| (change.after.number, &*change.after))
            .collect()
    }

    pub(super) fn new_chats<'a>(
        &'a self,
        chats: &BTreeMap<ChatNumber, &'a Chat>,
    ) -> impl Iterator<Item = NewChatRow<'a>> {
        let creations = self.chat_changes().filter(|change| change.is_creation());
        creations.map(|change| NewChatRow {
            chat: chats[&change.after.number],
            creator: change.after.owner.as_ref(),
            idempotency: change.idempotency.as_ref(),
        })
    }

    pub(super) fn joined(&self) -> impl Iterator<Item = Membership> {
        self.chat_changes().flat_map(|change| {
            change.joined.iter().map(|user| Membership {
                chat: change.after.number,
                user: user.clone(),
                joined: change.after.timestamp,
            })
        })
    }

    /// The memberships that the batch ends, with the timestamps of their ends.
    pub(super) fn departed(&self) -> Vec<(Membership, Timestamp)> {
        let departed = self.chat_changes().filter_map(|change| {
            let (user, joined) = change.departed.clone()?;
            let chat = change.after.number;
            Some((Membership { chat, user, joined }, change.after.timestamp))
        });
        departed.collect()
    }

    /// Each personal conversation that the batch creates or whose positions it moves, as the batch
    /// leaves it.
    pub(super) fn personal_conversations(&self) -> Vec<AmendedConversation<'_>> {
        let mut conversations = BTreeMap::new();
        for change in self.changes() {
            let (after, is_new) = match change {
                Change::Message(change) => (change.new_conversation.as_ref(), true),
                Change::Positions(change) => (Some(&change.after), false),
                Change::Chat(_) => (None, false),
            };
            let Some(after) = after else { continue };
            let stored = conversations
                .entry(after.id)
                .or_insert(AmendedConversation {
                    conversation: after,
                    is_new,
                });
            stored.conversation = after;
        }
        conversations.into_values().collect()
    }

    /// The updates of personal messages and conversations, one for each user of the conversation.
    pub(super) fn personal_updates(&self) -> Vec<NewUpdate<'_>> {
        let updates = self.changes().flat_map(|change| {
            let users = change.pair().into_iter().flat_map(Pair::users);
            users.map(|user| NewUpdate {
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
        self.changes().filter_map(|change| {
            let chat = match change {
                Change::Message(change) => change.after.conversation.chat()?,
                Change::Chat(change) => change.after.number,
                Change::Positions(_) => return None,
            };
            Some(ChatUpdate {
                chat,
                timestamp: change.timestamp(),
                message: change.message(),
            })
        })
    }

    fn changes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().map(|made| &made.change)
    }

    fn message_changes(&self) -> impl Iterator<Item = &MessageChange> {
        self.changes().filter_map(|change| match change {
            Change::Message(change) => Some(change),
            Change::Chat(_) | Change::Positions(_) => None,
        })
    }

    fn chat_changes(&self) -> impl Iterator<Item = &ChatChange> {
        self.changes().filter_map(|change| match change {
            Change::Chat(change) => Some(change),
            Change::Message(_) | Change::Positions(_) => None,
        })
    }
}
