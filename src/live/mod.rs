//! Live reads: the sync read, again whenever there may be something new.
//!
//! # The promise
//! A follower is told of every change that concerns its user, in order, once; and soon after its
//! commit, on whatever replica it was made.
//!
//! # How
//! A commit notifies all replicas of the users that it concerns. The listener receives it and the hub
//! raises the flags of those who wait ([`Hub`]). A [`Follower`] registers, reads after its
//! cursor, and waits for its flag before it reads again. What it is told comes from that read
//! alone, so everything that sync promises holds for it too.
//!
//! # The races, and how each was decided
//! - *A change is committed between the read and the wait.* The flag was there before the read, and
//!   stays raised until somebody waits.
//! - *A wake-up is lost,* because the listener has lost its connection: it wakes everybody once it
//!   has a new one. Whatever else may lose one: a follower looks every few seconds anyway.
//! - *The wake-up comes before the change can be seen.* It cannot: PostgreSQL delivers what a
//!   transaction has notified after its commit.
//! - *Everybody is woken at once.* Followers take turns, so that they crowd nobody out.
//! - *A follower is slow.* It reads on when it has sent what it has read; nothing is kept for it.

mod follow;
mod hub;

pub use follow::{Follower, Live};
pub use hub::{Full, Hub, Kind, Limits};
