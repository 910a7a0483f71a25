//! How HTTP is served: sockets, threads, limits of time and memory, and the end of a connection.
//!
//! # Why this is not a crate
//! Each core has a thread with a runtime of its own, and an acceptor hands each connection to the
//! thread that has the fewest. So an answer from the cache wakes no other thread. Measured on 2
//! cores in interleaved rounds: with one runtime for all threads instead, the service answers 0.71
//! times as many syncs at 64 connections, 0.91 times at 256, and 0.72 times as many single messages
//! at 64. Sends make no difference.
//!
//! No crate that was found serves like this, limits callers who send or read too slowly, and
//! answers bytes that are no request with a problem document.

mod acceptor;
mod address;
pub mod budget;
pub mod cors;
pub mod encoding;
pub mod envelope;
mod serve;
mod time_limits;
pub mod unread_body;
pub mod wire;

pub use acceptor::Acceptor;
pub use address::{Address, BadAddress};
pub use budget::{Budget, BudgetLimits};
pub use cors::{BadOrigin, Origin};
pub use serve::{Link, serve};
pub use time_limits::HttpTimeLimits;
