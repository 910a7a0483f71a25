//! Pages of the timeline: what a sync reads. One statement reads pages for many callers.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures_util::TryStreamExt;
use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};
use time::OffsetDateTime;

use super::{
    Error, Render, Result, Version, columns,
    messages::{self, MessageColumns, MessageRequest},
};
use crate::domain::{
    ApplicationId, ChatNumber, Cursor, Message, MessageId, Subject, Timestamp, Update, UserId,
};

/// What an entry counts besides its message, in bytes of JSON.
pub const ENTRY_BYTES: usize = 50;

/// A caller's request for a page of the timeline.
#[derive(Debug, Clone)]
pub struct PageRequest {
    pub application: ApplicationId,
    pub user: UserId,
    pub cursor: Cursor,
    pub size: PageSize,
}

/// The limits of a page.
#[derive(Debug, Clone, Copy)]
pub struct PageSize {
    pub entries: u16,
    /// Of a page with messages, in bytes of JSON. The entry that exceeds it is still part of the page,
    /// so a page that is not the last one is never empty.
    pub bytes: usize,
}

impl PageSize {
    /// The longest data of a message that are read with its page, in bytes. What is longer is read
    /// afterwards, as far as the page has room. So what is read in vain is no more than a page.
    fn data_at_once_max(self) -> i64 {
        let share = 2 * self.bytes / usize::from(self.entries).max(1);
        i64::try_from(share).unwrap_or(i64::MAX)
    }
}

/// A page of the timeline, read in one snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// The newest committed timestamp that concerns the user; zero where there is none.
    pub latest: Timestamp,
    /// The end of the application's timeline: no change that is committed has a larger timestamp.
    pub timeline_end: Timestamp,
}

/// An entry of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub update: Update,
    /// On a page with data: the message as it is now, at the newest of its entries on the page.
    /// `None` if the user may not read it any more.
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
        let messages = row.messages.into_iter().flatten();
        let chats = row.chats.into_iter().flatten();
        let subjects = messages.zip(chats.zip(row.withs.into_iter().flatten()));
        let entries = row.timestamps.into_iter().flatten().zip(subjects);
        let mentions = row.mentions.into_iter().flatten();
        page.entries = entries
            .zip(mentions)
            .filter_map(|((timestamp, (message, (chat, with))), mention)| {
                let update = update(timestamp, message, chat, with, mention)?;
                Some(Entry {
                    update,
                    message: None,
                })
            })
            .collect();
    }
    Ok(pages)
}

/// A row of a page with messages: an entry, and the columns of its message. The long data of a message
/// are missing.
struct EntryRow {
    ordinal: i64,
    latest: Option<i64>,
    timeline_end: i64,
    update_timestamp: Option<i64>,
    message_id: Option<i64>,
    chat: Option<i64>,
    with_user: Option<String>,
    mention: Option<bool>,
    conversation_id: Option<i64>,
    number: Option<i64>,
    timestamp: Option<i64>,
    sender: Option<String>,
    recipient: Option<String>,
    chat_number: Option<i64>,
    created: Option<OffsetDateTime>,
    edited: Option<OffsetDateTime>,
    deleted: Option<bool>,
    reply_to: Option<i64>,
    mentions_all: Option<bool>,
    data_bytes: Option<i32>,
    text: Option<String>,
    files: Option<Vec<String>>,
    attributes: Option<Json<Box<RawValue>>>,
    mentions: Option<Vec<String>>,
}

/// As [`read`], with the present data of every message, which are written by `render` as they arrive.
///
/// A message with several entries is counted once, at its first entry, so that it is on the page
/// wherever the page ends. It is returned at its newest entry of the page.
///
/// Long data are read by a second statement, and may be newer than the page.
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
    if !missing.is_empty() {
        let lookups: Vec<_> = missing.iter().collect();
        let found = messages::find(connection, application, &lookups).await?;
        let mut found = found.into_iter();
        for builder in &mut builders {
            builder.complete(&mut found, render);
        }
    }
    Ok(builders.into_iter().map(PageBuilder::finish).collect())
}

/// A row of the table `updates`, which names a message, a chat, or the other user of a personal
/// conversation.
fn update(
    timestamp: i64,
    message: Option<i64>,
    chat: Option<i64>,
    with: Option<String>,
    mention: Option<bool>,
) -> Option<Update> {
    let subject = match (message, chat) {
        (Some(id), _) => Subject::Message(MessageId::new(id)),
        (None, Some(chat)) => Subject::Chat(ChatNumber::new(chat)),
        (None, None) => Subject::With(UserId::trusted(&with?)),
    };
    let timestamp = Timestamp::new(timestamp);
    Some(Update {
        timestamp,
        subject,
        mention: mention.unwrap_or(false),
    })
}

/// The place of a request, by its ordinal.
fn place(ordinal: i64) -> usize {
    usize::try_from(ordinal - 1).expect("ordinals count the requests from 1")
}

