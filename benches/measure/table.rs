//! The table: rows measured in interleaved rounds, and the medians of the rounds beside their
//! limits.

use std::{collections::HashMap, fmt::Write, fs, time::Duration};

use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};

use super::{
    beside::{self, Beside},
    data, feed,
    generators::{self, FOLDER, Found, Requests},
    import_file, members, newcomer, one_at_a_time,
    processors::Usage,
    read_by_all,
    rows::{Load, Row, selected},
    service::{Service, execute, pending, setting},
};

/// How long a row warms up before it is measured.
pub const WARM_UP_SECONDS: u64 = 2;

/// What one round has found of a row.
#[derive(Debug, Clone, Copy)]
struct Sample {
    found: Found,
    usage: Usage,
    /// Memory of the service.
    mib: f64,
}

/// The samples of a row, one a round.
type Samples = HashMap<String, Vec<Sample>>;

/// Measures the rows whose names begin with one of `names`, or all, and prints the table. What the
/// README says of them is in the folder of the run.
pub async fn measure(service: &Service, names: &[String]) {
    let rows = selected(names);
    assert!(!rows.is_empty(), "there is no row {names:?}");
    let rounds: usize = setting("ROUNDS").parse().unwrap();
    let mut database = PgConnection::connect(&setting("DATABASE_URL"))
        .await
        .unwrap();
    let mut samples = Samples::new();
    for _ in 0..rounds {
        for row in &rows {
            let sample = measure_row(service, &mut database, row).await;
            eprintln!("{} {sample:?}", row.name);
            samples.entry(row.name.clone()).or_default().push(sample);
        }
    }
    print(&rows, &samples);
    fs::write(format!("{FOLDER}/table.md"), for_readme(&rows, &samples)).unwrap();
    print_drift(service, &mut database, &rows, &samples).await;
}

/// Measures rows that are nothing but the machine once more: it is another one at the end of an hour.
async fn print_drift(
    service: &Service,
    database: &mut PgConnection,
    rows: &[Row],
    samples: &Samples,
) {
    for row in rows.iter().filter(|row| row.shows_drift()) {
        let first = samples[&row.name][0].found.rate;
        let now = measure_row(service, database, row).await.found.rate;
        println!(
            "at the end {} is {:.2} x what it was at first",
            row.name,
            now / first
        );
    }
}

async fn measure_row(service: &Service, database: &mut PgConnection, row: &Row) -> Sample {
    if let Load::Beside {
        beside: Beside::Data(data),
        ..
    } = row.load
    {
        data::prepare(service, data).await;
    }
    // What the row before has left to be indexed is not this row's work. (The indexer yields to
    // sends.)
    while pending(database).await > 0 {
        sleep(Duration::from_millis(200)).await;
    }
    execute(database, "CHECKPOINT").await;
    if let Load::Requests(requests)
    | Load::ReadByAll(requests)
    | Load::Followed { requests, .. }
    | Load::Beside { requests, .. } = row.load
    {
        write_cursors(database).await;
        generators::requests(requests, WARM_UP_SECONDS);
    }
    let others = match row.load {
        Load::Beside { beside, .. } => Some(beside::begin(service, beside).await),
        _ => None,
    };
    let (began, before) = (Instant::now(), Usage::now());
    let found = match row.load {
        Load::Requests(requests) => generators::requests(requests, service.seconds),
        Load::ReadByAll(requests) => read_by_all::measure(service, requests).await,
        Load::Statement { statement, clients } => {
            generators::statement(statement, clients, service.seconds)
        }
        Load::FirstSync => newcomer::sync(service).await,
        Load::Copy => newcomer::copy(service).await,
        Load::Feed => feed::read(service).await,
        Load::FeedCopy => feed::copy(service).await,
        Load::Beside { requests, .. } => generators::requests_meanwhile(service, requests).await,
        Load::Followed { requests, streams } => feed::sends(service, requests, streams).await,
        Load::ImportFile => import_file::measure(),
        Load::Members { at_once } => members::measure(service, at_once).await,
        Load::OneAtATime { beside } => one_at_a_time::measure(service, beside).await,
        Load::Transactions {
            script,
            clients,
            units,
        } => generators::transactions(script, clients, units, service.seconds),
    };
    let seconds = began.elapsed().as_secs_f64();
    let sample = Sample {
        found,
        usage: Usage::now().since(before, seconds),
        mib: service.resident_bytes() as f64 / 1024.0 / 1024.0,
    };
    if let Some(others) = others {
        others.finish(service, seconds).await;
    }
    sample
}

