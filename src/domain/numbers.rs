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
