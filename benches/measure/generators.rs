//! The load generators: wrk for requests, pgbench for transactions.

use std::{fs, process::Command};

use messages::domain::ApplicationId;
use tokio::task::spawn_blocking;

use super::{
    service::{Service, setting},
    statements::Statement,
};

/// The folder of what belongs to one run.
pub const FOLDER: &str = ".local/bench";

/// What a load generator has found.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// Requests, or messages, a second.
    pub rate: f64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
}

/// Requests of a kind that `requests.lua` has.
#[derive(Debug, Clone, Copy)]
pub struct Requests {
    pub kind: &'static str,
    pub connections: u32,
    /// The threads of wrk, which share the connections.
    pub threads: u32,
}

/// Makes requests for so many seconds.
pub fn requests(requests: Requests, seconds: u64) -> Found {
    let Requests {
        kind,
        connections,
        threads,
    } = requests;
    let url = setting(if kind == "static" { "STATIC" } else { "BASE" });
    let output = run(Command::new("wrk")
        .arg(format!("-t{threads}"))
        .arg(format!("-c{connections}"))
        .arg(format!("-d{seconds}s"))
        .args(["--latency", "-s", "benches/requests.lua", &url])
        .env("ROW", kind));
    assert!(!output.contains("Non-2xx"), "{output}");
    let value = |label: &str| {
        let line = output
            .lines()
            .find_map(|line| line.trim().strip_prefix(label));
        line.unwrap_or_else(|| panic!("{label} is not in {output}"))
            .trim()
            .to_owned()
    };
    Found {
        rate: value("Requests/sec:").parse().unwrap(),
        p50_ms: milliseconds(&value("50%")),
        p95_ms: milliseconds(&value("95%")),
        p99_ms: milliseconds(&value("99%")),
    }
}

/// As [`requests`], for the time of a row, while other tasks go on.
pub async fn requests_meanwhile(service: &Service, these: Requests) -> Found {
    let seconds = service.seconds;
    let making = spawn_blocking(move || requests(these, seconds));
    making.await.unwrap()
}

/// wrk writes 950.00us, 1.20ms or 1.05s.
fn milliseconds(time: &str) -> f64 {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)];
    let in_unit =
        |(unit, factor): &(&str, f64)| Some(time.strip_suffix(unit)?.parse::<f64>().ok()? * factor);
    units
        .iter()
        .find_map(in_unit)
        .unwrap_or_else(|| panic!("{time} is no time"))
}

/// Transactions of a script below `benches` by so many clients, each of so many messages or rows.
pub fn transactions(script: &str, clients: u32, units: u32, seconds: u64) -> Found {
    let file = format!("benches/{script}.sql");
    pgbench(&file, clients, units, seconds, &setting("LIMIT_URL"), "")
}

/// A statement, with the database of the service and the terms of its connections (`store/terms.rs`).
pub fn statement(statement: Statement, clients: u32, seconds: u64) -> Found {
    let file = format!("{FOLDER}/statement.sql");
    fs::write(&file, statement.script()).unwrap();
    pgbench(&file, clients, 1, seconds, &setting("DATABASE_URL"), TERMS)
}

/// How PostgreSQL plans for the service.
const TERMS: &str = "-c plan_cache_mode=force_generic_plan -c jit=off -c enable_seqscan=off \
                     -c enable_hashjoin=off -c enable_mergejoin=off -c enable_memoize=off";

fn pgbench(file: &str, clients: u32, units: u32, seconds: u64, url: &str, terms: &str) -> Found {
    let log = format!("{FOLDER}/transactions");
    fs::remove_dir_all(&log).unwrap_or_default();
    fs::create_dir(&log).unwrap();
    let output = run(Command::new(format!("{}/pgbench", setting("POSTGRES_BIN")))
        .args(["-n", "-M", "prepared", "-l", "--log-prefix"])
        .arg(format!("{log}/of"))
        .args([
            "-c",
            &clients.to_string(),
            "-j",
            &threads(clients).to_string(),
        ])
        .args(["-T", &seconds.to_string(), "-f", file])
        .arg(url)
        .env("PGOPTIONS", terms));
    let tps = output.lines().find_map(|line| line.strip_prefix("tps = "));
    let tps = tps.and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
    let tps = tps.unwrap_or_else(|| panic!("no rate is in {output}"));
    let mut taken = microseconds(&log);
    taken.sort_unstable();
    let percentile = |share: usize| taken[taken.len() * share / 100] as f64 / 1000.0;
    Found {
        rate: tps * f64::from(units),
        p50_ms: percentile(50),
        p95_ms: percentile(95),
        p99_ms: percentile(99),
    }
}

/// How long each transaction of a log took: the third field of each line.
fn microseconds(log: &str) -> Vec<u64> {
    let files = fs::read_dir(log)
        .unwrap()
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let lines = files.flat_map(|file| file.lines().map(str::to_owned).collect::<Vec<_>>());
    lines
        .map(|line| line.split(' ').nth(2).unwrap().parse().unwrap())
        .collect()
}

/// Lets 100 users write 1,000 messages each to a user, so many days ago.
pub fn seed(application: ApplicationId, newcomer: &str, days: u32) {
    run(Command::new(format!("{}/psql", setting("POSTGRES_BIN")))
        .args(["-q", "-f", "benches/newcomer.sql"])
        .args(["-v", &format!("application={}", application.get())])
        .args(["-v", &format!("newcomer={newcomer}")])
        .args(["-v", &format!("days={days}")])
        .arg(setting("DATABASE_URL")));
}

/// Two threads, as the machine has to serve as well.
pub fn threads(connections: u32) -> u32 {
    connections.min(2)
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("the load generator is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}
