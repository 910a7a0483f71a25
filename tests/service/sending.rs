//! `POST /messages`.

use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::json;

use crate::support::{Reply, service};

#[tokio::test]
async fn a_sent_message_is_answered_whole_and_found_by_both_users() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let body = json!({
        "to": "john", "text": "  Hello, 日本 \u{1f600}\n ", "files": ["b", "a"], "attributes": { "z": [1.50, null], "a": {} },
    });
    let reply = jane.post(body).await;
    let sent = reply.expect(201);
    assert_eq!(
        reply.header("content-type"),
        "application/vnd.personalMessage.v1+json"
    );
    assert_eq!(
        reply.header("location"),
        format!("/messages/{}", sent["id"])
    );
    assert_eq!(reply.header("etag"), format!("\"{}\"", sent["timestamp"]));
    assert_eq!(reply.header("cache-control"), "private, no-cache");
    assert_eq!(sent["text"], "Hello, 日本 \u{1f600}");
    assert_eq!(sent["files"], json!(["b", "a"]));
    assert!(
        reply
            .text
            .contains(r#""attributes":{"a":{},"z":[1.5,null]}"#),
        "{}",
        reply.text
    );
    assert_eq!(
        (&sent["from"], &sent["to"]),
        (&json!("jane"), &json!("john"))
    );
    let mut members: Vec<_> = sent
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    members.sort_unstable();
    assert_eq!(
        members,
        [
            "attributes",
            "created",
            "files",
            "from",
            "id",
            "number",
            "text",
            "timestamp",
            "to"
        ]
    );
    for user in [&jane, &john] {
        assert_eq!(user.get(reply.header("location")).await.expect(200), sent);
        let page = user.sync("").await;
        assert_eq!(
            page["messages"],
            json!([{ "id": sent["id"], "timestamp": sent["timestamp"] }])
        );
    }
}

#[tokio::test]
async fn attributes_come_back_to_the_letter() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let attributes =
        r#"{ "b" : 1.50e+2, "a":"\u00e9\/",  "a": [ ] , "big": 123456789012345678901234567890 }"#;
    let body = format!(r#"{{"to":"john","attributes":{attributes}}}"#);
    let request = jane
        .request(Method::POST, "/messages")
        .header(CONTENT_TYPE, "application/json")
        .body(body);
    let reply = Reply::of(request).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    let expected = format!(r#""attributes":{attributes}"#);
    assert!(reply.text.contains(&expected), "{}", reply.text);
    let path = reply.header("location").to_owned();
    assert!(jane.get(&path).await.text.contains(&expected));
    assert!(
        jane.get("/messages?include=message")
            .await
            .text
            .contains(&expected)
    );
    let (id, etag) = (
        path.trim_start_matches("/messages/")
            .parse::<i64>()
            .unwrap(),
        reply.header("etag"),
    );
    let edit = jane
        .patching(&json!(id), json!({ "text": "and a text" }))
        .header("If-Match", etag);
    assert!(
        Reply::of(edit).await.text.contains(&expected),
        "an edit leaves the attributes alone"
    );
    assert!(jane.get(&path).await.text.contains(&expected));
}

#[tokio::test]
async fn a_message_to_oneself_is_listed_once_per_change() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let sent = jane.send("jane", "note").await;
    jane.marks(&sent["id"], false).await.expect(200);
    jane.patch(&sent["id"], &sent["timestamp"], json!({ "text": "notes" }))
        .await
        .expect(200);
    let page = jane.sync("").await;
    assert_eq!(page["total"], 3);
    assert_eq!(page["messages"][1]["with"], "jane");
}

#[tokio::test]
async fn a_caller_who_prefers_little_gets_no_body() {
    let (_database, replica) = service().await;
    let request = replica
        .user("jane")
        .posting(json!({ "to": "john", "text": "hi" }));
    let reply = Reply::of(request.header("Prefer", "respond-async, return=minimal")).await;
    assert_eq!((reply.status, reply.text.as_str()), (201, ""));
    assert_eq!(reply.header("preference-applied"), "return=minimal");
    assert!(
        reply.header("location").starts_with("/messages/") && reply.header("etag").starts_with('"')
    );
}

