//! Pages of the timeline: what a sync reads. One statement reads pages for many callers.

use std::{collections::HashMap, sync::Arc};

use sqlx::PgConnection;

use super::{Result, Version, columns, messages::MessageRow};
use crate::domain::{
    ApplicationId, ChatNumber, Cursor, MessageId, Subject, Timestamp, Update, UserId,
};

/// What an entry counts besides its message's data, in bytes of JSON.
pub const ENTRY_BYTES: usize = 200;

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
    /// The data of a page with data, in bytes of JSON. The entry that exceeds it is still part of
    /// the page, so a page that is not the last one is never empty.
    pub bytes: i64,
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
    let mut pages = PageBuilder::new(requests.len());
    for row in rows {
        let page = pages.at(row.ordinal, row.latest, row.timeline_end);
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
    Ok(pages.finish())
}

/// As [`read`], with the present data of every message.
///
/// A message with several entries is read and counted once, at its first entry, so that it is on
/// the page wherever the page ends. It is returned at its newest entry of the page.
pub async fn read_with_messages(
    connection: &mut PgConnection,
    application: ApplicationId,
    requests: &[&PageRequest],
) -> Result<Vec<Page>> {
    columns!(for request in requests => {
        users: request.user.as_str(),
        after: request.cursor.timestamp().map(|timestamp| timestamp.get()),
        entries: i64::from(request.size.entries),
        bytes: request.size.bytes,
    });
    let rows = sqlx::query_file!(
        "src/store/pages_with_messages.sql",
        application.get(),
        &users as &[&str],
        &after as &[Option<i64>],
        &entries,
        &bytes,
        ENTRY_BYTES as i32,
    )
    .fetch_all(connection)
    .await?;
    let mut pages = PageBuilder::new(requests.len());
    for row in rows {
        let page = pages.at(row.ordinal, row.latest, row.timeline_end);
        let Some(timestamp) = row.update_timestamp else {
            // A page without entries has one row, without an entry.
            continue;
        };
        let message = row.message.map(MessageRow::into_message).transpose()?;
        let message = message.map(|message| Arc::new(Version::from(message)));
        let entry = update(
            timestamp,
            row.message_id,
            row.chat,
            row.with_user,
            row.mention,
        );
        page.entries
            .extend(entry.map(|update| Entry { update, message }));
    }
    let mut pages = pages.finish();
    pages.iter_mut().for_each(Page::move_to_newest);
    Ok(pages)
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

impl Page {
    /// Whether no change after this page concerns the user.
    pub fn reaches_end(&self) -> bool {
        let last = self.entries.last();
        last.is_none_or(|last| last.update.timestamp >= self.latest)
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

/// Gathers rows into pages by the ordinal of their request.
struct PageBuilder(Vec<Page>);

impl PageBuilder {
    fn new(count: usize) -> Self {
        let empty = Page {
            entries: Vec::new(),
            latest: Timestamp::new(0),
            timeline_end: Timestamp::new(0),
        };
        Self(vec![empty; count])
    }

    fn at(&mut self, ordinal: i64, latest: Option<i64>, timeline_end: i64) -> &mut Page {
        let index = usize::try_from(ordinal - 1).expect("ordinals count the requests from 1");
        let page = &mut self.0[index];
        page.latest = Timestamp::new(latest.unwrap_or(0));
        page.timeline_end = Timestamp::new(timeline_end);
        page
    }

    fn finish(self) -> Vec<Page> {
        self.0
    }
}
