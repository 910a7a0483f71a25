//! Who may do what, as the web client shows it: roles, mutes, rules, waits, the policy and suspensions.

use std::time::{Duration, SystemTime};

use reqwest::Method;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::support::{Browser, Client, Database, Person, Replica, Reply, administered, service};

const IS_SILENT: &str =
    "document.querySelector('#composer').hidden && !document.querySelector('#silence').hidden";
const MAY_WRITE: &str =
    "!document.querySelector('#composer').hidden && document.querySelector('#silence').hidden";
const WAITS: &str = "document.querySelector('#send').ariaDisabled === 'true'
     && /^Send in /.test(document.querySelector('#send').ariaLabel)
     && /^\\d/.test(document.querySelector('#send-wait').textContent)";

/// In place of the composer, where the policy does not let users write to each other.
const UNACCEPTED: &str = "Users cannot write to each other here";

/// What one can begin.
const BEGINNINGS: &str = "[...document.querySelectorAll('#new-message, #new-chat')]
    .filter((button) => button.checkVisibility())
    .map((button) => button.ariaLabel).join()";

/// What the dialog of a chat lets one do, beside closing it.
const DIALOG: &str = "[...document.querySelectorAll('dialog button, dialog input, dialog summary')]
    .filter((control) => control.checkVisibility())
    .map((control) => control.ariaLabel ?? control.textContent).join()";

/// The person comes back to the page. (Windows of a headless browser all count as visible, so there is no
/// event when one is shown.)
const COMES_BACK: &str = "document.dispatchEvent(new Event('visibilitychange'));";

/// A service whose application has a token.
async fn with_application() -> (Database, Replica, Client) {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    (database, replica, app)
}

async fn set_policy(app: &Client, policy: Value) {
    let body = json!({ "policy": policy });
    let set = app.call(Method::PATCH, "/applications/self", body).await;
    set.expect(200);
}

async fn restrict(app: &Client, user: &str, restrictions: Value) {
    let path = format!("/users/{user}/restrictions");
    app.call(Method::PUT, &path, restrictions).await.expect(200);
}

/// Opens the conversation of john with another user, or closes it.
async fn set_opened(app: &Client, method: Method, other: &str) {
    let path = format!("/conversations/john/{other}");
    let set = app.ask(method, &path, None).await;
    assert!([201, 204].contains(&set.status), "{}", set.text);
}

/// Waits until one can begin this, and nothing else.
async fn begins(person: &Person<'_>, labels: &str) {
    let begins = format!("{BEGINNINGS} === '{labels}'");
    person.until(&begins).await;
}

/// Waits until the message with a text has these actions, and no others.
async fn offers(person: &Person<'_>, text: &str, actions: &str) {
    let offers = format!(
        "[...([...document.querySelectorAll('#log article')]
             .find((shown) => shown.querySelector('.text')?.textContent === '{text}')
             ?.querySelectorAll('.actions button') ?? [{{ ariaLabel: 'no message' }}])]
             .map((button) => button.ariaLabel).join() === '{actions}'"
    );
    person.until(&offers).await;
}

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

