//! Reactions and pinned messages in the web client.

use reqwest::Method;
use serde_json::json;

use crate::support::{Browser, Person, Reply, service};

const ENTER: &str = "\u{e007}";

/// Waits until a message shows these reactions, each as its key and its count; the own ones with a star.
async fn sees_reactions(person: &Person<'_>, text: &str, reactions: &str) {
    person
        .until(&format!(
            "[...document.querySelectorAll('#log article')]
                 .find((message) => message.querySelector('.text')?.textContent === '{text}')
                 ?.querySelector('.reactions')?.textContent === '{reactions}'
             || ('{reactions}' === '' && !document.querySelector('#log .reactions'))"
        ))
        .await;
}

async fn presses_reaction(person: &Person<'_>, key: &str) {
    person
        .click(&format!(
            "//div[@aria-label='Reactions']//button[bdi='{key}']"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_is_picked_counted_and_taken_back() {
    let (_database, replica) = service().await;
    replica.user("jane").send("john", "Lunch?").await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    jane.opens("john").await;
    john.opens("jane").await;
    john.acts_on("Lunch?", "React").await;
    john.click("//div[@aria-label='React']//button[.='👍']")
        .await;
    sees_reactions(&john, "Lunch?", "👍1").await;
    sees_reactions(&jane, "Lunch?", "👍1").await;
    presses_reaction(&jane, "👍").await;
    for person in [&jane, &john] {
        sees_reactions(person, "Lunch?", "👍2").await;
        let named = "document.querySelector('.reaction').title === 'john, you'
                     || document.querySelector('.reaction').title === 'you, jane'";
        person.until(named).await;
    }
    // By the keyboard, and with a text of one's own.
    john.run("document.querySelector('#log article').focus()")
        .await;
    john.presses_keys("+").await;
    john.until("document.activeElement.textContent === '👍'")
        .await;
    john.click("//input[@aria-label='Another reaction']").await;
    john.presses_keys(&format!("yes{ENTER}")).await;
    sees_reactions(&jane, "Lunch?", "👍2yes1").await;
    john.until("document.activeElement.matches('article')")
        .await;
    presses_reaction(&john, "yes").await;
    presses_reaction(&john, "👍").await;
    sees_reactions(&jane, "Lunch?", "👍1").await;
    // What is in the copy is there after a reload, and in a copy that is made anew.
    jane.reloads().await;
    sees_reactions(&jane, "Lunch?", "👍1").await;
    let kim = Person::sign_in(&browser, &replica.base, "john").await;
    kim.opens("jane").await;
    sees_reactions(&kim, "Lunch?", "👍1").await;
    let errors = browser.errors().await;
    assert!(errors.is_empty(), "{errors:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_without_reactions_offers_none() {
    let (_database, replica) = service().await;
    let owner = replica.user("jane");
    let chat = owner.chat("Team", &["john"]).await;
    owner.post_into(chat, "Quiet, please").await;
    let path = format!("/chats/{chat}");
    let timestamp = owner.get(&path).await.expect(200)["timestamp"].clone();
    let request = owner.request(Method::PATCH, &path);
    let request = request.header("if-match", timestamp.to_string());
    Reply::of(request.json(&json!({ "reactions": false })))
        .await
        .expect(200);
    let browser = Browser::open(&replica.base).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.opens("Team").await;
    john.sees("Quiet, please").await;
    john.until("!document.querySelector('#log [aria-label=React]')")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moderators_pin_and_everybody_finds_what_is_pinned() {
    let (_database, replica) = service().await;
    let owner = replica.user("jane");
    let chat = owner.chat("Team", &["john"]).await;
    for text in ["The rules", "Chatter", "The address"] {
        owner.post_into(chat, text).await;
    }
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    jane.opens("Team").await;
    john.opens("Team").await;
    john.sees("The rules").await;
    john.until("document.querySelector('#pinned').hidden && !document.querySelector('#log [aria-label=Pin]')")
        .await;
    jane.acts_on("The rules", "Pin").await;
    let bar =
        |words: &str| format!("document.querySelector('#pinned-gist').textContent === '{words}'");
    john.until(&bar("The rules")).await;
    jane.until(&bar("The rules")).await;
    jane.acts_on("The address", "Pin").await;
    john.until(&bar("The address")).await;
    john.until("document.querySelector('#pinned-count').textContent === '1 of 2'")
        .await;
    // It shows one after the other.
    john.click("//button[@id='pinned']").await;
    john.until("document.activeElement.textContent.includes('The address')")
        .await;
    john.until(&bar("The rules")).await;
    jane.acts_on("The rules", "Remove the pin").await;
    john.until(&bar("The address")).await;
    jane.acts_on("The address", "Delete").await;
    jane.click("//dialog[last()]//button[.='Delete']").await;
    john.until("document.querySelector('#pinned').hidden").await;
    let errors = browser.errors().await;
    assert!(errors.is_empty(), "{errors:?}");
}