#[tokio::test]
async fn a_reply_names_a_message_of_the_same_conversation() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let first = jane.send("john", "hi").await;
    let reply = john
        .post(json!({ "to": "jane", "text": "ho", "replyTo": first["id"] }))
        .await
        .expect(201);
    assert_eq!(reply["replyTo"], first["id"]);
    jane.delete(&first["id"], &first["timestamp"])
        .await
        .expect(200);
    john.post(json!({ "to": "jane", "text": "what was that?", "replyTo": first["id"] }))
        .await
        .expect(201);
    for (to, id) in [("jim", &first["id"]), ("jane", &json!(999_999))] {
        let reply = john
            .post(json!({ "to": to, "text": "ho", "replyTo": id }))
            .await;
        assert_eq!(reply.wrong_fields(), ["replyTo"]);
    }
}

#[tokio::test]
async fn what_is_not_acceptable_is_named_and_changes_nothing() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let many: Vec<_> = (0..101).map(|n| n.to_string()).collect();
    let cases = [
        (json!({ "text": "hi" }), vec!["to"]),
        (json!({ "to": "john" }), vec!["text"]),
        (json!({ "to": "john", "text": " \n" }), vec!["text"]),
        (
            json!({ "to": "john", "text": "x".repeat(20_001) }),
            vec!["text"],
        ),
        (json!({ "to": "john", "text": "a\0b" }), vec!["text"]),
        (json!({ "to": "jo\0hn", "text": "x" }), vec!["to"]),
        (json!({ "to": "j".repeat(65), "text": "x" }), vec!["to"]),
        (json!({ "to": "john", "files": many }), vec!["files"]),
        (json!({ "to": "john", "files": ["a", "a"] }), vec!["files"]),
        (json!({ "to": "john", "files": "a" }), vec!["files"]),
        (
            json!({ "to": "john", "attributes": [] }),
            vec!["attributes"],
        ),
        (
            json!({ "to": "john", "attributes": { "a": "\0" } }),
            vec!["attributes"],
        ),
        (
            json!({ "to": "john", "attributes": { "a": "x".repeat(16 * 1024) } }),
            vec!["attributes"],
        ),
        (
            json!({ "to": "john", "text": "x", "read": true }),
            vec!["read"],
        ),
        (json!({ "to": 7, "text": "x" }), vec!["to"]),
        (json!({ "to": "a b", "text": "" }), vec!["to", "text"]),
    ];
    for (body, fields) in cases {
        let what: String = body.to_string().chars().take(60).collect();
        assert_eq!(jane.post(body).await.wrong_fields(), fields, "{what}");
    }
    assert_eq!(database.count("SELECT count(*) FROM messages").await, 0);
}

