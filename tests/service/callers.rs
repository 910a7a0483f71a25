//! Callers without credentials, with bad ones, and with another user's or another tenant's message.

use std::time::Duration;

use serde_json::json;

use crate::support::{Client, Reply, service, token};

/// The operations on messages, those on one message with this id.
async fn operations_on_messages(
    client: &Client,
    id: &serde_json::Value,
) -> Vec<(&'static str, Reply)> {
    vec![
        (
            "send",
            client.post(json!({ "to": "john", "text": "hi" })).await,
        ),
        ("sync", client.get("/messages").await),
        ("get", client.get(&format!("/messages/{id}")).await),
        (
            "edit",
            client.patch(id, &json!(1), json!({ "text": "x" })).await,
        ),
        ("delete", client.delete(id, &json!(1)).await),
    ]
}

#[tokio::test]
async fn no_operation_on_messages_answers_without_a_valid_token() {
    let (database, replica) = service().await;
    let expired = token(1, "jane", Duration::ZERO);
    let tampered = format!("{}x", token(1, "jane", Duration::from_secs(60)));
    let callers = [
        (replica.nobody(), "Bearer"),
        (
            replica.with_token(&expired),
            "Bearer error=\"invalid_token\", error_description=\"the token has expired\"",
        ),
        (
            replica.with_token(&tampered),
            "Bearer error=\"invalid_token\", error_description=\"the token's signature is not valid\"",
        ),
    ];
    for (caller, challenge) in callers {
        for (operation, reply) in operations_on_messages(&caller, &json!(1)).await {
            reply.expect_problem(401, "unauthorized");
            assert_eq!(reply.header("www-authenticate"), challenge, "{operation}");
        }
    }
    assert_eq!(database.count("SELECT count(*) FROM messages").await, 0);
}

#[tokio::test]
async fn a_header_that_is_no_bearer_token_is_refused_with_the_reason() {
    let (_database, replica) = service().await;
    for value in ["Basic amFuZTp4", "Bearer", "token"] {
        let request = replica
            .nobody()
            .request(reqwest::Method::GET, "/messages")
            .header("authorization", value);
        let reply = Reply::of(request).await;
        reply.expect_problem(401, "unauthorized");
        assert_eq!(
            reply.header("www-authenticate"),
            "Bearer error=\"invalid_request\"",
            "{value}"
        );
    }
    let jane = token(1, "jane", Duration::from_secs(60));
    let request = replica.nobody().request(reqwest::Method::GET, "/messages");
    let reply = Reply::of(request.header("authorization", format!("bearer {jane}"))).await;
    assert_eq!(reply.status, 200, "the scheme's case does not matter");
}

#[tokio::test]
async fn a_strangers_message_does_not_exist() {
    let (database, replica) = service().await;
    database
        .execute("INSERT INTO applications (id, name) VALUES (2, 'other')")
        .await;
    let sent = replica.user("jane").send("john", "between us").await;
    for stranger in [
        replica.user("jim"),
        replica.user_of(2, "jane"),
        replica.user_of(2, "john"),
    ] {
        let replies = operations_on_messages(&stranger, &sent["id"]).await;
        for (operation, reply) in replies {
            match operation {
                "send" => assert_eq!(reply.status, 201),
                "sync" => {
                    assert!(
                        !reply.text.contains(&format!("\"id\":{},", sent["id"])),
                        "{}",
                        reply.text
                    )
                }
                _ => {
                    reply.expect_problem(404, "not-found");
                }
            }
        }
        let reply = stranger
            .post(json!({ "to": "john", "text": "re", "replyTo": sent["id"] }))
            .await;
        assert_eq!(reply.wrong_fields(), ["replyTo"]);
    }
    let unchanged = replica
        .user("john")
        .get(&format!("/messages/{}", sent["id"]))
        .await
        .expect(200);
    assert_eq!(unchanged, sent);
}
