//! Builds a page of the feed out of the rows that arrive.

use time::OffsetDateTime;

use super::{FeedEntry, FeedPage, FeedRequest};
use crate::{
    domain::{ChatNumber, ConversationId, MessageId, MessageNumber, Timestamp, UserId},
    store::{
        Error, Result,
        columns::{KindColumn, UserColumn},
        pages::PageSize,
    },
};

/// What a member in the list of an entry takes at the most, in bytes of JSON.
const MEMBER_BYTES: usize = 67;

/// A row of the statement: what holds for a page, or one of the changes that the page looks at.
pub struct EntryRow {
    pub ordinal: i64,
    pub timeline_end: Option<i64>,
    pub trimmed: Option<i64>,
    pub looked_at: Option<i64>,
    pub timestamp: Option<i64>,
    pub kind: Option<KindColumn>,
    pub message_id: Option<i64>,
    pub conversation_id: Option<i64>,
    pub chat_number: Option<i64>,
    pub with_user: Option<UserColumn>,
    pub number: Option<i64>,
    pub members: Option<Vec<String>>,
    pub actor: Option<UserColumn>,
    pub created: Option<OffsetDateTime>,
}

/// A page while its rows arrive.
pub struct PageBuilder {
    page: FeedPage,
    size: PageSize,
    /// The last change that a page of a few kinds looks at; `None`: it looks at all that is left, or is of all
    /// kinds.
    looked_at: Option<Timestamp>,
    /// How many changes have arrived, and the timestamp of the last one.
    changes: u16,
    last: Timestamp,
    /// The members of all entries.
    members: usize,
}

impl PageBuilder {
    pub fn new(request: &FeedRequest) -> Self {
        let zero = Timestamp::new(0);
        Self {
            page: FeedPage {
                entries: Vec::new(),
                reached: zero,
                timeline_end: zero,
                trimmed: zero,
            },
            size: request.size,
            looked_at: None,
            changes: 0,
            last: zero,
            members: 0,
        }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// If it comes before one that is on the page.
    pub fn add(&mut self, row: EntryRow) -> Result<()> {
        if let Some(timeline_end) = row.timeline_end {
            self.page.timeline_end = Timestamp::new(timeline_end);
            self.page.trimmed = Timestamp::new(row.trimmed.unwrap_or(0));
            self.looked_at = row.looked_at.map(Timestamp::new);
        } else if let (false, Some(timestamp)) = (self.is_long(), row.timestamp) {
            let timestamp = Timestamp::new(timestamp);
            if timestamp <= self.last {
                return Err(Error::Inconsistent {
                    table: "changes",
                    id: timestamp.get(),
                });
            }
            self.changes += 1;
            self.last = timestamp;
            self.members += row.members.as_ref().map_or(0, Vec::len);
            self.page.entries.extend(row.into_entry(self.changes));
        }
        Ok(())
    }

    /// Whether the page has so many members that it ends here. What comes after this is dropped.
    fn is_long(&self) -> bool {
        self.members * MEMBER_BYTES > self.size.bytes
    }

    pub fn finish(self) -> FeedPage {
        let is_full = self.is_long() || self.changes == self.size.entries;
        let end = self.looked_at.unwrap_or(self.page.timeline_end);
        FeedPage {
            reached: if is_full { self.last } else { end },
            ..self.page
        }
    }
}

impl EntryRow {
    /// `None` for what the feed does not tell of.
    fn into_entry(self, place: u16) -> Option<FeedEntry> {
        let kind = self.kind?.0;
        kind.feed_name()?;
        let members = self.members.unwrap_or_default();
        Some(FeedEntry {
            place,
            timestamp: Timestamp::new(self.timestamp?),
            kind,
            message: self.message_id.map(MessageId::new),
            conversation: self.conversation_id.map(ConversationId::new),
            chat: self.chat_number.map(ChatNumber::new),
            with: self.with_user.map(|UserColumn(user)| user),
            number: self.number.map(MessageNumber::new),
            members: members.iter().map(|user| UserId::trusted(user)).collect(),
            actor: self.actor.map(|UserColumn(user)| user),
            created: self.created?,
            version: None,
            recipients: None,
        })
    }
}
