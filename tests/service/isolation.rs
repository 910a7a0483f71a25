//! Nothing of one application is ever visible to another: every operation of the OpenAPI document
//! is tried with another tenant's objects.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Database, Replica, Reply, administered, eventually};

/// A text in everything that belongs to the first application.
const SECRET: &str = "the-first-tenants-own";

/// What a stranger gets: the statuses for a user, for an application, and for an application that
/// acts as a user.
type Statuses = [u16; 3];

/// There is no such thing.
const NOT_FOUND: Statuses = [404; 3];

/// An application can do it for a user alone.
const OF_A_USER: Statuses = [200, 422, 200];

/// The first tenant's conversation of two users. The stranger's users of the same names have none.
const NO_CONVERSATION: Statuses = [404, 422, 404];

/// Nobody but the administrator may do this.
const FORBIDDEN: Statuses = [403; 3];

/// What belongs to the first tenant itself, and no user may see.
const NOT_ITS_OWN: Statuses = [403, 404, 404];

/// The objects of the first tenant, by their names in paths.
struct Objects {
    message: Value,
    chat: i64,
    webhook: Value,
    report: Value,
}

/// What a stranger gets from each operation, and the body that it sends. Where it succeeds, it gets
/// things of its own alone.
fn expectations(operation: &str, objects: &Objects) -> Option<(Statuses, Value)> {
    let name = json!({ "name": "stranger" });
    let text = json!({ "text": "stranger" });
    Some(match operation {
        "get /messages"
        | "get /messages/search"
        | "get /users/{user}/messages"
        | "get /conversations" => (OF_A_USER, Value::Null),
        "get /unread" => ([403, 200, 200], Value::Null),
        "get /presence" => ([200; 3], Value::Null),
        // By then the stranger has blocked its own john.
        "post /users/{user}/signals" => ([403, 422, 403], json!({ "kind": "stranger" })),
        "post /chats/{number}/signals" => (NO_CONVERSATION, json!({ "kind": "stranger" })),
        "get /feed" => ([403, 200, 200], Value::Null),
        "put /users/{user}/read" | "put /chats/{number}/read" => {
            (NO_CONVERSATION, json!({ "number": 1, "back": true }))
        }
        "patch /users/{user}/settings" => (OF_A_USER, json!({ "pinned": true, "blocked": true })),
        "patch /chats/{number}/settings" => (NO_CONVERSATION, json!({ "pinned": true })),
        "get /users/{user}"
        | "get /users/{user}/messages/{n}"
        | "delete /users/{user}/messages/{n}" => (NO_CONVERSATION, Value::Null),
        "patch /users/{user}/messages/{n}" => (NO_CONVERSATION, text),
        "get /chats" => ([200; 3], Value::Null),
        "get /chats/{number}/messages/search" => (NOT_FOUND, Value::Null),
        "post /messages" => ([201, 422, 201], json!({ "to": "jim", "text": "stranger" })),
        "post /tickets" => ([201, 422, 201], Value::Null),
        "post /chats" => ([201; 3], name),
        "get /messages/{id}" | "delete /messages/{id}" | "get /messages/{id}/replies" => {
            (NOT_FOUND, Value::Null)
        }
        "patch /messages/{id}" | "patch /chats/{number}/messages/{n}" => (NOT_FOUND, text),
        "get /chats/{number}" | "get /chats/{number}/members" | "get /chats/{number}/messages" => {
            (NOT_FOUND, Value::Null)
        }
        "patch /chats/{number}" => (NOT_FOUND, name),
        "delete /chats/{number}" => (NOT_FOUND, Value::Null),
        "patch /chats/{number}/members/{user}" => (NOT_FOUND, json!({ "role": "reader" })),
        "get /chats/{number}/bans"
        | "put /chats/{number}/bans/{user}"
        | "delete /chats/{number}/bans/{user}" => (NOT_FOUND, Value::Null),
        "get /users/{user}/restrictions" => ([403, 200, 403], Value::Null),
        "put /users/{user}/restrictions" => (
            [403, 200, 200],
            json!({ "tokensSince": "2999-01-01T00:00:00Z" }),
        ),
        "post /import" => {
            let message = json!({ "chat": objects.chat, "created": "2019-03-01T10:00:00Z", "text": "stranger" });
            ([403, 200, 200], json!({ "key": "k", "message": message }))
        }
        "get /users/{user}/export" => ([403, 200, 200], Value::Null),
        "delete /users/{user}" => ([403, 202, 202], Value::Null),
        "get /users/{user}/erasure" => (NOT_ITS_OWN, Value::Null),
        "put /conversations/{user}/{other}" => ([403, 201, 204], Value::Null),
        "delete /conversations/{user}/{other}" => ([403, 204, 204], Value::Null),
        "patch /chats/{number}/members" => {
            (NOT_FOUND, json!({ "add": ["jane"], "remove": ["john"] }))
        }
        "put /chats/{number}/members/{user}" | "delete /chats/{number}/members/{user}" => {
            (NOT_FOUND, Value::Null)
        }
        "post /chats/{number}/messages" => (
            NOT_FOUND,
            json!({ "text": "stranger", "replyTo": objects.message["id"] }),
        ),
        "get /chats/{number}/messages/{n}" | "delete /chats/{number}/messages/{n}" => {
            (NOT_FOUND, Value::Null)
        }
        "get /applications" | "get /applications/{id}" | "post /applications/{id}/token" => {
            (FORBIDDEN, Value::Null)
        }
        "post /applications" | "patch /applications/{id}" => (FORBIDDEN, name),
        "get /applications/self" => ([403, 200, 200], Value::Null),
        "patch /applications/self" => ([403, 200, 200], name),
        "get /applications/self/hook" | "delete /applications/self/hook" => {
            (NOT_ITS_OWN, Value::Null)
        }
        "put /applications/self/hook" => (
            [403, 201, 200],
            json!({ "url": "http://127.0.0.1:1/stranger" }),
        ),
        "get /messages/{id}/reactions" | "get /chats/{number}/pins" => (NOT_FOUND, Value::Null),
        "put /messages/{id}/reactions/{key}" | "delete /messages/{id}/reactions/{key}" => {
            (NO_CONVERSATION, Value::Null)
        }
        "put /chats/{number}/pins/{id}" | "delete /chats/{number}/pins/{id}" => {
            (NOT_FOUND, Value::Null)
        }
        "post /messages/{id}/reports" => (NO_CONVERSATION, json!({ "reason": "stranger" })),
        "get /reports" => ([403, 200, 200], Value::Null),
        "patch /reports/{id}" => (NOT_ITS_OWN, json!({ "resolved": true })),
        "get /webhooks" => ([403, 200, 200], Value::Null),
        "post /webhooks" => (
            [403, 201, 201],
            json!({ "url": "http://127.0.0.1:1/stranger" }),
        ),
        "get /webhooks/{id}" | "delete /webhooks/{id}" | "post /webhooks/{id}/secret" => {
            (NOT_ITS_OWN, Value::Null)
        }
        "patch /webhooks/{id}" => (NOT_ITS_OWN, json!({ "paused": true, "after": 0 })),
        "post /tokens" => ([403, 201, 201], json!({ "user": "jane" })),
        _ => return None,
    })
}

