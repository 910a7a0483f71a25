//! The web client, driven as people do: two of them side by side.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Browser, Client, PHONE, Person, Replica, Reply, eventually, open_lane, service, token,
};

const ESCAPE: &str = "\u{e00c}";
const ARROW_UP: &str = "\u{e013}";
const BACKSPACE: &str = "\u{e003}";
const CONTROL: &str = "\u{e009}";
/// Lets go of every key that is held.
const NULL: &str = "\u{e000}";

async fn browser(replica: &Replica) -> Browser {
    Browser::open(&replica.base).await
}

/// Sends three messages.
async fn three_messages(from: &Client, to: &str) -> [Value; 3] {
    [
        from.send(to, "first").await,
        from.send(to, "second").await,
        from.send(to, "third").await,
    ]
}

/// Marks a message as its recipient does somewhere else.
async fn mark(recipient: &Client, message: &Value, read: bool) {
    let marking = recipient.patching(&message["id"], json!({ "read": read }));
    Reply::of(marking).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_write_to_each_other_and_see_edits_deletions_and_read_marks() {
    let (_database, replica) = service().await;
    let browser = browser(&replica).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    let address = john.run("return location.href").await;
    assert_eq!(
        address,
        format!("{}/", replica.base),
        "the token is not in the address any more"
    );

    jane.begins_with("john").await;
    jane.writes("Hello, John!").await;
    jane.sees_that("Hello, John!", "Sent").await;
    john.lists(&["jane, 1 unread"]).await;
    john.opens("jane").await;
    john.sees_all(&["Hello, John!"]).await;
    john.lists(&["jane"]).await;
    jane.sees_that("Hello, John!", "Read").await;

    john.writes("Hello, Jane!").await;
    jane.sees_all(&["Hello, John!", "Hello, Jane!"]).await;
    john.sees_that("Hello, Jane!", "Read").await;

    jane.acts_on("Hello, John!", "Edit").await;
    jane.types(" How are you?\n").await;
    john.sees_all(&["Hello, John! How are you?", "Hello, Jane!"])
        .await;
    john.sees_that("Hello, John! How are you?", "edited").await;

    john.acts_on("Hello, Jane!", "Delete").await;
    john.click("//dialog//button[.='Delete']").await;
    jane.sees_all(&["Hello, John! How are you?", "This message was deleted"])
        .await;

    for person in [&jane, &john] {
        person.reloads().await;
        person.reads_state("Up to date").await;
        person
            .sees_all(&["Hello, John! How are you?", "This message was deleted"])
            .await;
    }
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_mark_shows_at_once_on_its_message_and_all_before_it() {
    let (_database, replica) = service().await;
    let john = replica.user("john");
    let [_, second, third] = three_messages(&replica.user("jane"), "john").await;
    let browser = browser(&replica).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.opens("john").await;
    jane.run("window.isSamePage = true").await;
    let sees = async |states: [&str; 3]| {
        for (text, state) in ["first", "second", "third"].into_iter().zip(states) {
            jane.sees_that(text, state).await;
        }
    };
    sees(["Sent", "Sent", "Sent"]).await;
    mark(&john, &second, true).await;
    sees(["Read", "Read", "Sent"]).await;
    mark(&john, &third, true).await;
    sees(["Read", "Read", "Read"]).await;
    mark(&john, &second, false).await;
    sees(["Read", "Sent", "Sent"]).await;
    assert_eq!(jane.run("return window.isSamePage").await, true);
    // What a screen reader says of them.
    let says = "[...document.querySelectorAll('#log article')]
                    .map((message) => /\\((.*)\\)$/.exec(message.ariaLabel)[1]).join()";
    jane.until(&format!("{says} === 'read,sent,sent'")).await;
    jane.reloads().await;
    sees(["Read", "Sent", "Sent"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_of_another_device_take_the_number_of_unread_messages_away_and_bring_it_back() {
    let (_database, replica) = service().await;
    let elsewhere = replica.user("john");
    let browser = browser(&replica).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    let [first, second, third] = three_messages(&replica.user("jane"), "john").await;
    john.lists(&["jane, 3 unread"]).await;
    mark(&elsewhere, &second, true).await;
    john.lists(&["jane, 1 unread"]).await;
    mark(&elsewhere, &third, true).await;
    john.lists(&["jane"]).await;
    mark(&elsewhere, &second, false).await;
    john.lists(&["jane, 2 unread"]).await;
    mark(&elsewhere, &first, false).await;
    john.lists(&["jane, 3 unread"]).await;
    // A new copy learns it too.
    john.presses("Sign out").await;
    john.click("//dialog//button[.='Sign out']").await;
    john.until("document.body.dataset.page === 'sign-in'").await;
    mark(&elsewhere, &second, true).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.lists(&["jane, 1 unread"]).await;
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_read_mark_covers_all_that_is_unread() {
    let (_database, replica) = service().await;
    let [_, _, third] = three_messages(&replica.user("jane"), "john").await;
    let browser = browser(&replica).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.lists(&["jane, 3 unread"]).await;
    john.opens("jane").await;
    john.lists(&["jane"]).await;
    let conversation = replica.user("john").get("/users/jane").await.expect(200);
    assert_eq!(conversation["read"], third["number"]);
    let label = "method=\"PUT\",route=\"/users/{user}/read\",status=\"200\"";
    let marks = replica.metric("messages_http_request_seconds_count", label);
    assert!((marks.await - 1.0).abs() < f64::EPSILON, "one request");

    // What arrives in the open conversation is read at once.
    let fourth = replica.user("jane").send("john", "fourth").await;
    john.sees("fourth").await;
    eventually("the fourth message is read", async || {
        let conversation = replica.user("john").get("/users/jane").await.expect(200);
        (conversation["read"] == fourth["number"]).then_some(())
    })
    .await;
    john.lists(&["jane"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_writes_to_oneself_is_not_unread() {
    let (_database, replica) = service().await;
    let browser = browser(&replica).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let sent = replica.user("jane").send("jane", "buy milk").await;
    jane.lists(&["jane"]).await;
    jane.opens("jane").await;
    jane.writes("and bread").await;
    jane.sees_that("and bread", "Sent").await;
    mark(&replica.user("jane"), &sent, true).await;
    replica.user("john").send("jane", "hello").await;
    jane.lists(&["john, 1 unread", "jane"]).await;
    jane.sees_that("buy milk", "Sent").await;
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_with_markup_appears_as_text_everywhere() {
    const TEXT: &str = "<img src=x onerror=alert(1)>";
    let (_database, replica) = service().await;
    let browser = browser(&replica).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    replica.user("jane").send("john", TEXT).await;
    john.until(&format!(
        "document.querySelector('#conversations .gist')?.textContent === '{TEXT}'"
    ))
    .await;
    john.opens("jane").await;
    john.sees_all(&[TEXT]).await;
    john.click("//input[@aria-label='Search']").await;
    john.presses_keys("alert").await;
    john.until(&format!(
        "document.querySelector('#hits .gist')?.textContent === '{TEXT}'"
    ))
    .await;
    assert_eq!(
        john.run("return document.querySelector('#hits mark').textContent")
            .await,
        "alert"
    );
    let pictures = john
        .run("return document.querySelectorAll('img:not([src^=\"/web/\"])').length")
        .await;
    assert_eq!(pictures, 0);
    assert_eq!(
        browser.errors().await,
        [""; 0],
        "not even the policy had to do anything"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_follows_its_members_as_they_come_and_go() {
    let (_database, replica) = service().await;
    let browser = browser(&replica).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;

    jane.presses("New chat").await;
    jane.types_into_field("Name", "Festival").await;
    jane.presses("Create").await;
    jane.until("document.querySelector('#title').textContent === 'Festival'")
        .await;
    jane.writes("Only I am here").await;
    jane.sees_that("Only I am here", ":").await;

    jane.presses("Name and members").await;
    jane.types_into_field("Add members", "john\n").await;
    jane.until(
        "[...document.querySelectorAll('.members .name')].some((name) => name.textContent === 'john')",
    )
    .await;
    john.lists(&["Festival"]).await;
    john.opens("Festival").await;
    let texts = ["Only I am here", "jane has added john", "Now I am, too"];
    john.sees_all(&texts[..2]).await;
    john.writes(texts[2]).await;
    jane.presses("Done").await;
    jane.sees_all(&texts).await;

    jane.presses("Name and members").await;
    jane.acts_on_member("john", "Remove").await;
    john.lists(&[]).await;
    john.until("!document.querySelector('#nothing-open').hidden")
        .await;
    jane.presses("Done").await;
    jane.until("document.querySelector('#subtitle').textContent === '1 member'")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_chat_that_one_is_removed_from_is_kept_and_says_why() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let chat = jane.chat("Festival", &["john"]).await;
    let browser = browser(&replica).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.opens("Festival").await;
    let member = format!("/chats/{chat}/members/john");
    // The removal and the message wait for the lane, one behind the other.
    let lane = database.block_lane().await;
    let removing = tokio::spawn(async move {
        jane.ask(reqwest::Method::DELETE, &member, None)
            .await
            .expect(204);
        (jane, member)
    });
    database.until_writer_waits().await;
    john.writes("I have so much to say").await;
    john.writes("and this").await;
    john.until("document.querySelectorAll('#log .pending').length === 2")
        .await;
    open_lane(lane).await;
    let (jane, member) = removing.await.unwrap();

    let says = "[...document.querySelectorAll('.refusal')].filter((why) =>
                    why.textContent.includes('no longer a member')).length";
    john.until(&format!("{says} === 2")).await;
    john.sees_all(&["I have so much to say", "and this"]).await;
    john.lists(&["Festival"]).await;
    john.until("document.querySelector('#subtitle').textContent.includes('no longer a member')")
        .await;
    john.until("document.querySelector('#composer').hidden")
        .await;
    john.reloads().await;
    john.reads_state("Up to date").await;
    john.sees_all(&["I have so much to say", "and this"]).await;
    john.until(&format!("{says} === 2")).await;

    // What was written can be taken elsewhere.
    john.click("//li[.//p[.='I have so much to say']]//button[.='Copy']")
        .await;
    john.click("//input[@aria-label='Search']").await;
    john.presses_keys(&format!("{CONTROL}v")).await;
    john.until("document.querySelector('#search').value === 'I have so much to say'")
        .await;
    john.presses_keys(&format!("{NULL}{ESCAPE}")).await;
    john.presses("Discard").await;
    john.sees_all(&["and this"]).await;

    // Who is a member again can send it after all.
    jane.call(reqwest::Method::PUT, &member, json!({})).await;
    john.until("!document.querySelector('#composer').hidden")
        .await;
    john.presses("Try again").await;
    john.sees_that("and this", ":").await;
    john.until("!document.querySelector('#log .pending')").await;

    // With nothing left to keep the chat goes, and says so.
    jane.ask(reqwest::Method::DELETE, &member, None)
        .await
        .expect(204);
    john.lists(&[]).await;
    john.until(
        "document.querySelector('#nothing-open').textContent.includes('no longer a member')",
    )
    .await;
    assert_eq!(
        browser
            .errors()
            .await
            .iter()
            .filter(|error| !error.contains("404"))
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_enter_key_does_no_harm_in_the_dialog_of_a_chat() {
    let (_database, replica) = service().await;
    replica.user("jane").chat("Festival", &["john"]).await;
    let browser = browser(&replica).await;
    for name in ["jane", "john"] {
        let person = Person::sign_in(&browser, &replica.base, name).await;
        person.opens("Festival").await;
        person.presses("Name and members").await;
        person
            .until("document.activeElement.textContent === 'Done'")
            .await;
        person.presses_keys("\n").await;
        person.until("!document.querySelector('dialog')").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_place_of_the_members_says_why_they_are_not_there() {
    let (_database, mut replica) = service().await;
    replica.user("jane").chat("Festival", &["john"]).await;
    let browser = browser(&replica).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.opens("Festival").await;
    let place = "document.querySelector('dialog h3').nextElementSibling";
    replica.freeze();
    jane.presses("Name and members").await;
    jane.until(&format!("{place}.textContent === 'Loading…'"))
        .await;
    replica.thaw();
    jane.until(&format!("{place}.children.length === 2")).await;
    jane.presses("Done").await;

    replica.kill();
    jane.reads_state("Offline").await;
    jane.presses("Name and members").await;
    jane.until(&format!(
        "{place}.textContent === 'The service cannot be reached.'"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_that_is_not_the_readers_says_so_wherever_the_reader_is_then() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let chat = jane.chat("Festival", &["john"]).await;
    let browser = browser(&replica).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.takes_screen(PHONE).await;
    john.opens("Festival").await;
    let member = format!("/chats/{chat}/members/john");
    jane.ask(reqwest::Method::DELETE, &member, None)
        .await
        .expect(204);
    // Only what can be seen is a text in this sense.
    let says = |place: &str, words: &str| {
        format!("document.querySelector('{place}').innerText.includes('{words}')")
    };
    john.until(&says("nav", "You are no longer a member of “Festival”"))
        .await;

    john.run("location.hash = '#/chats/999'").await;
    john.until(&says("nav", "There is no such chat")).await;
    // The same for an address that the page begins with.
    john.run("history.replaceState(null, '', '#/chats/999')")
        .await;
    john.reloads().await;
    john.until(&says("nav", "There is no such chat")).await;
    john.begins_with("jane").await;
    john.run("history.back()").await;
    john.until("document.body.dataset.view === 'list'").await;
    assert_eq!(
        john.run(&format!("return {}", says("nav", "no such chat")))
            .await,
        false
    );

    let tom = Person::sign_in(&browser, &replica.base, "tom").await;
    tom.run("location.hash = '#/chats/999'").await;
    tom.until(&says(".conversation-pane", "There is no such chat"))
        .await;
    assert_eq!(
        tom.run(&format!("return {}", says("nav", "no such chat")))
            .await,
        false,
        "once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_member_scrolls_back_to_the_beginning_of_a_chat() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let chat = jane.chat("Festival", &[]).await;
    for number in 1..=120 {
        jane.post_into(chat, &format!("message {number}")).await;
    }
    jane.call(
        reqwest::Method::PUT,
        &format!("/chats/{chat}/members/john"),
        json!({}),
    )
    .await;
    let browser = browser(&replica).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.opens("Festival").await;
    john.sees("message 120").await;
    john.until("document.querySelectorAll('#log article').length < 120")
        .await;
    // As a person does who wants to see the beginning: up, and up again.
    john.until(
        "(document.querySelector('#messages').scrollTop = 0,
                 document.querySelectorAll('#log article').length === 120)",
    )
    .await;
    let texts: Vec<_> = (1..=120)
        .map(|number| format!("message {number}"))
        .collect();
    assert_eq!(john.texts().await, json!(texts));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_message_stays_in_sight_when_the_keyboard_comes_up() {
    const WITH_KEYBOARD: (u32, u32) = (PHONE.0, PHONE.1 - 350);
    let (_database, replica) = service().await;
    for number in 1..=40 {
        replica
            .user("john")
            .send("jane", &format!("message {number}"))
            .await;
    }
    let read = json!({ "number": 40 });
    let elsewhere = replica.user("jane");
    elsewhere
        .call(reqwest::Method::PUT, "/users/john/read", read)
        .await
        .expect(200);
    let browser = browser(&replica).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.takes_screen(PHONE).await;
    jane.opens("john").await;
    jane.sees("message 40").await;
    let bottom =
        |of: &str| format!("document.querySelector('{of}').getBoundingClientRect().bottom");
    let (newest, place) = (bottom("#log > :last-child"), bottom("#messages"));
    let is_at_end = format!("{newest} <= {place} && {place} < innerHeight");
    jane.until(&is_at_end).await;
    jane.takes_screen(WITH_KEYBOARD).await;
    jane.until(&format!(
        "innerHeight === {} && {is_at_end}",
        WITH_KEYBOARD.1
    ))
    .await;

    // Who reads what is older is left alone.
    jane.takes_screen(PHONE).await;
    jane.until(&format!("innerHeight === {} && {is_at_end}", PHONE.1))
        .await;
    jane.run("document.querySelector('#messages').scrollTop = 300")
        .await;
    jane.until("!document.querySelector('#to-end').hidden")
        .await;
    jane.takes_screen(WITH_KEYBOARD).await;
    jane.until(&format!("{place} < {}", WITH_KEYBOARD.1)).await;
    assert_eq!(
        jane.run("return document.querySelector('#messages').scrollTop")
            .await,
        300
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_edits_what_was_edited_meanwhile_sees_both_and_chooses() {
    let (_database, replica) = service().await;
    let elsewhere = replica.user("jane");
    let sent = elsewhere.send("john", "first").await;
    let browser = browser(&replica).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.opens("john").await;

    // A read mark in between is nobody's concern.
    jane.acts_on("first", "Edit").await;
    mark(&replica.user("john"), &sent, true).await;
    jane.sees_that("first", "Read").await;
    jane.types(" and second\n").await;
    jane.sees_all(&["first and second"]).await;
    jane.sees_that("first and second", "Read").await;
    jane.until("!document.querySelector('dialog')").await;

    jane.acts_on("first and second", "Edit").await;
    let now = elsewhere
        .get(&format!("/messages/{}", sent["id"]))
        .await
        .expect(200);
    elsewhere
        .patch(&sent["id"], &now["timestamp"], json!({ "text": "other" }))
        .await
        .expect(200);
    jane.sees_all(&["other"]).await;
    jane.types(" and third\n").await;
    jane.until(
        "[...document.querySelectorAll('dialog blockquote')].map((text) => text.textContent).join()
                === 'other,first and second and third'",
    )
    .await;
    jane.presses("Save mine").await;
    jane.sees_all(&["first and second and third"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_what_was_deleted_before_says_so_and_leads_nowhere() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let sent = jane.send("john", "never seen").await;
    let answer = json!({ "to": "john", "text": "an answer", "replyTo": sent["id"] });
    jane.post(answer).await.expect(201);
    jane.delete(&sent["id"], &sent["timestamp"])
        .await
        .expect(200);
    let browser = browser(&replica).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.opens("jane").await;
    john.sees_all(&["This message was deleted", "an answer"])
        .await;
    john.until("document.querySelector('div.quote')?.textContent === 'Deleted message'")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_refuses_says_why_and_holds_nothing_up() {
    let (_database, replica) = service().await;
    let browser = browser(&replica).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.begins_with("john").await;
    // This service has nowhere to put files.
    jane.until("document.querySelector('#attach').hidden").await;
    replica.user("john").blocks("jane", true).await;
    jane.writes("too early").await;
    jane.until("document.querySelector('.refusal')?.textContent.includes('Not sent')")
        .await;
    replica.user("john").blocks("jane", false).await;
    jane.writes("in time").await;
    jane.sees_that("in time", "Sent").await;
    jane.presses("Discard").await;
    jane.sees_all(&["in time"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_goes_back_to_its_place_when_what_was_refused_is_discarded() {
    let (_database, replica) = service().await;
    let elsewhere = replica.user("jane");
    elsewhere.send("john", "hello").await;
    elsewhere.send("tom", "hello").await;
    elsewhere.chat("Festival", &[]).await;
    let browser = browser(&replica).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.lists(&["Festival", "tom", "john"]).await;
    jane.opens("john").await;
    replica.user("john").blocks("jane", true).await;
    jane.writes("never sent").await;
    jane.until("document.querySelector('.refusal')").await;
    jane.lists(&["john", "Festival", "tom"]).await;
    jane.presses("Discard").await;
    jane.lists(&["Festival", "tom", "john"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_alone_is_enough() {
    let (_database, replica) = service().await;
    let browser = browser(&replica).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.begins_with("john").await;
    jane.presses_keys("Helo\n").await;
    jane.sees_that("Helo", "Sent").await;
    jane.presses_keys(ARROW_UP).await;
    jane.until("document.querySelector('#subject-verb').textContent === 'Editing'")
        .await;
    jane.presses_keys(&format!("{BACKSPACE}lo\n")).await;
    jane.sees_all(&["Hello"]).await;
    jane.presses_keys(ARROW_UP).await;
    jane.presses_keys(&format!(", nobody{ESCAPE}")).await;
    jane.until(
        "document.querySelector('#subject').hidden && !document.querySelector('#text').value",
    )
    .await;
    jane.sees_all(&["Hello"]).await;

    jane.until("(document.querySelector('#log article').focus(), true)")
        .await;
    for label in ["React", "Reply", "Edit", "Delete"] {
        jane.presses_keys("\t").await;
        assert_eq!(
            jane.run("return document.activeElement.getAttribute('aria-label')")
                .await,
            label
        );
    }
    jane.presses_keys("\n").await;
    jane.until("document.querySelector('dialog[open]')").await;
    jane.presses_keys(ESCAPE).await;
    jane.until("!document.querySelector('dialog')").await;
    let focused = jane
        .run("return document.activeElement.getAttribute('aria-label')")
        .await;
    assert_eq!(focused, "Delete", "the dialog returns the focus");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_leads_back_to_signing_in_and_says_why() {
    let (_database, replica) = service().await;
    let browser = browser(&replica).await;
    let short = token(1, "jane", Duration::from_secs(8));
    // On a slow machine it may end before the copy is current.
    let jane = Person::opens_link_with(&browser, &replica.base, &short).await;
    jane.until("document.querySelector('#sign-in-why').textContent.includes('expired')")
        .await;
    assert_eq!(
        jane.run("return sessionStorage.getItem('token')").await,
        json!(null)
    );
    jane.click("//textarea[@id='token']").await;
    jane.presses_keys(&token(1, "jane", Duration::from_secs(3600)))
        .await;
    jane.presses("Sign in").await;
    jane.reads_state("Up to date").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_somebody_else_can_be_reported() {
    let (database, replica) = service().await;
    let browser = browser(&replica).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    replica.user("jane").send("john", "buy this").await;
    john.opens("jane").await;
    john.writes("no").await;
    john.sees_all(&["buy this", "no"]).await;
    john.acts_on("buy this", "Report").await;
    john.types_into_field("What is wrong with it?", "spam\n")
        .await;
    john.until(
        "document.querySelector('dialog')?.textContent.includes('The message is reported.')",
    )
    .await;
    john.presses("Done").await;
    let reported = "SELECT count(*) FROM reports WHERE reporter = 'john' AND reason = 'spam'";
    assert_eq!(database.count(reported).await, 1);
    let own =
        "[...document.querySelectorAll('article')].pop().querySelector('[aria-label=Report]')";
    john.until(&format!("!{own}")).await;
}
