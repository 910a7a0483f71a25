//! What a batch has decided and has yet to store.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    BATCH_ROWS_MAX,
    command::{Command, Done, How, Subject},
    commit::Results,
    decide::{Change, ChatChange, Creation, Decision, MessageChange, State, decide},
};
use crate::{
    domain::{ApplicationId, Chat, ChatNumber, FileUse, Message, MessageId, Timestamp},
    store::{
        self, Lane,
        chats::NewChat,
        members::Membership,
        messages::{ChangedMessage, NewMessage},
        outbox::NewEvents,
        timeline::Draw,
        updates::{ChatUpdate, NewUpdate},
        wakeups::WakeKey,
    },
};

/// Every change of a batch in the order of the timeline, and each message and chat that it touched
/// as it is after all of it.
#[derive(Debug, Default)]
pub struct Ledger {
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
    now: OffsetDateTime,
}

impl Ledger {
    /// Decides the commands in order; each sees what the ones before it did. It ends, after one at
    /// least, before the command that would write too many rows.
    pub fn decide(mut state: State, commands: &[&Command], draws: &[Draw]) -> (Self, Results) {
        let mut ledger = Self::default();
        let (mut results, mut rows) = (Vec::with_capacity(commands.len()), 0);
        for (command, draw) in commands.iter().zip(draws) {
            rows += command.weight() + state.members_told(command);
            if rows > BATCH_ROWS_MAX && !results.is_empty() {
                break;
            }
            let decision = decide(&state, command, draw);
            results.push(decision.map(|decision| match decision {
                Decision::Change(change) => {
                    state.apply(command.application, &change);
                    let subject = change.subject();
                    ledger.add(command.application, change, draw.now);
                    Done { subject, how: How::Changed }
                }
                Decision::Keep(subject) => Done { subject, how: How::Kept },
                Decision::Replay(subject) => Done { subject, how: How::Replayed },
            }));
        }
        (ledger, results)
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn add(&mut self, application: ApplicationId, change: Change, now: OffsetDateTime) {
        let subject = change.subject();
        let files = match change {
            Change::Message(change) => self.add_message(application, change),
            Change::Chat(change) => {
                self.add_chat(application, change);
                Vec::new()
            }
        };
        self.changes.push(Entry { application, subject, files, now });
    }

    fn add_message(&mut self, application: ApplicationId, change: MessageChange) -> Vec<FileUse> {
        let key = (application, change.message.id);
        if let Some(creation) = change.created {
            self.new_messages.insert(key, creation);
        }
        if change.text_changed {
            self.new_texts.insert(key);
        }
        if let Some(chat) = change.numbered_by {
            self.chats.insert((application, chat.number), chat);
        }
        self.messages.insert(key, change.message);
        change.files
    }

    fn add_chat(&mut self, application: ApplicationId, change: ChatChange) {
        let chat = change.chat;
        let (number, timestamp) = (chat.number, chat.timestamp);
        let membership = |user, joined| Membership { application, chat: number, user, joined };
        self.joined.extend(change.joined.into_iter().map(|user| membership(user, timestamp)));
        let departed = change.departed.into_iter();
        self.departed.extend(departed.map(|(user, joined)| (membership(user, joined), timestamp)));
        if let Some(creation) = change.created {
            self.new_chats.insert((application, number), creation);
        }
        self.chats.insert((application, number), chat);
    }

    /// Writes one statement per table, whatever the number of changes, and records that they are
    /// `writer`'s batch `number`.
    pub async fn store(&self, lane: &mut Lane, writer: Uuid, number: i64) -> store::Result<()> {
        self.store_chats(lane).await?;
        self.store_messages(lane).await?;
        if self.changes.iter().any(|entry| !entry.files.is_empty()) {
            store::outbox::insert(lane, self.events()).await?;
        }
        let updates = self.personal_updates();
        let keys = updates.iter().map(|update| WakeKey::of(update.application, update.user));
        let mut concerned: BTreeSet<_> = keys.collect();
        concerned.extend(self.tell_members(lane).await?);
        store::timeline::finish_batch(lane, writer, number, &updates, concerned.into_iter()).await
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

    async fn store_messages(&self, lane: &mut Lane) -> store::Result<()> {
        let new: Vec<_> = self.new_messages().collect();
        if !new.is_empty() {
            store::messages::insert(lane, &new).await?;
        }
        if self.messages.len() > new.len() {
            let changed: Vec<_> = self.changed_messages().collect();
            store::messages::update(lane, &changed).await?;
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

    fn new_messages(&self) -> impl Iterator<Item = NewMessage<'_>> {
        self.new_messages.iter().map(|(key, creation)| NewMessage {
            application: key.0,
            message: &self.messages[key],
            key: creation.idempotency.as_ref().map(|known| (&known.key, known.digest)),
        })
    }

    fn changed_messages(&self) -> impl Iterator<Item = ChangedMessage<'_>> {
        changed(&self.messages, &self.new_messages).map(|(key, message)| ChangedMessage {
            application: key.0,
            message,
            text_changed: self.new_texts.contains(&key),
        })
    }

    fn new_chats(&self) -> impl Iterator<Item = NewChat<'_>> {
        self.new_chats.iter().map(|(key, creation)| NewChat {
            application: key.0,
            chat: &self.chats[key],
            creator: creation.creator.as_ref(),
            key: creation.idempotency.as_ref().map(|known| (&known.key, known.digest)),
        })
    }

    fn personal_updates(&self) -> Vec<NewUpdate<'_>> {
        let messages = self.changes.iter().filter_map(|entry| match &entry.subject {
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
            Some(ChatUpdate { application: entry.application, chat, timestamp, message })
        };
        self.changes.iter().filter_map(update).collect()
    }

    fn events(&self) -> impl Iterator<Item = NewEvents<'_>> {
        self.changes.iter().map(|entry| NewEvents {
            application: entry.application,
            timestamp: entry.subject.timestamp(),
            created: entry.now,
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
