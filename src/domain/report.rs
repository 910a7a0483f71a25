//! Reports of messages.

use time::OffsetDateTime;

use super::{MessageId, Text, Timestamp, Title, UserId};

/// What a user has told the application of a message. Each user reports a message once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The change that has made it. The application knows it by this number.
    pub timestamp: Timestamp,
    pub message: MessageId,
    pub reporter: UserId,
    /// What is wrong with the message, in a few words or as a code.
    pub reason: Title,
    pub text: Option<Text>,
    pub created: OffsetDateTime,
}
