//! What a page of the web client that stays open shows of what the application does.

use serde_json::json;

use crate::{
    erasure, imports,
    support::{Browser, Client, Database, Person, Replica, administered},
};

/// The names in the list of conversations, in the order of the alphabet.
const NAMES: &str = "[...document.querySelectorAll('#conversations .name')]
    .map((name) => name.textContent).sort().join()";

async fn service() -> (Database, Replica, Client) {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    (database, replica, app)
}

/// Fails if the page was loaded again after `window.isSamePage` was set.
async fn is_same_page(person: &Person<'_>) {
    assert_eq!(person.run("return window.isSamePage").await, true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_erased_goes_from_open_pages() {
    let (_database, replica, app) = service().await;
    let (zoe, elsewhere) = (replica.user("zoe"), replica.user("john"));
    zoe.send("john", "hello").await;
    elsewhere.send("zoe", "hello yourself").await;
    let chat = elsewhere.chat("Team", &["zoe"]).await;
    zoe.post_into(chat, "hello, team").await;
    elsewhere.post_into(chat, "hi").await;
    let browser = Browser::open(&replica.base).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.run("window.isSamePage = true").await;
    john.opens("zoe").await;
    john.sees_all(&["hello", "hello yourself"]).await;
    john.opens("Team").await;
    john.sees_all(&["hello, team", "hi"]).await;

    erasure::erase(&app, "zoe", "?conversations=keep").await;
    let report = erasure::until_erased(&app, "zoe").await;
    let pseudonym = report["pseudonym"].as_str().unwrap();
    john.sees_all(&["This message was deleted", "hi"]).await;
    john.until(&format!("{NAMES} === 'Team,{pseudonym}'")).await;
    john.looks_into(pseudonym).await;
    john.sees_all(&["This message was deleted", "hello yourself"])
        .await;
    john.until("!document.body.innerText.includes('zoe')").await;
    is_same_page(&john).await;
    // The page asks for the conversation by the old name, and learns that it is gone.
    let errors = browser.errors().await;
    assert!(
        errors.iter().all(|error| error.contains("/users/zoe")),
        "{errors:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_listed_as_soon_as_its_import_is_done() {
    let (_database, replica, app) = service().await;
    let browser = Browser::open(&replica.base).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.run("window.isSamePage = true").await;
    let chat = json!({ "name": "General", "owner": "jane", "members": ["john"] });
    let message = json!({
        "chat": "general", "from": "jane", "created": "2019-03-01T10:00:00Z",
        "text": "Hello, everybody!"
    });
    let lines = [
        json!({ "key": "general", "chat": chat }),
        json!({ "key": "m1", "message": message }),
    ];
    imports::stored(&app, &lines).await;
    // What comes later is listed, and the chat is not yet.
    replica.user("jane").send("john", "hi").await;
    john.lists(&["jane, 1 unread"]).await;

    let done = json!({ "key": "end", "done": { "chat": "general" } });
    imports::stored(&app, &[done]).await;
    john.until(&format!("{NAMES} === 'General,jane'")).await;
    john.opens("General").await;
    john.sees_all(&["Hello, everybody!"]).await;
    is_same_page(&john).await;
    assert_eq!(browser.errors().await, [""; 0]);
}
