//! An application that uses everything that decides who may send: its policy lets those write to each
//! other alone whose conversation it has opened, limits what a user sends, and one of its users is
//! suspended. Beside it an application that uses nothing of that; and one that does, whose chats have roles and rules.

use std::fs;

use messages::domain::ApplicationId;
use serde_json::json;

use super::{
    generators::FOLDER,
    service::{Service, ask, call, change, setting, token},
};

/// As many users as application 1 has, who write as `requests.lua` says.
const USERS: usize = 1000;

/// What each of them may send: as much as they do where 20,000 messages are sent a second.
const SENDS_PER_MINUTE: u32 = 1200;

/// The most that a policy may allow: five users send all that is sent into chats.
const SENDS_PER_MINUTE_MAX: u32 = 1_000_000;

/// The chats with roles and rules, each of so many members, of which the first ones may post.
const CHATS: usize = 10;
const MEMBERS: usize = 10;
const MODERATORS: usize = 5;

/// Creates the applications and the chats, and writes whose turn it is for `requests.lua`.
pub async fn prepare(service: &Service) {
    application(service, "free").await;
    let (id, application) = application(service, "governed").await;
    let connection = &mut service.connect().await;
    for turn in 0..USERS {
        let (from, to) = (turn + 1, (turn * 7 + 1) % USERS + 1);
        let path = format!("/conversations/user-{from}/user-{to}");
        ask(connection, "PUT", &path, &application, "").await;
    }
    // The user of the row `user-flood`.
    let path = "/conversations/flooder/user-1";
    ask(connection, "PUT", path, &application, "").await;
    fs::write(format!("{FOLDER}/flooder"), token(id, "flooder")).unwrap();
    govern(service, &application, SENDS_PER_MINUTE).await;
    let chats = ruled_chats(service).await;
    let path = format!("{FOLDER}/chats");
    let of_all_kinds = fs::read_to_string(&path).unwrap() + &chats;
    fs::write(path, of_all_kinds).unwrap();
}

/// Creates an application, and writes the tokens of its users. Returns its id and its own token.
pub async fn application(service: &Service, name: &str) -> (ApplicationId, String) {
    let connection = &mut service.connect().await;
    let administrator = setting("MESSAGES_ADMIN_TOKEN");
    let body = json!({ "name": name }).to_string();
    let made = call(connection, "POST", "/applications", &administrator, &body).await;
    let id = ApplicationId::new(made["id"].as_i64().unwrap());
    let tokens = (1..=USERS).map(|user| token(id, &format!("user-{user}")) + "\n");
    fs::write(format!("{FOLDER}/{name}"), tokens.collect::<String>()).unwrap();
    let token = made["token"].as_str().unwrap().to_owned();
    (id, token)
}

/// Suspends a user, and sets a policy.
async fn govern(service: &Service, application: &str, sends_per_minute: u32) {
    let connection = &mut service.connect().await;
    let suspended = json!({ "suspendedUntil": "2999-01-01T00:00:00Z" }).to_string();
    let path = "/users/suspended/restrictions";
    call(connection, "PUT", path, application, &suspended).await;
    let policy = json!({
        "personal": "opened", "createChats": "application", "addMembers": "application",
        "sendsPerMinute": sends_per_minute
    });
    let policy = json!({ "policy": policy }).to_string();
    call(
        connection,
        "PATCH",
        "/applications/self",
        application,
        &policy,
    )
    .await;
}

/// Creates chats, otherwise like those of `chat-10`, in which the first five members may post: an owner and
/// moderators. One of the others is muted.
async fn ruled_chats(service: &Service) -> String {
    let (_, application) = application(service, "ruled-10").await;
    let connection = &mut service.connect().await;
    let members: Vec<_> = (1..=MEMBERS).map(|user| format!("user-{user}")).collect();
    let body = json!({ "name": "bench", "members": members }).to_string();
    let rules = json!({
        "owner": "user-1", "posting": "moderators", "slowMode": 1, "history": "joined"
    });
    let mut chats = String::new();
    for _ in 0..CHATS {
        let made = call(connection, "POST", "/chats", &application, &body).await;
        let path = format!("/chats/{}", made["number"]);
        change(
            connection,
            &path,
            &application,
            &made["timestamp"],
            &rules.to_string(),
        )
        .await;
        for moderator in 2..=MODERATORS {
            let path = format!("{path}/members/user-{moderator}");
            let role = r#"{"role":"moderator"}"#;
            ask(connection, "PATCH", &path, &application, role).await;
        }
        let muted = json!({ "mutedUntil": "2999-01-01T00:00:00Z" }).to_string();
        let path = format!("{path}/members/user-{MEMBERS}");
        ask(connection, "PATCH", &path, &application, &muted).await;
        chats += &format!("ruled-10 {}\n", made["number"]);
    }
    govern(service, &application, SENDS_PER_MINUTE_MAX).await;
    chats
}
