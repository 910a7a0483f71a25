//! What a batch has decided and has yet to store: a list of changes, each with the states before
//! and after it. Every row, event and notification is a function of that list (`rows`).

mod chat_rows;
mod member_rows;
mod rows;

use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::{
    AcceptedCommand, BatchState,
    load::{LoadRequest, chat_of},
};
use crate::{
    domain::{
        ApplicationId, Change, ClearingChange, DrawnNumbers, ErasureEvent, NextNumbers, Timestamp,
        UserId,
    },
    notifications::{CommitNotice, TimestampRange, UserKey},
    store::{self, Lane, batch::AppendedRows, members::DepartedMember, updates::NewUpdate},
};

/// The changes of a batch, in the order of the timeline.
#[derive(Debug)]
pub struct BatchChanges {
    now: OffsetDateTime,
    changes: Vec<MadeChange>,
}

#[derive(Debug)]
struct MadeChange {
    /// The user who has made it; `None` is the application itself.
    actor: Option<UserId>,
    change: Change,
    /// Whether it is part of an earlier change of the batch, whose timestamp it has.
    is_folded: bool,
}

impl MadeChange {
    /// A change with the `next` of the numbers, which it takes, unless it is part of an earlier change.
    /// What comes after sees it in the state.
    fn new(
        change: Change,
        actor: &Option<UserId>,
        state: &mut BatchState,
        numbers: &mut DrawnNumbers,
        next: NextNumbers,
    ) -> Self {
        state.apply(&change);
        let is_folded = change.timestamp() < next.timestamp;
        if !is_folded {
            let creates_message =
                matches!(&change, Change::Message(change) if change.is_creation());
            numbers.take(creates_message);
        }
        Self {
            actor: actor.clone(),
            change,
            is_folded,
        }
    }
}

impl BatchChanges {
    /// Decides the commands in order. Each changes the state, which the ones after it see, and takes
    /// the next of the `numbers`, of which there must be [enough](Self::numbers_of). It stops before the command that
    /// would write more than `rows_max` rows, but decides one command at least. Returns how many were
    /// decided, and how many rows they write at the most.
    pub fn decide(
        state: &mut BatchState,
        commands: &mut [AcceptedCommand],
        numbers: &mut DrawnNumbers,
        now: OffsetDateTime,
        rows_max: usize,
    ) -> (Self, usize, usize) {
        let mut changes = Vec::new();
        let (mut decided, mut rows) = (0, 0);
        for command in commands {
            let command = &mut command.request;
            let request: LoadRequest<'_> = (command.requester(), command.needs());
            let members = chat_of(&request, state).map_or(0, |chat| state.member_count(chat));
            // Of an earlier change the members have their updates already.
            let is_part_of_earlier = command.is_part_of_earlier(state);
            let more = command.rows(if is_part_of_earlier { 0 } else { members });
            if rows + more > rows_max && decided > 0 {
                break;
            }
            rows += more;
            decided += 1;
            let next = numbers.next(now);
            let Some(change) = command.decide(state, next) else {
                continue;
            };
            let actor = &command.requester().user;
            let chat = change.changed_chat();
            changes.push(MadeChange::new(change, actor, state, numbers, next));
            if let Some((chat, words)) = chat.zip(command.announcement()) {
                let next = numbers.next(now);
                let posted = words.post(chat, state, next);
                changes.extend(posted.map(|it| MadeChange::new(it, actor, state, numbers, next)));
            }
        }
        (Self { now, changes }, decided, rows)
    }

    /// How many numbers the commands take at the most.
    pub fn numbers_of(commands: &[AcceptedCommand]) -> usize {
        let announced = commands
            .iter()
            .filter(|command| command.request.announcement().is_some());
        commands.len() + announced.count()
    }

    /// The timestamp of the last change; `None` if nothing is changed.
    pub fn last(&self) -> Option<Timestamp> {
        let mut made = self.changes.iter().rev();
        let last = made.find(|made| !made.is_folded)?;
        Some(last.change.timestamp())
    }

