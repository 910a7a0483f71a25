//! The rows of the table: what each measures, and the rows that are its limits.

use super::{
    beside::Beside,
    data::Data,
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
    /// Requests that wrk makes, while others do something else.
    Beside { requests: Requests, beside: Beside },
    /// A statement of the service alone, by so many clients.
    Statement { statement: Statement, clients: u32 },
    /// A new device syncs everything with the messages.
    FirstSync,
    /// PostgreSQL copies the same rows out.
    Copy,
    /// A server reads the feed from its beginning.
    Feed,
    /// PostgreSQL copies the same rows out.
    FeedCopy,
    /// Requests that wrk makes, while so many streams of the feed are open.
    Followed { requests: Requests, streams: u32 },
    /// A file is imported from the command line.
    ImportFile,
    /// Members are added to chats, so many with each call.
    Members { at_once: usize },
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
    /// What it measures, in the words of the README.
    pub about: &'static str,
    pub load: Load,
    pub limits: &'static [&'static str],
    /// How many units of its limits one of this row is: a message into a chat is a row for each
    /// member.
    pub units: u32,
}

impl Row {
    /// How many connections make its requests.
    pub fn connections(&self) -> u32 {
        match self.load {
            Load::Requests(requests)
            | Load::ReadByAll(requests)
            | Load::Beside { requests, .. }
            | Load::Followed { requests, .. } => requests.connections,
            Load::Statement { clients, .. } | Load::Transactions { clients, .. } => clients,
            Load::FirstSync
            | Load::Copy
            | Load::Feed
            | Load::FeedCopy
            | Load::ImportFile
            | Load::Members { .. }
            | Load::OneAtATime { .. } => 1,
        }
    }

    /// Whether it is measured once more at the end.
    pub fn shows_drift(&self) -> bool {
        ["static-256", "one-statement"].contains(&self.name.as_str())
    }
}

/// The rows whose names begin with one of `names`, or all if there are none, in the order of the table,
/// with their limits.
pub fn selected(names: &[String]) -> Vec<Row> {
    let chosen =
        |row: &Row| names.is_empty() || names.iter().any(|name| row.name.starts_with(name));
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
    let mut rows = machine();
    rows.extend(writes());
    rows.extend(reads());
    rows.extend(feeds());
    rows.extend(chats());
    rows.extend(rights());
    rows.extend(beside());
    rows.extend(lists());
    rows.extend(applications());
    rows
}

/// The machine alone.
fn machine() -> Vec<Row> {
    let answers = "static answers of 200 bytes by the same HTTP server";
    let one_client = Row {
        name: "one-client".to_owned(),
        ..transactions("five-statements", "pgbench by one client", 1, 1)
    };
    vec![
        requests("static", 64, answers, &[]),
        requests("static", 256, answers, &[]),
        transactions(
            "five-statements",
            "pgbench with five statements a message",
            64,
            1,
        ),
        transactions(
            "one-statement",
            "pgbench with one statement a message",
            64,
            1,
        ),
        transactions(
            "five-hundred",
            "pgbench with 500 messages a transaction",
            1,
            500,
        ),
        one_client,
    ]
}

fn writes() -> Vec<Row> {
    let limits = &["five-statements", "one-statement", "five-hundred"];
    vec![
        requests("send", 256, "sends", limits),
        requests("send", 64, "sends", &["five-statements"]),
        requests("send", 1, "sends", &["one-client"]),
        requests(
            "mixed",
            256,
            "60 % sends, 10 % edits, 25 % read marks, 5 % deletions",
            &["send-256"],
        ),
        requests("marks", 256, "60 % read marks, 40 % sends", &["send-256"]),
    ]
}

