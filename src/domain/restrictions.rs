//! What an application forbids one of its users.

use time::OffsetDateTime;

/// What an application forbids one of its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restrictions {
    /// Until when the user reads and does not write.
    pub suspended_until: Option<OffsetDateTime>,
    /// Tokens that were issued before do not identify the user any more.
    pub tokens_since: Option<OffsetDateTime>,
}
