//! A process of Node.js with the client package, which a test tells what to run.

use std::{path::Path, process::Stdio};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::Mutex,
};

use super::eventually;

/// The process. It is killed when it is dropped.
pub struct Node {
    process: Child,
    talk: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
}

impl Node {
    pub fn start() -> Self {
        let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("client/test/driver.js");
        let mut process = Command::new("node")
            .arg(driver)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Node.js is installed");
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            process,
            talk: Mutex::new((input, output)),
        }
    }

    /// Runs the body of an asynchronous function, in which `messages` is the package and `here` lasts. Returns its
    /// value.
    pub async fn run(&self, body: &str) -> Value {
        let (input, output) = &mut *self.talk.lock().await;
        let line = format!("{}\n", json!(body));
        input.write_all(line.as_bytes()).await.unwrap();
        let line = output.next_line().await.unwrap();
        let line = line.unwrap_or_else(|| panic!("the process has ended: {body}"));
        let mut answer: Value = serde_json::from_str(&line).unwrap();
        assert!(answer["error"].is_null(), "{body}: {}", answer["error"]);
        answer["value"].take()
    }

    /// Waits until an expression is what is expected.
    pub async fn until(&self, expression: &str, expected: Value) {
        let mut seen = Value::Null;
        eventually(&format!("{expression} is {expected}"), async || {
            let now = self.run(&format!("return {expression}")).await;
            if now != seen {
                eprintln!("{expression}: {now}");
                seen = now;
            }
            (seen == expected).then_some(())
        })
        .await;
    }

    /// Kills the process, as a crash does.
    pub async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }
}
