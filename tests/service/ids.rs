//! Ids that mean something to a layer between: `.` and `..` are steps of a path to every client,
//! proxy and browser, which would make another resource of `/users/../messages`.

use std::{
    process::Command,
    time::{Duration, SystemTime},
};

use messages::{
    auth::Signer,
    domain::{ApplicationId, UserId},
};
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Client, Database, Replica, Reply, SECRET, administered, service, token};

const STEPS: [&str; 2] = [".", ".."];

/// The answer to a request whose path goes out as it is written. Every other client takes the steps
/// itself, and those that are written as `%2E` as well.
async fn raw(replica: &Replica, method: &str, path: &str) -> String {
    let token = token(1, "jane", Duration::from_secs(600));
    let mut connection = TcpStream::connect(replica.base.trim_start_matches("http://"))
        .await
        .unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn no_body_and_no_query_names_a_step_of_a_path() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let chats = |body| jane.call(Method::POST, "/chats", body);
    for step in STEPS {
        for (what, reply, field) in [
            (
                "to",
                jane.post(json!({ "to": step, "text": "hi" })).await,
                "to",
            ),
            (
                "a file",
                jane.post(json!({ "to": "john", "files": ["a", step] }))
                    .await,
                "files",
            ),
            (
                "a member",
                chats(json!({ "name": "Team", "members": ["john", step] })).await,
                "members",
            ),
            (
                "with",
                jane.get(&format!("/messages/search?q=a&with={step}")).await,
                "with",
            ),
        ] {
            assert_eq!(reply.status, 422, "{what} {step}: {}", reply.text);
            assert_eq!(reply.wrong_fields(), [field], "{what} {step}");
        }
    }
    for id in ["...", ".a", "a.", "..a", "a..", "-", ":", "a.b"] {
        jane.post(json!({ "to": id, "text": "hi" }))
            .await
            .expect(201);
    }
}

#[tokio::test]
async fn no_path_names_a_step_of_itself() {
    let (_database, replica) = service().await;
    let chat = replica.user("jane").chat("Team", &[]).await;
    for step in [".", "..", "%2E", "%2e%2E", ".%2e"] {
        for (method, path) in [
            ("GET", format!("/users/{step}/messages")),
            ("PUT", format!("/chats/{chat}/members/{step}")),
            ("DELETE", format!("/chats/{chat}/members/{step}")),
        ] {
            let answer = raw(&replica, method, &path).await;
            assert!(
                answer.starts_with("HTTP/1.1 422 "),
                "{method} {path}: {answer}"
            );
            assert!(
                answer.contains("\"field\":\"user\""),
                "{method} {path}: {answer}"
            );
        }
    }
}

#[tokio::test]
async fn nobody_is_a_step_of_a_path() {
    let (_database, replica) = service().await;
    let signer = Signer::new(&SECRET.to_owned().into()).unwrap();
    let now = SystemTime::now();
    let tomorrow = now + Duration::from_secs(86_400);
    for step in STEPS {
        let token = signer.sign(
            ApplicationId::DEFAULT,
            &UserId::trusted(step),
            now,
            tomorrow,
        );
        let reply = replica.with_token(&token).get("/messages").await;
        assert_eq!(reply.status, 401, "{step}: {}", reply.text);
        reply.expect_problem(401, "unauthorized");
        let mut command = Command::new(env!("CARGO_BIN_EXE_messages"));
        let printed = command
            .args(["token", "--user", step])
            .env("MESSAGES_SECRET", SECRET)
            .output();
        assert!(!printed.unwrap().status.success(), "a token for {step}");
    }
}

#[tokio::test]
async fn no_application_acts_as_a_step_of_a_path() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let shop = json!({ "name": "shop" });
    let shop = replica
        .administrator()
        .call(Method::POST, "/applications", shop)
        .await
        .expect(201);
    let shop: Client = replica.with_token(shop["token"].as_str().unwrap());
    for step in STEPS {
        let acting = shop.acting_as(step).get("/messages").await;
        assert_eq!(acting.status, 422, "As-User: {step}: {}", acting.text);
        assert_eq!(acting.wrong_fields(), ["As-User"]);
        let token = Reply::of(
            shop.request(Method::POST, "/tokens")
                .json(&json!({ "user": step })),
        )
        .await;
        assert_eq!(token.status, 422, "a token for {step}: {}", token.text);
        assert_eq!(token.wrong_fields(), ["user"]);
    }
}
