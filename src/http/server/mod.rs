//! How HTTP is served: sockets, threads, limits of time and memory, and the end of a connection.
//!
//! # Why it is ours
//! Each core has a thread with a runtime of its own, and an acceptor gives each connection to the thread
//! that has the fewest. So an answer that is known to be current wakes no other thread. No crate that was
//! found serves so, with limits for callers who send or take nothing, and with problem documents for
//! what cannot be read as a request.

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