fn reads() -> Vec<Row> {
    let up_to_date = "syncs of clients that are up to date";
    let newest = "pages of the newest 50 updates";
    let newest_with_messages = "pages of the newest 50 updates with their messages";
    let early = "pages of 50 updates from anywhere, not cached";
    vec![
        requests("sync", 64, up_to_date, &["static-64"]),
        requests("sync", 256, up_to_date, &["static-256"]),
        requests("get", 64, "reads of one message", &["static-64"]),
        requests("get", 256, "reads of one message", &["static-256"]),
        requests("page", 64, newest, &["static-64"]),
        requests("page", 256, newest, &["static-256"]),
        requests("page-messages", 64, newest_with_messages, &["static-64"]),
        requests("page-messages", 256, newest_with_messages, &["static-256"]),
        requests("early-page", 64, early, &["static-64"]),
        requests("early-page", 256, early, &["static-256"]),
        requests(
            "early-page-messages",
            64,
            "pages of 50 updates from anywhere with their messages",
            &["early-page-64"],
        ),
        row("copy", "COPY of the same rows", Load::Copy, &[]),
        row(
            "first-sync",
            "entries of a first sync of 100,000 messages with their data, in pages of 1,000",
            Load::FirstSync,
            &["copy"],
        ),
        statement("history-sql", Statement::History, 64),
        requests(
            "history",
            64,
            "pages of 50 messages of a conversation, from anywhere",
            &["history-sql"],
        ),
    ]
}

fn feeds() -> Vec<Row> {
    let followed = |streams, about| {
        let requests = requests_of("send", 256);
        let load = Load::Followed { requests, streams };
        row(&format!("followed-{streams}"), about, load, &["send-256"])
    };
    vec![
        row("feed-copy", "COPY of the same rows", Load::FeedCopy, &[]),
        row(
            "feed",
            "entries of a feed that is read from the beginning, in pages of 1,000",
            Load::Feed,
            &["feed-copy"],
        ),
        followed(1, "sends while one stream of the feed is open"),
        followed(10, "sends while 10 streams of the feed are open"),
    ]
}

fn chats() -> Vec<Row> {
    let rows = "INSERT … SELECT of 20,000 rows";
    let reading = Load::ReadByAll(requests_of("chat-1000", 64));
    vec![
        transactions("twenty-thousand", rows, 1, 20_000),
        into_chat("chat-10", "messages into chats of 10, in rows", 10),
        into_chat("chat-100", "messages into chats of 100, in rows", 100),
        into_chat("chat-1000", "messages into chats of 1,000, in rows", 1000),
        row(
            "read-by-all",
            "messages into chats of 1,000 whose members read everything once a second",
            reading,
            &["chat-1000"],
        ),
    ]
}

fn beside() -> Vec<Row> {
    let send = requests_of("send", 256);
    let sends = |name: &str, about, requests, beside| {
        row(
            name,
            about,
            Load::Beside { requests, beside },
            &["send-256"],
        )
    };
    vec![
        sends(
            "reacted",
            "sends while the 1,000 members of a chat react to one message",
            send,
            Beside::Reactions,
        ),
        sends(
            "signalled",
            "sends while 100 users signal as often as they may",
            send,
            Beside::Signals,
        ),
        sends(
            "signals-flood",
            "sends while 100 users signal ten times as often as they may",
            send,
            Beside::Flood,
        ),
        Row {
            limits: &["governed-256"],
            ..sends(
                "user-flood",
                "the same while one of the users sends 1,000 a second, of which 980 are refused",
                requests_of("governed", 256),
                Beside::OneUser,
            )
        },
        row(
            "import-file",
            "messages that `messages import` stores",
            Load::ImportFile,
            &["five-hundred"],
        ),
        sends(
            "import",
            "sends while the application imports messages",
            send,
            Beside::Data(Data::Import),
        ),
        sends(
            "erasure",
            "sends while a user with 100,000 messages is erased",
            send,
            Beside::Data(Data::Erasure),
        ),
        Row {
            limits: &["free-256"],
            ..sends(
                "expiring",
                "sends while 100,000 messages of the application have expired and are cleared",
                requests_of("expiring", 256),
                Beside::Data(Data::Expiry),
            )
        },
        Row {
            limits: &["free-256"],
            ..sends(
                "trimming",
                "sends while the timeline of the application is trimmed",
                requests_of("expiring", 256),
                Beside::Data(Data::Trimming),
            )
        },
    ]
}

