//! What a batch has decided and has yet to store.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    BATCH_ROWS_MAX,
    command::{Command, Done, How, Subject},
    commit::{Record, Results},
    decide::{Change, ChatChange, Creation, Decision, MessageChange, State, decide},
};
use crate::{
    domain::{ApplicationId, Chat, ChatNumber, FileUse, Message, MessageId, Timestamp},
    store::{
        self, Lane,
        batch::{Batch, StoredMessage},
        chats::NewChat,
        members::Membership,
        outbox::NewEvents,
        timeline::Next,
        updates::{ChatUpdate, NewUpdate},
        wakeups::{Stretch, WakeKey},
    },
};

/// Every change of a batch in the order of the timeline, and each message and chat that it touched
/// as it is after all of it.
#[derive(Debug)]
pub struct Ledger {
    first: Next,
    /// What the changes so far have left for the next one.
    next: Next,
    changes: Vec<Entry>,
    messages: BTreeMap<(ApplicationId, MessageId), Arc<Message>>,
    new_messages: BTreeMap<(ApplicationId, MessageId), Creation>,
    /// Messages whose texts have changed.
    new_texts: BTreeSet<(ApplicationId, MessageId)>,
    chats: BTreeMap<(ApplicationId, ChatNumber), Arc<Chat>>,
    new_chats: BTreeMap<(ApplicationId, ChatNumber), Creation>,
    joined: Vec<Membership>,
    departed: Vec<(Membership, Timestamp)>,
}

#[derive(Debug)]
struct Entry {
    application: ApplicationId,
    subject: Subject,
    files: Vec<FileUse>,
}

impl Ledger {
    fn new(first: Next) -> Self {
        Self {
            first,
            next: first,
            changes: Vec::new(),
            messages: BTreeMap::new(),
            new_messages: BTreeMap::new(),
            new_texts: BTreeSet::new(),
            chats: BTreeMap::new(),
            new_chats: BTreeMap::new(),
            joined: Vec::new(),
            departed: Vec::new(),
        }
    }

    /// Decides the commands in order; each sees what the ones before it did, and each change takes
    /// the next numbers from `first` on. It ends, after one at least, before the command that would
    /// write too many rows.
    pub fn decide(mut state: State, commands: &[&Command], first: Next) -> (Self, Results) {
        let mut ledger = Self::new(first);
        let (mut results, mut rows) = (Vec::with_capacity(commands.len()), 0);
        for command in commands {
            rows += command.weight() + state.members_told(command);
            if rows > BATCH_ROWS_MAX && !results.is_empty() {
                break;
            }
            let decision = decide(&state, command, &ledger.next);
            results.push(decision.map(|decision| match decision {
                Decision::Change(change) => {
                    state.apply(command.application, &change);
                    let subject = change.subject();
                    ledger.add(command.application, change);
                    Done {
                        subject,
                        how: How::Changed,
                    }
                }
                Decision::Keep(subject) => Done {
                    subject,
                    how: How::Kept,
                },
                Decision::Replay(subject) => Done {
                    subject,
                    how: How::Replayed,
                },
            }));
        }
        (ledger, results)
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn add(&mut self, application: ApplicationId, change: Change) {
        let subject = change.subject();
        self.next.timestamp.0 += 1;
        let files = match change {
            Change::Message(change) => self.add_message(application, change),
            Change::Chat(change) => {
                self.add_chat(application, change);
                Vec::new()
            }
        };
        self.changes.push(Entry {
            application,
            subject,
            files,
        });
    }

    fn add_message(&mut self, application: ApplicationId, change: MessageChange) -> Vec<FileUse> {
        let key = (application, change.message.id);
        if let Some(creation) = change.created {
            self.next.id.0 += 1;
            self.new_messages.insert(key, creation);
        }
        if change.text_changed {
            self.new_texts.insert(key);
        }
        self.messages.insert(key, change.message);
        change.files
    }

    fn add_chat(&mut self, application: ApplicationId, change: ChatChange) {
        let chat = change.chat;
        let (number, timestamp) = (chat.number, chat.timestamp);
        let membership = |user, joined| Membership {
            application,
            chat: number,
            user,
            joined,
        };
        self.joined.extend(
            change
                .joined
                .into_iter()
                .map(|user| membership(user, timestamp)),
        );
        let departed = change.departed.into_iter();
        self.departed
            .extend(departed.map(|(user, joined)| (membership(user, joined), timestamp)));
        if let Some(creation) = change.created {
            self.new_chats.insert((application, number), creation);
        }
        self.chats.insert((application, number), chat);
    }

    /// Writes a fixed number of statements, whatever the number of changes, and the record of the batch.
    pub async fn store(&self, lane: &mut Lane, record: Record) -> store::Result<()> {
        let Record {
            writer,
            number,
            notifies,
        } = record;
        self.store_chats(lane).await?;
        if self.changes.iter().any(|entry| !entry.files.is_empty()) {
            store::outbox::insert(lane, self.events(), notifies).await?;
        }
        let (messages, updates) = (self.stored_messages(), self.personal_updates());
        let keys = updates
            .iter()
            .map(|update| WakeKey::of(update.application, update.user));
        let mut concerned: BTreeSet<_> = keys.collect();
        concerned.extend(self.tell_members(lane).await?);
        let batch = Batch {
            writer,
            number,
            messages: &messages,
            updates: &updates,
            stretch: self.stretch(),
            notifies,
            last_id: (!self.new_messages.is_empty()).then_some(MessageId(self.next.id.0 - 1)),
        };
        store::batch::finish(lane, batch, concerned.into_iter()).await
    }

    /// The part of the timeline that the batch takes.
    fn stretch(&self) -> Stretch {
        let before = |next: Next| Timestamp(next.timestamp.0 - 1);
        Stretch {
            after: before(self.first),
            last: before(self.next),
        }
    }

    async fn store_chats(&self, lane: &mut Lane) -> store::Result<()> {
        if self.chats.is_empty() {
            return Ok(());
        }
        let new: Vec<_> = self.new_chats().collect();
        if !new.is_empty() {
            store::chats::insert(lane, &new).await?;
        }
        if self.chats.len() > new.len() {
            let changed = changed(&self.chats, &self.new_chats);
            store::chats::update(lane, changed.map(|(key, chat)| (key.0, chat))).await?;
        }
        if !self.joined.is_empty() {
            store::members::insert(lane, &self.joined).await?;
        }
        if !self.departed.is_empty() {
            store::members::end(lane, &self.departed).await?;
        }
        Ok(())
    }

    /// The memberships of the batch are stored by now: whom a chat's change concerns is read from
    /// them. Gives these users.
    async fn tell_members(&self, lane: &mut Lane) -> store::Result<Vec<WakeKey>> {
        let updates = self.chat_updates();
        if updates.is_empty() {
            return Ok(Vec::new());
        }
        store::updates::fan_out(lane, &updates, &self.departed).await
    }

    fn stored_messages(&self) -> Vec<StoredMessage<'_>> {
        let messages = self.messages.iter();
        messages
            .map(|(key, message)| {
                let creation = self.new_messages.get(key);
                let idempotency = creation.and_then(|creation| creation.idempotency.as_ref());
                StoredMessage {
                    application: key.0,
                    message,
                    is_new: creation.is_some(),
                    key: idempotency.map(|known| (&known.key, known.digest)),
                    text_changed: self.new_texts.contains(key),
                }
            })
            .collect()
    }

