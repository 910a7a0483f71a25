//! What may be answered from memory, and why it is still valid.
//!
//! # The formula
//! The cached read about user `u` is what the database would answer now, if this holds:
//!
//! ```text
//! cached(u) is valid  ⇔  notified_up_to = end of the timeline
//!                      ∧  last_change(u) ≤ read_at
//!                      ∧  valid_from ≤ read_at
//!                      ∧  epoch = epoch of the read
//! ```
//!
//! - `notified_up_to`: this replica has received the notifications of all commits up to here. Each
//!   names the part of the timeline that was written, and the users whom it concerns.
//! - *end of the timeline*: the last value of the database's sequence, read after the caller came.
//!   A batch sets the sequence before it commits, so nothing beyond the end is committed. One small
//!   query reads it for all callers of a thread who wait.
//! - `last_change(u)`: the last notified change that concerns the user.
//! - `read_at`: the value of `notified_up_to` when the cached read began. PostgreSQL delivers a
//!   notification only after its commit is visible, so the read has seen every change up to here.
//! - `valid_from`: nothing that was read before it is valid. It moves if notifications have a gap
//!   (a notification was lost, or a failed transaction has lost numbers), and if a notification
//!   concerns everybody.
//! - *epoch*: all of this assumes one history of the database. A restore, or a failover that loses
//!   commits, reuses numbers. So every new connection that reads or listens begins a new epoch, and
//!   nothing cached in an older epoch is valid.
//!
//! A late notification makes an answer slow and never wrong: the end of the timeline is then beyond
//! `notified_up_to`, so the answer comes from the database.
//!
//! # What it is worth
//! Most callers have already read everything. With 64 connections, the service answers 80,000 such
//! calls a second, and 18,600 pages a second from the database (`make bench`, rows `sync-64` and
//! `early-page-64`, in one run).

mod freshness;
#[cfg(test)]
mod model;
mod reads;
mod versions;

pub use freshness::Freshness;
pub use reads::{Cached, ReadCache};
pub use versions::VersionCache;
