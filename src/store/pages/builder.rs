//! Builds a page with messages out of the rows that arrive.

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::Arc,
};

use serde_json::value::RawValue;
use sqlx::types::Json;
use time::OffsetDateTime;

use super::{Entry, Page, PageRequest, SubjectColumns, entry_bytes, update};
use crate::{
    domain::{Message, MessageId, Subject, Timestamp},
    store::{
        Error, Render, Result, Version,
        messages::{MessageColumns, MessageRequest},
    },
};

/// A row of a page with messages: an entry, and the columns of its message. The long data of a message
/// are missing.
pub struct EntryRow {
    pub ordinal: i64,
    pub latest: Option<i64>,
    pub timeline_end: i64,
    pub trimmed: i64,
    pub expired: i64,
    pub update_timestamp: Option<i64>,
    pub message_id: Option<i64>,
    pub chat: Option<i64>,
    pub with_user: Option<String>,
    pub mention: Option<bool>,
    pub reactions_to: Option<i64>,
    pub conversation_id: Option<i64>,
    pub number: Option<i64>,
    pub timestamp: Option<i64>,
    pub sender: Option<String>,
    pub recipient: Option<String>,
    pub chat_number: Option<i64>,
    pub created: Option<OffsetDateTime>,
    pub edited: Option<OffsetDateTime>,
    pub deleted: Option<bool>,
    pub reply_to: Option<i64>,
    pub mentions_all: Option<bool>,
    pub system: Option<bool>,
    pub data_bytes: Option<i32>,
    pub text: Option<String>,
    pub files: Option<Vec<String>>,
    pub attributes: Option<Json<Box<RawValue>>>,
    pub mentions: Option<Vec<String>>,
}

impl EntryRow {
    /// The entry, without the message. `None` in the row of a page without entries.
    fn entry(&mut self) -> Option<Entry> {
        let columns = SubjectColumns {
            message: self.message_id,
            chat: self.chat,
            with: self.with_user.take(),
            reactions: self.reactions_to,
        };
        let update = update(self.update_timestamp?, columns, self.mention)?;
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
            system: self.system?,
        })
    }
}

/// A page with messages, of which rows arrive.
pub struct PageBuilder<'a> {
    request: &'a PageRequest,
    page: Page,
    /// The messages that were counted.
    counted: HashSet<MessageId>,
    /// Whether a message has several entries.
    has_repeated: bool,
    /// At least: long data count without escapes.
    bytes: usize,
    /// The last entry that has arrived.
    last: Timestamp,
    /// The places of the entries whose messages have long data.
    long: Vec<(usize, MessageId)>,
}

impl<'a> PageBuilder<'a> {
    pub fn new(request: &'a PageRequest) -> Self {
        Self {
            request,
            page: Page::empty(),
            counted: HashSet::new(),
            has_repeated: false,
            bytes: 0,
            last: Timestamp::new(0),
            long: Vec::new(),
        }
    }

