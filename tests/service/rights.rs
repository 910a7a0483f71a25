//! Who may do what: every cell of the table in the README, called on the real service.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Database, Replica, Reply, administered};

const README: &str = include_str!("../../README.md");

/// How many cells are called at the same time.
const AT_ONCE: usize = 6;

/// A row of the table: what may be done, by which operations, and how each caller fares.
struct Row {
    what: String,
    operations: Vec<String>,
    cells: Vec<(String, String)>,
}

/// One operation by one caller.
struct Cell<'a> {
    row: &'a Row,
    operation: &'a str,
    caller: &'a str,
    expected: &'a str,
    number: usize,
}

fn columns(line: &str) -> Vec<String> {
    let inner = line.trim().trim_matches('|');
    inner
        .split(" | ")
        .map(|cell| cell.trim().to_owned())
        .collect()
}

fn table() -> Vec<Row> {
    let table = README.split("<!-- the table of rights -->").nth(1).unwrap();
    let table = table
        .split("<!-- end of the table of rights -->")
        .next()
        .unwrap();
    let mut lines = table.lines().filter(|line| line.starts_with('|'));
    let callers = columns(lines.next().unwrap());
    let rows = lines.skip(1).map(|line| {
        let columns = columns(line);
        assert_eq!(columns.len(), callers.len(), "{line}");
        let last = columns.len() - 1;
        let operations = columns[last].split('`').skip(1).step_by(2);
        Row {
            what: columns[0].clone(),
            operations: operations.map(str::to_owned).collect(),
            cells: callers[1..last]
                .iter()
                .cloned()
                .zip(columns[1..last].iter().cloned())
                .collect(),
        }
    });
    rows.collect()
}

/// The operations of the document, as the table names them.
fn operations() -> BTreeSet<String> {
    let document: Value = serde_json::from_str(include_str!("../../openapi/openapi.json")).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, operations)| {
        let methods = operations.as_object().unwrap().keys();
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    operations.collect()
}

#[test]
fn the_table_knows_every_operation() {
    let known: BTreeSet<_> = table().into_iter().flat_map(|row| row.operations).collect();
    assert_eq!(known, operations());
}

/// The service, and who calls it.
struct Service {
    replica: Replica,
    app: Client,
}

/// What one cell is about. Each has a chat of its own.
struct World {
    caller: Client,
    /// The caller's name, if it is a user.
    name: String,
    peer: String,
    chat: i64,
    chat_timestamp: Value,
    /// A message that another member has posted.
    others: Value,
    /// A message that the caller has posted; that of the other member, if it has posted none.
    own: Value,
    /// What the caller has written to its peer.
    personal: Option<Value>,
}

/// Whether the caller was a member once.
fn was_member(caller: &str) -> bool {
    !matches!(caller, "stranger" | "application" | "administrator")
}

impl Service {
    async fn start(database: &Database) -> Self {
        let settings = administered().calling_loopback();
        let replica = Replica::start(database, settings).await;
        let app = replica.application().await;
        Self { replica, app }
    }

    fn user(&self, name: &str) -> Client {
        self.replica.user(name)
    }

    async fn world(&self, caller: &str, number: usize) -> World {
        let named = |what: &str| format!("{what}-{number}");
        let (name, peer) = (named(caller), named("peer"));
        let (owner, author) = (named("the-owner"), named("the-author"));
        let owner = if caller == "owner" {
            name.clone()
        } else {
            owner
        };
        let mut members = vec![author.clone(), named("target")];
        members.extend(was_member(caller).then(|| name.clone()));
        let members: Vec<_> = members.iter().map(String::as_str).collect();
        let owning = self.user(&owner);
        let chat = owning.chat("Team", &members).await;
        let others = self.user(&author).post_into(chat, "hello").await;
        let client = match caller {
            "application" => self.app.clone(),
            "administrator" => self.replica.administrator(),
            _ => self.user(&name),
        };
        let posts = was_member(caller) || caller == "application";
        let own = match posts {
            true => client.post_into(chat, "mine").await,
            false => others.clone(),
        };
        let is_user = !matches!(caller, "application" | "administrator");
        let personal = match is_user {
            true => {
                let sent = client.send(&peer, "mine").await;
                self.user(&peer).send(&name, "yours").await;
                Some(sent)
            }
            false => None,
        };
        self.make(caller, &name, &peer, &owning, chat).await;
        let chat_timestamp =
            owning.get(&format!("/chats/{chat}")).await.expect(200)["timestamp"].clone();
        World {
            caller: client,
            name,
            peer,
            chat,
            chat_timestamp,
            others,
            own,
            personal,
        }
    }

