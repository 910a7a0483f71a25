//! Who is asking: bearer tokens and the callers that they stand for.

mod key;
mod ticket;
mod token;

use std::time::SystemTime;

use crate::domain::{ApplicationId, UserId};

pub use key::{SECRET_BYTES_MIN, WeakSecret, derived_key};
pub use ticket::{TICKET_LIFETIME, Ticket, Tickets};
pub use token::Signer;

/// A user of an application, known by a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub application: ApplicationId,
    pub user: UserId,
    /// When the token ends, and with it everything that was opened under it.
    pub expires: SystemTime,
}

/// Why a caller is not known. The text may be shown to whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the request has no bearer token")]
    Missing,
    #[error("the Authorization header is not of the form \"Bearer TOKEN\"")]
    NotBearer,
    #[error("the token is not a JSON Web Token with sub and exp")]
    Malformed,
    #[error("the token's signature is not valid")]
    BadSignature,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token's sub is not a user id")]
    BadUser,
    #[error("the token's app is not an application id")]
    BadApplication,
    #[error("a ticket opens streams and nothing else")]
    TicketElsewhere,
    #[error("the ticket is not one of this service")]
    BadTicket,
    #[error("the ticket has expired")]
    TicketExpired,
}
