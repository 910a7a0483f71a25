//! What a member sets for a conversation, for itself alone; and blocking.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, counted, service};

async fn set(client: &Client, path: &str, patch: Value) -> Value {
    let path = format!("{path}/settings");
    client.call(Method::PATCH, &path, patch).await.expect(200)
}

async fn latest(client: &Client) -> Value {
    client.sync("limit=1").await["latest"].clone()
}

#[tokio::test]
async fn settings_are_told_to_ones_own_devices_and_to_nobody_else() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    jane.send("john", "hi").await;
    let chat = jane.chat("Team", &["john"]).await;
    let in_chat = format!("/chats/{chat}");
    for (path, entry) in [
        ("/users/john", json!({ "with": "john" })),
        (&in_chat, json!({ "chat": chat })),
    ] {
        let (of_jane, of_john) = (latest(&jane).await, latest(&john).await);
        let attributes = json!({ "colour": "red" });
        let patch = json!({
            "pinned": true, "mutedUntil": "2099-01-01T00:00:00Z", "archived": true,
            "attributes": attributes
        });
        let expected = json!({
            "pinned": true, "mutedUntil": "2099-01-01T00:00:00.000000Z", "archived": true,
            "attributes": attributes
        });
        assert_eq!(set(&jane, path, patch.clone()).await, expected);
        let told = jane.sync(&format!("after={of_jane}")).await;
        let mut entry = entry;
        entry["timestamp"] = told["latest"].clone();
        assert_eq!(told["messages"], json!([entry]));
        assert_eq!(john.sync(&format!("after={of_john}")).await["total"], 0);
        assert_eq!(jane.get(path).await.expect(200)["settings"], expected);

        // What is so already takes no timestamp.
        let before = latest(&jane).await;
        assert_eq!(set(&jane, path, patch).await, expected);
        assert_eq!(set(&jane, path, json!({})).await, expected);
        assert_eq!(latest(&jane).await, before);
        let reset = json!({
            "pinned": null, "mutedUntil": null, "archived": false, "attributes": null
        });
        assert_eq!(set(&jane, path, reset).await, json!({}));
    }
    let others = john.get("/users/jane").await.expect(200);
    assert_eq!(others["settings"], json!({}));
}

#[tokio::test]
async fn attributes_are_merged_member_by_member() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    jane.send("john", "hi").await;
    for (patch, expected) in [
        (
            json!({ "a": 1, "b": { "c": 2 }, "none": null }),
            json!({ "a": 1, "b": { "c": 2 } }),
        ),
        (
            json!({ "b": { "d": 3 } }),
            json!({ "a": 1, "b": { "c": 2, "d": 3 } }),
        ),
        (
            json!({ "a": null, "b": { "c": null } }),
            json!({ "b": { "d": 3 } }),
        ),
    ] {
        let patch = json!({ "attributes": patch });
        let set = set(&jane, "/users/john", patch).await;
        assert_eq!(set, json!({ "attributes": expected }));
    }
    // The limit is of what is kept.
    let half = |name: &str| json!({ "attributes": { name: "x".repeat(2500) } });
    set(&jane, "/users/john", half("one")).await;
    let path = "/users/john/settings";
    let too_large = jane.call(Method::PATCH, path, half("other")).await;
    assert_eq!(too_large.wrong_fields(), ["attributes"]);
    set(
        &jane,
        "/users/john",
        json!({ "attributes": { "one": null } }),
    )
    .await;
    set(&jane, "/users/john", half("other")).await;
}