#[tokio::test(flavor = "multi_thread")]
async fn what_the_policy_leaves_to_the_application_is_not_offered() {
    let (_database, replica, app) = with_application().await;
    let elsewhere = replica.user("jane");
    elsewhere.send("john", "hello").await;
    elsewhere.chat("Team", &["john"]).await;
    alter(&elsewhere, "john", json!({ "role": "moderator" })).await;
    let browser = Browser::open(&replica.base).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    begins(&john, "New message,New chat").await;
    john.opens("jane").await;
    offers(&john, "hello", "React,Reply,Delete,Report").await;

    set_policy(&app, json!({ "personal": "opened" })).await;
    john.run(COMES_BACK).await;
    begins(&john, "New chat").await;
    reads_why(&john, UNACCEPTED).await;
    set_opened(&app, Method::PUT, "jane").await;
    john.until(MAY_WRITE).await;
    set_policy(
        &app,
        json!({ "personal": "nobody", "createChats": "application" }),
    )
    .await;
    john.run(COMES_BACK).await;
    begins(&john, "").await;
    reads_why(&john, UNACCEPTED).await;
    offers(&john, "hello", "Delete,Report").await;
    john.looks_into("Team").await;
    john.until(MAY_WRITE).await;

    john.presses("Name and members").await;
    john.until(&format!(
        "{DIALOG} === ',Add,Leave,Done' && document.querySelectorAll('dialog .members li').length === 2"
    ))
    .await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.opens("Team").await;
    jane.presses("Name and members").await;
    jane.until(&format!("{DIALOG}.includes(',Add,')")).await;
    set_policy(&app, json!({ "addMembers": "owner" })).await;
    john.run(COMES_BACK).await;
    john.until(&format!("{DIALOG} === 'Leave,Done'")).await;
    set_policy(
        &app,
        json!({ "addMembers": "application", "createChats": "users" }),
    )
    .await;
    jane.run(COMES_BACK).await;
    jane.until(&format!(
        "{DIALOG}.includes('Rename') && !{DIALOG}.includes(',Add,')"
    ))
    .await;
    jane.presses("Done").await;
    // Nobody is added by creating a chat either.
    begins(&jane, "New chat").await;
    jane.presses("New chat").await;
    jane.until("document.querySelectorAll('dialog input').length === 1")
        .await;
    jane.types_into_field("Name", "Mine\n").await;
    jane.until("document.querySelector('#title').textContent === 'Mine'")
        .await;

    let everything = json!({ "personal": "anyone", "addMembers": "moderators" });
    set_policy(&app, everything).await;
    john.reloads().await;
    begins(&john, "New message,New chat").await;
    john.presses("Name and members").await;
    john.until(&format!("{DIALOG}.includes(',Add,')")).await;
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_written_in_while_the_application_has_it_open() {
    let (_database, replica, app) = with_application().await;
    let jane = replica.user("jane");
    jane.send("john", "hello").await;
    set_policy(&app, json!({ "personal": "opened" })).await;
    let browser = Browser::open(&replica.base).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.run("window.isTheSamePage = true;").await;
    john.looks_into("jane").await;
    reads_why(&john, UNACCEPTED).await;
    offers(&john, "hello", "Delete,Report").await;
    for text in ["good day", "and again"] {
        set_opened(&app, Method::PUT, "jane").await;
        john.until(MAY_WRITE).await;
        offers(&john, "hello", "React,Reply,Delete,Report").await;
        john.writes(text).await;
        john.sees_that(text, "Sent").await;
        set_opened(&app, Method::DELETE, "jane").await;
        reads_why(&john, UNACCEPTED).await;
        offers(&john, "hello", "Delete,Report").await;
    }
    // One without a message comes into the list, and leaves it.
    set_opened(&app, Method::PUT, "kim").await;
    john.looks_into("kim").await;
    john.until(MAY_WRITE).await;
    set_opened(&app, Method::DELETE, "kim").await;
    john.lists(&["jane"]).await;
    reads_why(&john, UNACCEPTED).await;
    // Everybody writes to oneself.
    john.run("location.hash = '#/users/john';").await;
    john.until(MAY_WRITE).await;
    john.writes("a note").await;
    john.sees_all(&["a note"]).await;
    john.lists(&["john", "jane"]).await;
    assert_eq!(john.run("return window.isTheSamePage").await, true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_user_reads_why_and_until_when_and_is_offered_nothing_that_writes() {
    let (_database, replica, app) = with_application().await;
    let elsewhere = replica.user("jane");
    let chat = elsewhere.chat("Team", &["john"]).await;
    alter(&elsewhere, "john", json!({ "role": "moderator" })).await;
    elsewhere.post_into(chat, "hello").await;
    let browser = Browser::open(&replica.base).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.opens("Team").await;
    john.writes("good morning").await;
    john.sees_that("good morning", ":").await;
    john.acts_on("hello", "React").await;
    john.click("//div[@aria-label='React']//button[.='👍']")
        .await;
    let reaction = "document.querySelector('#log .reaction.mine')";
    john.until(&format!("{reaction}?.disabled === false")).await;
    let free = [
        ("hello", "React,Reply,Delete,Pin,Report"),
        ("good morning", "React,Reply,Edit,Delete,Pin"),
    ];
    for (text, actions) in free {
        offers(&john, text, actions).await;
    }

    // A refusal tells of it.
    let suspended = || json!({ "suspendedUntil": in_seconds(7200) });
    // The page tells others that john types, and that would be refused, too.
    john.types("too late").await;
    restrict(&app, "john", suspended()).await;
    john.presses_keys("\n").await;
    reads_why(&john, "You are suspended until ").await;
    john.until(
        "[...document.querySelectorAll('.refusal button')].map((button) => button.textContent).join()
             === 'Copy,Discard'",
    )
    .await;
    begins(&john, "").await;
    for (text, _) in free {
        offers(&john, text, "").await;
    }
    john.until(&format!("{reaction}?.disabled === true")).await;
    john.presses("Name and members").await;
    john.until(&format!(
        "{DIALOG} === 'Done' && document.querySelectorAll('dialog .members li').length === 2"
    ))
    .await;
    john.presses("Done").await;
    // What is its own is its own all the same.
    john.chooses("Pin").await;
    john.until("document.querySelector('#conversations .mark .unseen')?.textContent === 'pinned'")
        .await;

    restrict(&app, "john", json!({})).await;
    john.run(COMES_BACK).await;
    john.until(MAY_WRITE).await;
    begins(&john, "New message,New chat").await;
    for (text, actions) in free {
        offers(&john, text, actions).await;
    }
    john.presses("Try again").await;
    john.until("!document.querySelector('#log .pending')").await;
    john.sees_that("too late", ":").await;

    restrict(&app, "john", suspended()).await;
    john.reloads().await;
    reads_why(&john, "You are suspended until ").await;
    begins(&john, "").await;
    // The end comes by itself.
    let soon = json!({ "suspendedUntil": in_seconds(5) });
    restrict(&app, "john", soon).await;
    john.run(COMES_BACK).await;
    john.until(MAY_WRITE).await;
    begins(&john, "New message,New chat").await;
    john.writes("here again").await;
    john.sees_that("here again", ":").await;
}

/// The rules as one table: what a user with a role is offered for a member with a role.
#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_offered_what_the_service_allows() {
    let (_database, replica) = service().await;
    let browser = Browser::open(&replica.base).await;
    let table = "const { actsOn, beginningsOf, rightsIn, rightsTo, silenceOf } = await import('/web/rights.js');
        const acts = (mine, role, more) => actsOn({ user: 'john', role, ...more }, { user: 'jane', role: mine }, 1000).join();
        const chat = { chat: 1 };
        const why = (fields, now = 1000, limits) => silenceOf({ ...chat, ...fields }, now, limits)?.reason ?? null;
        const allowed = (may) => Object.entries(may).filter(([, may]) => may).map(([name]) => name).join();
        const policy = (policy) => ({ user: 'jane', policy });
        const suspended = { user: 'jane', suspendedUntil: new Date(2000).toISOString() };
        const begins = (limits) => allowed(beginningsOf(limits, 1000));
        const within = (role, limits) => allowed(rightsIn({ ...chat, role }, 1000, limits));
        const personal = (other) => ({ chat: undefined, with: other });
        const [nobody, opened] = ['nobody', 'opened'].map((personal) => policy({ personal }));
        const muted = { mutedUntil: new Date(2000).toISOString() };
        const rights = (message, fields, limits) => allowed(rightsTo(message, 'jane', { ...chat, ...fields }, 1000, limits));
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
            [begins(policy()), begins(suspended), begins(opened), begins(nobody),
             begins(policy({ createChats: 'application' })), begins(policy({ addMembers: 'application' }))],
            [within('member', policy()), within('moderator', policy()), within('moderator', policy({ addMembers: 'owner' })),
             within('owner', policy({ addMembers: 'owner' })), within('owner', policy({ addMembers: 'application' })),
             within('owner', suspended)],
            [why({}, 1000, suspended), why({}, 2000, suspended), why(personal('jane'), 1000, suspended),
             why(personal('john'), 1000, nobody), why(personal('jane'), 1000, nobody), why({}, 1000, nobody),
             why(personal('john'), 1000, opened), why({ ...personal('john'), opened: true }, 1000, opened),
             why({ ...personal('john'), opened: true }, 1000, nobody), why(personal('jane'), 1000, opened)],
            [rights({ from: 'jane' }, { role: 'owner' }, suspended), rights({ from: 'john' }, personal('john'), nobody),
             rights({ from: 'jane' }, personal('john'), nobody)],
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
            "react,unreact,reply,edit,remove",
            "react,unreact,reply,report",
            "react,unreact,reply,remove,pin,report",
            "",
            "remove",
            "react,unreact,remove",
            "unreact,reply,report",
            "unreact,report"
        ],
        [
            "conversation,chat,chatWithOthers",
            "",
            "chat,chatWithOthers",
            "chat,chatWithOthers",
            "conversation",
            "conversation,chat"
        ],
        [
            "leave",
            "add,moderate,leave",
            "moderate,leave",
            "change,add,moderate,leave",
            "change,moderate,leave",
            ""
        ],
        [
            "suspended",
            null,
            "suspended",
            "unaccepted",
            null,
            null,
            "unaccepted",
            null,
            "unaccepted",
            null
        ],
        ["", "unreact,remove,report", "unreact,remove"],
    ]);
    assert_eq!(browser.run(&script).await, expected);
}