    /// Makes the caller what the column says.
    async fn make(&self, caller: &str, name: &str, peer: &str, owner: &Client, chat: i64) {
        let member = format!("/chats/{chat}/members/{name}");
        match caller {
            "reader" | "moderator" => {
                let role = json!({ "role": caller });
                owner.call(Method::PATCH, &member, role).await.expect(200);
            }
            "muted" => {
                let until = json!({ "mutedUntil": "2999-01-01T00:00:00Z" });
                owner.call(Method::PATCH, &member, until).await.expect(200);
            }
            "left" => {
                let left = self.user(name).ask(Method::DELETE, &member, None).await;
                assert_eq!(left.status, 204);
            }
            "banned" => {
                let path = format!("/chats/{chat}/bans/{name}");
                assert_eq!(owner.ask(Method::PUT, &path, None).await.status, 201);
            }
            "suspended" => {
                let path = format!("/users/{name}/restrictions");
                let until = json!({ "suspendedUntil": "2999-01-01T00:00:00Z" });
                self.app.call(Method::PUT, &path, until).await.expect(200);
            }
            "blocked" => {
                let path = format!("/users/{name}/settings");
                let blocked = json!({ "blocked": true });
                self.user(peer)
                    .call(Method::PATCH, &path, blocked)
                    .await
                    .expect(200);
            }
            _ => {}
        }
    }

    /// What a path names by `{id}`: of a kind that the service's own cells need alone.
    async fn id(&self, cell: &Cell<'_>, world: &World) -> String {
        let path = cell.operation;
        let id = match cell.expected {
            _ if path.contains("/messages/{id}/reports") || path.contains("/pins/{id}") => {
                world.others["id"].clone()
            }
            _ if path.contains("/messages/{id}") && path.starts_with("GET") => {
                world.others["id"].clone()
            }
            _ if path.contains("/messages/{id}") => world.own["id"].clone(),
            "yes" if path.contains("/reports/") => {
                let path = format!("/messages/{}/reports", world.others["id"]);
                let reporter = self.user(&format!("target-{}", cell.number));
                let report = reporter
                    .call(Method::POST, &path, json!({ "reason": "spam" }))
                    .await;
                report.expect(201)["id"].clone()
            }
            "yes" if path.contains("/webhooks/") => {
                let webhook = json!({ "url": "http://127.0.0.1:1/hook" });
                let made = self.app.call(Method::POST, "/webhooks", webhook).await;
                made.expect(201)["id"].clone()
            }
            "yes" if path.contains("/applications/") => {
                let shop = json!({ "name": "shop" });
                let administrator = self.replica.administrator();
                administrator
                    .call(Method::POST, "/applications", shop)
                    .await
                    .expect(201)["id"]
                    .clone()
            }
            _ => json!(1),
        };
        id.to_string()
    }

    /// A user whom the application has had erased.
    async fn erased(&self, number: usize) -> String {
        let user = format!("somebody-{number}");
        let path = format!("/users/{user}");
        let erasing = self.app.ask(Method::DELETE, &path, None);
        erasing.await.expect(202);
        user
    }

    /// An application of its own with a hook: that of the others would have every message judged.
    async fn with_hook(&self) -> Client {
        let administrator = self.replica.administrator();
        let shop = administrator.call(Method::POST, "/applications", json!({ "name": "shop" }));
        let shop = shop.await.expect(201);
        let application = self.replica.with_token(shop["token"].as_str().unwrap());
        let hook = json!({ "url": "http://127.0.0.1:1/hook" });
        let set = application.call(Method::PUT, "/applications/self/hook", hook);
        set.await.expect(201);
        application
    }

