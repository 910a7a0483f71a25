//! The web client's first unread message: where a conversation opens, and what counts as read.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Browser, Client, Person, Replica, eventually, service};

async fn send_many(from: &Client, to: &str, count: usize) {
    for number in 1..=count {
        from.send(to, &format!("message {number}")).await;
    }
}

/// How many times pages have marked messages of personal conversations as read.
async fn marks(replica: &Replica) -> f64 {
    let label = "method=\"PUT\",route=\"/users/{user}/read\",status=\"200\"";
    replica
        .metric("messages_http_request_seconds_count", label)
        .await
}

/// The number of the last message that is on the screen as a whole.
const LAST_ON_SCREEN: &str = "
    const { bottom } = document.querySelector('#messages').getBoundingClientRect();
    return Math.max(...[...document.querySelectorAll('#log [data-number]')]
        .filter((message) => message.getBoundingClientRect().bottom <= bottom)
        .map((message) => Number(message.dataset.number)));";

/// Waits until a user has read a conversation up to a number; returns the conversation.
async fn until_read(client: &Client, path: &str, number: i64) -> Value {
    eventually(&format!("{path} is read up to {number}"), async || {
        let conversation = client.get(path).await.expect(200);
        (conversation["read"].as_i64() >= Some(number)).then_some(conversation)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_opens_at_the_first_unread_message_and_marks_what_is_on_the_screen() {
    let (_database, replica) = service().await;
    let (john, elsewhere) = (replica.user("john"), replica.user("jane"));
    send_many(&john, "jane", 70).await;
    let read = json!({ "number": 10 });
    elsewhere
        .call(Method::PUT, "/users/john/read", read)
        .await
        .expect(200);
    let before = marks(&replica).await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.lists(&["john, 60 unread"]).await;
    jane.opens("john").await;
    jane.until("document.querySelector('#log .new + [data-number=\"11\"]')")
        .await;
    // The divider is at the top.
    jane.until(
        "Math.abs(document.querySelector('#log .new').getBoundingClientRect().top
             - document.querySelector('#messages').getBoundingClientRect().top) < 40",
    )
    .await;
    let last = jane.run(LAST_ON_SCREEN).await.as_i64().unwrap();
    assert!((12..40).contains(&last), "{last}");
    let conversation = until_read(&elsewhere, "/users/john", last).await;
    let number = conversation["read"].as_i64().unwrap();
    // The next one may be on the screen for the most part.
    assert!(number <= last + 1, "{number} of {last}");
    jane.lists(&[&format!("john, {} unread", 70 - number)])
        .await;
    jane.until(&format!(
        "document.querySelector('#to-end-count').textContent === '{}'",
        70 - number
    ))
    .await;
    assert!(
        (marks(&replica).await - before - 1.0).abs() < f64::EPSILON,
        "one request"
    );

    // A message that comes meanwhile is not on the screen.
    john.send("jane", "message 71").await;
    jane.lists(&[&format!("john, {} unread", 71 - number)])
        .await;
    let unchanged = elsewhere.get("/users/john").await.expect(200);
    assert_eq!(unchanged["read"], number);
    assert_eq!(
        jane.run("return document.querySelectorAll('#log .new').length")
            .await,
        1
    );

    // Whoever wants to goes to the newest one.
    jane.presses("To the newest message").await;
    jane.sees("message 71").await;
    jane.lists(&["john"]).await;
    until_read(&elsewhere, "/users/john", 71).await;
    jane.until("document.querySelector('#to-end').hidden").await;
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_while_one_reads_what_is_older_is_not_marked() {
    let (_database, replica) = service().await;
    let (john, elsewhere) = (replica.user("john"), replica.user("jane"));
    send_many(&john, "jane", 40).await;
    let read = json!({ "number": 40 });
    elsewhere
        .call(Method::PUT, "/users/john/read", read)
        .await
        .expect(200);
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.opens("john").await;
    jane.sees("message 40").await;
    let at_end = "document.querySelector('#messages').scrollTop > 0
                  && document.querySelector('#to-end').hidden";
    jane.until(at_end).await;
    jane.run("document.querySelector('#messages').scrollTop = 0")
        .await;
    jane.until("!document.querySelector('#to-end').hidden")
        .await;
    john.send("jane", "meanwhile").await;
    jane.lists(&["john, 1 unread"]).await;
    jane.sees("meanwhile").await;
    // What comes after it in another conversation is marked: whatever would have been is by then.
    john.send("jane", "and again").await;
    jane.lists(&["john, 2 unread"]).await;
    replica.user("tom").send("jane", "hi").await;
    jane.opens("tom").await;
    jane.lists(&["tom", "john, 2 unread"]).await;
    assert_eq!(elsewhere.get("/users/john").await.expect(200)["read"], 40);
    // A page that is not looked at marks nothing either. (Windows of a headless browser all count as
    // visible, so the page is told that it is not.)
    let tell = |is_hidden: bool| {
        format!(
            "Object.defineProperty(document, 'hidden', {{ configurable: true, value: {is_hidden} }});
             document.dispatchEvent(new Event('visibilitychange'));"
        )
    };
    jane.run(&tell(true)).await;
    let tom = Person::sign_in(&browser, &replica.base, "tom").await;
    tom.opens("jane").await;
    tom.writes("are you there?").await;
    tom.sees_that("are you there?", "Sent").await;
    jane.lists(&["tom, 1 unread", "john, 2 unread"]).await;
    let unread = elsewhere.get("/users/tom").await.expect(200);
    assert_eq!(unread["unread"], 1);
    jane.run(&tell(false)).await;
    jane.lists(&["tom", "john, 2 unread"]).await;
    tom.sees_that("are you there?", "Read").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_of_one_user_agree() {
    let (_database, replica) = service().await;
    let (john, anna) = (replica.user("john"), replica.user("anna"));
    john.send("jane", "hello").await;
    anna.send("jane", "hi").await;
    let first = Browser::open(&replica.base).await;
    let second = Browser::open(&replica.base).await;
    let phone = Person::sign_in(&first, &replica.base, "jane").await;
    let desk = Person::sign_in(&second, &replica.base, "jane").await;
    let both = [&phone, &desk];
    for page in both {
        page.run("window.isSamePage = true").await;
        page.lists(&["anna, 1 unread", "john, 1 unread"]).await;
        page.until("document.title.startsWith('(2) ')").await;
    }
    phone.opens("john").await;
    for page in both {
        page.lists(&["anna, 1 unread", "john"]).await;
    }
    phone.chooses("Pin").await;
    for page in both {
        page.lists(&["john", "anna, 1 unread"]).await;
    }
    phone.chooses("Mark as unread").await;
    for page in both {
        page.lists(&["john, 1 unread", "anna, 1 unread"]).await;
    }
    desk.opens("john").await;
    for page in both {
        page.lists(&["john", "anna, 1 unread"]).await;
    }
    desk.chooses("Mute always").await;
    john.send("jane", "once more").await;
    desk.sees("once more").await;
    desk.chooses("Unpin").await;
    for page in both {
        page.lists(&["john", "anna, 1 unread"]).await;
        page.until("document.querySelector('#conversations .muted .mark')")
            .await;
    }
    // What is muted is not in the total.
    desk.run("location.hash = '#/'").await;
    desk.until("document.querySelector('#conversation').hidden")
        .await;
    john.send("jane", "and again").await;
    for page in both {
        page.lists(&["john, 1 unread", "anna, 1 unread"]).await;
        page.until("document.title.startsWith('(1) ')").await;
    }
    phone.opens("anna").await;
    phone.chooses("Archive").await;
    for page in both {
        page.lists(&["john, 1 unread"]).await;
        page.click("//button[@id='archive']").await;
        page.lists(&["anna"]).await;
        page.click("//button[@id='archive']").await;
    }
    // A new message brings it back.
    phone.run("location.hash = '#/'").await;
    phone
        .until("document.querySelector('#conversation').hidden")
        .await;
    anna.send("jane", "still there?").await;
    for page in both {
        page.lists(&["anna, 1 unread", "john, 1 unread"]).await;
        assert_eq!(page.run("return window.isSamePage").await, true);
    }
    assert_eq!(first.errors().await, [""; 0]);
    assert_eq!(second.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_screen_is_one_call_and_keeps_what_it_shows() {
    let (_database, replica) = service().await;
    for number in 0..30 {
        let other = replica.user(&format!("user-{number}"));
        other.send("jane", "hello").await;
    }
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.until("document.querySelectorAll('#conversations a').length === 30")
        .await;
    jane.until("document.title.startsWith('(30) ')").await;
    let calls = async |route: &str| {
        let label = format!("method=\"GET\",route=\"{route}\",status=\"200\"");
        replica
            .metric("messages_http_request_seconds_count", &label)
            .await
    };
    assert!(calls("/conversations").await < 3.0, "and the archived ones");
    assert!(calls("/users/{user}").await < 1.0);
    // A copy that exists asks for the list no more.
    jane.reloads().await;
    jane.reads_state("Up to date").await;
    jane.until("document.querySelectorAll('#conversations a').length === 30")
        .await;
    assert!(calls("/conversations").await < 3.0);
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hit_of_the_search_is_shown_and_marks_nothing_that_was_passed_over() {
    let (database, replica) = service().await;
    let (john, elsewhere) = (replica.user("john"), replica.user("jane"));
    send_many(&john, "jane", 150).await;
    database.until_indexed().await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.click("//input[@aria-label='Search']").await;
    jane.presses_keys("\"message 140\"").await;
    jane.click("//ol[@id='hits']//a").await;
    jane.until("document.activeElement.matches('[data-number=\"140\"] article')")
        .await;
    let (before, beginning) = ("[data-number='1']", "[data-number='139']");
    jane.until(&format!(
        "!document.querySelector(\"{before}\") && document.querySelector(\"{beginning}\")"
    ))
    .await;
    // Another mark that is made later has come, and this one not.
    replica.user("tom").send("jane", "hi").await;
    jane.until("document.querySelectorAll('#conversations a').length === 2")
        .await;
    let read = elsewhere.get("/users/john").await.expect(200);
    assert!(read["read"].as_i64() < Some(100), "{read}");
    // It is the reader who says so.
    jane.presses("To the newest message").await;
    until_read(&elsewhere, "/users/john", 150).await;
    jane.until("document.querySelector('#to-end').hidden").await;
    assert_eq!(browser.errors().await, [""; 0]);
}
