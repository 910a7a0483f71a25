//! The rows that follow from the changes of a batch.

use std::collections::{BTreeMap, BTreeSet};

use super::BatchChanges;
use crate::{
    domain::{
        ApplicationChange, Change, ChatChange, ClearingChange, ConversationId, ErasureChange,
        Expiring, Marked, Message, MessageChange, MessageId, MessageNumber, Pair,
        PersonalConversation, PositionsChange, ReactionsChange, RenamingChange, Subject, Timestamp,
        Update, UserId,
    },
    store::{
        batch::{ChangeRow, NewMessageRow},
        messages::RenamedMessage,
        personal::RenamedConversation,
        updates::NewUpdate,
    },
};

impl BatchChanges {
    /// The changes, as the timeline keeps them.
    pub(super) fn log(&self) -> Vec<ChangeRow<'_>> {
        let mut users: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for change in self.changes() {
            if let Change::Positions(PositionsChange {
                timestamp, user, ..
            })
            | Change::Reactions(ReactionsChange {
                timestamp, user, ..
            }) = change
            {
                users.entry(*timestamp).or_default().insert(user);
            }
        }
        let made = self.changes.iter().filter(|made| !made.is_folded);
        let log = made.map(|made| {
            let (change, actor) = (&made.change, made.actor.as_ref());
            let users = users.remove(&change.timestamp());
            ChangeRow {
                timestamp: change.timestamp(),
                kind: change.kind(),
                message: change.message(),
                conversation: change.conversation(),
                actor,
                place: change.place(actor),
                number: change.number(),
                members: users
                    .map_or_else(|| change.members(), |users| users.into_iter().collect()),
                files: change.files(),
            }
        });
        log.collect()
    }

    /// Whether a change begins or ends the use of a file.
    pub(super) fn uses_files(&self) -> bool {
        self.changes().any(|change| !change.files().is_empty())
    }

    /// The messages that the batch creates, and those that it only changes, as the batch
    /// leaves them.
    pub(super) fn messages(&self) -> (Vec<NewMessageRow<'_>>, Vec<&Message>) {
        let (mut created, mut changed) = (BTreeMap::new(), BTreeMap::new());
        for change in self.message_changes() {
            let message = &*change.after;
            let idempotency = change.idempotency.as_ref();
            let line = change.imported.as_deref().map(|imported| &imported.line);
            if change.is_creation() {
                created.insert(
                    message.id,
                    NewMessageRow {
                        message,
                        sent: message.timestamp,
                        recipient_newest: change.recipient_newest,
                        idempotency,
                        line,
                    },
                );
            } else if let Some(row) = created.get_mut(&message.id) {
                row.message = message;
            } else {
                changed.insert(message.id, message);
            }
        }
        for emptied in self
            .clearings()
            .filter_map(|change| change.emptied.as_ref())
        {
            changed.insert(emptied.id, emptied);
        }
        (
            created.into_values().collect(),
            changed.into_values().collect(),
        )
    }

    /// The first messages that conversations keep after the batch, and the newest message of all that have
    /// expired with it.
    pub(super) fn expired(&self) -> (Vec<(ConversationId, MessageNumber)>, Option<MessageId>) {
        let expiries = self.changes().filter_map(|change| match change {
            Change::Expiry(change) => Some(change),
            _ => None,
        });
        let (mut firsts, mut newest) = (BTreeMap::new(), None);
        for expiry in expiries {
            firsts.insert(expiry.after.conversation(), expiry.after.first());
            newest = newest.max(Some(expiry.newest));
        }
        (firsts.into_iter().collect(), newest)
    }

    /// The personal conversations that the batch creates, and those that it only changes, as the batch
    /// leaves them.
    pub(super) fn personal_conversations(
        &self,
    ) -> (Vec<&PersonalConversation>, Vec<&PersonalConversation>) {
        let (mut created, mut changed) = (BTreeMap::new(), BTreeMap::new());
        for change in self.changes() {
            let after = match change {
                Change::Message(change) => change.begun.as_ref(),
                Change::Settings(change) => change.personal.as_ref(),
                Change::Positions(change) => match &change.marked {
                    Marked::Personal(after) => Some(after),
                    Marked::Chat(..) => None,
                },
                Change::Opening(change) => Some(&change.after),
                Change::Renaming(change) => Some(&change.after),
                Change::Chat(_)
                | Change::Reactions(_)
                | Change::Report(_)
                | Change::Restrictions(_)
                | Change::Erasure(_)
                | Change::Application(_)
                | Change::Expiry(_)
                | Change::Clearing(_) => None,
            };
            let Some(after) = after else { continue };
            let is_created = after.id == ConversationId::created_at(change.timestamp());
            if is_created || created.contains_key(&after.id) {
                created.insert(after.id, after.as_ref());
            } else {
                changed.insert(after.id, after.as_ref());
            }
        }
        (
            created.into_values().collect(),
            changed.into_values().collect(),
        )
    }

    /// The messages whose users have other names after the batch.
    pub(super) fn renamed_messages(&self) -> Vec<RenamedMessage<'_>> {
        let renamed = self.message_changes().filter_map(|change| {
            let (before, after) = (change.before.as_ref()?, &change.after);
            let is_renamed = before.from != after.from || before.conversation != after.conversation;
            is_renamed.then(|| RenamedMessage {
                id: after.id,
                sender: after.from.as_ref(),
                recipient: after.to(),
            })
        });
        renamed.collect()
    }

    /// The personal conversations whose users have other names after the batch.
    pub(super) fn renamed_conversations(&self) -> Vec<RenamedConversation<'_>> {
        let renamings = self.changes().filter_map(|change| match change {
            Change::Renaming(change) => Some(change),
            _ => None,
        });
        let renamed = renamings.filter(|change| change.before != change.after.pair);
        renamed
            .map(|change| RenamedConversation {
                id: change.after.id,
                pair: &change.after.pair,
            })
            .collect()
    }

    /// What the batch says of the erasures of users.
    pub(super) fn erasures(&self) -> impl Iterator<Item = &ErasureChange> {
        self.changes().filter_map(|change| match change {
            Change::Erasure(change) => Some(change),
            _ => None,
        })
    }

    /// The messages that the batch deletes or clears.
    pub(super) fn deleted_messages(&self) -> Vec<MessageId> {
        let deletions = self.message_changes().filter(|change| {
            let before = change.before.as_ref();
            let was_there = before.is_some_and(|before| before.content.is_some());
            was_there && change.after.content.is_none()
        });
        let cleared = self.clearings().flat_map(|change| &change.before);
        let deleted = deletions.map(|change| change.after.id);
        deleted.chain(cleared.map(|message| message.id)).collect()
    }

    /// The last change of the application itself.
    pub(super) fn application(&self) -> Option<&ApplicationChange> {
        let changes = self.changes().filter_map(|change| match change {
            Change::Application(change) => Some(change),
            _ => None,
        });
        changes.last()
    }

    /// The updates that do not concern all members of a chat: of personal messages, for each user of
    /// the conversation; of marks; and of settings.
    pub(super) fn updates(&self) -> Vec<NewUpdate<'_>> {
        let mut updates = Vec::new();
        let mut readers = BTreeSet::new();
        for made in &self.changes {
            match &made.change {
                Change::Message(change) if change.imported.is_some() => {}
                Change::Message(change) => updates.extend(updates_of_message(change)),
                Change::Opening(change) if !change.is_told => {}
                Change::Opening(change) => {
                    updates.extend(updates_of_pair(&change.after.pair, change.after.timestamp));
                }
                Change::Renaming(change) => updates.extend(updates_of_renaming(change)),
                Change::Chat(_)
                | Change::Report(_)
                | Change::Restrictions(_)
                | Change::Erasure(_)
                | Change::Application(_)
                | Change::Clearing(_) => {}
                Change::Expiry(change) => {
                    if let Expiring::Personal(personal) = &change.after {
                        updates.extend(updates_of_pair(&personal.pair, change.timestamp));
                    }
                }
                Change::Positions(change) => match &change.marked {
                    Marked::Personal(_) if made.is_folded => {}
                    Marked::Personal(personal) => {
                        updates.extend(updates_of_pair(&personal.pair, change.timestamp));
                    }
                    Marked::Chat(chat, _) => {
                        let is_new = readers.insert((change.timestamp, &change.user));
                        if is_new && !self.tells_all(change.timestamp) {
                            let subject = Subject::Chat(chat.number);
                            updates.push(update(&change.user, change.timestamp, subject));
                        }
                    }
                },
                Change::Reactions(change) if !made.is_folded => {
                    let subject = Subject::Reactions(change.message.id);
                    let pair = change.message.conversation.pair();
                    let users = pair.into_iter().flat_map(Pair::users);
                    updates
                        .extend(users.map(|user| update(user, change.timestamp, subject.clone())));
                }
                Change::Reactions(_) => {}
                Change::Settings(change) => {
                    let subject = change.subject.clone();
                    updates.push(update(&change.user, change.timestamp, subject));
                }
            }
        }
        updates
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().map(|made| &made.change)
    }

    pub(super) fn message_changes(&self) -> impl Iterator<Item = &MessageChange> {
        self.changes().filter_map(|change| match change {
            Change::Message(change) => Some(change),
            _ => None,
        })
    }

    pub(super) fn chat_changes(&self) -> impl Iterator<Item = &ChatChange> {
        self.changes().filter_map(|change| match change {
            Change::Chat(change) => Some(change),
            _ => None,
        })
    }

    pub(super) fn clearings(&self) -> impl Iterator<Item = &ClearingChange> {
        self.changes().filter_map(|change| match change {
            Change::Clearing(change) => Some(change),
            _ => None,
        })
    }

    pub(super) fn reaction_changes(&self) -> impl Iterator<Item = &ReactionsChange> {
        self.changes().filter_map(|change| match change {
            Change::Reactions(change) => Some(change),
            _ => None,
        })
    }

    pub(super) fn position_changes(&self) -> impl Iterator<Item = &PositionsChange> {
        self.changes().filter_map(|change| match change {
            Change::Positions(change) => Some(change),
            _ => None,
        })
    }
}

