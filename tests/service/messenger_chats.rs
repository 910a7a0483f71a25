//! The dialog of a chat in the web client: roles, bans, settings, and the end of a chat.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Browser, Client, PHONE, Person, eventually, service};

const ESCAPE: &str = "\u{e00c}";
const ARROW_DOWN: &str = "\u{e015}";

/// What the dialog says of the members: each with the role, where it has a special one.
const MEMBERS: &str =
    "[...document.querySelectorAll('dialog .members:not([aria-label]) li')].map((row) =>
    [...row.querySelectorAll('.name, .role')].map((part) => part.textContent).join(' ')).join()";

const BANNED: &str = "[...document.querySelectorAll('[aria-label=Banned] .name')]
    .map((name) => name.textContent).join()";

/// What the dialog lets one do, beside leaving and closing it.
const OFFERED: &str =
    "[...document.querySelectorAll('dialog button, dialog input, dialog summary')]
    .filter((control) => control.checkVisibility())
    .map((control) => control.ariaLabel ?? control.textContent).join()";

async fn opens_details(person: &Person<'_>, chat: &str) {
    person.looks_into(chat).await;
    person.presses("Name and members").await;
    person.until(&format!("{MEMBERS} !== ''")).await;
}

async fn confirms(person: &Person<'_>, verb: &str) {
    person
        .click(&format!("//dialog[last()]//button[.='{verb}']"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_change_before_everybodys_eyes() {
    let (_database, replica) = service().await;
    replica.user("jane").chat("Team", &["john", "kim"]).await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    opens_details(&john, "Team").await;
    john.until(&format!("{MEMBERS} === 'jane owner,john (you),kim'"))
        .await;
    john.until(&format!("{OFFERED} === 'Leave,Done'")).await;

    opens_details(&jane, "Team").await;
    jane.acts_on_member("john", "Make a moderator").await;
    let members = "jane owner,john (you) moderator,kim";
    john.until(&format!("{MEMBERS} === '{members}'")).await;
    john.until(&format!(
        "{OFFERED} === 'What to do with kim,,Add,Leave,Done'"
    ))
    .await;
    john.acts_on_member("kim", "Make a reader").await;
    jane.until(&format!(
        "{MEMBERS} === 'jane (you) owner,john moderator,kim reader'"
    ))
    .await;
    john.until(&format!("{MEMBERS}.endsWith('kim reader')"))
        .await;
    john.acts_on_member("kim", "Make a member").await;
    john.until(&format!("{MEMBERS} === '{members}'")).await;
    john.acts_on_member("kim", "Mute for an hour").await;
    jane.until(&format!(
        "{MEMBERS} === 'jane (you) owner,john moderator,kim muted'"
    ))
    .await;
    jane.acts_on_member("kim", "Let post again").await;
    jane.acts_on_member("john", "Dismiss as moderator").await;
    john.until(&format!("{OFFERED} === 'Leave,Done'")).await;

    jane.acts_on_member("john", "Hand the chat on").await;
    confirms(&jane, "Hand on").await;
    john.until(&format!("{MEMBERS} === 'jane,john (you) owner,kim'"))
        .await;
    jane.until(&format!("{OFFERED} === 'Leave,Done'")).await;
    john.until(&format!("{OFFERED}.startsWith(',Rename,')"))
        .await;
    jane.presses("Done").await;
    jane.sees_all(&[
        "jane has made john a moderator",
        "john has made kim a reader",
        "john has made kim a member",
        "jane has made john a member",
        "jane has handed the chat on to john",
    ])
    .await;
    // Who has just been dismissed may ask once more who is banned.
    let errors = browser.errors().await;
    assert!(
        errors.iter().all(|error| error.contains("/bans")),
        "{errors:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_banned_goes_and_comes_back_only_when_that_is_allowed() {
    let (_database, replica) = service().await;
    replica.user("jane").chat("Team", &["john", "kim"]).await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.opens("Team").await;
    opens_details(&jane, "Team").await;
    jane.until(&format!("{BANNED} === ''")).await;
    jane.acts_on_member("john", "Ban").await;
    confirms(&jane, "Ban").await;
    jane.until(&format!(
        "{MEMBERS} === 'jane (you) owner,kim' && {BANNED} === 'john'"
    ))
    .await;
    john.lists(&[]).await;
    john.until(
        "document.querySelector('#left').textContent
             === 'You are no longer a member of “Team”, or it was deleted.'",
    )
    .await;
    jane.types_into_field("Add members", "john\n").await;
    jane.until("document.querySelector('dialog .error').textContent.includes('banned')")
        .await;
    // What was refused can be corrected.
    jane.until("document.querySelector('dialog .one-field:nth-of-type(2) input').value === 'john'")
        .await;
    jane.presses("Allow john again").await;
    jane.until(&format!("{BANNED} === ''")).await;
    jane.types_into_field("Add members", "\n").await;
    jane.until(&format!("{MEMBERS} === 'jane (you) owner,john,kim'"))
        .await;
    john.lists(&["Team"]).await;
    john.opens("Team").await;

    jane.acts_on_member("john", "Remove").await;
    john.lists(&[]).await;
    jane.presses("Done").await;
    jane.sees_all(&["jane has added john", "jane has removed john"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_the_system_is_nobodys_and_never_unread() {
    let (_database, replica) = service().await;
    let elsewhere = replica.user("jane");
    let chat = elsewhere.chat("Team", &["john", "kim"]).await;
    elsewhere.post_into(chat, "hello").await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.opens("Team").await;
    john.lists(&["Team"]).await;
    john.begins_with("jane").await;
    opens_details(&jane, "Team").await;
    jane.run("document.querySelector('dialog [name=value]').value = ''")
        .await;
    jane.types_into_field("Name", "Crew\n").await;
    jane.until("document.querySelector('dialog h2').textContent === 'Crew'")
        .await;
    jane.presses("Done").await;
    john.lists(&["Crew"]).await;
    john.until(
        "document.querySelector('#conversations .gist').textContent
             === 'jane has renamed the chat to Crew'",
    )
    .await;
    john.opens("Crew").await;
    let texts = ["hello", "jane has renamed the chat to Crew"];
    john.sees_all(&texts).await;
    let look = "const shown = document.querySelector('.message.system');
        return [Boolean(shown.querySelector('.sender, .meta')), document.querySelectorAll('.day.new').length,
                [...shown.querySelectorAll('.actions button')].map((button) => button.ariaLabel).join()];";
    assert_eq!(john.run(look).await, json!([false, 0, ""]));
    jane.sees_all(&texts).await;
    assert_eq!(jane.run(look).await, json!([false, 0, "Delete"]));

    // The newest message that somebody has sent is marked as unread.
    john.chooses("Mark as unread").await;
    john.lists(&["Crew, 1 unread"]).await;
    // The same where the copy has nothing but the message of the system yet.
    let kim = Person::sign_in(&browser, &replica.base, "kim").await;
    kim.lists(&["Crew, 1 unread"]).await;
    for (item, listed) in [
        ("Mark as read", "Crew"),
        ("Mark as unread", "Crew, 1 unread"),
    ] {
        let menu = "new MouseEvent('contextmenu', { bubbles: true, clientX: 60, clientY: 60 })";
        kim.run(&format!(
            "document.querySelector('#conversations a').dispatchEvent({menu})"
        ))
        .await;
        kim.click(&format!("//div[@role='menu']//button[.='{item}']"))
            .await;
        kim.lists(&[listed]).await;
    }
    jane.acts_on(texts[1], "Delete").await;
    confirms(&jane, "Delete").await;
    jane.sees_all(&[texts[0], "This message was deleted"]).await;
    jane.until("document.querySelector('.system.deleted')")
        .await;
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_changes_the_rules_of_a_chat() {
    let (_database, replica) = service().await;
    let elsewhere = replica.user("jane");
    elsewhere.chat("Team", &["john"]).await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.opens("Team").await;
    jane.takes_screen(PHONE).await;
    opens_details(&jane, "Team").await;
    jane.click("//summary[.='Settings']").await;
    let switch = |label: &str| format!("//label[contains(., '{label}')]//input");
    let is_on = |label: &str| {
        format!(
            "[...document.querySelectorAll('.rule')].find((rule) =>
                 rule.textContent.startsWith('{label}')).querySelector('input').checked"
        )
    };
    for label in [
        "Announcements only",
        "Frozen",
        "Hide what came before",
        "No reactions",
    ] {
        jane.click(&switch(label)).await;
        jane.until(&is_on(label)).await;
    }
    jane.click("//label[contains(., 'Slow mode')]//option[.='30 seconds']")
        .await;
    john.until("document.querySelector('#silence').textContent.includes('frozen')")
        .await;
    let rules = async || {
        let chat = elsewhere.get("/chats/1").await.expect(200);
        let names = ["posting", "frozen", "history", "slowMode", "reactions"];
        json!(names.map(|name| chat[name].clone()))
    };
    crate::support::eventually("all are stored", async || {
        (rules().await == json!(["moderators", true, "joined", 30, false])).then_some(())
    })
    .await;
    jane.click(&switch("Frozen")).await;
    jane.click(&switch("Announcements only")).await;
    john.until("!document.querySelector('#composer').hidden")
        .await;
    assert_eq!(rules().await, json!([null, null, "joined", 30, false]));
    let fits = "document.querySelector('dialog').scrollWidth <= document.querySelector('dialog').clientWidth";
    jane.until(fits).await;
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_that_is_deleted_goes_everywhere_and_says_so() {
    let (_database, replica) = service().await;
    replica.user("jane").chat("Team", &["john", "kim"]).await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    let kim = Person::sign_in(&browser, &replica.base, "kim").await;
    john.opens("Team").await;
    opens_details(&kim, "Team").await;
    kim.presses("Leave").await;
    confirms(&kim, "Leave").await;
    kim.until("document.querySelector('#left').textContent === 'You have left “Team”.'")
        .await;
    john.sees_all(&["kim has left"]).await;
    john.presses("Name and members").await;
    opens_details(&jane, "Team").await;
    jane.click("//summary[.='Settings']").await;
    jane.presses("Delete the chat").await;
    confirms(&jane, "Delete").await;
    jane.until("document.querySelector('#left').textContent === 'You have deleted “Team”.'")
        .await;
    jane.lists(&[]).await;
    john.lists(&[]).await;
    john.until("!document.querySelector('dialog')").await;
    john.until("document.querySelector('#left').textContent.includes('or it was deleted')")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_members_and_their_menus_are_there_for_the_keyboard() {
    let (_database, replica) = service().await;
    let elsewhere = replica.user("jane");
    elsewhere.chat("Team", &["john", "kim", "lea"]).await;
    let role = json!({ "role": "reader" });
    elsewhere
        .call(Method::PATCH, "/chats/1/members/kim", role)
        .await
        .expect(200);
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    opens_details(&jane, "Team").await;
    let has_focus = |label: &str| format!("document.activeElement.ariaLabel === '{label}'");
    // The list is one stop, after the field and the button of the name.
    jane.click("//dialog//button[.='Rename']").await;
    jane.until(&format!("{OFFERED}.includes('What to do with lea')"))
        .await;
    jane.run("document.querySelector('dialog form button').focus()")
        .await;
    jane.presses_keys("\t").await;
    jane.until(&has_focus("What to do with john")).await;
    jane.presses_keys(ARROW_DOWN).await;
    jane.until(&has_focus("What to do with kim")).await;
    jane.presses_keys("\n").await;
    jane.until("document.activeElement.textContent === 'Make a moderator'")
        .await;
    jane.presses_keys(ARROW_DOWN).await;
    jane.until("document.activeElement.textContent === 'Make a member'")
        .await;
    jane.presses_keys(ESCAPE).await;
    jane.until(&format!(
        "!document.querySelector('.menu') && document.querySelector('dialog') && {}",
        has_focus("What to do with kim")
    ))
    .await;
    jane.presses_keys("\n").await;
    jane.until("document.querySelector('.menu')").await;
    jane.presses_keys(ARROW_DOWN).await;
    jane.presses_keys("\n").await;
    jane.until(&format!("{MEMBERS} === 'jane (you) owner,john,kim,lea'"))
        .await;
    jane.until(&has_focus("What to do with kim")).await;
}

/// Signals in a chat as soon as the user may signal again.
async fn signals(user: &Client, chat: i64, signal: Value) {
    let path = format!("/chats/{chat}/signals");
    eventually("the user may signal again", async || {
        let reply = user.call(Method::POST, &path, signal.clone()).await;
        assert!([202, 429].contains(&reply.status), "{}", reply.text);
        (reply.status == 202).then_some(())
    })
    .await;
}

/// Waits until the header of the open conversation, and its row in the list, say who is typing.
async fn sees_typing(person: &Person<'_>, words: &str) {
    let header = "document.querySelector('#typing')";
    person
        .until(&format!(
            "{header}.textContent === '{words}' && {header}.ariaLive === 'polite'
             && document.querySelector('#subtitle').hidden === {}
             && document.querySelector('#title').textContent === 'Team'
             && (document.querySelector('#conversations .typing')?.textContent ?? '') === '{words}'",
            !words.is_empty()
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_typing_is_said_in_the_header_and_in_the_list() {
    let (_database, replica) = service().await;
    let [owner, kim] = ["jane", "kim"].map(|name| replica.user(name));
    let chat = owner.chat("Team", &["john", "kim"]).await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    jane.opens("Team").await;
    john.opens("Team").await;
    sees_typing(&jane, "").await;
    john.types("I").await;
    sees_typing(&jane, "john is typing…").await;
    // By itself it would end after 5 seconds, in the middle of what follows.
    let typing = json!({ "kind": "typing", "ttl": 30 });
    signals(&replica.user("john"), chat, typing.clone()).await;
    signals(&kim, chat, typing).await;
    sees_typing(&jane, "john, kim are typing…").await;
    john.writes(" think so").await;
    sees_typing(&jane, "kim is typing…").await;
    kim.post_into(chat, "so do I").await;
    sees_typing(&jane, "").await;
    jane.sees_all(&["I think so", "so do I"]).await;
    sees_typing(&john, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bot_is_writing_grows_before_ones_eyes() {
    let (_database, replica) = service().await;
    let bot = replica.user("bot");
    let chat = replica.user("jane").chat("Team", &["bot"]).await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.opens("Team").await;
    let placeholder = bot.post_into(chat, "😀 Thinking…").await;
    jane.sees_all(&["😀 Thinking…"]).await;
    let draft = |ttl: u8, offset: usize, text: &str| {
        let data = json!({ "message": placeholder["id"], "offset": offset, "text": text });
        json!({ "kind": "draft", "ttl": ttl, "data": data })
    };
    signals(&bot, chat, draft(10, 2, "Because")).await;
    jane.sees_all(&["😀 Because"]).await;
    signals(&bot, chat, draft(10, 2, "Because it is")).await;
    jane.sees_all(&["😀 Because it is"]).await;
    // The bot has stopped: after its time the message is as it is stored.
    jane.sees_all(&["😀 Thinking…"]).await;
    signals(&bot, chat, draft(30, 0, "Because it is so")).await;
    jane.sees_all(&["Because it is so"]).await;
    let (id, timestamp) = (&placeholder["id"], &placeholder["timestamp"]);
    let edited = bot.patch(id, timestamp, json!({ "text": "Because it is so." }));
    edited.await.expect(200);
    jane.sees_all(&["Because it is so."]).await;
    jane.sees_that("Because it is so.", "edited").await;
    let errors = browser.errors().await;
    assert!(errors.is_empty(), "{errors:?}");
}
