//! `sync.js` by itself, as others take it: in a browser, against the service.

use serde_json::json;

use crate::support::{Browser, Person, service};

#[tokio::test(flavor = "multi_thread")]
async fn events_are_read_from_pieces_of_any_size() {
    let (_database, replica) = service().await;
    let browser = Browser::open(&replica.base).await;
    let read = "const { eventReader } = await import('/web/sync.js');
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
