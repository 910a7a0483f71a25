//! The rows of the table: what each measures, and the rows that are its limits.

use super::{
    generators::{Requests, threads},
    statements::Statement,
};

/// What a row measures.
#[derive(Debug, Clone)]
pub enum Load {
    /// Requests that wrk makes.
    Requests(Requests),
    /// Messages that wrk sends into a chat of 1,000, each of whose members moves its position once a
    /// second.
    ReadByAll(Requests),
    /// A statement of the service alone, by so many clients.
    Statement { statement: Statement, clients: u32 },
    /// A new device syncs everything with the messages.
    FirstSync,
    /// PostgreSQL copies the same rows out.
    Copy,
    /// One application sends one message at a time over one connection, while another one makes
    /// these requests, if any.
    OneAtATime { beside: Option<Requests> },
    /// Transactions of a script below `benches`, each of so many messages or rows.
    Transactions {
        script: &'static str,
        clients: u32,
        units: u32,
    },
}

/// A row and the names of its limits.
#[derive(Debug, Clone)]
pub struct Row {
    pub name: String,
    pub load: Load,
    pub limits: &'static [&'static str],
    /// How many units of its limits one of this row is: a message into a chat is a row for each
    /// member.
    pub units: u32,
}

impl Row {
    /// Whether it is measured once more at the end.
    pub fn shows_drift(&self) -> bool {
        ["static-256", "one-statement"].contains(&self.name.as_str())
    }
}

/// The rows whose names begin with `only`, in the order of the table, with their limits.
pub fn selected(only: &str) -> Vec<Row> {
    let chosen = |row: &Row| row.name.starts_with(only);
    let limits: Vec<_> = rows()
        .into_iter()
        .filter(chosen)
        .flat_map(|row| row.limits)
        .collect();
    let is_needed = |row: &Row| chosen(row) || limits.iter().any(|limit| **limit == row.name);
    rows().into_iter().filter(is_needed).collect()
}

/// Connections that list conversations.
const READERS: u32 = 16;

fn rows() -> Vec<Row> {
    vec![
        requests("static", 64, &[]),
        requests("static", 256, &[]),
        transactions("five-statements", 64, 1, &[]),
        transactions("one-statement", 64, 1, &[]),
        transactions("five-hundred", 1, 500, &[]),
        Row {
            name: "one-client".to_owned(),
            ..transactions("five-statements", 1, 1, &[])
        },
        requests(
            "send",
            256,
            &["five-statements", "one-statement", "five-hundred"],
        ),
        requests("send", 64, &["five-statements"]),
        requests("send", 1, &["one-client"]),
        requests("mixed", 256, &["send-256"]),
        requests("sync", 64, &["static-64"]),
        requests("sync", 256, &["static-256"]),
        requests("get", 64, &["static-64"]),
        requests("get", 256, &["static-256"]),
        requests("page", 64, &["static-64"]),
        requests("page", 256, &["static-256"]),
        requests("early-page", 64, &["static-64"]),
        requests("early-page", 256, &["static-256"]),
        requests("early-page-messages", 64, &["early-page-64"]),
        row("copy", Load::Copy, &[]),
        row("first-sync", Load::FirstSync, &["copy"]),
        statement("history-sql", Statement::History, 64),
        requests("history", 64, &["history-sql"]),
        requests("page-messages", 64, &["static-64"]),
        requests("page-messages", 256, &["static-256"]),
        transactions("twenty-thousand", 1, 20_000, &[]),
        into_chat("chat-10", 10),
        into_chat("chat-100", 100),
        into_chat("chat-1000", 1000),
        row(
            "read-by-all",
            Load::ReadByAll(requests_of("chat-1000", 64)),
            &["chat-1000"],
        ),
        requests("marks", 256, &["send-256"]),
        list("list-20", "reader-20"),
        list("list-1000", "reader-1000"),
        list("list-10000", "reader-10000"),
        conversations("conversations-20", &["list-20"]),
        conversations("conversations-1000", &["list-1000"]),
        conversations("conversations-10000", &["list-10000"]),
        tenants("tenants-8", 8, &["send-256"]),
        tenants("tenants-256", 256, &["one-statement"]),
        one_at_a_time("alone", None, &[]),
        one_at_a_time("flood", Some(requests_of("send", 256)), &["alone"]),
    ]
}

fn row(name: &str, load: Load, limits: &'static [&'static str]) -> Row {
    Row {
        name: name.to_owned(),
        load,
        limits,
        units: 1,
    }
}

fn requests(kind: &'static str, connections: u32, limits: &'static [&'static str]) -> Row {
    let load = Load::Requests(requests_of(kind, connections));
    row(&format!("{kind}-{connections}"), load, limits)
}

fn requests_of(kind: &'static str, connections: u32) -> Requests {
    Requests {
        kind,
        connections,
        threads: threads(connections),
    }
}

/// Sends of so many applications, over 256 connections in all. For `requests.lua`, each thread is
/// an application.
fn tenants(kind: &'static str, applications: u32, limits: &'static [&'static str]) -> Row {
    let requests = Requests {
        kind,
        connections: 256,
        threads: applications,
    };
    row(kind, Load::Requests(requests), limits)
}

/// Sends of one caller, who waits for each answer, while another application makes the requests of
/// `beside`.
fn one_at_a_time(
    name: &'static str,
    beside: Option<Requests>,
    limits: &'static [&'static str],
) -> Row {
    row(name, Load::OneAtATime { beside }, limits)
}

/// First pages of the conversations of a user, whose count is part of the kind.
fn conversations(kind: &'static str, limits: &'static [&'static str]) -> Row {
    Row {
        name: kind.to_owned(),
        ..requests(kind, READERS, limits)
    }
}

/// The SQL of such a page alone.
fn list(name: &'static str, user: &'static str) -> Row {
    statement(name, Statement::Conversations { user }, READERS)
}

fn statement(name: &'static str, statement: Statement, clients: u32) -> Row {
    row(name, Load::Statement { statement, clients }, &[])
}

/// Messages into chats of so many members.
fn into_chat(kind: &'static str, members: u32) -> Row {
    Row {
        name: kind.to_owned(),
        units: members,
        ..requests(kind, 64, &["twenty-thousand"])
    }
}

fn transactions(
    script: &'static str,
    clients: u32,
    units: u32,
    limits: &'static [&'static str],
) -> Row {
    let load = Load::Transactions {
        script,
        clients,
        units,
    };
    row(script, load, limits)
}
