//! What people do in the web client with a conversation as a whole, and with what was refused.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::{Browser, Person, Replica, Settings, service, token, token_signed_by};

const ESCAPE: &str = "\u{e00c}";
const ARROW_DOWN: &str = "\u{e015}";
const ENTER: &str = "\u{e007}";

#[tokio::test(flavor = "multi_thread")]
async fn who_is_blocked_is_told_nothing_but_that_it_was_not_accepted() {
    let (_database, replica) = service().await;
    replica.user("john").send("jane", "hello").await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.opens("john").await;
    jane.chooses("Block").await;
    jane.until(
        "!document.querySelector('#blocked').hidden && document.querySelector('#composer').hidden",
    )
    .await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.opens("jane").await;
    john.writes("are you there?").await;
    john.until("document.querySelector('.refusal')?.textContent.includes('not accepted')")
        .await;
    john.until(
        "document.querySelector('#conversations .not-sent')?.textContent.includes('Not sent')",
    )
    .await;
    assert_eq!(
        john.run(
            "return document.querySelectorAll('#conversations [href=\"#icon-clock\"]').length"
        )
        .await,
        0
    );
    jane.presses("Unblock").await;
    jane.until("!document.querySelector('#composer').hidden")
        .await;

    // What was refused can be edited.
    john.click("//div[@class='refusal']//button[.='Edit']")
        .await;
    john.until("document.querySelector('#text').value === 'are you there?'")
        .await;
    john.until("!document.querySelector('#log .pending') && !document.querySelector('.not-sent')")
        .await;
    john.types(" Hello!\n").await;
    john.sees_that("are you there? Hello!", "Sent").await;
    jane.sees_all(&["hello", "are you there? Hello!"]).await;
    let stored = replica.user("john").get("/users/jane").await.expect(200);
    assert_eq!(stored["messages"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_and_its_menu_are_there_for_the_keyboard() {
    let (_database, replica) = service().await;
    replica.user("jane").send("tom", "hi").await;
    replica.user("john").send("jane", "hello").await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.lists(&["john, 1 unread", "tom"]).await;
    jane.click("//input[@aria-label='Search']").await;
    // After the button of the filters, the list is one stop.
    jane.presses_keys("\t").await;
    jane.until("document.activeElement.id === 'show-filters'")
        .await;
    jane.presses_keys("\t").await;
    jane.until("document.activeElement.getAttribute('href') === '#/users/john'")
        .await;
    jane.presses_keys(ARROW_DOWN).await;
    jane.until("document.activeElement.getAttribute('href') === '#/users/tom'")
        .await;
    let stops = "return document.querySelectorAll('#conversations a[tabindex=\"0\"]').length";
    assert_eq!(jane.run(stops).await, 1);
    jane.run("document.querySelector('#conversations a').focus()")
        .await;
    jane.run(
        "document.activeElement.dispatchEvent(new MouseEvent('contextmenu', { bubbles: true }))",
    )
    .await;
    jane.until("document.activeElement.textContent === 'Mark as read'")
        .await;
    jane.presses_keys(ARROW_DOWN).await;
    jane.until("document.activeElement.textContent === 'Pin'")
        .await;
    jane.presses_keys(ESCAPE).await;
    jane.until(
        "!document.querySelector('.menu') && document.activeElement.matches('.conversation')",
    )
    .await;
    jane.run(
        "document.activeElement.dispatchEvent(new MouseEvent('contextmenu', { bubbles: true }))",
    )
    .await;
    jane.presses_keys(ENTER).await;
    jane.lists(&["john", "tom"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_mentioned_sees_it_in_the_list_and_in_the_message() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    jane.chat("Team", &["john", "jim.b"]).await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    jane.opens("Team").await;
    jane.types("Hi @J").await;
    jane.until(
        "[...document.querySelectorAll('#mentions strong')].map((name) => name.textContent).join()
             === '@john,@jim.b' || [...document.querySelectorAll('#mentions strong')]
                 .map((name) => name.textContent).join() === '@jim.b,@john'",
    )
    .await;
    jane.types("o").await;
    jane.until("document.querySelectorAll('#mentions li').length === 1")
        .await;
    jane.presses_keys("\n").await;
    jane.until("document.querySelector('#text').value === 'Hi @john '")
        .await;
    jane.types("and @jim.b. Not @johnny, not a@john.\n").await;
    let text = "Hi @john and @jim.b. Not @johnny, not a@john.";
    jane.sees_that(text, "Sent").await;
    john.lists(&["Team, 1 unread"]).await;
    john.until(
        "document.querySelector('#conversations .named .unseen')?.textContent === '1 mentioning you'",
    )
    .await;
    john.opens("Team").await;
    john.sees(text).await;
    let marked = "[...document.querySelectorAll('.to-me .mention')].map((name) =>
                      `${name.textContent} ${name.className}`).join()";
    john.until(&format!("{marked} === '@john mention me,@jim.b mention'"))
        .await;
    john.until("!document.querySelector('#conversations .named')")
        .await;
    jane.sees_that(text, "Read by 1 of 2").await;
    let stored = replica.user("john").get("/chats/1").await.expect(200);
    assert_eq!(stored["message"]["mentions"], json!(["john", "jim.b"]));

    // An edit mentions somebody else.
    jane.acts_on(text, "Edit").await;
    jane.types(" And @all!\n").await;
    jane.sees_that(&format!("{text} And @all!"), "edited").await;
    let stored = replica.user("john").get("/chats/1").await.expect(200);
    assert_eq!(stored["message"]["mentions"], json!(["john", "jim.b"]));
    assert_eq!(stored["message"]["mentionsAll"], true);
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_can_be_clicked_and_data_is_shown() {
    let (_database, replica) = service().await;
    let john = replica.user("john");
    let text =
        "See (https://example.org/a_(b)?c=d&e), http://example.com. Not javascript:alert(1)!";
    john.send("jane", text).await;
    let data = json!({ "kind": "location", "label": "<b>Hall</b>" });
    john.post(json!({ "to": "jane", "attributes": data }))
        .await
        .expect(201);
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.until(
        "document.querySelector('#conversations .gist')?.textContent
             === 'Data {\"kind\":\"location\",\"label\":\"<b>Hall</b>\"}'",
    )
    .await;
    jane.opens("john").await;
    jane.sees(text).await;
    let links = jane
        .run(
            "return [...document.querySelectorAll('#log a')].map((link) =>
                 [link.href, link.textContent, link.target, link.rel])",
        )
        .await;
    let link = |address: &str, text: &str| json!([address, text, "_blank", "noopener noreferrer"]);
    assert_eq!(
        links,
        json!([
            link(
                "https://example.org/a_(b)?c=d&e",
                "https://example.org/a_(b)?c=d&e"
            ),
            link("http://example.com/", "http://example.com"),
        ])
    );
    let shown = jane
        .run("return JSON.parse(document.querySelector('#log .data').textContent)")
        .await;
    assert_eq!(shown, data);
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_outlives_the_token() {
    const FORMER: &str = "a former secret that is long enough";
    let (database, other) = service().await;
    other.user("ann").send("jane", "hello").await;
    other.user("john").send("jane", "hello").await;
    let former = Settings::default().with("MESSAGES_SECRET", FORMER);
    let mut replica = Replica::start(&database, former).await;
    let base = replica.base.clone();
    let browser = Browser::open(&base).await;
    let hour = Duration::from_secs(3600);
    let ending = token_signed_by(FORMER, 1, "jane", hour);
    let jane = Person::opens_link_with(&browser, &base, &ending).await;
    jane.opens("john").await;
    jane.types("not finished").await;
    jane.opens("ann").await;
    jane.until(
        "document.querySelector('#conversations').textContent.includes('Draft: not finished')",
    )
    .await;
    jane.opens("john").await;
    jane.until("!document.querySelector('#conversations').textContent.includes('Draft')")
        .await;
    // With another secret, the token is good no more.
    replica.kill();
    let _replica = Replica::start_again_at(&base, &database, Settings::default()).await;
    jane.until("document.querySelector('#sign-in-why').textContent !== ''")
        .await;
    jane.click("//textarea[@id='token']").await;
    jane.presses_keys(&token(1, "jane", hour)).await;
    jane.presses("Sign in").await;
    jane.reads_state("Up to date").await;
    jane.opens("john").await;
    jane.until("document.querySelector('#text').value === 'not finished'")
        .await;
    jane.types(" yet\n").await;
    jane.sees_that("not finished yet", "Sent").await;
    jane.reloads().await;
    jane.reads_state("Up to date").await;
    jane.until("document.querySelector('#title').textContent === 'john'")
        .await;
    assert_eq!(
        jane.run("return document.querySelector('#text').value")
            .await,
        ""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_found_by_its_name() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    jane.chat("Festival", &[]).await;
    jane.send("john", "about the festival").await;
    let hidden = json!({ "archived": true });
    jane.call(Method::PATCH, "/chats/1/settings", hidden)
        .await
        .expect(200);
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.click("//input[@aria-label='Search']").await;
    jane.presses_keys("FEST").await;
    jane.until("document.querySelector('#found-names .name')?.textContent === 'Festival'")
        .await;
    jane.click("//ol[@id='found-names']//a").await;
    jane.until("document.querySelector('#title').textContent === 'Festival'")
        .await;
    jane.until(
        "!document.querySelector('#search').value && !document.querySelector('#inbox').hidden",
    )
    .await;
}
