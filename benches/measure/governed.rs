//! An application that uses everything that decides who may send: its policy lets those write to each
//! other alone whose conversation it has opened, limits what a user sends, and one of its users is
//! suspended. Beside it an application that uses nothing of that; and chats with rules.

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

/// The chats with rules, each of so many members.
const CHATS: usize = 10;
const MEMBERS: usize = 10;

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
    let suspended = json!({ "suspendedUntil": "2999-01-01T00:00:00Z" }).to_string();
    let path = "/users/suspended/restrictions";
    call(connection, "PUT", path, &application, &suspended).await;
    let policy = json!({
        "personal": "opened", "createChats": "application", "addMembers": "application",
        "sendsPerMinute": SENDS_PER_MINUTE
    });
    let (path, policy) = (
        "/applications/self",
        json!({ "policy": policy }).to_string(),
    );
    let changed = call(connection, "PATCH", path, &application, &policy).await;
    assert_eq!(changed["id"], id.get());
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

/// Creates chats of application 1 in which not everybody posts. They are those of `chat-10` otherwise.
async fn ruled_chats(service: &Service) -> String {
    let connection = &mut service.connect().await;
    let owner = token(ApplicationId::DEFAULT, "user-1");
    let members: Vec<_> = (2..=MEMBERS).map(|user| format!("user-{user}")).collect();
    let body = json!({ "name": "bench", "members": members }).to_string();
    let rules = json!({ "posting": "moderators", "slowMode": 1, "history": "joined" }).to_string();
    let mut chats = String::new();
    for _ in 0..CHATS {
        let made = call(connection, "POST", "/chats", &owner, &body).await;
        let path = format!("/chats/{}", made["number"]);
        change(connection, &path, &owner, &made["timestamp"], &rules).await;
        chats += &format!("ruled-10 {}\n", made["number"]);
    }
    chats
}
