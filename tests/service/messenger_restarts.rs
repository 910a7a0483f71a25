//! The web client while the service dies under it: nothing is lost and nothing doubled.

use crate::support::{
    Browser, Client, Database, PHONE, Person, Replica, Settings, eventually, open_lane, service,
};

async fn texts_between(jane: &Client) -> Vec<String> {
    let page = jane.get("/users/john/messages?limit=100").await.expect(200);
    let messages = page["messages"].as_array().unwrap().iter().rev();
    messages
        .map(|message| message["text"].as_str().unwrap_or("-").to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_the_service_is_killed_while_both_write() {
    let (database, mut replica) = service().await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    jane.begins_with("john").await;
    john.begins_with("jane").await;
    let mut written = Vec::new();
    for round in 0..3 {
        let base = replica.base.clone();
        for step in 0..6 {
            if step == 3 {
                replica.kill();
            }
            for (name, person) in [("jane", &jane), ("john", &john)] {
                let text = format!("{name} {round}.{step}");
                person.writes(&text).await;
                written.push(text);
            }
        }
        for person in [&jane, &john] {
            person.reads_state("Offline").await;
        }
        drop(replica);
        replica = Replica::start_again_at(&base, &database, Settings::default()).await;
    }

    for person in [&jane, &john] {
        person.reads_state("Up to date").await;
        person
            .until("!document.querySelector('#log .pending')")
            .await;
    }
    // Both pages show what the service has, in its order.
    let stored = texts_between(&replica.user("jane")).await;
    let texts: Vec<_> = stored.iter().map(String::as_str).collect();
    jane.sees_all(&texts).await;
    john.sees_all(&texts).await;
    let by = |name: &'static str| move |text: &&String| text.starts_with(name);
    for name in ["jane", "john"] {
        let sent: Vec<_> = stored.iter().filter(by(name)).collect();
        let wrote: Vec<_> = written.iter().filter(by(name)).collect();
        assert_eq!(sent, wrote, "each once, in the order of writing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_conversation_says_on_a_phone_that_the_service_is_away() {
    let (database, replica) = service().await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.takes_screen(PHONE).await;
    jane.begins_with("john").await;
    let says = |words: &str| {
        format!("document.querySelector('#conversation header').innerText.includes('{words}')")
    };
    jane.until(&says("Personal conversation")).await;
    let base = replica.base.clone();
    drop(replica);
    jane.until(&says("Offline")).await;
    let _replica = Replica::start_again_at(&base, &database, Settings::default()).await;
    jane.until(&says("Personal conversation")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_searched_for_while_the_service_was_away_is_found_when_it_is_back() {
    let (database, replica) = service().await;
    replica.user("john").send("jane", "a needle").await;
    database.until_indexed().await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let base = replica.base.clone();
    drop(replica);
    jane.reads_state("Offline").await;
    jane.click("//input[@aria-label='Search']").await;
    jane.presses_keys("needle").await;
    jane.until("document.querySelector('#search-status').textContent.includes('You are offline')")
        .await;
    let _replica = Replica::start_again_at(&base, &database, Settings::default()).await;
    jane.until("document.querySelectorAll('#hits .hit').length === 1")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_copy_lacks_is_fetched_when_the_service_is_back_and_not_again_and_again() {
    let (database, replica) = service().await;
    for number in 1..=60 {
        let text = format!("message {number}");
        replica.user("john").send("jane", &text).await;
    }
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let base = replica.base.clone();
    drop(replica);
    jane.reads_state("Offline").await;
    jane.opens("john").await;
    // The list has shown the newest one.
    jane.sees_all(&["message 60"]).await;
    let calls = |path: &str| {
        format!(
            "performance.getEntriesByType('resource').filter(({{ name }}) =>
                 name.startsWith(`${{location.origin}}{path}`)).length"
        )
    };
    let attempts = jane.run(&format!("return {}", calls("/messages?"))).await;
    jane.until(&format!("{} >= {attempts} + 2", calls("/messages?")))
        .await;
    let pages = jane
        .run(&format!("return {}", calls("/users/john/messages?")))
        .await;
    assert!(pages.as_i64() <= Some(6), "{pages}");
    assert_eq!(
        jane.run(&format!("return {}", calls("/users/john/read")))
            .await,
        0,
        "what was passed over is not marked"
    );
    let replica = Replica::start_again_at(&base, &database, Settings::default()).await;
    jane.until("document.querySelector('#log .new + [data-number=\"1\"]')")
        .await;
    let conversation = replica.user("jane").get("/users/john").await.expect(200);
    assert!(conversation["read"].as_i64() < Some(40), "{conversation}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_loses_nothing_that_was_not_sent_yet() {
    let (database, replica) = service().await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.begins_with("john").await;
    let lane = database.block_lane().await;
    jane.writes("written before the reload").await;
    jane.until("document.querySelector('#log .pending')").await;
    database.until_writer_waits().await;
    jane.reloads().await;
    jane.reads_state("Up to date").await;
    jane.sees_all(&["written before the reload"]).await;
    jane.until("document.querySelector('#log .pending')").await;
    open_lane(lane).await;
    jane.sees_that("written before the reload", "Sent").await;
    assert_eq!(
        texts_between(&replica.user("jane")).await,
        ["written before the reload"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_and_deleted_while_one_was_away_holds_nothing_up() {
    let (database, replica) = service().await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.reads_state("Up to date").await;
    let base = replica.base.clone();
    drop(replica);
    jane.reads_state("Offline").await;
    let elsewhere = Replica::start(&database, Settings::default()).await;
    let john = elsewhere.user("john");
    let gone = john.send("jane", "gone").await;
    john.send("jane", "there").await;
    let deleted = john.delete(&gone["id"], &gone["timestamp"]).await;
    assert!(deleted.status < 300, "{deleted:?}");
    drop(elsewhere);
    let _replica = Replica::start_again_at(&base, &database, Settings::default()).await;
    jane.opens("john").await;
    jane.sees("there").await;
    jane.reads_state("Up to date").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_from_before_a_restore_is_made_anew() {
    let (_database, replica) = service().await;
    for number in 0..70 {
        replica
            .user("john")
            .send("jane", &format!("forgotten {number}"))
            .await;
    }
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.opens("john").await;
    jane.sees("forgotten 0").await;

    let (restored, base) = (Database::fresh().await, replica.base.clone());
    drop(replica);
    let replica = Replica::start_again_at(&base, &restored, Settings::default()).await;
    let sent = replica.user("john").send("jane", "after the restore").await;
    jane.sees_all(&["after the restore"]).await;
    // It is unread, whatever was read before the restore.
    eventually("the message is read", async || {
        let conversation = replica.user("jane").get("/users/john").await.expect(200);
        (conversation["read"] == sent["number"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_loaded_again_without_the_service_shows_what_it_had() {
    let (database, replica) = service().await;
    replica.user("john").send("jane", "hello").await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.opens("john").await;
    jane.sees_all(&["hello"]).await;
    // The browser has installed the service worker, and the page was loaded through it.
    jane.until("navigator.serviceWorker.controller !== null")
        .await;
    jane.reloads().await;
    jane.reads_state("Up to date").await;
    let base = replica.base.clone();
    drop(replica);
    jane.reloads().await;
    jane.reads_state("Offline").await;
    jane.sees_all(&["hello"]).await;
    jane.writes("written on a page from the browser").await;
    jane.until("document.querySelector('#log .pending')").await;
    let replica = Replica::start_again_at(&base, &database, Settings::default()).await;
    jane.sees_that("written on a page from the browser", "Sent")
        .await;
    let texts = ["hello", "written on a page from the browser"];
    assert_eq!(texts_between(&replica.user("jane")).await, texts);
}