    /// Adds the next entry, if the page has room for it.
    ///
    /// # Errors
    /// If it is not the next one. Nested loops keep the order of the timeline, and the terms of a
    /// connection allow no other joins; if a plan ever did otherwise, an entry would be lost here.
    pub fn add(&mut self, mut row: EntryRow, render: Render) -> Result<()> {
        self.page.latest = Timestamp::new(row.latest.unwrap_or(0));
        self.page.timeline_end = Timestamp::new(row.timeline_end);
        self.page.trimmed = Timestamp::new(row.trimmed);
        self.page.expired = MessageId::new(row.expired);
        let Some(mut entry) = row.entry() else {
            return Ok(());
        };
        let previous = mem::replace(&mut self.last, entry.update.timestamp);
        if previous >= self.last {
            return Err(Error::Inconsistent {
                table: "updates",
                id: self.last.get(),
            });
        }
        if self.bytes >= self.request.size.bytes {
            return Ok(());
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
    pub fn missing(&self) -> impl Iterator<Item = MessageRequest> {
        let user = &self.request.user;
        self.long.iter().map(|(_, id)| (Some(user.clone()), *id))
    }

    /// The page, which ends with the entry that exceeds its bytes. `found` are the messages that were
    /// missing, of this page and of the next ones.
    pub fn finish(
        mut self,
        found: &mut impl Iterator<Item = Option<Arc<Message>>>,
        render: Render,
    ) -> Page {
        let bytes_max = self.request.size.bytes;
        let (mut bytes, mut count) = (0, 0);
        let mut long = self.long.into_iter().map(|(place, _)| place).peekable();
        for (place, entry) in self.page.entries.iter_mut().enumerate() {
            let message = long.next_if_eq(&place).and_then(|_| found.next().flatten());
            if bytes < bytes_max {
                let version = message.map(|message| Arc::new(Version::new(&message, render)));
                entry.message = version.or(entry.message.take());
                bytes += entry_bytes(entry.message.as_deref());
                count += 1;
            }
        }
        self.page.entries.truncate(count);
        if self.has_repeated {
            move_to_newest(&mut self.page.entries);
        }
        self.page
    }
}

/// Moves each message from its first entry to its newest.
fn move_to_newest(entries: &mut [Entry]) {
    let mut first: HashMap<Subject, Arc<Version>> = HashMap::new();
    for entry in entries.iter_mut() {
        let message = entry.message.take();
        first.extend(message.map(|message| (entry.update.subject.clone(), message)));
    }
    for entry in entries.iter_mut().rev() {
        entry.message = first.remove(&entry.update.subject);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            ApplicationId, Content, Conversation, ConversationId, Cursor, Files, Mentions,
            MessageNumber, Text, UserId,
        },
        store::pages::PageSize,
    };

    /// A message is written as its text.
    fn render(message: &Message) -> Box<RawValue> {
        let text = message
            .content
            .as_ref()
            .and_then(|content| content.text.as_ref());
        RawValue::from_string(format!("\"{}\"", text.unwrap().as_str())).unwrap()
    }

    /// A page of 4 entries, whose messages are long from 100 bytes on.
    fn request() -> PageRequest {
        PageRequest {
            application: ApplicationId::DEFAULT,
            user: UserId::trusted("john"),
            cursor: Cursor::After(Timestamp::new(0)),
            size: PageSize {
                entries: 4,
                bytes: 200,
            },
        }
    }

    /// The row of an entry about a message with data of so many bytes; of a long one they are missing.
    fn row(timestamp: i64, id: i64, bytes: i32) -> EntryRow {
        let text = "x".repeat(usize::try_from(bytes).unwrap());
        EntryRow {
            ordinal: 1,
            latest: Some(9),
            timeline_end: 9,
            trimmed: 0,
            expired: 0,
            update_timestamp: Some(timestamp),
            message_id: Some(id),
            chat: None,
            with_user: None,
            mention: None,
            reactions_to: None,
            conversation_id: Some(1),
            number: Some(id),
            timestamp: Some(timestamp),
            sender: Some("jane".to_owned()),
            recipient: Some("john".to_owned()),
            chat_number: None,
            created: Some(OffsetDateTime::UNIX_EPOCH),
            edited: None,
            deleted: Some(false),
            reply_to: None,
            mentions_all: None,
            system: Some(false),
            data_bytes: Some(bytes),
            text: (bytes <= 100).then_some(text),
            files: None,
            attributes: None,
            mentions: None,
        }
    }

    /// A message as the second statement finds it.
    fn found(id: i64, text: &str) -> Option<Arc<Message>> {
        let (jane, john) = (UserId::trusted("jane"), UserId::trusted("john"));
        Some(Arc::new(Message {
            id: MessageId::new(id),
            timestamp: Timestamp::new(id),
            from: Some(jane.clone()),
            conversation: Conversation::between(&jane, &john),
            conversation_id: ConversationId::new(1),
            number: MessageNumber::new(id),
            created: OffsetDateTime::UNIX_EPOCH,
            system: false,
            content: Some(Content {
                text: Some(Text::trusted(text.to_owned())),
                files: Files::default(),
                attributes: None,
                mentions: Mentions::default(),
                reply_to: None,
                edited: None,
            }),
        }))
    }

    /// The timestamp of an entry, and the length of the text that it comes with.
    type TextEntry = (i64, Option<usize>);

    /// Builds a page for each list of rows out of what the second statement finds. Returns the ids that
    /// it looks up, and for each page the timestamps and the lengths of the texts.
    fn pages(
        rows: Vec<Vec<EntryRow>>,
        found: Vec<Option<Arc<Message>>>,
    ) -> (Vec<i64>, Vec<Vec<TextEntry>>) {
        let request = request();
        let mut builders = Vec::new();
        for rows in rows {
            let mut builder = PageBuilder::new(&request);
            rows.into_iter()
                .for_each(|row| builder.add(row, render).unwrap());
            builders.push(builder);
        }
        let missing = builders.iter().flat_map(PageBuilder::missing);
        let missing = missing.map(|(_, id)| id.get()).collect();
        let mut found = found.into_iter();
        let pages = builders.into_iter().map(|builder| {
            let page = builder.finish(&mut found, render);
            let entries = page.entries.iter().map(|entry| {
                let text = entry.message.as_ref().map(|version| version.bytes() - 2);
                (entry.update.timestamp.get(), text)
            });
            entries.collect()
        });
        let pages = pages.collect();
        assert_eq!(found.len(), 0, "every message has its place");
        (missing, pages)
    }

    #[test]
    fn each_page_takes_its_own_of_the_messages_that_were_missing() {
        let rows = vec![
            vec![row(1, 1, 101), row(2, 2, 5)],
            vec![row(3, 3, 6)],
            Vec::new(),
            vec![row(4, 4, 7), row(5, 5, 102)],
        ];
        let read = vec![found(1, &"a".repeat(101)), found(5, &"b".repeat(102))];
        let expected = vec![
            vec![(1, Some(101))],
            vec![(3, Some(6))],
            vec![],
            vec![(4, Some(7)), (5, Some(102))],
        ];
        // The first page is full with its first entry: 101 bytes and 100 besides.
        assert_eq!(pages(rows, read), (vec![1, 5], expected));
    }

    #[test]
    fn a_message_may_have_changed_or_be_out_of_reach_when_it_is_read() {
        let rows = || vec![vec![row(1, 1, 150), row(2, 2, 5)]];
        let end_of = |message| pages(rows(), vec![message]).1.remove(0);
        // The second entry was not added, as the page seemed to be full.
        assert_eq!(end_of(found(1, &"a".repeat(150))), [(1, Some(150))]);
        assert_eq!(end_of(found(1, "shorter")), [(1, Some(7))]);
        assert_eq!(end_of(None), [(1, None)]);
    }

    #[test]
    fn what_is_longer_than_it_seemed_ends_the_page() {
        let mut rows = vec![row(1, 1, 3), row(2, 2, 5)];
        // Escapes make data longer than what is counted first.
        rows[0].text = Some("x".repeat(300));
        assert_eq!(pages(vec![rows], Vec::new()).1, [[(1, Some(300))]]);
    }

    #[test]
    fn a_message_with_several_entries_is_read_once_and_is_at_the_newest() {
        let request = PageRequest {
            size: PageSize {
                entries: 1000,
                bytes: 50_000,
            },
            ..request()
        };
        let mut builder = PageBuilder::new(&request);
        for row in [
            row(1, 1, 100),
            row(2, 2, 101),
            row(3, 1, 100),
            row(4, 2, 101),
        ] {
            builder.add(row, render).unwrap();
        }
        assert_eq!(builder.missing().count(), 1);
        let page = builder.finish(&mut [found(2, "long")].into_iter(), render);
        let ids = page
            .entries
            .iter()
            .map(|entry| Some(entry.message.as_ref()?.id.get()));
        assert_eq!(ids.collect::<Vec<_>>(), [None, None, Some(1), Some(2)]);
    }

    #[test]
    fn rows_out_of_order_lose_nothing_in_silence() {
        let request = request();
        let mut builder = PageBuilder::new(&request);
        builder.add(row(2, 2, 100), render).unwrap();
        builder.add(row(4, 4, 100), render).unwrap();
        assert!(builder.add(row(3, 3, 5), render).is_err());
    }
}