    async fn call(&self, cell: &Cell<'_>) -> Result<(), String> {
        let world = self.world(cell.caller, cell.number).await;
        let (method, path) = cell.operation.split_once(' ').unwrap();
        let id = self.id(cell, &world).await;
        let leaves = cell.row.what == "leave" && was_member(cell.caller);
        let is_own = cell.row.what == "read what one may do";
        let others = cell.row.what.contains("others");
        let user = match path {
            "/chats/{number}/members/{user}" if leaves => world.name.clone(),
            "/chats/{number}/members/{user}" if method == "PUT" => format!("new-{}", cell.number),
            "/users/{user}/restrictions" if is_own => world.name.clone(),
            "/users/{user}/restrictions" => format!("somebody-{}", cell.number),
            "/users/{user}/erasure" => self.erased(cell.number).await,
            "/users/{user}" if method == "DELETE" => format!("somebody-{}", cell.number),
            _ if path.starts_with("/users/") => world.peer.clone(),
            _ => format!("target-{}", cell.number),
        };
        let number = match path {
            _ if path.starts_with("/users/") => "1".to_owned(),
            _ if others || method == "GET" => world.others["number"].to_string(),
            _ => world.own["number"].to_string(),
        };
        let query = match path {
            "/messages/search" | "/chats/{number}/messages/search" => "?q=hello",
            "/unread" | "/presence" => "?users=jane",
            _ => "",
        };
        let target = path
            .replace("{number}", &world.chat.to_string())
            .replace("{n}", &number)
            .replace("{id}", &id)
            .replace("{user}", &user)
            .replace("{key}", "%F0%9F%91%8D")
            .replace("{other}", &format!("other-{}", cell.number));
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let is_chat = path == "/chats/{number}";
        let tag = match (path.contains("messages"), &world.personal) {
            _ if is_chat => world.chat_timestamp.clone(),
            (_, Some(personal)) if path.starts_with("/users/") => personal["timestamp"].clone(),
            _ if others => world.others["timestamp"].clone(),
            _ => world.own["timestamp"].clone(),
        };
        let caller = match (path, cell.expected) {
            ("/applications/self/hook", "yes") => self.with_hook().await,
            _ => world.caller.clone(),
        };
        let request = caller.request(method, &format!("{target}{query}"));
        let request = request.header("if-match", tag.to_string());
        let body = body(cell.operation, &world, cell.number);
        let reply = Reply::of(Client::with_body(request, path, &body)).await;
        let is_right = match cell.expected {
            "yes" => (200..300).contains(&reply.status),
            status => reply.status.to_string() == status,
        };
        let Cell {
            operation,
            caller,
            expected,
            ..
        } = cell;
        match is_right {
            true => Ok(()),
            false => Err(format!(
                "{operation} by {caller}: {} and not {expected}: {}",
                reply.status, reply.text
            )),
        }
    }
}

/// What is sent with an operation.
fn body(operation: &str, world: &World, number: usize) -> Value {
    let target = format!("target-{number}");
    match operation {
        "POST /messages" => json!({ "to": world.peer, "text": "hi" }),
        "POST /chats/{number}/messages" => json!({ "text": "hi" }),
        "PATCH /messages/{id}"
        | "PATCH /chats/{number}/messages/{n}"
        | "PATCH /users/{user}/messages/{n}" => {
            json!({ "text": "other words" })
        }
        "PUT /users/{user}/read" | "PUT /chats/{number}/read" => {
            json!({ "number": 1, "back": true })
        }
        "PATCH /users/{user}/settings" | "PATCH /chats/{number}/settings" => {
            json!({ "pinned": true })
        }
        "POST /users/{user}/signals" | "POST /chats/{number}/signals" => {
            json!({ "kind": "typing" })
        }
        "POST /messages/{id}/reports" => json!({ "reason": "spam" }),
        "POST /chats" => json!({ "name": "Mine", "members": [] }),
        "PATCH /chats/{number}/members" => {
            json!({ "add": [format!("new-{number}")], "remove": [target] })
        }
        "PATCH /chats/{number}/members/{user}" => json!({ "role": "reader" }),
        "PATCH /chats/{number}" => json!({ "name": "Crew", "owner": target }),
        "POST /tokens" => json!({ "user": "jane" }),
        "PUT /users/{user}/restrictions" => json!({ "suspendedUntil": null }),
        "POST /import" => json!({ "key": target, "chat": { "name": "Imported" } }),
        "PATCH /reports/{id}" => json!({ "resolved": true }),
        "POST /webhooks" | "PUT /applications/self/hook" => {
            json!({ "url": "http://127.0.0.1:1/hook" })
        }
        "PATCH /webhooks/{id}" => json!({ "paused": true }),
        "POST /applications" | "PATCH /applications/{id}" | "PATCH /applications/self" => {
            json!({ "name": "shop" })
        }
        _ => Value::Null,
    }
}

#[tokio::test]
async fn everybody_may_do_what_the_table_says_and_nothing_else() {
    let database = Database::fresh().await;
    let service = Service::start(&database).await;
    let rows = table();
    let mut cells = Vec::new();
    for row in &rows {
        for operation in &row.operations {
            for (caller, expected) in &row.cells {
                let number = cells.len();
                cells.push(Cell {
                    row,
                    operation,
                    caller,
                    expected,
                    number,
                });
            }
        }
    }
    assert!(cells.len() > 700, "{}", cells.len());
    let calls = stream::iter(&cells)
        .map(|cell| service.call(cell))
        .buffer_unordered(AT_ONCE);
    let wrong: Vec<_> = calls
        .filter_map(async |outcome| outcome.err())
        .collect()
        .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
