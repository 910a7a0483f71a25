//! The log of a replica, and the watch that each test keeps over its replicas: one that has died
//! fails whoever waits, at once and with the log.

use std::sync::{
    Arc, Mutex, Weak,
    atomic::{AtomicBool, Ordering},
};

use tokio::runtime::{Handle, Id};

/// The logs of all replicas, each with the runtime of its test. A test has a runtime of its own.
static WATCHED: Mutex<Vec<(Id, Weak<Log>)>> = Mutex::new(Vec::new());

/// Lines that are shown of the log of a replica that has died.
const LINES_SHOWN: usize = 20;

/// What a replica has logged.
#[derive(Default)]
pub struct Log {
    lines: Mutex<Vec<String>>,
    /// Whether the process has closed it, which it does when it ends.
    is_closed: AtomicBool,
    /// Whether the test has caused the end of the process, or waits for it.
    may_close: AtomicBool,
}

impl Log {
    /// A log that is watched by the test that calls this.
    pub fn watched() -> Arc<Self> {
        let log = Arc::new(Self::default());
        let mut watched = WATCHED.lock().unwrap();
        watched.retain(|(_, log)| log.strong_count() > 0);
        watched.push((Handle::current().id(), Arc::downgrade(&log)));
        log
    }

    pub fn push(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    pub fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    /// From now on the end of the process is no failure of the test.
    pub fn expect_close(&self) {
        self.may_close.store(true, Ordering::SeqCst);
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The last lines.
    pub fn tail(&self) -> String {
        let lines = self.lines();
        lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
    }

    fn has_died(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst) && !self.may_close.load(Ordering::SeqCst)
    }
}

/// Fails if a replica of the calling test has died.
pub fn fail_if_a_replica_died(what: &str) {
    let test = Handle::current().id();
    let watched = WATCHED.lock().unwrap();
    let mut own = watched.iter().filter(|(runtime, _)| *runtime == test);
    let dead = own.find_map(|(_, log)| log.upgrade().filter(|log| log.has_died()));
    drop(watched);
    if let Some(log) = dead {
        panic!("a replica died before: {what}\n{}", log.tail());
    }
}
