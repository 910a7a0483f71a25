//! The service from outside: the real binary over real PostgreSQL and RabbitMQ.
//!
//! Each test has a database and a queue of its own on the shared private servers that
//! `scripts/services` starts; a test that stops a server starts one for itself.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests spawn, read the environment, write their own SQL, and fail by panicking"
)]

mod support;

mod applications;
mod brokers;
mod browser;
mod budgets;
mod callers;
mod cancelled;
mod changing;
mod chats;
mod coalescing;
mod columns;
mod command_line;
mod crashes;
mod edges;
mod equivalent_texts;
mod events;
mod failovers;
mod following;
mod history;
mod idempotency;
mod ids;
mod isolation;
mod issuers;
mod lost_commits;
mod messenger;
mod messenger_restarts;
mod messenger_texts;
mod migrations;
mod openapi;
mod outages;
mod polling;
mod poolers;
mod proxies;
mod races;
mod remembering;
mod restores;
mod search_upgrade;
mod searching;
mod sending;
mod silence;
mod strained;
mod streaming;
mod swagger;
mod sync_js;
mod syncing;
mod timeline;
mod unfit;
mod web;
