//! What a new device does first: it syncs everything, page after page, with the messages. Beside it,
//! PostgreSQL alone copies the same rows out.

use std::time::Duration;

use futures_util::TryStreamExt;
use messages::domain::ApplicationId;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::Instant;

use super::{
    generators::Found,
    service::{Service, ask, percentile, setting, token},
};

/// The user whom `benches/newcomer.sql` has sent messages.
pub const NEWCOMER: &str = "newcomer";

/// Syncs from the beginning, again and again for the time of a row. The rate is of entries, the times
/// are of pages of 1,000.
pub async fn sync(service: &Service) -> Found {
    let token = token(ApplicationId::DEFAULT, NEWCOMER);
    let total = |page: &str| number_after(page.find("\"total\":").unwrap() + 8, page);
    pages(service, "/messages?include=message", &token, total).await
}

/// Reads a timeline from the beginning, again and again for the time of a row, in pages of 1,000
/// entries, which `count` counts.
pub async fn pages(
    service: &Service,
    path: &str,
    token: &str,
    count: impl Fn(&str) -> u64,
) -> Found {
    let mut connection = service.connect().await;
    let (began, mut taken, mut after) = (Instant::now(), Vec::new(), 0);
    let mut entries = 0;
    while began.elapsed() < service.time_of_row() {
        let start = Instant::now();
        let path = format!("{path}&limit=1000&after={after}");
        let page = ask(&mut connection, "GET", &path, token, "").await;
        taken.push(start.elapsed());
        // What a client does with a page is not the service's work, so the page is not parsed.
        let page = String::from_utf8(page).unwrap();
        entries += count(&page);
        let next = number_after(page.rfind("\"next\":").unwrap() + 7, &page);
        let latest = number_after(page.rfind("\"latest\":").unwrap() + 9, &page);
        after = if next < latest { next } else { 0 };
    }
    found(entries, began, taken)
}

/// The digits from a place on, as a number.
fn number_after(place: usize, text: &str) -> u64 {
    let digits = text[place..].chars().take_while(char::is_ascii_digit);
    digits.collect::<String>().parse().unwrap()
}

/// Copies the same entries and messages out of PostgreSQL, again and again for the time of a row.
pub async fn copy(service: &Service) -> Found {
    let rows = "SELECT u.timestamp, m.* FROM updates AS u
        JOIN messages AS m ON m.application_id = u.application_id AND m.id = u.message_id
        WHERE u.application_id = 1 AND u.user_id = 'newcomer'
        ORDER BY u.timestamp";
    copies(service, rows).await
}

/// Copies the rows of a query out of PostgreSQL, again and again for the time of a row.
pub async fn copies(service: &Service, query: &str) -> Found {
    let url = setting("DATABASE_URL");
    let mut database = PgConnection::connect(&url).await.unwrap();
    let count = format!("SELECT count(*) FROM ({query}) AS counted");
    let entries: i64 = sqlx::query_scalar(AssertSqlSafe(count))
        .fetch_one(&mut database)
        .await
        .unwrap();
    let copy = format!("COPY ({query}) TO STDOUT (FORMAT binary)");
    let (began, mut taken) = (Instant::now(), Vec::new());
    while began.elapsed() < service.time_of_row() {
        let start = Instant::now();
        let mut rows = database.copy_out_raw(&copy).await.unwrap();
        while rows.try_next().await.unwrap().is_some() {}
        taken.push(start.elapsed());
    }
    let copied = u64::try_from(entries).unwrap() * taken.len() as u64;
    found(copied, began, taken)
}

fn found(entries: u64, began: Instant, mut taken: Vec<Duration>) -> Found {
    let rate = entries as f64 / began.elapsed().as_secs_f64();
    taken.sort_unstable();
    Found {
        rate,
        p50_ms: percentile(&taken, 50),
        p95_ms: percentile(&taken, 95),
        p99_ms: percentile(&taken, 99),
    }
}
