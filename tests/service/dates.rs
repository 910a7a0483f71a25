//! How dates and times are written in answers.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Database, Replica, administered};

/// Whether it is a time in RFC 3339 with six digits of a second, in UTC.
fn has_six_digits(time: &Value) -> bool {
    let shape: String = time
        .as_str()
        .unwrap()
        .chars()
        .map(|character| {
            if character.is_ascii_digit() {
                '0'
            } else {
                character
            }
        })
        .collect();
    shape == "0000-00-00T00:00:00.000000Z"
}

#[tokio::test]
async fn every_time_has_six_digits_of_a_second() {
    let database = Database::fresh().await;
    let first = Replica::start(&database, administered()).await;
    let jane = first.user("jane");
    let sent = jane.send("john", "hi").await;
    jane.patch(&sent["id"], &sent["timestamp"], json!({ "text": "edited" }))
        .await
        .expect(200);
    let chat = jane.chat("round", &["john"]).await;
    for table in ["messages", "conversations", "applications"] {
        database
            .execute(&format!(
                "UPDATE {table} SET created = date_trunc('second', created)"
            ))
            .await;
    }
    database
        .execute("UPDATE messages SET edited = date_trunc('second', edited) + interval '0.1 s'")
        .await;
    let replica = Replica::start(&database, administered()).await;
    let (jane, administrator) = (replica.user("jane"), replica.administrator());
    let created = administrator
        .call(Method::POST, "/applications", json!({ "name": "shop" }))
        .await
        .expect(201);
    let shop = replica.with_token(created["token"].as_str().unwrap());
    let message = jane
        .get(&format!("/messages/{}", sent["id"]))
        .await
        .expect(200);
    for time in [
        &message["created"],
        &message["edited"],
        &jane.sync("include=message").await["messages"][1]["message"]["created"],
        &jane.get("/users/john/messages").await.expect(200)["messages"][0]["edited"],
        &jane.get(&format!("/chats/{chat}")).await.expect(200)["created"],
        &jane.get("/users/john").await.expect(200)["created"],
        &administrator.get("/applications/1").await.expect(200)["created"],
        &created["created"],
        &shop
            .call(Method::POST, "/tokens", json!({ "user": "jane" }))
            .await
            .expect(201)["expires"],
        &jane
            .call(Method::POST, "/tickets", json!({}))
            .await
            .expect(201)["expires"],
    ] {
        assert!(has_six_digits(time), "{time}");
    }
}
