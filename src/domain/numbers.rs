//! The numbers and the time that the next change takes.

use time::OffsetDateTime;

use super::{MessageId, Timestamp};

/// The numbers that are next, and the time. Only the transaction that holds the lane's lock may
/// take them.
#[derive(Debug, Clone, Copy)]
pub struct NextNumbers {
    pub timestamp: Timestamp,
    pub id: MessageId,
    /// By the clock of the database.
    pub now: OffsetDateTime,
}

impl NextNumbers {
    /// Takes the timestamp for a change, and the id as well if it creates a message.
    pub fn take(&mut self, creates_message: bool) {
        self.timestamp = Timestamp::new(self.timestamp.get() + 1);
        if creates_message {
            self.id = MessageId::new(self.id.get() + 1);
        }
    }

    /// The end of the timeline: the last timestamp that was taken.
    pub fn timeline_end(self) -> Timestamp {
        Timestamp::new(self.timestamp.get() - 1)
    }

    /// The last id that was taken.
    pub fn last_id(self) -> MessageId {
        MessageId::new(self.id.get() - 1)
    }
}
