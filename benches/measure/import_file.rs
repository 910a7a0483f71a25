//! `messages import`: how fast a file of messages from elsewhere is stored, beside the running service.

use std::{
    fmt::Write,
    fs,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::json;
use tokio::time::Instant;

use super::generators::{FOLDER, Found};

/// The chats of the file, each with so many messages. As many as fill the time of a row.
const CHATS: usize = 2000;
const MESSAGES: usize = 50;

/// Imports a file. The rate is of messages; the time is that of the whole file.
pub fn measure() -> Found {
    let file = format!("{FOLDER}/import.ndjson");
    fs::write(&file, lines()).unwrap();
    let began = Instant::now();
    let import = Command::new(env!("CARGO_BIN_EXE_messages"))
        .args(["import", &file])
        .output();
    let (taken, output) = (began.elapsed(), import.unwrap());
    assert!(output.status.success(), "{output:?}");
    let milliseconds = taken.as_secs_f64() * 1000.0;
    Found {
        rate: (CHATS * MESSAGES) as f64 / taken.as_secs_f64(),
        p50_ms: milliseconds,
        p95_ms: milliseconds,
        p99_ms: milliseconds,
    }
}

/// Chats that no earlier round has imported.
fn lines() -> String {
    let round = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (round, mut lines) = (round.as_nanos(), String::new());
    let text = "measure it ".repeat(9) + "x";
    for number in 0..CHATS {
        let chat = format!("{round}-{number}");
        let members = [0, 7].map(|other| format!("user-{}", number + other));
        let begin = json!({ "key": chat, "chat": { "name": "bench", "members": members } });
        writeln!(lines, "{begin}").unwrap();
        for key in 0..MESSAGES {
            let from = &members[key % 2];
            let created = "2019-03-01T10:00:00Z";
            let message = json!({ "chat": chat, "from": from, "created": created, "text": text });
            let line = json!({ "key": key.to_string(), "message": message });
            writeln!(lines, "{line}").unwrap();
        }
        let done = json!({ "key": "done", "done": { "chat": chat } });
        writeln!(lines, "{done}").unwrap();
    }
    lines
}
