//! What a batch has decided and has yet to store: a list of changes, each with what there was before it
//! and what there is after it. Every row, every event and every notification is a function of that list.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    BATCH_ROWS_MAX, Job, State,
    load::{Wanted, chat_of},
    transaction::Record,
};
use crate::{
    domain::{
        ApplicationId, Change, Chat, ChatChange, ChatNumber, MessageChange, MessageId, NextNumbers,
        Timestamp,
    },
    notifications::{TimestampRange, UserKey, payloads},
    store::{
        self, Lane,
        batch::{Batch, StoredMessage},
        chats::NewChat,
        members::Membership,
        outbox::NewEvents,
        updates::{ChatUpdate, NewUpdate},
    },
};

/// The changes of a batch, in the order of the timeline.
#[derive(Debug)]
pub struct BatchChanges {
    first: NextNumbers,
    /// The numbers that the changes so far have left for the next one.
    next: NextNumbers,
    changes: Vec<(ApplicationId, Change)>,
}

impl BatchChanges {
    /// Decides the commands in order. Each sees what the ones before it did, and each change takes the
    /// next numbers, from `first` on. It ends, after one command at least, before the one that would
    /// write too many rows; returns how many were decided.
    pub fn decide(mut state: State, jobs: &mut [Job], first: NextNumbers) -> (Self, usize) {
        let mut batch = Self {
            first,
            next: first,
            changes: Vec::new(),
        };
        let (mut decided, mut rows) = (0, 0);
        for job in jobs {
            let pending = &mut job.request;
            let application = pending.requester().application;
            let wanted: Wanted<'_> = (pending.requester(), pending.needs());
            let members =
                chat_of(&wanted, &state).map_or(0, |chat| state.member_count(application, chat));
            rows += pending.rows() + members;
            if rows > BATCH_ROWS_MAX && decided > 0 {
                break;
            }
            decided += 1;
            if let Some(change) = pending.decide(&state, batch.next) {
                state.apply(application, &change);
                batch.add(application, change);
            }
        }
        (batch, decided)
    }

    fn add(&mut self, application: ApplicationId, change: Change) {
        self.next.timestamp.0 += 1;
        if matches!(&change, Change::Message(change) if change.is_creation()) {
            self.next.id.0 += 1;
        }
        self.changes.push((application, change));
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Writes a fixed number of statements, whatever the number of changes, and the record of the batch.
    pub async fn store(&self, lane: &mut Lane, record: Record) -> store::Result<()> {
        let Record {
            writer,
            number,
            notifies,
        } = record;
        let departed = self.departed();
        self.store_chats(lane, &departed).await?;
        let events: Vec<_> = self.events().collect();
        if !events.is_empty() {
            store::outbox::insert(lane, &events, notifies).await?;
        }
        let (messages, updates) = (self.messages(), self.personal_updates());
        let chat_updates: Vec<_> = self.chat_updates().collect();
        let mut concerned: BTreeSet<_> = updates
            .iter()
            .map(|update| UserKey::of(update.application, update.user))
            .collect();
        if !chat_updates.is_empty() {
            // The memberships are stored by now: whom a change concerns is read from them.
            let members = store::updates::fan_out(lane, &chat_updates, &departed).await?;
            let keys = members
                .iter()
                .map(|(application, user)| UserKey::of(*application, user));
            concerned.extend(keys);
        }
        let notifications = if notifies {
            payloads(self.range(), self.first.now, concerned)
        } else {
            Vec::new()
        };
        let batch = Batch {
            writer,
            number,
            messages: &messages,
            updates: &updates,
            last_timestamp: self.range().last,
            last_id: self.last_id(),
            notifications: &notifications,
        };
        store::batch::finish(lane, batch).await
    }

    /// The part of the timeline that the batch takes.
    fn range(&self) -> TimestampRange {
        let before = |next: NextNumbers| Timestamp(next.timestamp.0 - 1);
        TimestampRange {
            after: before(self.first),
            last: before(self.next),
        }
    }

    /// The last id that it gives, where it has new messages.
    fn last_id(&self) -> Option<MessageId> {
        (self.next.id > self.first.id).then_some(MessageId(self.next.id.0 - 1))
    }

    async fn store_chats(
        &self,
        lane: &mut Lane,
        departed: &[(Membership, Timestamp)],
    ) -> store::Result<()> {
        let chats = self.chats();
        if chats.is_empty() {
            return Ok(());
        }
        let new: Vec<_> = self.new_chats(&chats).collect();
        if !new.is_empty() {
            store::chats::insert(lane, &new).await?;
        }
        if chats.len() > new.len() {
            let created: BTreeSet<_> = new
                .iter()
                .map(|new| (new.application, new.chat.number))
                .collect();
            let changed = chats.iter().filter(|(key, _)| !created.contains(key));
            store::chats::update(lane, changed.map(|(key, chat)| (key.0, *chat))).await?;
        }
        let joined: Vec<_> = self.joined().collect();
        if !joined.is_empty() {
            store::members::insert(lane, &joined).await?;
        }
        if !departed.is_empty() {
            store::members::end(lane, departed).await?;
        }
        Ok(())
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

    /// Each message that it changes, as it leaves it.
    fn messages(&self) -> Vec<StoredMessage<'_>> {
        let mut messages = BTreeMap::new();
        for (application, change) in self.message_changes() {
            let message = messages
                .entry((application, change.after.id))
                .or_insert(StoredMessage {
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

    /// Each chat that it changes, as it leaves it.
    fn chats(&self) -> BTreeMap<(ApplicationId, ChatNumber), &Chat> {
        let changes = self.chat_changes();
        changes
            .map(|(application, change)| ((application, change.after.number), &*change.after))
            .collect()
    }

    fn new_chats<'a>(
        &'a self,
        chats: &BTreeMap<(ApplicationId, ChatNumber), &'a Chat>,
    ) -> impl Iterator<Item = NewChat<'a>> {
        let creations = self
            .chat_changes()
            .filter(|(_, change)| change.is_creation());
        creations.map(|(application, change)| NewChat {
            application,
            chat: chats[&(application, change.after.number)],
            creator: change.after.owner.as_ref(),
            idempotency: change.idempotency.as_ref(),
        })
    }

    fn joined(&self) -> impl Iterator<Item = Membership> {
        self.chat_changes().flat_map(|(application, change)| {
            change.joined.iter().map(move |user| Membership {
                application,
                chat: change.after.number,
                user: user.clone(),
                joined: change.after.timestamp,
            })
        })
    }

    /// The memberships that it ends, with the timestamps of their ends.
    fn departed(&self) -> Vec<(Membership, Timestamp)> {
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

    /// The updates of changes of personal messages.
    fn personal_updates(&self) -> Vec<NewUpdate<'_>> {
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

    /// The updates of changes in chats, which are told to their members.
    fn chat_updates(&self) -> impl Iterator<Item = ChatUpdate> {
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

    fn events(&self) -> impl Iterator<Item = NewEvents> {
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
}