fn update(user: &UserId, timestamp: Timestamp, subject: Subject) -> NewUpdate<'_> {
    let update = Update {
        timestamp,
        subject,
        mention: false,
    };
    NewUpdate { user, update }
}

/// For each user of a personal message's conversation; not for a pseudonym that is new there.
fn updates_of_message(change: &MessageChange) -> impl Iterator<Item = NewUpdate<'_>> {
    let message = &change.after;
    let (pair, named) = (message.conversation.pair(), change.named());
    let before = change.before.as_ref();
    let before = before.and_then(|before| before.conversation.pair());
    let users = pair.into_iter().flat_map(Pair::users);
    let users = users.filter(move |user| before.is_none_or(|pair| pair.contains(user)));
    users.map(move |user| NewUpdate {
        user,
        update: Update {
            timestamp: message.timestamp,
            subject: Subject::Message(message.id),
            mention: named.as_ref().is_some_and(|named| named.contains(user)),
        },
    })
}

/// For each user of a personal conversation.
fn updates_of_pair(pair: &Pair, timestamp: Timestamp) -> impl Iterator<Item = NewUpdate<'_>> {
    pair.users().map(move |user| {
        let subject = Subject::With(pair.other_of(user).clone());
        update(user, timestamp, subject)
    })
}

/// For the user who stays in a personal conversation, by the name that it had for that user.
fn updates_of_renaming(change: &RenamingChange) -> impl Iterator<Item = NewUpdate<'_>> {
    let users = change.before.users();
    let users =
        users.filter(|user| **user != change.erasure.pseudonym && change.after.pair.contains(user));
    users.map(|user| {
        let subject = Subject::With(change.before.other_of(user).clone());
        update(user, change.timestamp, subject)
    })
}
