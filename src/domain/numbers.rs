//! What a change takes of the service's counters and of the clock.

use time::OffsetDateTime;

use super::{MessageId, Timestamp};

/// The numbers that are given next, and the time. Whoever holds the lane's lock may give them.
#[derive(Debug, Clone, Copy)]
pub struct NextNumbers {
    pub timestamp: Timestamp,
    pub id: MessageId,
    /// By the clock of the database.
    pub now: OffsetDateTime,
}
