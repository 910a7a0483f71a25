//! Nothing of one application is ever visible to another: every operation of the OpenAPI document is
//! tried with another tenant's objects.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Database, Replica, Reply, administered};

/// What stands in everything that belongs to the first application.
const SECRET: &str = "the-first-tenants-own";

/// What a stranger is told.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    /// That there is no such thing.
    NotFound,
    /// That it may not do this at all.
    Forbidden,
    /// Its own things alone.
    OwnThings,
}

/// The objects of the first tenant, by their names in paths.
struct Objects {
    message: Value,
    chat: i64,
}

/// What a stranger is told by each operation, and the body that it sends.
fn expectations(operation: &str, objects: &Objects) -> Option<(Told, Value)> {
    let name = json!({ "name": "stranger" });
    let text = json!({ "text": "stranger" });
    Some(match operation {
        "get /messages" | "get /chats" | "get /users/{user}/messages" => {
            (Told::OwnThings, Value::Null)
        }
        "get /messages/search" => (Told::OwnThings, Value::Null),
        "get /chats/{number}/messages/search" => (Told::NotFound, Value::Null),
        "post /messages" => (Told::OwnThings, json!({ "to": "john", "text": "stranger" })),
        "post /tickets" => (Told::OwnThings, Value::Null),
        "post /chats" => (Told::OwnThings, name),
        "get /messages/{id}" | "delete /messages/{id}" => (Told::NotFound, Value::Null),
        "patch /messages/{id}" | "patch /chats/{number}/messages/{n}" => (Told::NotFound, text),
        "get /chats/{number}" | "get /chats/{number}/members" | "get /chats/{number}/messages" => {
            (Told::NotFound, Value::Null)
        }
        "patch /chats/{number}" => (Told::NotFound, name),
        "put /chats/{number}/members/{user}" | "delete /chats/{number}/members/{user}" => {
            (Told::NotFound, Value::Null)
        }
        "post /chats/{number}/messages" => (
            Told::NotFound,
            json!({ "text": "stranger", "replyTo": objects.message["id"] }),
        ),
        "get /chats/{number}/messages/{n}" | "delete /chats/{number}/messages/{n}" => {
            (Told::NotFound, Value::Null)
        }
        "get /applications" | "get /applications/{id}" | "post /applications/{id}/token" => {
            (Told::Forbidden, Value::Null)
        }
        "post /applications" | "patch /applications/{id}" => (Told::Forbidden, name),
        "get /applications/self" => (Told::OwnThings, Value::Null),
        "patch /applications/self" => (Told::OwnThings, name),
        "post /tokens" => (Told::OwnThings, json!({ "user": "jane" })),
        _ => return None,
    })
}

/// Calls an operation with the first tenant's objects in its path.
async fn call(caller: &Client, method: &str, path: &str, objects: &Objects, body: &Value) -> Reply {
    let path = path
        .replace("{number}", &objects.chat.to_string())
        .replace("{n}", "1")
        .replace(
            "/messages/{id}",
            &format!("/messages/{}", objects.message["id"]),
        )
        .replace("{id}", "1")
        .replace("{user}", "john")
        .replace("/search", &format!("/search?q={SECRET}"));
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    let request = caller
        .request(method, &path)
        .header("If-Match", objects.message["timestamp"].to_string());
    Reply::of(if body.is_null() {
        request
    } else {
        request.json(body)
    })
    .await
}

/// Everything that the first tenant can see of its own.
async fn everything(jane: &Client, objects: &Objects) -> Vec<Value> {
    let mut all = Vec::new();
    for path in [
        "/messages?include=message".to_owned(),
        "/chats".to_owned(),
        format!("/chats/{}/members", objects.chat),
        format!("/chats/{}/messages", objects.chat),
        "/users/john/messages".to_owned(),
        format!("/messages/search?q={SECRET}"),
    ] {
        all.push(jane.get(&path).await.expect(200));
    }
    all
}

#[tokio::test]
async fn no_operation_shows_or_changes_anything_of_another_application() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let jane = replica.user("jane");
    // The stranger's own chats are numbered from 1 as well.
    for _ in 0..9 {
        jane.chat(SECRET, &[]).await;
    }
    let chat = jane.chat(SECRET, &["john"]).await;
    jane.send("john", SECRET).await;
    let objects = Objects {
        message: jane.post_into(chat, SECRET).await,
        chat,
    };
    let before = everything(&jane, &objects).await;

    let shop = replica
        .administrator()
        .call(Method::POST, "/applications", json!({ "name": "shop" }))
        .await;
    let shop = shop.expect(201);
    let application = replica.with_token(shop["token"].as_str().unwrap());
    let user = replica.user_of(shop["id"].as_i64().unwrap(), "jane");
    let callers = [
        ("user", user),
        ("application", application.clone()),
        ("acting", application.acting_as("jane")),
    ];

    let document = replica.nobody().get("/openapi.json").await.expect(200);
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let operation = format!("{method} {path}");
            if path.starts_with("/health") || path == "/metrics" {
                continue;
            }
            let (told, body) = expectations(&operation, &objects)
                .unwrap_or_else(|| panic!("{operation} is new: say what a stranger is told by it"));
            for (kind, caller) in &callers {
                tried += 1;
                let reply = call(caller, method, path, &objects, &body).await;
                let what = format!("{operation} by {kind}: {} {}", reply.status, reply.text);
                assert!(!reply.text.contains(SECRET), "{what}");
                match told {
                    Told::NotFound => assert_eq!(reply.status, 404, "{what}"),
                    Told::Forbidden => assert_eq!(reply.status, 403, "{what}"),
                    // Without a user, or for a user, some of it is not to be had at all.
                    Told::OwnThings => {
                        assert!([200, 201, 403, 422].contains(&reply.status), "{what}")
                    }
                }
            }
        }
    }
    assert!(tried > 60, "{tried}");
    assert_eq!(
        everything(&jane, &objects).await,
        before,
        "nothing has changed"
    );
}
