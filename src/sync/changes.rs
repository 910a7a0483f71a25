//! A page of changes as the caller sees it.

use super::Error;
use crate::{
    domain::{Cursor, Timestamp},
    store::pages::{Entry, Page},
};

/// A page of the changes that concern a user.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangesPage {
    /// The cursor after which the page begins.
    pub after: Timestamp,
    /// Ascending by timestamp.
    pub entries: Vec<Entry>,
    /// The cursor of the next call.
    pub next: Timestamp,
    /// The caller has caught up when `next` has reached it.
    pub latest: Timestamp,
}

impl ChangesPage {
    /// Whether no change after this page concerns the user.
    pub fn has_caught_up(&self) -> bool {
        self.next >= self.latest
    }

    /// The page with its first `count` entries alone.
    #[must_use]
    pub fn first(mut self, count: usize) -> Self {
        self.entries.truncate(count);
        if let Some(last) = self.entries.last() {
            self.next = last.update.timestamp;
        }
        self
    }

    pub(super) fn new(cursor: Cursor, page: Page) -> Result<Self, Error> {
        let after = cursor.or(page.latest);
        if after > page.timeline_end {
            return Err(Error::CursorAhead {
                end: page.timeline_end,
            });
        }
        // Of the changes up to there the newest one that concerns the user is kept: whoever has read it has
        // missed nothing.
        let first = page.entries.first().map(|entry| entry.update.timestamp);
        if first.is_some_and(|first| first <= page.trimmed) {
            return Err(Error::CursorBehind {
                trimmed: page.trimmed,
            });
        }
        Ok(Self {
            after,
            next: page
                .entries
                .last()
                .map_or(after, |entry| entry.update.timestamp),
            latest: page.latest.max(after),
            entries: page.entries,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MessageId, Subject, Update};

    fn page(timestamps: &[i64], latest: i64, end: i64) -> Page {
        let entry = |timestamp: &i64| Entry {
            update: Update {
                timestamp: Timestamp::new(*timestamp),
                subject: Subject::Message(MessageId::new(1)),
                mention: false,
            },
            message: None,
        };
        Page {
            entries: timestamps.iter().map(entry).collect(),
            latest: Timestamp::new(latest),
            timeline_end: Timestamp::new(end),
            trimmed: Timestamp::new(0),
            expired: MessageId::new(0),
        }
    }

    fn changes(after: Option<i64>, page: Page) -> Result<(i64, i64), i64> {
        let cursor = after.map_or(Cursor::Latest, |after| Cursor::After(Timestamp::new(after)));
        match ChangesPage::new(cursor, page) {
            Ok(changes) => Ok((changes.next.get(), changes.latest.get())),
            Err(Error::CursorAhead { end }) => Err(end.get()),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn the_next_cursor_is_the_last_entry_or_stays_where_it_is() {
        assert_eq!(changes(Some(2), page(&[3, 5], 9, 12)), Ok((5, 9)));
        assert_eq!(changes(Some(9), page(&[], 9, 12)), Ok((9, 9)));
        assert_eq!(changes(Some(11), page(&[], 9, 12)), Ok((11, 11)));
    }

    #[test]
    fn from_now_on_begins_at_the_latest_change() {
        assert_eq!(changes(None, page(&[], 9, 12)), Ok((9, 9)));
        assert_eq!(changes(None, page(&[], 0, 0)), Ok((0, 0)));
    }

    #[test]
    fn a_cursor_is_behind_where_a_change_that_concerns_the_user_may_be_trimmed() {
        let after = |after: i64, kept: &[i64]| {
            let entries: Vec<_> = kept.iter().copied().filter(|it| *it > after).collect();
            let page = Page {
                trimmed: Timestamp::new(5),
                ..page(&entries, kept.last().copied().unwrap_or(0), 12)
            };
            let cursor = Cursor::After(Timestamp::new(after));
            match ChangesPage::new(cursor, page) {
                Ok(changes) => Ok(changes.next.get()),
                Err(Error::CursorBehind { trimmed }) => Err(trimmed.get()),
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!([after(0, &[3, 9]), after(2, &[3, 9])], [Err(5), Err(5)]);
        // Who has read everything waits for as long as it likes, and misses nothing then.
        assert_eq!([after(3, &[3]), after(4, &[3])], [Ok(3), Ok(4)]);
        assert_eq!([after(3, &[3, 9]), after(4, &[3, 9])], [Ok(9), Ok(9)]);
        assert_eq!(after(0, &[2, 3, 9]), Err(5), "nothing is deleted yet");
        assert_eq!(after(0, &[]), Ok(0), "nothing has ever concerned the user");
        assert_eq!(after(0, &[9]), Ok(9), "nor had until then");
    }

    #[test]
    fn a_cursor_beyond_the_timeline_is_an_error() {
        assert_eq!(changes(Some(13), page(&[], 9, 12)), Err(12));
        assert_eq!(changes(Some(1), page(&[], 0, 0)), Err(0));
        assert_eq!(changes(Some(12), page(&[], 9, 12)), Ok((12, 12)));
    }
}
