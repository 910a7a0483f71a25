//! Pages of the timeline: what a sync reads. One statement reads pages for many callers; messages with
//! much data are read by another one.
//!
//! What was tried for pages of 1,000 with messages, which take 8 ms of PostgreSQL on 2 cores, and did not
//! pay: a running sum that ends the page after 1 MiB (2 ms more, even where nothing has to be sorted: it
//! copies wide rows); one row of arrays for a page (14.5 ms in place of 11.1), which pays for pages of ids
//! alone; reading each message once for a page (its numbering costs more than the few repeats); looking up
//! all ids of a page at once (no faster than one by one).

mod builder;

use std::sync::Arc;

use builder::{EntryRow, PageBuilder};
use futures_util::TryStreamExt;
use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};

use super::{Render, Result, Version, columns, messages};
use crate::domain::{
    ApplicationId, ChatNumber, Cursor, MessageId, Subject, Timestamp, Update, UserId,
};

/// What an entry counts besides its message, in bytes of JSON.
pub const ENTRY_BYTES: usize = 100;

/// A caller's request for a page of the timeline.
#[derive(Debug, Clone)]
pub struct PageRequest {
    pub application: ApplicationId,
    pub user: UserId,
    pub cursor: Cursor,
    pub size: PageSize,
}

/// The limits of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize {
    pub entries: u16,
    /// Of a page with messages, in bytes of JSON. The entry that exceeds it is still part of the page,
    /// so a page that is not the last one is never empty.
    pub bytes: usize,
}

impl PageSize {
    /// The longest data of a message that are read with its page, in bytes. What is longer is read
    /// afterwards, as far as the page has room. So no more than two pages are read for one.
    fn data_at_once_max(self) -> i64 {
        let share = 2 * self.bytes / usize::from(self.entries).max(1);
        i64::try_from(share).unwrap_or(i64::MAX)
    }
}

/// A page of the timeline. Its entries and ends are of one snapshot. A message with much data may be
/// newer: then its change is on a later page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// The newest committed timestamp that concerns the user; zero where there is none.
    pub latest: Timestamp,
    /// The end of the application's timeline: no change that is committed has a larger timestamp.
    pub timeline_end: Timestamp,
    /// Updates up to here may be missing, apart from the newest one of these.
    pub trimmed: Timestamp,
    /// The newest message of the application that has expired; no message with a larger id has.
    pub expired: MessageId,
}

/// An entry of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub update: Update,
    /// On a page with data: the message as it is now, at the newest of its entries on the page.
    /// `None` if the user may not read it any more, or it has expired.
    pub message: Option<Arc<Version>>,
}

/// Reads a page for each of many callers of one application, in their order, in one statement and
/// one snapshot.
///
/// The statement looks up the newest update of each user first. For a user who has already read
/// that update, nothing else is looked up.
pub async fn read(
    connection: &mut PgConnection,
    application: ApplicationId,
    requests: &[&PageRequest],
) -> Result<Vec<Page>> {
    columns!(for request in requests => {
        users: request.user.as_str(),
        after: request.cursor.timestamp().map(|timestamp| timestamp.get()),
        entries: i64::from(request.size.entries),
    });
    let rows = sqlx::query_file!(
        "src/store/pages.sql",
        application.get(),
        &users as &[&str],
        &after as &[Option<i64>],
        &entries,
    )
    .fetch_all(connection)
    .await?;
    let mut pages = vec![Page::empty(); requests.len()];
    for row in rows {
        let page = &mut pages[place(row.ordinal)];
        page.latest = Timestamp::new(row.latest.unwrap_or(0));
        page.timeline_end = Timestamp::new(row.timeline_end);
        page.trimmed = Timestamp::new(row.trimmed);
        page.expired = MessageId::new(row.expired);
        let messages = row.messages.into_iter().flatten();
        let chats = row.chats.into_iter().flatten();
        let withs = row.withs.into_iter().flatten();
        let reactions = row.reactions.into_iter().flatten();
        let subjects = messages.zip(chats).zip(withs).zip(reactions);
        let subjects = subjects.map(|(((message, chat), with), reactions)| SubjectColumns {
            message,
            chat,
            with,
            reactions,
        });
        let entries = row.timestamps.into_iter().flatten().zip(subjects);
        let mentions = row.mentions.into_iter().flatten();
        page.entries = entries
            .zip(mentions)
            .filter_map(|((timestamp, subject), mention)| {
                let update = update(timestamp, subject, mention)?;
                Some(Entry {
                    update,
                    message: None,
                })
            })
            .collect();
    }
    Ok(pages)
}

