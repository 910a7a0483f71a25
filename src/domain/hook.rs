//! The server of an application that judges messages before they are sent.

use super::names::names;

/// What becomes of a message that the server has not judged: it did not answer, or not in a way that can
/// be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    #[default]
    Accept,
    Reject,
}

names!(OnFailure: Accept = "accept", Reject = "reject");
