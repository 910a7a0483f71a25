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
mod archives;
mod brokers;
mod browser;
mod budgets;
mod caching;
mod callers;
mod cancelled;
mod changing;
mod chats;
mod client;
mod client_browser;
mod columns;
mod command_line;
mod common_headers;
mod connections;
mod conversations;
mod crashes;
mod dates;
mod equivalent_texts;
mod erasure;
mod events;
mod examples;
mod export;
mod failovers;
mod feed;
mod feed_entries;
mod feed_exchange;
mod feed_live;
mod feed_order;
mod harness;
mod history;
mod idempotency;
mod ids;
mod imported_members;
mod importing;
mod imports;
mod isolation;
mod issuers;
mod killed_imports;
mod lanes;
mod lost_commits;
mod mentions;
mod messenger;
mod messenger_applications;
mod messenger_chats;
mod messenger_conversations;
mod messenger_files;
mod messenger_reactions;
mod messenger_reading;
mod messenger_restarts;
mod messenger_rights;
mod messenger_search;
mod messenger_texts;
mod migrations;
mod notifications;
mod openapi;
mod operations;
mod outages;
mod pins;
mod plans;
mod policy;
mod polling;
mod poolers;
mod positions;
mod proxies;
mod races;
mod reactions;
mod read_batches;
mod replies;
mod reports;
mod restores;
mod retention;
mod retention_gaps;
mod revocations;
mod rights;
mod round_trip;
mod rules;
mod screening;
mod search_filters;
mod searching;
mod sending;
mod settings;
mod shared_transactions;
mod signals;
mod silence;
mod slow_readers;
mod strained;
mod streaming;
mod swagger;
mod syncing;
mod timeline;
mod trimming;
mod unfit;
mod web;
mod webhooks;
mod write_batches;
