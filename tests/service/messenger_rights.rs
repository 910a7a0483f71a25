//! Who may write in a chat, as the web client shows it: roles, mutes, rules, and waits.

use std::time::{Duration, SystemTime};

use reqwest::Method;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::support::{Browser, Client, Person, Reply, service};

const IS_SILENT: &str =
    "document.querySelector('#composer').hidden && !document.querySelector('#silence').hidden";
const MAY_WRITE: &str =
    "!document.querySelector('#composer').hidden && document.querySelector('#silence').hidden";
const WAITS: &str = "document.querySelector('#send').ariaDisabled === 'true'
     && /^Send in /.test(document.querySelector('#send').ariaLabel)
     && /^\\d/.test(document.querySelector('#send-wait').textContent)";

/// Changes the chat 1 as it is now.
async fn change(owner: &Client, patch: Value) {
    let tag = owner.get("/chats/1").await.expect(200)["timestamp"].to_string();
    let request = owner.request(Method::PATCH, "/chats/1").json(&patch);
    Reply::of(request.header("if-match", tag)).await.expect(200);
}

async fn alter(moderator: &Client, member: &str, patch: Value) {
    let path = format!("/chats/1/members/{member}");
    moderator
        .call(Method::PATCH, &path, patch)
        .await
        .expect(200);
}

fn in_seconds(seconds: u64) -> String {
    let then = SystemTime::now() + Duration::from_secs(seconds);
    OffsetDateTime::from(then).format(&Rfc3339).unwrap()
}

/// Waits for the line in place of the composer.
async fn reads_why(person: &Person<'_>, words: &str) {
    person
        .until(&format!(
            "{IS_SILENT} && document.querySelector('#silence').textContent.includes('{words}')"
        ))
        .await;
}