#[tokio::test]
async fn limits_are_inclusive() {
    let (_database, replica) = service().await;
    let files: Vec<_> = (0..100).map(|n| format!("{n:064}")).collect();
    let body = json!({
        "to": "j".repeat(64), "text": "\u{1f600}".repeat(20_000), "files": files,
        "attributes": { "a": "x".repeat(16 * 1024 - 8) },
    });
    let sent = replica.user("jane").post(body).await.expect(201);
    assert_eq!(sent["text"].as_str().unwrap().chars().count(), 20_000);
    assert_eq!(sent["files"].as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn the_largest_message_that_the_limits_of_its_fields_allow_is_accepted() {
    let (_database, replica) = service().await;
    let text = "\\uD83D\\uDE00".repeat(20_000);
    let attributes = format!(r#"{{"a":"{}"}}"#, "x".repeat(16 * 1024 - 8));
    let files: Vec<_> = (0..100).map(|number| format!("\"{number:064}\"")).collect();
    let body = format!(
        r#"{{"to":"john","text":"{text}","files":[{}],"attributes":{attributes}}}"#,
        files.join(",")
    );
    let send = |body: String| {
        let request = replica.user("jane").request(Method::POST, "/messages");
        Reply::of(
            request
                .header("Content-Type", "application/json")
                .body(body),
        )
    };
    let sent = send(body.clone()).await.expect(201);
    assert_eq!(sent["text"].as_str().unwrap().chars().count(), 20_000);
    let blanks = |length: usize| body.clone() + &" ".repeat(length - body.len());
    send(blanks(512 * 1024)).await.expect(201);
    send(blanks(512 * 1024 + 1))
        .await
        .expect_problem(413, "body-too-large");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_the_order_of_the_contract() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let post = |accept: &str, content_type: &str, body: Vec<u8>| {
        let request = jane
            .request(Method::POST, "/messages")
            .header("Accept", accept);
        Reply::of(request.header(CONTENT_TYPE, content_type).body(body))
    };
    let (any, json) = ("*/*", "application/json");
    let large = vec![b' '; 600 * 1024];
    post("text/html", "text/plain", large.clone())
        .await
        .expect_problem(406, "not-acceptable");
    post("application/vnd.chatMessage.v1+json", json, b"{}".to_vec())
        .await
        .expect_problem(406, "not-acceptable");
    let unsupported = post(any, "text/plain", large.clone()).await;
    unsupported.expect_problem(415, "unsupported-media-type");
    assert!(
        unsupported
            .header("accept-post")
            .contains("application/json")
    );
    post(
        any,
        "application/vnd.editedMessageText.v1+json",
        b"{}".to_vec(),
    )
    .await
    .expect_problem(415, "unsupported-media-type");
    post(any, json, large)
        .await
        .expect_problem(413, "body-too-large");
    for body in [
        &b""[..],
        b"{",
        b"nonsense",
        b"{\"to\":\"john\",\"text\":\"x\"} {}",
        b"{\"to\":\"\xff\"}",
    ] {
        post(any, json, body.to_vec())
            .await
            .expect_problem(400, "malformed");
    }
    let nobody = replica
        .nobody()
        .request(Method::POST, "/messages")
        .header("Accept", "text/html");
    Reply::of(nobody.body(vec![b' '; 600 * 1024]))
        .await
        .expect_problem(401, "unauthorized");
    assert_eq!(database.count("SELECT count(*) FROM messages").await, 0);
}

#[tokio::test]
async fn a_huge_body_is_refused_and_the_connection_stays_usable() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let chunk = bytes(1024 * 1024);
    let stream =
        futures_util::stream::iter((0..40).map(move |_| Ok::<_, std::io::Error>(chunk.clone())));
    let request = jane
        .request(Method::POST, "/messages")
        .header(CONTENT_TYPE, "application/json");
    Reply::of(request.body(reqwest::Body::wrap_stream(stream)))
        .await
        .expect_problem(413, "body-too-large");
    jane.send("john", "still here").await;
}

fn bytes(length: usize) -> Vec<u8> {
    vec![b' '; length]
}

#[tokio::test]
async fn the_answer_is_labelled_as_the_caller_asks() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    for (content_type, accept, label) in [
        ("application/json", "application/json", "application/json"),
        (
            "application/json; charset=utf-8",
            "application/json, */*",
            "application/json",
        ),
        (
            "application/vnd.newPersonalMessage.v1+json",
            "*/*",
            "application/vnd.personalMessage.v1+json",
        ),
    ] {
        let body = r#"{"to":"john","text":"hi"}"#;
        let request = jane
            .request(Method::POST, "/messages")
            .header("Accept", accept);
        let reply = Reply::of(request.header(CONTENT_TYPE, content_type).body(body)).await;
        reply.expect(201);
        assert_eq!(reply.header("content-type"), label);
    }
}