#[tokio::test]
async fn an_archived_conversation_comes_back_with_a_message_on_every_device() {
    let (database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    jane.send("john", "hi").await;
    let names = async |archived: bool| {
        let page = john
            .get(&format!("/conversations?archived={archived}"))
            .await;
        counted(&page.expect(200)).len()
    };
    set(&john, "/users/jane", json!({ "archived": true })).await;
    assert_eq!((names(false).await, names(true).await), (0, 1));
    // Neither a mark nor an edit is a message.
    let sent = john.get("/users/jane/messages/1").await.expect(200);
    john.marks(&sent["id"], true).await.expect(200);
    jane.patch(&sent["id"], &sent["timestamp"], json!({ "text": "edited" }))
        .await
        .expect(200);
    assert_eq!((names(false).await, names(true).await), (0, 1));
    // Nothing of it is written by the one who sends.
    let written = "SELECT xmin::text::bigint FROM conversation_settings";
    let before = database.count(written).await;
    jane.send("john", "are you there?").await;
    assert_eq!((names(false).await, names(true).await), (1, 0));
    assert_eq!(database.count(written).await, before);

    // Unless it is muted.
    let both = json!({ "archived": true, "mutedUntil": "2099-01-01T00:00:00+01:00" });
    set(&john, "/users/jane", both).await;
    jane.send("john", "and now?").await;
    assert_eq!((names(false).await, names(true).await), (0, 1));
    let page = john.get("/conversations").await.expect(200);
    let nothing = json!({ "messages": 0, "conversations": 0, "mentions": 0 });
    assert_eq!(page["unread"], nothing, "muted ones are left out");
    let unmuted = set(&john, "/users/jane", json!({ "mutedUntil": null })).await;
    assert_eq!(unmuted, json!({}), "the answer is what is read");
    assert_eq!((names(false).await, names(true).await), (1, 0));
    let page = john.get("/conversations").await.expect(200);
    assert_eq!(page["unread"]["messages"], 2);
    assert_eq!(page["conversations"][0]["unread"], 2);
    // A mute that has ended is none.
    set(
        &john,
        "/users/jane",
        json!({ "mutedUntil": "2020-01-01T00:00:00Z" }),
    )
    .await;
    let page = john.get("/conversations").await.expect(200);
    assert_eq!(page["unread"]["messages"], 2);
}

#[tokio::test]
async fn whoever_is_blocked_learns_nothing_of_it_and_neither_sends() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let chat = jane.chat("Team", &["john"]).await;
    // Before anything was written.
    let blocked = json!({ "blocked": true });
    assert_eq!(set(&jane, "/users/john", blocked.clone()).await, blocked);
    let own = jane.get("/users/john").await.expect(200);
    assert_eq!((&own["messages"], &own["settings"]), (&json!(0), &blocked));
    john.get("/users/jane")
        .await
        .expect_problem(404, "not-found");
    let read = json!({ "number": 0 });
    john.call(Method::PUT, "/users/jane/read", read)
        .await
        .expect_problem(404, "not-found");
    let listed = john.get("/conversations").await.expect(200);
    assert_eq!(counted(&listed).len(), 1, "the chat alone");
    assert_eq!(john.sync("").await["total"], 1);
    for (from, to) in [(&jane, "john"), (&john, "jane")] {
        let refused = from.post(json!({ "to": to, "text": "hi" })).await;
        refused.expect_problem(403, "not-accepted");
    }
    // In chats nothing changes, and with others neither.
    john.post_into(chat, "hi all").await;
    john.send("jim", "hi").await;

    // What john sets himself shows him his own doing alone.
    set(&john, "/users/jane", json!({ "pinned": true })).await;
    let told = john.sync("").await["messages"].as_array().unwrap().clone();
    let own = told.iter().find(|entry| entry["with"] == "jane").unwrap();
    let seen = john.get("/users/jane").await.expect(200);
    assert_eq!(
        (&seen["timestamp"], &seen["last"]),
        (&own["timestamp"], &own["timestamp"])
    );
    assert_eq!((&seen["messages"], &seen["read"]), (&json!(0), &json!(0)));
    assert_eq!(
        jane.get("/users/john").await.expect(200)["settings"],
        blocked
    );
    set(&john, "/users/jane", json!({ "pinned": false })).await;
    john.get("/users/jane")
        .await
        .expect_problem(404, "not-found");

    set(&jane, "/users/john", json!({ "blocked": false })).await;
    let sent = john.send("jane", "hi").await;
    assert_eq!(sent["number"], 1);
    set(&jane, "/users/john", blocked).await;
    let edit = john
        .patch(
            &sent["id"],
            &sent["timestamp"],
            json!({ "text": "hi again" }),
        )
        .await;
    edit.expect_problem(403, "not-accepted");
    // What changes nothing is no edit; and what was sent before stays.
    let same = john
        .patch(&sent["id"], &json!(1), json!({ "text": "hi" }))
        .await;
    assert_eq!(same.expect(200), sent);
    assert_eq!(
        jane.get(&format!("/messages/{}", sent["id"]))
            .await
            .expect(200),
        sent
    );
    let seen = john.get("/users/jane").await.expect(200);
    assert_eq!(
        (&seen["messages"], &seen["settings"]),
        (&json!(1), &json!({}))
    );
    for field in ["timestamp", "created"] {
        assert_eq!(seen[field], sent[field]);
    }
}

#[tokio::test]
async fn a_repeated_request_is_answered_though_one_is_blocked_since() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let post = || {
        let body = json!({ "to": "jane", "text": "hi" });
        john.posting(body).header("idempotency-key", "k")
    };
    let sent = crate::support::Reply::of(post()).await.expect(201);
    set(&jane, "/users/john", json!({ "blocked": true })).await;
    let again = crate::support::Reply::of(post()).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.expect(201), sent);
}

#[tokio::test]
async fn settings_that_are_not_acceptable_change_nothing() {
    let (_database, replica) = service().await;
    let (jane, jim) = (replica.user("jane"), replica.user("jim"));
    let chat = jane.chat("Team", &[]).await;
    let path = format!("/chats/{chat}/settings");
    let wrong =
        async |path: &str, patch: Value| jane.call(Method::PATCH, path, patch).await.wrong_fields();
    assert_eq!(wrong(&path, json!({ "blocked": true })).await, ["blocked"]);
    assert_eq!(
        wrong("/users/jane/settings", json!({ "blocked": true })).await,
        ["blocked"]
    );
    assert_eq!(wrong(&path, json!({ "loud": true })).await, ["loud"]);
    assert_eq!(
        wrong(&path, json!({ "mutedUntil": "soon" })).await,
        ["mutedUntil"]
    );
    let large = json!({ "attributes": { "a": "x".repeat(4096) } });
    assert_eq!(wrong(&path, large).await, ["attributes"]);
    assert_eq!(wrong("/users/a%20b/settings", json!({})).await, ["user"]);
    jim.call(Method::PATCH, &path, json!({ "pinned": true }))
        .await
        .expect_problem(404, "not-found");
    let seen = jane.get(&format!("/chats/{chat}")).await.expect(200);
    assert_eq!(seen["settings"], json!({}));
    // A chat has no `blocked`, so it is false already.
    let nothing = json!({ "blocked": false });
    assert_eq!(
        set(&jane, &format!("/chats/{chat}"), nothing).await,
        json!({})
    );
}
