//! How much processor time the parts of a measurement use.

use std::fs;

use super::service::setting;

/// The kernel counts in ticks of 10 ms.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of processor time so far, or per second between two readings.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    pub service: f64,
    pub postgres: f64,
    /// The load generators that this process has run.
    pub load: f64,
}

impl Usage {
    pub fn now() -> Self {
        Self {
            service: own(&setting("SERVICE_PID")) + own(&setting("STATIC_PID")),
            postgres: of_postgres(&setting("POSTGRES_PID")),
            load: ended_children("self"),
        }
    }

    /// What was used since, per second of so many.
    pub fn since(self, before: Self, seconds: f64) -> Self {
        Self {
            service: (self.service - before.service) / seconds,
            postgres: (self.postgres - before.postgres) / seconds,
            load: (self.load - before.load) / seconds,
        }
    }
}

/// The postmaster, the servers that it has now, and those that have ended.
fn of_postgres(postmaster: &str) -> f64 {
    let pids = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_server = |pid: &String| fields(pid).is_some_and(|fields| fields[1] == postmaster);
    let servers: f64 = pids.filter(is_server).map(|pid| own(&pid)).sum();
    own(postmaster) + ended_children(postmaster) + servers
}

fn own(pid: &str) -> f64 {
    seconds(pid, 11..13)
}

fn ended_children(pid: &str) -> f64 {
    seconds(pid, 13..15)
}

/// The sum of these fields, zero for a process that has ended.
fn seconds(pid: &str, range: std::ops::Range<usize>) -> f64 {
    let ticks = |fields: Vec<String>| -> f64 {
        fields[range]
            .iter()
            .map(|ticks| ticks.parse::<f64>().unwrap())
            .sum()
    };
    fields(pid).map_or(0.0, ticks) / TICKS_PER_SECOND
}

/// What the kernel says of a process, from the state on, which is its third field.
fn fields(pid: &str) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}