/// The labels of the actions of the message with a text.
async fn actions_of(person: &Person<'_>, text: &str) -> Value {
    person
        .run(&format!(
            "const message = [...document.querySelectorAll('#log article')]
                 .find((shown) => shown.querySelector('.text').textContent === '{text}');
             return [...message.querySelectorAll('.actions button')].map((button) => button.ariaLabel);"
        ))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_write_reads_why_and_writes_again_when_that_is_over() {
    let (_database, replica) = service().await;
    let [jane, elsewhere] = ["jane", "john"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &["john"]).await;
    elsewhere.post_into(chat, "hello").await;
    alter(&jane, "john", json!({ "role": "reader" })).await;
    let browser = Browser::open(&replica.base).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.looks_into("Team").await;
    reads_why(&john, "You are a reader").await;
    john.sees("hello").await;
    assert_eq!(actions_of(&john, "hello").await, json!(["React", "Delete"]));

    alter(&jane, "john", json!({ "role": "member" })).await;
    john.until(MAY_WRITE).await;
    assert_eq!(
        actions_of(&john, "hello").await,
        json!(["React", "Reply", "Edit", "Delete"])
    );
    change(&jane, json!({ "frozen": true })).await;
    reads_why(&john, "This chat is frozen").await;
    change(&jane, json!({ "frozen": false, "posting": "moderators" })).await;
    reads_why(&john, "Only moderators").await;
    alter(&jane, "john", json!({ "role": "moderator" })).await;
    john.until(MAY_WRITE).await;
    alter(&jane, "john", json!({ "mutedUntil": in_seconds(7200) })).await;
    reads_why(&john, "You are muted until ").await;
    alter(&jane, "john", json!({ "mutedUntil": null })).await;
    john.until(MAY_WRITE).await;
    john.writes("back again").await;
    john.sees_that("back again", ":").await;
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_ends_by_itself() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    jane.chat("Team", &["john"]).await;
    let browser = Browser::open(&replica.base).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.opens("Team").await;
    // On a slow machine the mute may end between two looks: the page takes a note.
    john.run(
        "new MutationObserver(() => { window.wasSilent ||= !document.querySelector('#silence').hidden; })
             .observe(document.querySelector('#silence'), { attributes: true });",
    )
    .await;
    alter(&jane, "john", json!({ "mutedUntil": in_seconds(10) })).await;
    john.until("window.wasSilent").await;
    john.until(MAY_WRITE).await;
    john.writes("at last").await;
    john.sees_that("at last", ":").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_stopped_by_nothing_but_a_frozen_chat() {
    let (_database, replica) = service().await;
    let elsewhere = replica.user("jane");
    elsewhere.chat("Team", &[]).await;
    change(
        &elsewhere,
        json!({ "posting": "moderators", "slowMode": 300 }),
    )
    .await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.opens("Team").await;
    for text in ["one", "two"] {
        jane.writes(text).await;
        jane.sees_that(text, ":").await;
    }
    assert_eq!(jane.run(&format!("return {WAITS}")).await, false);
    change(&elsewhere, json!({ "frozen": true })).await;
    reads_why(&jane, "This chat is frozen").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_slow_chat_the_next_message_waits_and_its_text_is_kept() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    jane.chat("Team", &["john"]).await;
    change(&jane, json!({ "slowMode": 3600 })).await;
    let browser = Browser::open(&replica.base).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.opens("Team").await;
    assert_eq!(john.run(&format!("return {WAITS}")).await, false);
    john.writes("first").await;
    john.sees_that("first", ":").await;
    john.until(WAITS).await;
    let left = "document.querySelector('#send-wait').textContent";
    let now = john.run(&format!("return {left}")).await;
    john.until(&format!("{left} !== {now}")).await;
    john.writes("second").await;
    john.until("document.querySelector('#text').value === 'second'")
        .await;
    john.sees_all(&["first"]).await;
    // What was sent can be edited meanwhile.
    john.acts_on("first", "Edit").await;
    john.types(", edited\n").await;
    john.sees_that("first, edited", "edited").await;
    john.until("document.querySelector('#text').value === 'second'")
        .await;

    change(&jane, json!({ "slowMode": 0 })).await;
    john.until("document.querySelector('#send').ariaDisabled === 'false'")
        .await;
    john.types("\n").await;
    john.sees_that("second", ":").await;
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_too_early_into_a_slow_chat_is_sent_when_the_wait_is_over() {
    let (_database, replica) = service().await;
    let [jane, elsewhere] = ["jane", "john"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &["john"]).await;
    change(&jane, json!({ "slowMode": 3600 })).await;
    let browser = Browser::open(&replica.base).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.opens("Team").await;
    // This window does not count what another device has sent.
    elsewhere.post_into(chat, "from my phone").await;
    john.sees("from my phone").await;
    john.writes("too early").await;
    john.until(WAITS).await;
    john.sees_all(&["from my phone", "too early"]).await;
    assert_eq!(
        john.run("return document.querySelectorAll('.pending:not(.refused)').length")
            .await,
        1
    );
    // It holds up nothing else.
    john.begins_with("jane").await;
    john.writes("hello").await;
    john.sees_that("hello", "Sent").await;
    john.opens("Team").await;
    john.until(WAITS).await;
    change(&jane, json!({ "slowMode": null })).await;
    john.until("!document.querySelector('#log .pending')").await;
    john.sees_all(&["from my phone", "too early"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_just_before_a_chat_is_frozen_is_refused_and_can_be_copied() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    jane.chat("Team", &["john"]).await;
    let browser = Browser::open(&replica.base).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.opens("Team").await;
    // The message does not get through for a while.
    john.run(
        "window.reached = window.fetch;
         window.fetch = () => Promise.reject(new TypeError('offline'));",
    )
    .await;
    john.writes("just in time").await;
    john.until("document.querySelector('#log .pending')").await;
    change(&jane, json!({ "frozen": true })).await;
    john.run("window.fetch = window.reached;").await;
    john.until("document.querySelector('.refusal')?.textContent.includes('This chat is frozen.')")
        .await;
    reads_why(&john, "This chat is frozen").await;
    john.until(
        "[...document.querySelectorAll('.refusal button')].map((button) => button.textContent).join()
             === 'Copy,Discard'",
    )
    .await;
    change(&jane, json!({ "frozen": false })).await;
    john.presses("Try again").await;
    john.sees_that("just in time", ":").await;
    john.until("!document.querySelector('#log .pending')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_late_sees_that_there_is_nothing_to_read_yet() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let chat = jane.chat("Team", &[]).await;
    jane.post_into(chat, "the old secret").await;
    change(&jane, json!({ "history": "joined" })).await;
    let path = "/chats/1/members/john";
    jane.call(Method::PUT, path, json!({})).await;
    let browser = Browser::open(&replica.base).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.opens("Team").await;
    john.until("!document.querySelector('#no-messages').hidden")
        .await;
    jane.post_into(chat, "the new plan").await;
    john.sees_all(&["the new plan"]).await;
}

/// The rules as one table: what a user with a role is offered for a member with a role.
#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_offered_what_the_service_allows() {
    let (_database, replica) = service().await;
    let browser = Browser::open(&replica.base).await;
    let table = "const { actsOn, rightsTo, silenceOf } = await import('/web/rights.js');
        const acts = (mine, role, more) => actsOn({ user: 'john', role, ...more }, { user: 'jane', role: mine }, 1000).join();
        const chat = { chat: 1 };
        const why = (fields, now = 1000) => silenceOf({ ...chat, ...fields }, now)?.reason ?? null;
        const muted = { mutedUntil: new Date(2000).toISOString() };
        const rights = (message, fields) => Object.entries(rightsTo(message, 'jane', { ...chat, ...fields }, 1000))
            .filter(([, may]) => may).map(([name]) => name).join();
        return [
            ['reader', 'member', undefined].map((mine) => acts(mine, 'reader')),
            ['owner', 'moderator', 'member', 'reader'].map((role) => acts('moderator', role)),
            ['owner', 'moderator', 'member', 'reader'].map((role) => acts('owner', role)),
            [acts('moderator', 'member', muted), actsOn({ user: 'jane', role: 'owner' }, { user: 'jane', role: 'owner' }, 0)],
            [why({}), why({ role: 'reader' }), why({ posting: 'moderators', role: 'member' }),
             why({ posting: 'moderators', role: 'moderator' }), why({ frozen: true, role: 'owner' }),
             why(muted), why(muted, 2000), why({ ...muted, role: 'owner' }), why({ chat: undefined, with: 'john', frozen: true })],
            [rights({ from: 'jane' }, { role: 'member' }), rights({ from: 'john' }, { role: 'member' }),
             rights({ from: 'john' }, { role: 'moderator' }), rights({ system: true }, { role: 'member' }),
             rights({ system: true }, { role: 'owner' }), rights({ from: 'jane' }, { role: 'reader' }),
             rights({ from: 'john' }, { reactions: false }), rights({ from: 'john' }, { frozen: true })],
        ];";
    let script = format!("return (async () => {{ {table} }})()");
    let mutes = "mute-hour,mute-day";
    let expected = json!([
        ["", "", ""],
        [
            "",
            "",
            format!("make-reader,{mutes},remove,ban"),
            "let-write,remove,ban"
        ],
        [
            "",
            format!("dismiss,make-reader,{mutes},hand-on,remove,ban"),
            format!("appoint,make-reader,{mutes},hand-on,remove,ban"),
            "appoint,let-write,hand-on,remove,ban",
        ],
        ["make-reader,unmute,remove,ban", []],
        [
            null,
            "reader",
            "announcements",
            null,
            "frozen",
            "muted",
            null,
            null,
            null
        ],
        [
            "react,reply,edit,remove",
            "react,reply,report",
            "react,reply,remove,pin,report",
            "",
            "remove",
            "react,remove",
            "reply,report",
            "report"
        ],
    ]);
    assert_eq!(browser.run(&script).await, expected);
}