/// As [`read`], with the present data of every message, which are written by `render` as they arrive.
/// Long data are read by a second statement, which may find that a message has changed since, or that
/// the user may not read it any more.
///
/// A message with several entries is counted once, at its first entry, so that it is on the page
/// wherever the page ends. It is returned at its newest entry of the page.
pub async fn read_with_messages(
    connection: &mut PgConnection,
    application: ApplicationId,
    requests: &[&PageRequest],
    render: Render,
) -> Result<Vec<Page>> {
    columns!(for request in requests => {
        users: request.user.as_str(),
        after: request.cursor.timestamp().map(|timestamp| timestamp.get()),
        entries: i64::from(request.size.entries),
        data: request.size.data_at_once_max(),
    });
    let builders = requests.iter().map(|request| PageBuilder::new(request));
    let mut builders: Vec<_> = builders.collect();
    let mut rows = sqlx::query_file_as!(
        EntryRow,
        "src/store/pages_with_messages.sql",
        application.get(),
        &users as &[&str],
        &after as &[Option<i64>],
        &entries,
        &data,
    )
    .fetch(&mut *connection);
    while let Some(row) = rows.try_next().await? {
        builders[place(row.ordinal)].add(row, render)?;
    }
    drop(rows);
    let missing = builders.iter().flat_map(PageBuilder::missing);
    let missing: Vec<_> = missing.collect();
    let mut found = Vec::new();
    if !missing.is_empty() {
        let lookups: Vec<_> = missing.iter().collect();
        found = messages::find(connection, application, &lookups).await?;
    }
    let mut found = found.into_iter();
    let mut pages = Vec::with_capacity(builders.len());
    for builder in builders {
        pages.push(builder.finish(&mut found, render));
        if found.len() > 0 {
            // Writing 1 MiB takes milliseconds. Others run in between.
            tokio::task::yield_now().await;
        }
    }
    Ok(pages)
}

/// What a row of the table `updates` names: one of these.
struct SubjectColumns {
    message: Option<i64>,
    chat: Option<i64>,
    with: Option<String>,
    reactions: Option<i64>,
}

impl SubjectColumns {
    fn into_subject(self) -> Option<Subject> {
        let message = self.message.map(MessageId::new).map(Subject::Message);
        let chat = || self.chat.map(ChatNumber::new).map(Subject::Chat);
        let reactions = || self.reactions.map(MessageId::new).map(Subject::Reactions);
        let with = || Some(Subject::With(UserId::trusted(self.with.as_deref()?)));
        message.or_else(chat).or_else(reactions).or_else(with)
    }
}

/// A row of the table `updates`.
fn update(timestamp: i64, subject: SubjectColumns, mention: Option<bool>) -> Option<Update> {
    Some(Update {
        timestamp: Timestamp::new(timestamp),
        subject: subject.into_subject()?,
        mention: mention.unwrap_or(false),
    })
}

/// The place of a request, by its ordinal.
fn place(ordinal: i64) -> usize {
    usize::try_from(ordinal - 1).expect("ordinals count the requests from 1")
}

impl Page {
    fn empty() -> Self {
        Self {
            entries: Vec::new(),
            latest: Timestamp::new(0),
            timeline_end: Timestamp::new(0),
            trimmed: Timestamp::new(0),
            expired: MessageId::new(0),
        }
    }

    /// Whether no change after this page concerns the user.
    pub fn reaches_end(&self) -> bool {
        let last = self.entries.last();
        last.is_none_or(|last| last.update.timestamp >= self.latest)
    }
}

/// The length of entries as JSON, in bytes.
pub fn bytes(entries: &[Entry]) -> usize {
    let bytes = entries
        .iter()
        .map(|entry| entry_bytes(entry.message.as_deref()));
    bytes.sum()
}

fn entry_bytes(message: Option<&Version>) -> usize {
    ENTRY_BYTES + message.map_or(0, Version::bytes)
}
