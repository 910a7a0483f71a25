//! The client package in a browser, by itself and under the messenger.

use serde_json::json;

use crate::support::{Browser, Person, Replica, eventually, service};

#[tokio::test(flavor = "multi_thread")]
async fn events_are_read_from_pieces_of_any_size() {
    let (_database, replica) = service().await;
    let browser = Browser::open(&replica.base).await;
    let read = "const { eventReader } = await import('/client/messages.js');
        const text = [':', '', 'id: 41', '', 'retry: 2500', '', 'event: update', 'id: 42',
                      'data: {\"text\":', 'data:  \"a: b\"}', '', 'event: current', 'data: {}', '', 'id: 43'];
        const read = [];
        for (const end of ['\\n', '\\r\\n', '\\r']) for (let size = 1; size < 40; size += 1) {
            const all = text.join(end) + end;
            const events = eventReader();
            const found = [];
            for (let at = 0; at < all.length; at += size) found.push(...events(all.slice(at, at + size)));
            read.push(JSON.stringify(found));
        }
        return [...new Set(read)].map((found) => JSON.parse(found));";
    let script = format!("return (async () => {{ {read} }})()");
    let read = browser.run(&script).await;
    let expected = json!([[
        { "id": "41" },
        { "retry": "2500" },
        { "event": "update", "id": "42", "data": "{\"text\":\n \"a: b\"}" },
        { "event": "current", "data": "{}" },
    ]]);
    assert_eq!(
        read, expected,
        "the same in all pieces, and nothing of what is not complete"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_falls_silent_is_taken_for_lost_and_found_again() {
    let (_database, replica) = service().await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.begins_with("john").await;
    replica.freeze();
    // The connections stay open and nothing comes: only time tells. Meanwhile the page sends, again
    // and again, what the service finds all at once when it wakes.
    jane.writes("written into the silence").await;
    jane.reads_state("Offline").await;
    replica.thaw();
    jane.reads_state("Up to date").await;
    jane.sees_that("written into the silence", "Sent").await;
    jane.sees_all(&["written into the silence"]).await;
    let history = replica
        .user("john")
        .get("/users/jane/messages")
        .await
        .expect(200);
    assert_eq!(
        history["messages"].as_array().unwrap().len(),
        1,
        "sent once"
    );
}

/// How many streams are open.
async fn streams(replica: &Replica) -> f64 {
    replica
        .metric("messages_live_connections", "kind=\"stream\"")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tabs_of_a_user_share_one_copy_and_one_stream() {
    let (_database, replica) = service().await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let again = Person::sign_in(&browser, &replica.base, "jane").await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    assert_eq!(streams(&replica).await, 2.0, "one of each user");
    // The tab that does not follow writes, and both show it.
    again.begins_with("john").await;
    again.writes("from the second tab").await;
    again.sees_that("from the second tab", "Sent").await;
    jane.opens("john").await;
    jane.sees_all(&["from the second tab"]).await;
    john.opens("jane").await;
    john.writes("to both").await;
    for tab in [&jane, &again] {
        tab.sees_all(&["from the second tab", "to both"]).await;
    }
    // The tab that follows is closed, and the other one goes on.
    jane.closes().await;
    again.writes("still there").await;
    again.sees_that("still there", "Sent").await;
    john.writes("as am I").await;
    let texts = ["from the second tab", "to both", "still there", "as am I"];
    again.sees_all(&texts).await;
    eventually("one stream of each user is open", async || {
        (streams(&replica).await == 2.0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_that_signs_out_signs_out_the_others() {
    let (_database, replica) = service().await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let again = Person::sign_in(&browser, &replica.base, "jane").await;
    again.presses("Sign out").await;
    again.click("//dialog//button[.='Sign out']").await;
    for tab in [&again, &jane] {
        tab.until("document.body.dataset.page === 'sign-in'").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_title_and_the_icon_say_that_something_is_unread() {
    let (_database, replica) = service().await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let icon = |name: &str| format!("document.querySelector('#icon').href.endsWith('/{name}.svg')");
    jane.until(&icon("icon")).await;
    replica.user("john").send("jane", "hello").await;
    jane.until("document.title.startsWith('(1) ')").await;
    jane.until(&icon("icon-unread")).await;
    jane.opens("john").await;
    jane.until("document.title.startsWith('Messages')").await;
    jane.until(&icon("icon")).await;
    assert_eq!(browser.errors().await, [""; 0]);
}
