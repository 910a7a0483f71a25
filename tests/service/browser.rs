//! The stream in a real browser.

use std::time::Duration;

use messages::auth::TICKET_LIFETIME;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use crate::support::{Browser, Client, Database, Replica, Settings, token};

/// The lines for a browser, as the README has them.
fn lines_of_the_readme() -> String {
    let readme = include_str!("../../README.md");
    let blocks = readme
        .split("```js\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    blocks
        .filter(|block| block.contains("new EventSource("))
        .collect()
}

/// Opens a page of the service that follows john's timeline and keeps what the stream sends.
async fn open_watcher(replica: &Replica) -> Browser {
    let browser = Browser::open(&format!("{}/health/live", replica.base)).await;
    let token = token(1, "john", Duration::from_secs(3600));
    // What the lines leave to the page, and the tickets that they take.
    let page = format!(
        "window.shown = []; window.tickets = 0; window.begins = 0;
         window.base = ''; window.token = '{token}';
         window.show = ({{ message }}) => shown.push(message.id);
         const plain = window.fetch;
         window.fetch = (...request) => {{ tickets += 1; return plain(...request); }};
         window.begin = async () => {{
             const headers = {{ Authorization: `Bearer ${{token}}` }};
             const answer = await plain('/conversations', {{ headers }});
             const {{ latest }} = await answer.json();
             begins += 1;
             return latest;
         }};
         const script = document.createElement('script');
         script.textContent = {lines};
         document.body.append(script);",
        lines = Value::from(lines_of_the_readme()),
    );
    browser.run(&page).await;
    browser
}

async fn send(jane: &Client, sent: &mut Vec<Value>) -> String {
    sent.push(jane.send("john", "hello").await["id"].clone());
    format!("shown.length >= {}", sent.len())
}

async fn restart(replica: Replica, database: &Database, away_until: Instant) -> Replica {
    let base = replica.base.clone();
    drop(replica);
    sleep_until(away_until).await;
    Replica::start_again_at(&base, database, Settings::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_source_outlives_restarts_short_and_long() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, Settings::default()).await;
    let other = Replica::start(&database, Settings::default()).await;
    let (jane, mut sent) = (other.user("jane"), Vec::new());
    send(&jane, &mut sent).await;
    let browser = open_watcher(&replica).await;
    browser.until("shown.length >= 1").await;
    let ticket_end = Instant::now() + TICKET_LIFETIME;
    browser.until(&send(&jane, &mut sent).await).await;

    let replica = restart(replica, &database, Instant::now()).await;
    let is_shown = send(&jane, &mut sent).await;
    browser.until(&is_shown).await;
    assert_eq!(
        browser.run("return tickets").await,
        1,
        "the browser has reconnected by itself"
    );

    // Nothing but time makes the ticket old.
    let _replica = restart(replica, &database, ticket_end).await;
    let is_shown = send(&jane, &mut sent).await;
    browser.until(&is_shown).await;
    assert!(
        browser.run("return tickets").await.as_i64() > Some(1),
        "the page has taken a new ticket"
    );
    assert_eq!(
        browser.run("return shown").await,
        json!(sent),
        "nothing is lost and nothing repeated"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_source_that_is_reset_begins_anew_and_misses_nothing() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, Settings::default()).await;
    let (jane, mut sent) = (replica.user("jane"), Vec::new());
    let is_shown = send(&jane, &mut sent).await;
    let browser = open_watcher(&replica).await;
    browser.until(&is_shown).await;

    // The page has one stream from the beginning, and another one whose cursor is beyond the end.
    browser.run("follow(1000000)").await;
    browser.until("begins >= 1").await;
    sent.push(jane.send("john", "hello").await["id"].clone());
    browser.until("shown.length >= 3").await;
    assert_eq!(
        browser.run("return shown").await,
        json!([sent[0], sent[1], sent[1]]),
        "each stream has what is new, and the one that was reset nothing else"
    );
    assert_eq!(browser.run("return begins").await, 1);
}