impl EntryRow {
    /// The entry, without the message. `None` in the row of a page without entries.
    fn entry(&mut self) -> Option<Entry> {
        let (timestamp, with) = (self.update_timestamp?, self.with_user.take());
        let update = update(timestamp, self.message_id, self.chat, with, self.mention)?;
        Some(Entry {
            update,
            message: None,
        })
    }

    /// The columns of the message. `None` if the user may not read it.
    fn message(self) -> Option<MessageColumns> {
        Some(MessageColumns {
            id: self.message_id?,
            conversation_id: self.conversation_id?,
            number: self.number?,
            timestamp: self.timestamp?,
            sender: self.sender,
            recipient: self.recipient,
            chat_number: self.chat_number,
            created: self.created?,
            edited: self.edited,
            text: self.text,
            files: self.files,
            attributes: self.attributes,
            reply_to: self.reply_to,
            deleted: self.deleted?,
            mentions: self.mentions,
            mentions_all: self.mentions_all,
        })
    }
}

impl Page {
    fn empty() -> Self {
        Self {
            entries: Vec::new(),
            latest: Timestamp::new(0),
            timeline_end: Timestamp::new(0),
        }
    }

    /// Whether no change after this page concerns the user.
    pub fn reaches_end(&self) -> bool {
        let last = self.entries.last();
        last.is_none_or(|last| last.update.timestamp >= self.latest)
    }

    /// Ends the page with the entry that exceeds so many bytes.
    fn cut(&mut self, bytes_max: usize) {
        let mut bytes = 0;
        let begins_within = |entry: &&Entry| {
            let within = bytes < bytes_max;
            bytes += entry_bytes(entry.message.as_deref());
            within
        };
        let count = self.entries.iter().take_while(begins_within).count();
        self.entries.truncate(count);
    }

    /// Moves each message from its first entry to its newest.
    fn move_to_newest(&mut self) {
        let mut first: HashMap<Subject, Arc<Version>> = HashMap::new();
        for entry in &mut self.entries {
            let message = entry.message.take();
            first.extend(message.map(|message| (entry.update.subject.clone(), message)));
        }
        for entry in self.entries.iter_mut().rev() {
            entry.message = first.remove(&entry.update.subject);
        }
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

/// A page with messages, of which rows arrive.
struct PageBuilder<'a> {
    request: &'a PageRequest,
    page: Page,
    /// The messages that were counted.
    counted: HashSet<MessageId>,
    /// Whether a message has several entries.
    has_repeated: bool,
    /// At least; long data count without escapes.
    bytes: usize,
    /// The places of the entries whose messages have long data.
    long: Vec<(usize, MessageId)>,
}

impl<'a> PageBuilder<'a> {
    fn new(request: &'a PageRequest) -> Self {
        Self {
            request,
            page: Page::empty(),
            counted: HashSet::new(),
            has_repeated: false,
            bytes: 0,
            long: Vec::new(),
        }
    }

    /// Adds the next entry, if the page has room for it.
    ///
    /// # Errors
    /// If it is not the next one. Nested loops keep the order of the timeline, and the terms of a
    /// connection allow no other joins; if a plan ever did otherwise, an entry would be lost here.
    fn add(&mut self, mut row: EntryRow, render: Render) -> Result<()> {
        self.page.latest = Timestamp::new(row.latest.unwrap_or(0));
        self.page.timeline_end = Timestamp::new(row.timeline_end);
        let Some(mut entry) = row.entry().filter(|_| self.bytes < self.request.size.bytes) else {
            return Ok(());
        };
        let last = self.page.entries.last();
        if last.is_some_and(|last| last.update.timestamp >= entry.update.timestamp) {
            return Err(Error::Inconsistent {
                table: "updates",
                id: entry.update.timestamp.get(),
            });
        }
        let data_bytes = i64::from(row.data_bytes.unwrap_or(0));
        if let Some(message) = row.message() {
            let id = MessageId::new(message.id);
            if !self.counted.insert(id) {
                self.has_repeated = true;
            } else if data_bytes > self.request.size.data_at_once_max() {
                self.long.push((self.page.entries.len(), id));
                self.bytes += usize::try_from(data_bytes).unwrap_or(0);
            } else {
                let version = Version::new(&message.into_message()?, render);
                entry.message = Some(Arc::new(version));
            }
        }
        self.bytes += entry_bytes(entry.message.as_deref());
        self.page.entries.push(entry);
        Ok(())
    }

    /// The messages with long data that are to be read.
    fn missing(&self) -> impl Iterator<Item = MessageRequest> {
        let user = &self.request.user;
        self.long.iter().map(|(_, id)| (Some(user.clone()), *id))
    }

    /// Takes what was found of the messages that are missing.
    fn complete(&mut self, found: &mut impl Iterator<Item = Option<Arc<Message>>>, render: Render) {
        for ((place, _), message) in self.long.drain(..).zip(found) {
            let version = message.map(|message| Version::new(&message, render));
            self.page.entries[place].message = version.map(Arc::new);
        }
    }

    fn finish(mut self) -> Page {
        self.page.cut(self.request.size.bytes);
        if self.has_repeated {
            self.page.move_to_newest();
        }
        self.page
    }
}
