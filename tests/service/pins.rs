//! Messages that are pinned in chats.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Database, Replica, Reply, administered, service};

async fn pin(user: &Client, chat: i64, message: &Value) -> Reply {
    let path = format!("/chats/{chat}/pins/{}", message["id"]);
    user.ask(Method::PUT, &path, None).await
}

async fn unpin(user: &Client, chat: i64, message: &Value) -> Reply {
    let path = format!("/chats/{chat}/pins/{}", message["id"]);
    user.ask(Method::DELETE, &path, None).await
}

/// The ids of what is pinned, the newest pin first.
async fn pinned(user: &Client, chat: i64) -> Vec<Value> {
    let list = user.get(&format!("/chats/{chat}/pins")).await.expect(200);
    let pins = list["pins"].as_array().unwrap().iter();
    pins.map(|pin| pin["message"]["id"].clone()).collect()
}

#[tokio::test]
async fn a_pin_is_a_change_of_the_chat_and_the_newest_comes_first() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let chat = jane.chat("Team", &["john"]).await;
    let first = jane.post_into(chat, "first").await;
    let second = john.post_into(chat, "second").await;
    let latest = john.sync("").await["latest"].clone();
    assert_eq!(pin(&jane, chat, &second).await.status, 201);
    assert_eq!(pin(&jane, chat, &second).await.status, 204);
    assert_eq!(pin(&app, chat, &first).await.status, 201);
    let timestamp = jane.get(&format!("/chats/{chat}")).await.expect(200)["timestamp"].clone();
    for user in [&jane, &john] {
        let news = user.sync(&format!("after={latest}")).await;
        assert_eq!(news["total"], 2, "{news}");
        assert_eq!(
            news["messages"][1],
            json!({ "chat": chat, "timestamp": timestamp })
        );
    }
    let list = john.get(&format!("/chats/{chat}/pins")).await.expect(200);
    let [newest, oldest] = list["pins"].as_array().unwrap().as_slice() else {
        panic!("{list}")
    };
    assert_eq!((&newest["message"], newest.get("by")), (&first, None));
    assert_eq!(
        (&oldest["message"], &oldest["by"]),
        (&second, &json!("jane"))
    );
    assert!(oldest["pinned"].is_string());
    let kinds = app.get(&format!("/feed?after={latest}")).await.expect(200);
    let kinds = kinds["entries"].as_array().unwrap().iter();
    let kinds: Vec<_> = kinds.map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, ["chat.changed", "chat.changed"]);

    assert_eq!(unpin(&jane, chat, &first).await.status, 204);
    assert_eq!(unpin(&jane, chat, &first).await.status, 204);
    assert_eq!(pinned(&john, chat).await, [second["id"].clone()]);
}

#[tokio::test]
async fn members_read_what_is_pinned_and_moderators_pin() {
    let (_database, replica) = service().await;
    let [jane, john, jim] = ["jane", "john", "jim"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &["john"]).await;
    let other = jane.chat("Other", &["john"]).await;
    let message = john.post_into(chat, "hi").await;
    pin(&john, chat, &message)
        .await
        .expect_problem(403, "forbidden");
    pin(&jim, chat, &message)
        .await
        .expect_problem(404, "not-found");
    pin(&jane, other, &message)
        .await
        .expect_problem(404, "not-found");
    let personal = jane.send("john", "hi").await;
    pin(&jane, chat, &personal)
        .await
        .expect_problem(404, "not-found");
    let member = format!("/chats/{chat}/members/john");
    let role = json!({ "role": "moderator" });
    jane.call(Method::PATCH, &member, role).await.expect(200);
    assert_eq!(pin(&john, chat, &message).await.status, 201);
    let list = jim.get(&format!("/chats/{chat}/pins")).await;
    list.expect_problem(404, "not-found");

    // Who reads what came after it has joined sees those pins alone.
    let path = format!("/chats/{chat}");
    let timestamp = jane.get(&path).await.expect(200)["timestamp"].clone();
    let request = jane.request(Method::PATCH, &path);
    let request = request.header("if-match", timestamp.to_string());
    let joined = Reply::of(request.json(&json!({ "history": "joined" }))).await;
    joined.expect(200);
    let path = format!("/chats/{chat}/members/jim");
    jane.ask(Method::PUT, &path, None).await;
    let later = jane.post_into(chat, "later").await;
    pin(&jane, chat, &later).await;
    assert_eq!(pinned(&jim, chat).await, [later["id"].clone()]);
    assert_eq!(
        pinned(&john, chat).await,
        [&later, &message].map(|it| it["id"].clone())
    );
}

#[tokio::test]
async fn there_are_a_hundred_and_a_deleted_message_is_pinned_no_more() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let chat = jane.chat("Team", &[]).await;
    let mut messages = Vec::new();
    for number in 0..101 {
        messages.push(jane.post_into(chat, &number.to_string()).await);
    }
    for message in &messages[..100] {
        assert_eq!(pin(&jane, chat, message).await.status, 201);
    }
    let full = pin(&jane, chat, &messages[100]).await;
    assert_eq!(full.wrong_fields(), ["id"]);
    let page = async |query: &str| {
        let list = jane.get(&format!("/chats/{chat}/pins?{query}")).await;
        let list = list.expect(200);
        let pins = list["pins"].as_array().unwrap().iter();
        let pins: Vec<_> = pins
            .map(|pin| pin["message"]["number"].as_i64().unwrap())
            .collect();
        (pins, list.get("next").cloned())
    };
    let (first, next) = page("limit=60").await;
    assert_eq!(first, (41..=100).rev().collect::<Vec<_>>());
    let (rest, end) = page(&format!("limit=60&before={}", next.unwrap())).await;
    assert_eq!((rest, end), ((1..=40).rev().collect(), None));
    let gone = &messages[7];
    jane.delete(&gone["id"], &gone["timestamp"])
        .await
        .expect(200);
    assert!(!page("limit=100").await.0.contains(&8));
    assert_eq!(database.count("SELECT count(*) FROM pins").await, 99);
    pin(&jane, chat, gone).await.expect_problem(410, "deleted");
    assert_eq!(pin(&jane, chat, &messages[100]).await.status, 201);
}