/// Calls an operation with the first tenant's objects in its path.
async fn call(caller: &Client, method: &str, path: &str, objects: &Objects, body: &Value) -> Reply {
    // Somebody else than for the other operations: nothing could be done about that user for a moment.
    let user = match (method, path) {
        ("delete", "/users/{user}") => "eve",
        _ => "john",
    };
    let path = path
        .replace("{number}", &objects.chat.to_string())
        .replace("{n}", "1")
        .replace(
            "/messages/{id}",
            &format!("/messages/{}", objects.message["id"]),
        )
        .replace("/pins/{id}", &format!("/pins/{}", objects.message["id"]))
        .replace("{key}", "stranger")
        .replace("/reports/{id}", &format!("/reports/{}", objects.report))
        .replace("/webhooks/{id}", &format!("/webhooks/{}", objects.webhook))
        .replace("{id}", "1")
        .replace("{user}", user)
        .replace("{other}", "ann")
        .replace("/search", &format!("/search?q={SECRET}"))
        .replace("/unread", "/unread?users=jane,john")
        .replace("/presence", "/presence?users=jane,john")
        .replace("/feed", "/feed?include=message,recipients");
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    // A user signals once a second.
    eventually("the stranger may call", async || {
        let request = caller
            .request(method.clone(), &path)
            .header("If-Match", objects.message["timestamp"].to_string());
        let reply = Reply::of(Client::with_body(request, &path, body));
        Some(reply.await).filter(|reply| reply.status != 429)
    })
    .await
}

