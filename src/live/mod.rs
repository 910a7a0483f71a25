//! Live reads: the sync read, repeated whenever there may be something new.
//!
//! # The promise
//! A watcher receives every change that concerns its user, or its application, in order, once, and soon
//! after the commit, on whatever replica it was made.
//!
//! # How
//! A commit notifies all replicas of the users whom it concerns. The listener receives that, and
//! the hub raises the flags of those who wait ([`Hub`]). A [`Watcher`] registers, reads after its
//! cursor, and waits for its flag before it reads again. All its data come from that read, so
//! everything that sync promises holds for it too.
//!
//! Signals come beside all that, on streams that asked for them, and without any of these promises
//! ([`Signals`]).
//!
//! # The races, and how each was decided
//! - *A change is committed between the read and the wait.* The flag exists before the read, and
//!   stays raised until the watcher waits.
//! - *A wake-up is lost,* because the listener has lost its connection: it wakes everybody once it
//!   has a new one. In any other case, a watcher reads every few seconds anyway.
//! - *The wake-up comes before the change is visible.* It cannot: PostgreSQL delivers the
//!   notifications of a transaction after its commit.
//! - *Everybody is woken at once.* Watchers take turns, so that they do not crowd out other
//!   readers.
//! - *A watcher is slow.* It reads on when it has sent the last page; nothing is kept for it.

mod hub;
mod presence;
mod signals;
mod timelines;
mod watch;

pub use hub::{Full, Hub, LiveLimits, WaitKind};
pub use presence::Presence;
pub use signals::{Inbox, SignalError, Signals};
pub use timelines::UserTimeline;
pub use watch::{Live, Watched, WatchedPage, Watcher};
