//! Naming members in messages.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, service};

async fn post(client: &Client, chat: i64, body: Value) -> Value {
    let path = format!("/chats/{chat}/messages");
    client.call(Method::POST, &path, body).await.expect(201)
}

/// The entries of a message on a user's timeline: whether each names the user.
async fn named(client: &Client, id: &Value) -> Vec<bool> {
    let page = client.sync("limit=1000").await;
    let entries = page["messages"].as_array().unwrap().iter();
    let of_message = entries.filter(|entry| entry["id"] == *id);
    of_message.map(|entry| entry["mention"] == true).collect()
}

async fn mentions(client: &Client, chat: i64) -> Value {
    let seen = client.get(&format!("/chats/{chat}")).await.expect(200);
    seen["mentions"].clone()
}

#[tokio::test]
async fn who_is_named_is_told_so_and_an_edit_tells_those_alone_whom_it_names_anew() {
    let (_database, replica) = service().await;
    let [jane, john, jim] = ["jane", "john", "jim"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &["john", "jim"]).await;
    // Oneself and repetitions mean nothing.
    let body = json!({ "text": "hi", "mentions": ["john", "john", "jane"] });
    let sent = post(&jane, chat, body).await;
    assert_eq!(sent["mentions"], json!(["john", "jane"]));
    assert_eq!(sent["mentionsAll"], Value::Null);
    let id = &sent["id"];
    assert_eq!(named(&john, id).await, [true]);
    assert_eq!(named(&jim, id).await, [false]);
    assert_eq!(named(&jane, id).await, [false]);
    assert_eq!(mentions(&john, chat).await, 1);
    assert_eq!(mentions(&jane, chat).await, 0);

    let edit = json!({ "mentions": ["jim", "john"] });
    let edited = jane.patch(id, &sent["timestamp"], edit.clone()).await;
    let edited = edited.expect(200);
    assert_eq!(
        (&edited["text"], &edited["mentions"]),
        (&json!("hi"), &edit["mentions"])
    );
    assert_eq!(named(&john, id).await, [true, false]);
    assert_eq!(named(&jim, id).await, [false, true]);
    assert_eq!(mentions(&jim, chat).await, 1);
    // What changes nothing takes no timestamp, however stale.
    let same = jane.patch(id, &sent["timestamp"], edit).await;
    assert_eq!(same.expect(200), edited);

    let all = json!({ "mentionsAll": true, "text": "hi all" });
    let edited = jane.patch(id, &edited["timestamp"], all).await.expect(200);
    assert_eq!(edited["mentionsAll"], true);
    assert_eq!(named(&jim, id).await, [false, true, false]);
    assert_eq!(
        (mentions(&john, chat).await, mentions(&jane, chat).await),
        (json!(1), json!(0))
    );
    let nobody = json!({ "mentionsAll": false, "mentions": [] });
    let edited = jane
        .patch(id, &edited["timestamp"], nobody)
        .await
        .expect(200);
    assert_eq!(
        (&edited["mentions"], &edited["mentionsAll"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(mentions(&john, chat).await, 0);
}

#[tokio::test]
async fn everybody_is_named_at_once_and_counts_end_with_reading_and_deleting() {
    let (_database, replica) = service().await;
    let [jane, john, jim] = ["jane", "john", "jim"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &["john", "jim"]).await;
    let first = post(&jane, chat, json!({ "text": "1", "mentionsAll": true })).await;
    assert_eq!(first["mentionsAll"], true);
    for client in [&john, &jim] {
        assert_eq!(named(client, &first["id"]).await, [true]);
    }
    assert_eq!(named(&jane, &first["id"]).await, [false]);
    let body = json!({ "text": "2", "mentions": ["john"] });
    let second = post(&jane, chat, body.clone()).await;
    post(&jane, chat, body).await;
    assert_eq!(
        (mentions(&john, chat).await, mentions(&jim, chat).await),
        (json!(3), json!(1))
    );
    jane.delete(&second["id"], &second["timestamp"])
        .await
        .expect(200);
    assert_eq!(mentions(&john, chat).await, 2);
    let path = format!("/chats/{chat}/read");
    john.call(Method::PUT, &path, json!({ "number": 1 }))
        .await
        .expect(200);
    assert_eq!(mentions(&john, chat).await, 1);
    let back = json!({ "number": 0, "back": true });
    john.call(Method::PUT, &path, back).await.expect(200);
    assert_eq!(mentions(&john, chat).await, 2);
    jane.delete(&first["id"], &first["timestamp"])
        .await
        .expect(200);
    assert_eq!(
        (mentions(&john, chat).await, mentions(&jim, chat).await),
        (json!(1), json!(0))
    );
    let page = john.get("/conversations").await.expect(200);
    assert_eq!(page["unread"]["mentions"], 1);
}

#[tokio::test]
async fn personal_messages_name_their_users() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let body = json!({ "to": "john", "text": "hi", "mentions": ["john"] });
    let sent = jane.post(body).await.expect(201);
    assert_eq!(named(&john, &sent["id"]).await, [true]);
    assert_eq!(named(&jane, &sent["id"]).await, [false]);
    let with_data = john.sync("include=message").await;
    assert_eq!(with_data["messages"][0]["mention"], true);
    assert_eq!(with_data["messages"][0]["message"], sent);
    assert_eq!(john.get("/users/jane").await.expect(200)["mentions"], 1);
    let all = json!({ "to": "john", "text": "hi", "mentionsAll": true });
    jane.post(all).await.expect(201);
    assert_eq!(john.get("/users/jane").await.expect(200)["mentions"], 2);
}

#[tokio::test]
async fn members_alone_are_named() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let chat = jane.chat("Team", &["john"]).await;
    let path = format!("/chats/{chat}/messages");
    let wrong = async |body: Value| jane.call(Method::POST, &path, body).await.wrong_fields();
    let of = |users: Value| json!({ "text": "hi", "mentions": users });
    assert_eq!(wrong(of(json!(["jim"]))).await, ["mentions"]);
    assert_eq!(wrong(of(json!(["a b"]))).await, ["mentions"]);
    assert_eq!(wrong(of(json!("john"))).await, ["mentions"]);
    let many: Vec<_> = (0..51).map(|number| number.to_string()).collect();
    assert_eq!(wrong(of(json!(many))).await, ["mentions"]);
    let personal = json!({ "to": "john", "text": "hi", "mentions": ["jim"] });
    assert_eq!(jane.post(personal).await.wrong_fields(), ["mentions"]);

    // Who has left meanwhile may stay named.
    let sent = post(&jane, chat, of(json!(["john"]))).await;
    john.ask(Method::DELETE, &format!("/chats/{chat}/members/john"), None)
        .await;
    let text = json!({ "text": "without john" });
    let edited = jane
        .patch(&sent["id"], &sent["timestamp"], text)
        .await
        .expect(200);
    assert_eq!(edited["mentions"], json!(["john"]));
    let anew = json!({ "mentions": ["john", "jim"] });
    let refused = jane.patch(&sent["id"], &edited["timestamp"], anew).await;
    assert_eq!(refused.wrong_fields(), ["mentions"]);
}
