//! A message service over PostgreSQL and RabbitMQ: it stores messages, numbers every change on one
//! timeline, and lets any client catch up by asking "what happened after N?" without ever missing
//! a change.
//!
//! A change goes `http` → [`timeline`] → PostgreSQL: handlers put commands into a bounded queue, a writer
//! takes all that wait and carries them out in one transaction under the lock of the timeline. A read
//! goes `http` → [`sync`] → PostgreSQL: callers who wait are answered by one query, and from memory where
//! nothing has changed. Events go PostgreSQL → [`outbox`] → RabbitMQ: they are rows of
//! their change's transaction, published after it. A commit notifies every replica ([`notifications`]), and
//! [`live`] wakes who waits: a stream is the same read, again and again. Texts are indexed by [`search`]
//! after their commit and found from it on.
//!
//! Connections are served by threads, one a core, each with a runtime of its own. What works for all of
//! them (the acceptor, writers, readers, the listener, the publisher, the indexer) shares one more runtime.
//!
//! The modules stand below in reading order; `docs/ARCHITECTURE.md` has the walks through them. Who may import whom is held by `tests/architecture.rs`.

// The words of the product, as values that cannot be wrong.
pub mod domain;
// The write path: commands in, committed changes out, on one timeline.
pub mod timeline;
// The read path: pages of changes and single messages, many callers at a time.
pub mod sync;
// Bounded queues whose workers answer everybody who waits: the part that both paths share.
pub mod batching;
// What a commit tells every replica, and who is told.
pub mod notifications;
// Events: from the rows of committed changes to RabbitMQ.
pub mod outbox;
// The same read again, woken by commits on every replica: held answers and streams.
pub mod live;
// What a query means, how the index is asked and kept, and how matches are shown.
pub mod search;
// Who is asking.
pub mod auth;
// PostgreSQL: the only SQL.
pub mod store;
// The web client's files.
pub mod web;
// HTTP: routes, extractors, problem documents, OpenAPI.
pub mod http;
// The parts wired together.
pub mod app;
// What can be set.
pub mod config;
// Tasks, signals and the end of the process.
pub mod lifecycle;
// Logs and metrics.
pub mod telemetry;
// Random numbers and ids.
pub mod random;