    /// Stores the changes. The number of statements does not depend on the number of changes.
    /// Returns the users whom they concern.
    pub async fn store(&self, lane: &mut Lane<'_>) -> store::Result<BTreeSet<UserKey>> {
        let departed = self.departed();
        self.store_chats(lane, &departed).await?;
        let mut concerned = self.store_chat_updates(lane, &departed).await?;
        let updates = self.updates();
        let application = lane.application();
        concerned.extend(updates.iter().map(|update| key(application, update)));
        let (created, changed) = self.messages();
        if !changed.is_empty() {
            store::messages::update(lane, &changed).await?;
        }
        let renamed = self.renamed_messages();
        if !renamed.is_empty() {
            store::messages::rename(lane, &renamed).await?;
        }
        self.store_personal(lane).await?;
        let rows = AppendedRows {
            changes: &self.log(),
            messages: &created,
            updates: &updates,
        };
        store::batch::append(lane, rows).await?;
        self.store_of_members(lane).await?;
        self.store_of_application(lane).await?;
        let erased = self.erasures().map(|change| &change.erasure.user);
        concerned.extend(erased.map(|user| UserKey::of(application, user)));
        self.store_expired(lane).await?;
        Ok(concerned)
    }

    /// Stores new, changed and renamed personal conversations.
    async fn store_personal(&self, lane: &mut Lane<'_>) -> store::Result<()> {
        let (created, changed) = self.personal_conversations();
        if !created.is_empty() {
            store::personal::insert(lane, &created).await?;
        }
        if !changed.is_empty() {
            store::personal::update(lane, &changed).await?;
        }
        let renamed = self.renamed_conversations();
        if !renamed.is_empty() {
            store::personal::rename(lane, &renamed).await?;
        }
        Ok(())
    }

    /// Stores what the application has set: for itself, and for its users.
    async fn store_of_application(&self, lane: &mut Lane<'_>) -> store::Result<()> {
        let restrictions = self.restrictions();
        if !restrictions.is_empty() {
            store::restrictions::store(lane, &restrictions).await?;
        }
        // One at a time: they are rare.
        for change in self.erasures() {
            match change.event {
                ErasureEvent::Requested { now } => {
                    store::erasures::insert(lane, &change.erasure, change.timestamp, now).await?;
                }
                ErasureEvent::Finished { now } => {
                    store::erasures::finish(lane, &change.erasure, now).await?;
                }
            }
        }
        if let Some(change) = self.application() {
            store::applications::update(lane, &change.name, &change.policy).await?;
        }
        Ok(())
    }

    /// Stores what members have set, read and reported, and who is named.
    async fn store_of_members(&self, lane: &mut Lane<'_>) -> store::Result<()> {
        let positions = self.chat_positions();
        if !positions.is_empty() {
            store::members::set_positions(lane, &positions).await?;
        }
        let settings = self.settings();
        if !settings.is_empty() {
            store::settings::store(lane, &settings).await?;
        }
        let reports = self.reports();
        if !reports.is_empty() {
            store::reports::insert(lane, &reports).await?;
        }
        self.store_reactions(lane).await?;
        self.store_pins(lane).await?;
        let (named, unnamed) = self.mentions();
        if !unnamed.is_empty() {
            store::mentions::remove(lane, &unnamed).await?;
        }
        if !named.is_empty() {
            store::mentions::insert(lane, &named).await?;
        }
        Ok(())
    }

    /// Stores reactions and their counts; removes those of messages that are deleted.
    async fn store_reactions(&self, lane: &mut Lane<'_>) -> store::Result<()> {
        let (added, removed) = self.reactions();
        if !removed.is_empty() {
            store::reactions::remove(lane, &removed).await?;
        }
        if !added.is_empty() {
            store::reactions::insert(lane, &added).await?;
        }
        let counts = self.reaction_counts();
        if !counts.is_empty() {
            store::reactions::set_counts(lane, &counts).await?;
        }
        let deleted = self.deleted_messages();
        if !deleted.is_empty() {
            store::reactions::clear(lane, &deleted).await?;
        }
        Ok(())
    }