/// Writes where each user is on the timeline: the newest update, and the one before the newest 50.
/// Rows that send move the users on, and who is up to date must be so again.
async fn write_cursors(database: &mut PgConnection) {
    let sql = "SELECT max(timestamp) || '|'
                      || coalesce((array_agg(timestamp ORDER BY timestamp DESC))[51], 0)
               FROM updates WHERE application_id = 1 AND user_id LIKE 'user-%'
               GROUP BY user_id ORDER BY substr(user_id, 6)::int";
    let lines: Vec<String> = sqlx::query_scalar(sql).fetch_all(database).await.unwrap();
    fs::write(format!("{FOLDER}/cursors"), lines.join("\n") + "\n").unwrap();
}

fn print(rows: &[Row], samples: &Samples) {
    println!(
        "{:20} {:>10} {:>7} {:>8} {:>8} {:>8} {:>22} {:>7}  against its limits",
        "row", "per second", "spread", "p50 ms", "p95 ms", "p99 ms", "CPU service/pg/load", "MiB"
    );
    for row in rows {
        let of_row = |value: fn(&Sample) -> f64| sorted(&samples[&row.name], value);
        let rates = of_row(|sample| sample.found.rate);
        let rate = median(&rates);
        let spread = 100.0 * (rates[rates.len() - 1] - rates[0]) / rate;
        let cpu = format!(
            "{:.2} / {:.2} / {:.2}",
            median(&of_row(|sample| sample.usage.service)),
            median(&of_row(|sample| sample.usage.postgres)),
            median(&of_row(|sample| sample.usage.load)),
        );
        let limits = ratios(row, samples);
        let limits: Vec<_> = limits
            .map(|(limit, ratio)| format!("{ratio} × {limit}"))
            .collect();
        println!(
            "{:20} {rate:10.0} {spread:5.0} % {:8.2} {:8.2} {:8.2} {cpu:>22} {:7.0}  {}",
            row.name,
            median(&of_row(|sample| sample.found.p50_ms)),
            median(&of_row(|sample| sample.found.p95_ms)),
            median(&of_row(|sample| sample.found.p99_ms)),
            median(&of_row(|sample| sample.mib)),
            limits.join("  "),
        );
    }
}

/// The rows that have limits, as a table in Markdown.
fn for_readme(rows: &[Row], samples: &Samples) -> String {
    let mut table =
        "| | connections | a second | beside its limit |\n| --- | --- | --- | --- |\n".to_owned();
    for row in rows {
        let limits = ratios(row, samples).map(|(limit, ratio)| {
            let limit = rows.iter().find(|row| row.name == limit);
            format!("{ratio} × {}", limit.map_or("", |limit| limit.about))
        });
        let limits: Vec<_> = limits.collect();
        if !limits.is_empty() {
            let rate = median(&sorted(&samples[&row.name], |sample| sample.found.rate));
            let (about, limits) = (row.about, limits.join("; "));
            let connections = row.connections();
            writeln!(
                table,
                "| {about} | {connections} | {} | {limits} |",
                rounded(rate)
            )
            .unwrap();
        }
    }
    table
}

/// A number with the three digits that mean something, in groups.
fn rounded(number: f64) -> String {
    let unit = 10_f64.powf((number.log10().floor() - 2.0).max(0.0));
    let digits = format!("{:.0}", (number / unit).round() * unit);
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().collect();
    let groups = groups.iter().map(|group| String::from_utf8_lossy(group));
    groups.collect::<Vec<_>>().join(",")
}

/// A row beside those of its limits that were measured: a row that is measured only as a limit comes
/// without limits of its own.
fn ratios<'a>(
    row: &'a Row,
    samples: &'a Samples,
) -> impl Iterator<Item = (&'static str, String)> + 'a {
    let limits = row.limits.iter().copied();
    let measured = limits.filter(|limit| samples.contains_key(*limit));
    measured.map(|limit| (limit, ratio(row, limit, samples)))
}

/// A row beside one of its limits. Of a single caller the latency counts, else the rate. Beside
/// others, what counts is how long the single caller waits at worst.
fn ratio(row: &Row, limit: &str, samples: &Samples) -> String {
    let medians = |value: fn(&Sample) -> f64| {
        let of = |name: &str| median(&sorted(&samples[name], value));
        f64::from(row.units) * of(&row.name) / of(limit)
    };
    let (what, value) = match &row.load {
        Load::OneAtATime { .. } => ("p99 ", medians(|sample| sample.found.p99_ms)),
        Load::Requests(Requests { connections: 1, .. }) => {
            ("latency ", medians(|sample| sample.found.p50_ms))
        }
        _ => ("", medians(|sample| sample.found.rate)),
    };
    format!("{what}{value:.2}")
}

fn sorted(samples: &[Sample], value: fn(&Sample) -> f64) -> Vec<f64> {
    let mut values: Vec<_> = samples.iter().map(value).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    sorted[(sorted.len() - 1) / 2]
}
