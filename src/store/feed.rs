//! The feed of an application: every change on its timeline, as the application reads it.
//!
//! The log holds what an entry tells, so a page is one scan of it; one of a few kinds counts what it looks at before.
//! What may be included, the messages and their recipients, is read by a statement each, after the page, as far as
//! the page has room.
//!
//! A page of 1,000 takes 2 ms on 2 cores, of which PostgreSQL works 1.2 ms. Half of that is what the rows take on
//! their way, so they have as few columns as they can. What was tried and did not pay: one row of arrays (PostgreSQL
//! is slower, and nothing overlaps any more), and reading the next page while one is on its way (1.1 times the
//! entries a second, since the processors are busy by then, for a page that may be read in vain).

mod kinds;
mod page;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures_util::TryStreamExt;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{
    Render, Result, Version, columns,
    columns::{KindColumn, UserColumn},
    conversations::{Recipient, RecipientLookup, recipient_counts, recipients},
    messages,
    pages::{ENTRY_BYTES, PageSize},
};
use crate::domain::{
    ApplicationId, ChangeKind, ChatNumber, ConversationId, Cursor, MessageId, MessageNumber,
    Timestamp, UserId,
};
use page::{EntryRow, PageBuilder};

pub use kinds::Kinds;

/// Changes that a page of a few kinds looks at. So the page ends after this many, however rare its kinds
/// are.
const CHANGES_MAX: u16 = 5000;

/// Entries whose messages are read at a time.
const MESSAGES_AT_ONCE: usize = 25;

/// A page ends before it has more recipients than this, or more than its bytes allow.
const RECIPIENTS_MAX: usize = 5000;

/// About what a recipient counts, in bytes of JSON.
pub const RECIPIENT_BYTES: usize = 60;

/// A request for a page of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedRequest {
    pub application: ApplicationId,
    pub cursor: Cursor,
    pub kinds: Kinds,
    pub size: PageSize,
    pub include: FeedInclude,
}

/// What comes with the entries about messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeedInclude {
    pub messages: bool,
    pub recipients: bool,
}

/// A page of the feed, with the end of the timeline in the same snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedPage {
    /// Ascending by timestamp.
    pub entries: Vec<FeedEntry>,
    /// No change up to here that the request asks for is missing on the page.
    pub reached: Timestamp,
    /// The end of the application's timeline: no change that is committed has a larger timestamp.
    pub timeline_end: Timestamp,
    /// Changes up to here may be missing.
    pub trimmed: Timestamp,
}

/// A change, as the feed tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedEntry {
    /// Its place among the changes of the page, from 1. A page of so many entries ends with it, also if the feed
    /// does not tell of all of them.
    pub place: u16,
    pub timestamp: Timestamp,
    pub kind: ChangeKind,
    pub message: Option<MessageId>,
    pub conversation: Option<ConversationId>,
    pub chat: Option<ChatNumber>,
    /// The other user of a personal conversation.
    pub with: Option<UserId>,
    pub number: Option<MessageNumber>,
    /// Who is added or removed, or has read.
    pub members: Vec<UserId>,
    /// Who has made the change; `None`: the application itself.
    pub actor: Option<UserId>,
    pub created: OffsetDateTime,
    /// The message as it is now, at the newest of its entries on the page, if it was asked for.
    pub version: Option<Arc<Version>>,
    /// If they were asked for, of a change of a message.
    pub recipients: Option<Vec<Recipient>>,
}

impl FeedEntry {
    /// Whether it is a change of a message itself: a report and a reaction are not.
    fn has_recipients(&self) -> bool {
        matches!(
            self.kind,
            ChangeKind::MessageCreated | ChangeKind::MessageEdited | ChangeKind::MessageDeleted
        )
    }

    /// The name of its kind.
    pub fn feed_name(&self) -> &'static str {
        self.kind
            .feed_name()
            .expect("a page has kinds that the feed tells of")
    }
}

impl FeedRequest {
    /// How many changes its page looks at, if it is of a few kinds.
    fn changes_max(&self) -> u16 {
        CHANGES_MAX.max(self.size.entries)
    }
}

/// Reads a page for each of many requests of one application, in their order, with what is to be included.
/// That is read later, and so is as new as every entry at least.
pub async fn read(
    connection: &mut PgConnection,
    application: ApplicationId,
    requests: &[&FeedRequest],
    render: Render,
) -> Result<Vec<FeedPage>> {
    let mut pages = entries(connection, application, requests).await?;
    for (request, page) in requests.iter().zip(&mut pages) {
        if request.include.messages {
            include_messages(connection, request, page, render).await?;
        }
        if request.include.recipients {
            include_recipients(connection, request, page).await?;
        }
    }
    Ok(pages)
}

