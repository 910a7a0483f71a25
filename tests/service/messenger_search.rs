//! The web client: searches that are narrowed by filters, and the replies to a message.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Browser, Client, PHONE, Person, service};

// Keys, as WebDriver names them.
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

/// Waits until a search shows exactly these messages.
async fn finds(person: &Person<'_>, gists: &[&str]) {
    let expected = Value::from(gists.to_vec());
    person
        .until(&format!(
            "JSON.stringify([...document.querySelectorAll('#hits .gist')].map((hit) => hit.textContent))
             === JSON.stringify({expected})"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_narrowed_by_filters_with_words_and_without() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    jane.send("john", "the plan").await;
    john.send("jane", "a plan of john").await;
    let file = json!({ "to": "jane", "files": ["plan.pdf"] });
    john.post(file).await.expect(201);
    let browser = Browser::open(&replica.base).await;
    let person = Person::sign_in(&browser, &replica.base, "jane").await;
    // The filters are enough.
    person.presses("Filters").await;
    person.presses("With files").await;
    finds(&person, &["File plan.pdf"]).await;
    person.presses("Remove the filter “with files”").await;
    person
        .until("document.querySelector('#results').hidden")
        .await;
    person.presses("From…").await;
    person.types_into_field("Sender", "no id").await;
    person
        .click("//dialog//button[@type='submit'][.='Search']")
        .await;
    person
        .until("document.querySelector('dialog .error').textContent.startsWith('An id has')")
        .await;
    person
        .run("document.querySelector('dialog input').value = ''")
        .await;
    person.types_into_field("Sender", "john\n").await;
    finds(&person, &["File plan.pdf", "a plan of john"]).await;
    // With words, too.
    person
        .until("document.activeElement.matches('[data-filter=\"from\"]')")
        .await;
    person.click("//input[@aria-label='Search']").await;
    person.presses_keys("plan").await;
    finds(&person, &["a plan of john"]).await;
    // By the keyboard: after the field come the button of the filters and those.
    for _ in 0..3 {
        person.presses_keys(TAB).await;
    }
    person
        .until("document.activeElement.matches('[data-filter=\"has\"]')")
        .await;
    person.presses_keys(ENTER).await;
    finds(&person, &[]).await;
    person
        .until("document.querySelector('#search-status').textContent === 'No messages were found.'")
        .await;
    person.presses_keys(ENTER).await;
    finds(&person, &["a plan of john"]).await;
    // Escape ends the search with its filters.
    person.presses_keys(ESCAPE).await;
    person
        .until(
            "document.querySelector('#results').hidden && !document.querySelector('.chip.set')
             && document.querySelector('#search').value === '' && document.querySelector('#filters').hidden
             && document.activeElement === document.querySelector('#search')",
        )
        .await;
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn days_of_a_search_begin_and_end_where_the_reader_is() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    jane.send("john", "today").await;
    let browser = Browser::open(&replica.base).await;
    let person = Person::sign_in(&browser, &replica.base, "jane").await;
    database.until_indexed().await;
    let choose = async |chip: &str, days: i64| {
        person.presses(chip).await;
        let set = format!(
            "const day = new Date(Date.now() + {days} * 864e5 - new Date().getTimezoneOffset() * 6e4);
             document.querySelector('dialog input').value = day.toISOString().slice(0, 10);"
        );
        person.until("document.querySelector('dialog input')").await;
        person.run(&set).await;
        person
            .click("//dialog//button[@type='submit'][.='Search']")
            .await;
    };
    person.presses("Filters").await;
    choose("Until…", 0).await;
    finds(&person, &["today"]).await;
    choose("Since…", 1).await;
    person
        .until("document.querySelector('dialog .error').textContent.startsWith('The first day')")
        .await;
    person.click("//dialog//button[.='Cancel']").await;
    choose("Since…", 0).await;
    finds(&person, &["today"]).await;
    let remove = "//button[starts-with(@aria-label, 'Remove the filter “until')]";
    person.click(remove).await;
    let remove = "//button[starts-with(@aria-label, 'Remove the filter “since')]";
    person.click(remove).await;
    choose("Since…", 1).await;
    finds(&person, &[]).await;
    // Who hides the filters removes them.
    person.presses("Filters").await;
    person
        .until("document.querySelector('#results').hidden && document.querySelector('#filters').hidden")
        .await;
    assert_eq!(browser.errors().await, [""; 0]);
}

async fn reply(from: &Client, to: &str, root: &Value, text: &str) -> Value {
    let body = json!({ "to": to, "text": text, "replyTo": root["id"] });
    from.post(body).await.expect(201)
}

/// Waits until the panel of replies shows exactly these texts, the message first.
async fn shows(person: &Person<'_>, texts: &[&str]) {
    let expected = Value::from(texts.to_vec());
    person
        .until(&format!(
            "JSON.stringify([...document.querySelectorAll('#replies .text')].map((text) => text.textContent))
             === JSON.stringify({expected})"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replies_to_a_message_are_shown_and_written_in_place() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let root = jane.send("john", "who comes?").await;
    let first = reply(&john, "jane", &root, "I do").await;
    john.send("jane", "something else").await;
    reply(&john, "jane", &root, "and Jim").await;
    let browser = Browser::open(&replica.base).await;
    let person = Person::sign_in(&browser, &replica.base, "jane").await;
    person.opens("john").await;
    person.presses("2 replies").await;
    shows(&person, &["who comes?", "I do", "and Jim"]).await;
    person
        .until("document.activeElement === document.querySelector('#close-replies')")
        .await;
    // What is written there replies to the message, and what arrives is shown.
    person.presses("Write a reply").await;
    person.writes("so do I").await;
    shows(&person, &["who comes?", "I do", "and Jim", "so do I"]).await;
    reply(&john, "jane", &root, "good").await;
    shows(
        &person,
        &["who comes?", "I do", "and Jim", "so do I", "good"],
    )
    .await;
    let sent = jane.get("/users/john/messages?limit=2").await.expect(200);
    assert_eq!(sent["messages"][1]["replyTo"], root["id"]);
    // A deleted reply is none, and an edited message is shown as it is.
    let gone = john.delete(&first["id"], &first["timestamp"]).await;
    gone.expect(200);
    let edit = json!({ "text": "who will come?" });
    jane.patch(&root["id"], &root["timestamp"], edit)
        .await
        .expect(200);
    shows(&person, &["who will come?", "and Jim", "so do I", "good"]).await;
    person
        .until("document.querySelector('#replies .day').textContent === '3 replies'")
        .await;
    // Escape closes it, and the focus is where it came from.
    person
        .run("document.querySelector('#close-replies').focus()")
        .await;
    person.presses_keys(ESCAPE).await;
    person
        .until(
            "document.querySelector('#replies').hidden
             && document.activeElement.closest('article')?.textContent.includes('who will come?')",
        )
        .await;
    // On a phone it covers the messages.
    person.takes_screen(PHONE).await;
    person.presses("3 replies").await;
    shows(&person, &["who will come?", "and Jim", "so do I", "good"]).await;
    person
        .until(
            "document.querySelector('#replies').getBoundingClientRect().width
             === document.querySelector('.thread').getBoundingClientRect().width",
        )
        .await;
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_replies_come_page_by_page_without_a_gap() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let root = jane.send("john", "root").await;
    for number in 1..=120 {
        reply(&john, "jane", &root, &number.to_string()).await;
    }
    let read = json!({ "number": 121 });
    jane.call(Method::PUT, "/users/john/read", read)
        .await
        .expect(200);
    let browser = Browser::open(&replica.base).await;
    let person = Person::sign_in(&browser, &replica.base, "jane").await;
    person.opens("john").await;
    person.sees("120").await;
    person
        .run("document.querySelector('#log .quote')?.scrollIntoView()")
        .await;
    // Scrolling up brings the root.
    person
        .until(
            "(() => { document.querySelector('#messages').scrollTop = 0;
                      return document.querySelector('#log [data-number=\"1\"]'); })()",
        )
        .await;
    person.presses("120 replies").await;
    let count = |count: usize| {
        format!(
            "document.querySelectorAll('#replies-log [data-number]').length === {}",
            count + 1
        )
    };
    person.until(&count(50)).await;
    person.presses("Show more replies").await;
    person.until(&count(100)).await;
    person.presses("Show more replies").await;
    person.until(&count(120)).await;
    person
        .until("document.querySelector('#more-replies').hidden")
        .await;
    assert_eq!(browser.errors().await, [""; 0]);
}
