//! What single entries of the feed say: when a change was made, whom it concerns, and that a chat is gone.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    feed::{administered_service, entries, feed, recipients},
    imports::{chat, message, stored},
    support::Client,
};

/// When the changes of a kind were made.
async fn times(app: &Client, kind: &str) -> Vec<String> {
    let page = feed(app, &format!("kinds={kind}")).await;
    let entries = page["entries"].as_array().unwrap().iter();
    let times = entries.map(|entry| entry["created"].as_str().unwrap().to_owned());
    times.collect()
}

#[tokio::test]
async fn an_entry_has_the_time_of_its_change_and_a_message_that_is_imported_its_own() {
    let (_database, replica) = administered_service().await;
    let (app, jane) = (replica.application().await, replica.user("jane"));
    let before = jane.send("john", "before").await;
    let from_jane = json!({ "chat": "c", "from": "jane" });
    stored(&app, &[chat("c", &["jane"]), message("m", from_jane, 1)]).await;
    let done = json!({ "key": "done", "done": { "chat": "c" } });
    stored(&app, &[done]).await;
    let after = jane.send("john", "after").await;
    let edit = json!({ "text": "edited" });
    let edited = jane
        .patch(&after["id"], &after["timestamp"], edit)
        .await
        .expect(200);

    let sent = [&before, &after].map(|message| message["created"].as_str().unwrap());
    assert_eq!(times(&app, "message.created").await, sent);
    let edit = edited["edited"].as_str().unwrap();
    assert_eq!(times(&app, "message.edited").await, [edit]);
    let imported = times(&app, "message.imported").await;
    let [imported] = imported.as_slice() else {
        panic!("{imported:?}");
    };
    // All of them are in UTC and of one length.
    assert!(
        sent[0] <= imported.as_str() && imported.as_str() <= sent[1],
        "{imported}: {sent:?}"
    );
    let page = feed(&app, "kinds=message.imported&include=message").await;
    let message = &page["entries"][0]["message"];
    assert_eq!(message["created"], "2019-03-01T10:01:00.250000Z");
}

#[tokio::test]
async fn an_edit_and_a_deletion_concern_the_other_members_and_an_edit_names_whom_it_names_anew() {
    let (_database, replica) = administered_service().await;
    let app = replica.application().await;
    let [jane, jim] = ["jane", "jim"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &["john", "jim"]).await;
    let sent = jane.post_into(chat, "hi").await;
    let id = &sent["id"];
    let nobody_is_named = json!([{ "user": "jim", "unread": 1 }, { "user": "john", "unread": 1 }]);
    assert_eq!(recipients(&app).await, nobody_is_named);
    let edit = async |message: &Value, edit: Value| {
        let edited = jane.patch(id, &message["timestamp"], edit).await;
        edited.expect(200)
    };
    let edited = edit(&sent, json!({ "mentions": ["jim"] })).await;
    let jim_is_named = json!([
        { "user": "jim", "unread": 1, "mentioned": true },
        { "user": "john", "unread": 1 },
    ]);
    assert_eq!(recipients(&app).await, jim_is_named);
    // It still names jim, and does not do so anew.
    let edited = edit(&edited, json!({ "text": "hello" })).await;
    assert_eq!(recipients(&app).await, nobody_is_named);

    // Who has left before the deletion is told of the edits alone.
    let members = format!("/chats/{chat}/members/jim");
    assert_eq!(jim.ask(Method::DELETE, &members, None).await.status, 204);
    jane.delete(id, &edited["timestamp"]).await.expect(200);
    let page = entries(
        &app,
        "include=recipients&kinds=message.edited,message.deleted",
    )
    .await;
    let users = page.iter().map(|entry| {
        let recipients = entry["recipients"].as_array().unwrap().iter();
        let users = recipients.map(|recipient| recipient["user"].as_str().unwrap());
        (entry["kind"].as_str().unwrap(), users.collect::<Vec<_>>())
    });
    let expected = [
        ("message.edited", vec!["jim", "john"]),
        ("message.edited", vec!["jim", "john"]),
        ("message.deleted", vec!["john"]),
    ];
    assert_eq!(users.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_change_of_a_personal_message_concerns_the_user_who_has_not_made_it() {
    let (_database, replica) = administered_service().await;
    let app = replica.application().await;
    let [jane, john] = ["jane", "john"].map(|user| replica.user(user));
    let sent = jane.send("john", "hi").await;
    let edit = json!({ "text": "hello" });
    let edited = jane.patch(&sent["id"], &sent["timestamp"], edit).await;
    let edited = edited.expect(200);
    assert_eq!(
        recipients(&app).await,
        json!([{ "user": "john", "unread": 1 }])
    );
    let deleted = john.delete(&sent["id"], &edited["timestamp"]).await;
    deleted.expect(200);
    assert_eq!(
        recipients(&app).await,
        json!([{ "user": "jane", "unread": 0 }])
    );
}

#[tokio::test]
async fn a_message_of_the_application_itself_concerns_every_member() {
    let (_database, replica) = administered_service().await;
    let app = replica.application().await;
    let chat = replica.user("jane").chat("Team", &["john", "jim"]).await;
    let posted = app.post_into(chat, "welcome").await;
    let everybody = ["jane", "jim", "john"].map(|user| json!({ "user": user, "unread": 1 }));
    assert_eq!(recipients(&app).await, json!(everybody));
    let edit = json!({ "mentions": ["jane"] });
    app.patch(&posted["id"], &posted["timestamp"], edit)
        .await
        .expect(200);
    let [mut jane, jim, john] = everybody;
    jane["mentioned"] = json!(true);
    assert_eq!(recipients(&app).await, json!([jane, jim, john]));
}

#[tokio::test]
async fn the_entry_of_a_deleted_chat_names_the_chat_and_who_has_deleted_it() {
    let (_database, replica) = administered_service().await;
    let (app, jane) = (replica.application().await, replica.user("jane"));
    let mut expected = Vec::new();
    for (caller, actor) in [(&jane, Some("jane")), (&app, None)] {
        let chat = jane.chat("Team", &["john"]).await;
        let path = format!("/chats/{chat}");
        let tag = caller.get(&path).await.expect(200)["timestamp"].clone();
        let deleted = caller.ask(Method::DELETE, &path, Some(&tag)).await;
        assert_eq!(deleted.status, 204, "{}", deleted.text);
        let mut entry = json!({ "kind": "chat.deleted", "chat": chat });
        if let Some(actor) = actor {
            entry["actor"] = json!(actor);
        }
        expected.push(entry);
    }
    let mut found = entries(&app, "kinds=chat.deleted").await;
    for entry in &mut found {
        let timestamp = entry.as_object_mut().unwrap().remove("timestamp");
        assert!(timestamp.is_some_and(|timestamp| timestamp.is_i64()));
    }
    assert_eq!(found, expected);
}