/// As [`read`], with the entries alone, in one statement and one snapshot.
pub async fn entries(
    connection: &mut PgConnection,
    application: ApplicationId,
    requests: &[&FeedRequest],
) -> Result<Vec<FeedPage>> {
    columns!(for request in requests => {
        after: request.cursor.timestamp().map(|timestamp| timestamp.get()),
        entries: i64::from(request.size.entries),
        changes: i64::from(request.changes_max()),
        kinds: request.kinds.literal(),
    });
    let builders = requests.iter().map(|request| PageBuilder::new(request));
    let mut builders: Vec<_> = builders.collect();
    let mut rows = sqlx::query_file_as!(
        EntryRow,
        "src/store/feed.sql",
        application.get(),
        &after as &[Option<i64>],
        &entries,
        &changes,
        &kinds as &[Option<String>],
    )
    .fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let place = usize::try_from(row.ordinal - 1).expect("ordinals count the requests from 1");
        builders[place].add(row)?;
    }
    drop(rows);
    Ok(builders.into_iter().map(PageBuilder::finish).collect())
}

/// Adds the messages, and ends the page where it has enough data.
async fn include_messages(
    connection: &mut PgConnection,
    request: &FeedRequest,
    page: &mut FeedPage,
    render: Render,
) -> Result<()> {
    let mut versions: HashMap<MessageId, Arc<Version>> = HashMap::new();
    let (mut bytes, mut count) = (0, 0);
    'page: for entries in page.entries.chunks(MESSAGES_AT_ONCE) {
        let ids = entries.iter().filter_map(|entry| entry.message);
        let ids: Vec<_> = ids.filter(|id| !versions.contains_key(id)).collect();
        let found = messages::load_kept(connection, request.application, &ids).await?;
        let found = found.iter().map(|message| (message.id, message));
        let mut found: HashMap<_, _> = found.collect();
        for entry in entries {
            count += 1;
            bytes += ENTRY_BYTES;
            if let Some((id, message)) = entry.message.and_then(|id| found.remove_entry(&id)) {
                let version = Version::new(message, render);
                bytes += version.bytes();
                versions.insert(id, Arc::new(version));
            }
            if bytes > request.size.bytes {
                break 'page;
            }
        }
    }
    page.end_at(count);
    for entry in page.entries.iter_mut().rev() {
        entry.version = entry.message.and_then(|id| versions.remove(&id));
    }
    Ok(())
}

/// Adds the recipients of messages. The page ends before the entry with which it would have too many, and
/// has one entry at least.
async fn include_recipients(
    connection: &mut PgConnection,
    request: &FeedRequest,
    page: &mut FeedPage,
) -> Result<()> {
    let concerned = page.entries.iter().filter(|entry| entry.has_recipients());
    let conversations: HashSet<_> = concerned.filter_map(|entry| entry.conversation).collect();
    let conversations: Vec<_> = conversations.into_iter().collect();
    let counts = recipient_counts(connection, request.application, &conversations).await?;
    let max = RECIPIENTS_MAX.min(request.size.bytes / RECIPIENT_BYTES);
    let mut total = 0;
    let fitting = page.entries.iter().take_while(|entry| {
        let count = entry.conversation.filter(|_| entry.has_recipients());
        total += count.and_then(|id| counts.get(&id)).unwrap_or(&0);
        total <= max
    });
    page.end_at(fitting.count().max(1));
    let mut places = Vec::new();
    let mut lookups = Vec::new();
    for (place, entry) in page.entries.iter().enumerate() {
        if let Some(conversation) = entry.conversation.filter(|_| entry.has_recipients()) {
            places.push(place);
            lookups.push(RecipientLookup {
                timestamp: entry.timestamp,
                conversation,
                actor: entry.actor.as_ref(),
            });
        }
    }
    let found = recipients(connection, request.application, &lookups).await?;
    for (place, recipients) in places.into_iter().zip(found) {
        page.entries[place].recipients = Some(recipients);
    }
    Ok(())
}

impl FeedPage {
    /// Ends the page after its first `count` entries, if it has more.
    fn end_at(&mut self, count: usize) {
        if count < self.entries.len() {
            self.entries.truncate(count);
            self.reach_last();
        }
    }

    /// The page reaches no further than its last entry.
    fn reach_last(&mut self) {
        if let Some(last) = self.entries.last() {
            self.reached = last.timestamp;
        }
    }
}
