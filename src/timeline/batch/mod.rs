//! What a batch has decided and has yet to store: a list of changes, each with the states before
//! and after it. Every row, event and notification is a function of that list (`rows`).

mod rows;

use std::collections::BTreeSet;

use super::{
    AcceptedCommand, BATCH_ROWS_MAX, BatchState,
    load::{LoadRequest, chat_of},
    transaction::BatchRecord,
};
use crate::{
    domain::{ApplicationId, Change, MessageId, NextNumbers, Timestamp},
    notifications::{TimestampRange, UserKey, payloads},
    store::{self, Lane, batch::MainRows, members::Membership, updates::NewUpdate},
};

/// The changes of a batch, in the order of the timeline.
#[derive(Debug)]
pub struct BatchChanges {
    first: NextNumbers,
    /// The numbers that the next change takes.
    next: NextNumbers,
    changes: Vec<(ApplicationId, Change)>,
}

impl BatchChanges {
    /// Decides the commands in order. Each sees what the ones before it did, and each change takes
    /// the next numbers, from `first` on. It stops before the command that would write too many
    /// rows, but decides one command at least. Returns how many were decided.
    pub fn decide(
        mut state: BatchState,
        commands: &mut [AcceptedCommand],
        first: NextNumbers,
    ) -> (Self, usize) {
        let mut batch = Self {
            first,
            next: first,
            changes: Vec::new(),
        };
        let (mut decided, mut rows) = (0, 0);
        for command in commands {
            let command = &mut command.request;
            let application = command.requester().application;
            let request: LoadRequest<'_> = (command.requester(), command.needs());
            let members =
                chat_of(&request, &state).map_or(0, |chat| state.member_count(application, chat));
            rows += command.rows() + members;
            if rows > BATCH_ROWS_MAX && decided > 0 {
                break;
            }
            decided += 1;
            if let Some(change) = command.decide(&state, batch.next) {
                state.apply(application, &change);
                batch.add(application, change);
            }
        }
        (batch, decided)
    }

    fn add(&mut self, application: ApplicationId, change: Change) {
        let creates_message = matches!(&change, Change::Message(change) if change.is_creation());
        self.next.take(creates_message);
        self.changes.push((application, change));
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Stores the changes and the record of the batch. The number of statements does not depend on
    /// the number of changes.
    pub async fn store(&self, lane: &mut Lane, record: BatchRecord) -> store::Result<()> {
        let departed = self.departed();
        self.store_chats(lane, &departed).await?;
        let events: Vec<_> = self.events().collect();
        if !events.is_empty() {
            store::outbox::insert(lane, &events, record.notifies).await?;
        }
        let concerned = self.store_chat_updates(lane, &departed).await?;
        let updates = self.personal_updates();
        let notifications = if record.notifies {
            self.notifications(&updates, concerned)
        } else {
            Vec::new()
        };
        let rows = MainRows {
            writer: record.writer,
            number: record.number,
            messages: &self.messages(),
            conversations: &self.personal_conversations(),
            updates: &updates,
            last_timestamp: self.range().last,
            last_id: self.last_id(),
            notifications: &notifications,
        };
        store::batch::insert(lane, rows).await
    }

    /// Stores new chats, changed chats and memberships.
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

    /// Stores the updates of changes in chats. Returns the users whom they concern. These are read
    /// from the memberships, which must be stored before this call.
    async fn store_chat_updates(
        &self,
        lane: &mut Lane,
        departed: &[(Membership, Timestamp)],
    ) -> store::Result<BTreeSet<UserKey>> {
        let updates: Vec<_> = self.chat_updates().collect();
        if updates.is_empty() {
            return Ok(BTreeSet::new());
        }
        let members = store::updates::fan_out(lane, &updates, departed).await?;
        let key = |(application, user)| UserKey::of(application, &user);
        Ok(members.into_iter().map(key).collect())
    }

    /// The notifications of the commit: to the users of personal `updates`, and to `others`.
    fn notifications(&self, updates: &[NewUpdate<'_>], others: BTreeSet<UserKey>) -> Vec<String> {
        let users = updates
            .iter()
            .map(|update| UserKey::of(update.application, update.user));
        payloads(self.range(), self.first.now, users.chain(others).collect())
    }

    /// The part of the timeline that the batch takes.
    fn range(&self) -> TimestampRange {
        TimestampRange {
            after: self.first.timeline_end(),
            last: self.next.timeline_end(),
        }
    }

    /// The last id that the batch takes, if it has new messages.
    fn last_id(&self) -> Option<MessageId> {
        (self.next.id > self.first.id).then_some(self.next.last_id())
    }
}