fn rights() -> Vec<Row> {
    let members =
        |name, about, at_once, limits| row(name, about, Load::Members { at_once }, limits);
    vec![
        requests("free", 256, "sends of an application without a policy", &[]),
        requests(
            "governed",
            256,
            "sends of an application with a policy, limits of sends and a suspended user",
            &["free-256"],
        ),
        Row {
            name: "ruled-10".to_owned(),
            ..requests(
                "ruled-10",
                64,
                "messages of an owner and of moderators into chats of 10 with roles and rules, in an application with a \
                 policy, limits and a suspended user",
                &["chat-10"],
            )
        },
        members("members-1", "members added to chats one by one", 1, &[]),
        members(
            "members-999",
            "members added to chats, 999 at once",
            999,
            &["members-1"],
        ),
    ]
}

fn lists() -> Vec<Row> {
    vec![
        list("list-20", "reader-20"),
        list("list-1000", "reader-1000"),
        list("list-10000", "reader-10000"),
        conversations(
            "conversations-20",
            "first pages of 20 conversations",
            &["list-20"],
        ),
        conversations(
            "conversations-1000",
            "first pages of 1,000 conversations",
            &["list-1000"],
        ),
        conversations(
            "conversations-10000",
            "first pages of 10,000 conversations",
            &["list-10000"],
        ),
    ]
}

fn applications() -> Vec<Row> {
    vec![
        tenants(
            "tenants-8",
            "sends of 8 applications with 32 connections each",
            8,
            &["send-256"],
        ),
        tenants(
            "tenants-256",
            "sends of 256 applications with one connection each",
            256,
            &["one-statement"],
        ),
        one_at_a_time("alone", "the same alone", None, &[]),
        one_at_a_time(
            "flood",
            "sends one at a time, beside another application that sends over 256 connections",
            Some(requests_of("send", 256)),
            &["alone"],
        ),
    ]
}

fn row(name: &str, about: &'static str, load: Load, limits: &'static [&'static str]) -> Row {
    Row {
        name: name.to_owned(),
        about,
        load,
        limits,
        units: 1,
    }
}

fn requests(
    kind: &'static str,
    connections: u32,
    about: &'static str,
    limits: &'static [&'static str],
) -> Row {
    let load = Load::Requests(requests_of(kind, connections));
    row(&format!("{kind}-{connections}"), about, load, limits)
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
fn tenants(
    kind: &'static str,
    about: &'static str,
    applications: u32,
    limits: &'static [&'static str],
) -> Row {
    let requests = Requests {
        kind,
        connections: 256,
        threads: applications,
    };
    row(kind, about, Load::Requests(requests), limits)
}

/// Sends of one caller, who waits for each answer, while another application makes the requests of
/// `beside`.
fn one_at_a_time(
    name: &'static str,
    about: &'static str,
    beside: Option<Requests>,
    limits: &'static [&'static str],
) -> Row {
    row(name, about, Load::OneAtATime { beside }, limits)
}

/// First pages of the conversations of a user, whose count is part of the kind.
fn conversations(kind: &'static str, about: &'static str, limits: &'static [&'static str]) -> Row {
    Row {
        name: kind.to_owned(),
        ..requests(kind, READERS, about, limits)
    }
}

/// The SQL of such a page alone.
fn list(name: &'static str, user: &'static str) -> Row {
    statement(name, Statement::Conversations { user }, READERS)
}

fn statement(name: &'static str, statement: Statement, clients: u32) -> Row {
    row(
        name,
        "its SQL alone",
        Load::Statement { statement, clients },
        &[],
    )
}

/// Messages into chats of so many members.
fn into_chat(kind: &'static str, about: &'static str, members: u32) -> Row {
    Row {
        name: kind.to_owned(),
        units: members,
        ..requests(kind, 64, about, &["twenty-thousand"])
    }
}

fn transactions(script: &'static str, about: &'static str, clients: u32, units: u32) -> Row {
    let load = Load::Transactions {
        script,
        clients,
        units,
    };
    row(script, about, load, &[])
}
