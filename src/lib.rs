//! A message service over PostgreSQL and RabbitMQ. It stores messages, and every change has a
//! number on one timeline. A client catches up by requesting the changes after the last number that
//! it has read, and never misses one.
//!
//! A change goes `http` → [`timeline`] → PostgreSQL: handlers put commands into the bounded queue of
//! their application, a writer takes all that wait and carries them out in one transaction under the
//! lock of the application's timeline. A read goes `http` → [`sync`] → PostgreSQL: one query answers
//! all callers who wait, and the cache answers while nothing has changed. Whatever happens after a
//! change is the work of [`followers`], which read the timeline behind their cursors: events of files
//! and entries of feeds go to RabbitMQ, entries also to webhooks ([`callbacks`]), texts into the index
//! of [`search`], which finds them from their commit on. A commit notifies every replica
//! ([`notifications`]), where [`live`] wakes those whom it concerns: a stream is the same read, repeated.
//!
//! HTTP is served by one thread for each core, each with its own runtime. The tasks that work for
//! all of them (the acceptor, writers, readers, the listener, the followers) share one
//! more runtime.
//!
//! The modules are declared in reading order; `docs/ARCHITECTURE.md` walks through them.
//! `tests/architecture.rs` defines which module may import which.

// The model: messages, chats, users and changes, as values that are always valid.
pub mod domain;
// The write path: commands in, committed changes out, on one timeline.
pub mod timeline;
// The read path: pages of changes and single messages, for many callers at a time.
pub mod sync;
// Bounded queues whose workers answer all callers who wait: both paths use them.
pub mod batching;
// Notifications: their format, the listener, and its subscribers.
pub mod notifications;
// Held answers and streams: the sync read, repeated after each commit on any replica; and signals.
pub mod live;
// Queries, the index of texts, and highlighting.
pub mod search;
// What happens after a change: the events of files, the exchange of the feed, webhooks, the index of
// search.
pub mod followers;
// Signed requests to the servers of applications.
pub mod callbacks;
// Authentication: who a caller is.
pub mod auth;
// PostgreSQL: the only SQL.
pub mod store;
// The web client's files.
pub mod web;
// HTTP: routes, extractors, problem documents, OpenAPI.
pub mod http;
// Connects the parts and runs them; the commands of the command line.
pub mod app;
// The settings.
pub mod config;
// Tasks, signals and the end of the process.
pub mod lifecycle;
// Logs and metrics.
pub mod telemetry;
// Random numbers and ids.
pub mod random;