    /// Stores what has expired, and deletes what is cleared.
    async fn store_expired(&self, lane: &mut Lane<'_>) -> store::Result<()> {
        let (firsts, newest) = self.expired();
        if let Some(newest) = newest {
            store::retention::set_first(lane, &firsts, newest).await?;
        }
        let deleted = self.clearings().flat_map(ClearingChange::deleted);
        let deleted: Vec<_> = deleted.map(|message| message.id).collect();
        if !deleted.is_empty() {
            store::retention::delete(lane, &deleted).await?;
        }
        Ok(())
    }

    /// The notifications of the commit to the users `concerned`.
    pub fn notifications(&self, lane: &Lane<'_>, concerned: BTreeSet<UserKey>) -> Vec<String> {
        let notice = CommitNotice {
            application: lane.application(),
            range: TimestampRange {
                after: lane.end(),
                last: self.last().unwrap_or(lane.end()),
            },
            written: self.now,
            uses_files: self.uses_files(),
        };
        notice.payloads(concerned)
    }

    /// Stores new chats, changed chats and memberships.
    async fn store_chats(
        &self,
        lane: &mut Lane<'_>,
        departed: &[DepartedMember],
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
            let created: BTreeSet<_> = new.iter().map(|new| new.chat.number).collect();
            let changed = chats
                .values()
                .filter(|chat| !created.contains(&chat.number));
            store::chats::update(lane, changed.copied()).await?;
        }
        self.store_imports(lane).await?;
        let joined = self.joined();
        if !joined.is_empty() {
            store::members::insert(lane, &joined).await?;
        }
        if !departed.is_empty() {
            store::members::end(lane, departed).await?;
        }
        self.store_rights(lane).await
    }

    /// Stores who is to be a member of chats that are being imported, until that has ended.
    async fn store_imports(&self, lane: &mut Lane<'_>) -> store::Result<()> {
        let importing = self.importing();
        if !importing.is_empty() {
            store::imports::insert_members(lane, &importing).await?;
        }
        let ended = self.imported_chats();
        if !ended.is_empty() {
            store::imports::remove_members(lane, &ended).await?;
        }
        Ok(())
    }

    /// Stores what members may do and read, who is banned, and which chats are deleted. The memberships must
    /// be stored before this call.
    async fn store_rights(&self, lane: &mut Lane<'_>) -> store::Result<()> {
        let altered = self.altered();
        if !altered.is_empty() {
            store::members::alter(lane, &altered).await?;
        }
        let histories = self.new_histories();
        if !histories.is_empty() {
            store::members::set_histories(lane, &histories).await?;
        }
        let (banned, unbanned) = self.bans();
        if !unbanned.is_empty() {
            store::bans::remove(lane, &unbanned).await?;
        }
        if !banned.is_empty() {
            store::bans::insert(lane, &banned).await?;
        }
        let deleted = self.deleted_chats();
        if !deleted.is_empty() {
            store::chats::delete(lane, &deleted).await?;
        }
        Ok(())
    }

    /// Stores what is pinned in chats.
    async fn store_pins(&self, lane: &mut Lane<'_>) -> store::Result<()> {
        let (pinned, unpinned) = self.pins();
        if !unpinned.is_empty() {
            store::pins::remove(lane, &unpinned).await?;
        }
        if !pinned.is_empty() {
            store::pins::insert(lane, &pinned).await?;
        }
        Ok(())
    }

    /// Stores the updates of changes in chats. Returns the users whom they concern. These are read
    /// from the memberships, which must be stored before this call.
    async fn store_chat_updates(
        &self,
        lane: &mut Lane<'_>,
        departed: &[DepartedMember],
    ) -> store::Result<BTreeSet<UserKey>> {
        let updates: Vec<_> = self.chat_updates().collect();
        if updates.is_empty() {
            return Ok(BTreeSet::new());
        }
        let application = lane.application();
        let members = store::updates::fan_out(lane, &updates, departed).await?;
        let keys = members.iter().map(|user| UserKey::of(application, user));
        Ok(keys.collect())
    }
}

fn key(application: ApplicationId, update: &NewUpdate<'_>) -> UserKey {
    UserKey::of(application, update.user)
}