    fn new_chats(&self) -> impl Iterator<Item = NewChat<'_>> {
        self.new_chats.iter().map(|(key, creation)| NewChat {
            application: key.0,
            chat: &self.chats[key],
            creator: creation.creator.as_ref(),
            key: creation
                .idempotency
                .as_ref()
                .map(|known| (&known.key, known.digest)),
        })
    }

    fn personal_updates(&self) -> Vec<NewUpdate<'_>> {
        let messages = self
            .changes
            .iter()
            .filter_map(|entry| match &entry.subject {
                Subject::Message(message) => Some((entry.application, message)),
                Subject::Chat(_) => None,
            });
        messages
            .flat_map(|(application, message)| {
                let (timestamp, message_id) = (message.timestamp, message.id);
                message.participants().map(move |user| NewUpdate {
                    application,
                    user,
                    timestamp,
                    message: message_id,
                })
            })
            .collect()
    }

    fn chat_updates(&self) -> Vec<ChatUpdate> {
        let update = |entry: &Entry| {
            let (chat, message) = match &entry.subject {
                Subject::Message(message) => (message.chat()?, Some(message.id)),
                Subject::Chat(chat) => (chat.number, None),
            };
            let timestamp = entry.subject.timestamp();
            Some(ChatUpdate {
                application: entry.application,
                chat,
                timestamp,
                message,
            })
        };
        self.changes.iter().filter_map(update).collect()
    }

    fn events(&self) -> impl Iterator<Item = NewEvents<'_>> {
        self.changes.iter().map(|entry| NewEvents {
            application: entry.application,
            timestamp: entry.subject.timestamp(),
            created: self.next.now,
            files: &entry.files,
        })
    }
}

/// Those that were there before the batch.
fn changed<'a, K: Ord + Copy, T>(
    all: &'a BTreeMap<(ApplicationId, K), Arc<T>>,
    new: &'a BTreeMap<(ApplicationId, K), Creation>,
) -> impl Iterator<Item = ((ApplicationId, K), &'a T)> {
    let old = all.iter().filter(|(key, _)| !new.contains_key(key));
    old.map(|(key, value)| (*key, value.as_ref()))
}