/// A webhook of the first tenant to which nothing is sent.
async fn paused_webhook(owner: &Client) -> Value {
    let new = json!({ "url": format!("http://127.0.0.1:1/{SECRET}") });
    let webhook = owner.call(Method::POST, "/webhooks", new).await.expect(201);
    let path = format!("/webhooks/{}", webhook["id"]);
    let paused = owner.call(Method::PATCH, &path, json!({ "paused": true }));
    paused.await.expect(200)["id"].clone()
}

/// Everything that the first tenant can see of its own.
async fn everything(jane: &Client, owner: &Client, objects: &Objects) -> Vec<Value> {
    let mut webhook = owner
        .get(&format!("/webhooks/{}", objects.webhook))
        .await
        .expect(200);
    // The age of what it has yet to get.
    webhook["lag"].take();
    let mut all = vec![webhook];
    for path in ["/reports", "/applications/self/hook"] {
        all.push(owner.get(path).await.expect(200));
    }
    for path in [
        "/messages?include=message".to_owned(),
        "/chats".to_owned(),
        format!("/chats/{}/members", objects.chat),
        format!("/chats/{}/messages", objects.chat),
        "/conversations".to_owned(),
        "/users/john".to_owned(),
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
    let settings = administered().calling_loopback();
    let replica = Replica::start(&database, settings).await;
    let jane = replica.user("jane");
    // The stranger's own chats are numbered from 1 as well.
    for _ in 0..9 {
        jane.chat(SECRET, &[]).await;
    }
    let chat = jane.chat(SECRET, &["john"]).await;
    jane.send("john", SECRET).await;
    let owner = replica.application().await;
    let message = jane.post_into(chat, SECRET).await;
    let path = format!("/messages/{}/reports", message["id"]);
    let report = jane.call(Method::POST, &path, json!({ "reason": SECRET }));
    let objects = Objects {
        report: report.await.expect(201)["id"].clone(),
        message,
        chat,
        webhook: paused_webhook(&owner).await,
    };
    let hook = json!({ "url": format!("http://127.0.0.1:1/{SECRET}") });
    let set = owner.call(Method::PUT, "/applications/self/hook", hook);
    set.await.expect(201);
    let before = everything(&jane, &owner, &objects).await;

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
    let (mut tried, mut unexpected) = (0, Vec::new());
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let operation = format!("{method} {path}");
            if path.starts_with("/health") || path == "/metrics" {
                continue;
            }
            let (statuses, body) = expectations(&operation, &objects)
                .unwrap_or_else(|| panic!("{operation} is new: say what a stranger gets from it"));
            for ((kind, caller), status) in callers.iter().zip(statuses) {
                tried += 1;
                let reply = call(caller, method, path, &objects, &body).await;
                let what = format!("{operation} by {kind}: {} {}", reply.status, reply.text);
                assert!(!reply.text.contains(SECRET), "{what}");
                if reply.status != status {
                    unexpected.push(what);
                }
            }
        }
    }
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(tried > 60, "{tried}");
    assert_eq!(
        everything(&jane, &owner, &objects).await,
        before,
        "nothing has changed"
    );
}
