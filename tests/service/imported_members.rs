//! The members of imported chats: what each of them is there, and what it reads.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    imports::{history, message, service, stored},
    support::{Client, Reply},
};

/// The numbers of the messages that a user reads.
async fn numbers(caller: &Client, path: &str) -> Vec<i64> {
    let history = history(caller, path).await;
    let numbers = history.iter().map(|it| it["number"].as_i64().unwrap());
    numbers.collect()
}

async fn change(app: &Client, path: &str, patch: Value) {
    let tag = app.get(path).await.expect(200)["timestamp"].clone();
    let request = app.request(Method::PATCH, path);
    let request = request.header("If-Match", tag.to_string());
    Reply::of(request.json(&patch)).await.expect(200);
}

/// The members of a chat, each with its role and with the message after which it has joined.
async fn members(app: &Client, path: &str) -> Value {
    let page = app.get(&format!("{path}/members")).await.expect(200);
    let members = page["members"].as_array().unwrap().iter();
    members
        .map(|it| json!([it["user"], it["role"], it.get("since")]))
        .collect()
}

/// A chat of three messages, of which its members have read the last ones.
fn team(history: &str) -> Vec<Value> {
    let team = json!({
        "name": "Team", "owner": "jane", "history": history,
        "members": [
            "john", { "user": "jane", "since": 1 }, { "user": "kim", "since": 2 },
            { "user": "jim", "role": "reader", "since": 99 }
        ]
    });
    let mut file = vec![json!({ "key": "team", "chat": team })];
    let place = json!({ "chat": "team", "from": "john" });
    file.extend((1..=3).map(|number| message(&format!("m{number}"), place.clone(), number)));
    file.push(json!({ "key": "end", "done": { "chat": "team" }, "read": { "kim": 2 } }));
    file
}

#[tokio::test]
async fn who_has_joined_late_reads_what_it_could_read_before_the_import() {
    let (_database, replica, app) = service().await;
    let file = team("joined");
    let results = stored(&app, &file).await;
    let chat = results[0]["chat"].as_i64().unwrap();
    let path = format!("/chats/{chat}");
    for (user, read, unread) in [
        ("john", vec![1, 2, 3], 0),
        ("jane", vec![2, 3], 0),
        ("kim", vec![3], 1),
        ("jim", vec![], 0),
    ] {
        let caller = replica.user(user);
        assert_eq!(numbers(&caller, &path).await, read, "{user}");
        let seen = caller.get(&path).await.expect(200);
        assert_eq!(seen["unread"], unread, "{user}");
    }
    let imported = json!([
        ["jane", "owner", 1],
        ["jim", "reader", 3],
        ["john", "member", null],
        ["kim", "member", 2]
    ]);
    assert_eq!(members(&app, &path).await, imported);
    // A number beyond the last message hides nothing that is sent afterwards.
    replica.user("john").post_into(chat, "new").await;
    assert_eq!(numbers(&replica.user("jim"), &path).await, [4]);
    let again = stored(&app, &file).await;
    assert_eq!(again[0]["replayed"], true);
    assert_eq!(members(&app, &path).await, imported);
    // Who joins here is shown in the same way.
    let adding = json!({ "add": ["lea"] });
    app.call(Method::PATCH, &format!("{path}/members"), adding)
        .await
        .expect(200);
    let all = members(&app, &path).await;
    assert_eq!(all[4], json!(["lea", "member", 4]), "{all}");
}

#[tokio::test]
async fn when_members_have_joined_counts_once_their_chat_says_so() {
    let (_database, replica, app) = service().await;
    let results = stored(&app, &team("all")).await;
    let path = format!("/chats/{}", results[0]["chat"]);
    let kim = replica.user("kim");
    assert_eq!(numbers(&kim, &path).await, [1, 2, 3]);
    change(&app, &path, json!({ "history": "joined" })).await;
    assert_eq!(numbers(&kim, &path).await, [3]);
    change(&app, &path, json!({ "history": "all" })).await;
    assert_eq!(numbers(&kim, &path).await, [1, 2, 3]);
}
