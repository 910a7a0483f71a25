//! `GET`, `PATCH` and `DELETE /messages/{id}`.

use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::json;

use crate::support::{Reply, service};

#[tokio::test]
async fn a_message_is_not_sent_again_to_whoever_has_it() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let sent = jane.send("john", "hi").await;
    let get = |tag: String| {
        let request = jane.request(Method::GET, &format!("/messages/{}", sent["id"]));
        Reply::of(request.header("If-None-Match", tag))
    };
    let etag = format!("\"{}\"", sent["timestamp"]);
    for tag in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"0\", {etag}"),
        "*".to_owned(),
    ] {
        let reply = get(tag).await;
        assert_eq!((reply.status, reply.text.as_str()), (304, ""));
        assert_eq!(reply.header("etag"), etag);
        assert!(reply.header("cache-control").contains("private"));
    }
    get("\"0\"".to_owned()).await.expect(200);
}

#[tokio::test]
async fn an_edit_changes_the_text_and_only_the_text() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let sent = jane
        .post(json!({ "to": "john", "text": "hi", "files": ["a"] }))
        .await
        .expect(201);
    let reply = jane
        .patch(&sent["id"], &sent["timestamp"], json!({ "text": " ho " }))
        .await;
    let edited = reply.expect(200);
    assert_eq!(reply.header("etag"), format!("\"{}\"", edited["timestamp"]));
    assert!(edited["timestamp"].as_i64() > sent["timestamp"].as_i64());
    assert_eq!(
        (&edited["text"], &edited["files"]),
        (&json!("ho"), &json!(["a"]))
    );
    assert_eq!(edited["created"], sent["created"]);
    assert!(edited["edited"].is_string());
    assert_eq!(
        replica
            .user("john")
            .get(&format!("/messages/{}", sent["id"]))
            .await
            .expect(200),
        edited
    );
}

#[tokio::test]
async fn a_patch_is_what_its_media_type_says() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let sent = jane.send("john", "hi").await;
    let path = format!("/messages/{}", sent["id"]);
    let mut etag = sent["timestamp"].to_string();
    for (media_type, body, text) in [
        (
            "application/vnd.editedMessageText.v1+json",
            r#"{"text":"1"}"#,
            "1",
        ),
        ("application/json", r#"{"text":"2"}"#, "2"),
        ("application/merge-patch+json", r#"{"text":"3"}"#, "3"),
    ] {
        let request = jane
            .request(Method::PATCH, &path)
            .header(CONTENT_TYPE, media_type);
        let reply = Reply::of(request.header("If-Match", &etag).body(body)).await;
        let changed = reply.expect(200);
        assert_eq!(changed["text"], text);
        etag = changed["timestamp"].to_string();
    }
    let last = jane.get(&path).await.expect(200);
    for (media_type, body, position) in [
        (
            "application/vnd.messageReadMark.v1+json",
            r#"{"read":true}"#,
            1,
        ),
        ("application/merge-patch+json", r#"{"read":null}"#, 0),
        ("application/json", r#"{"read":true}"#, 1),
    ] {
        let request = john
            .request(Method::PATCH, &path)
            .header(CONTENT_TYPE, media_type);
        assert_eq!(Reply::of(request.body(body)).await.expect(200), last);
        let conversation = john.get("/users/jane").await.expect(200);
        assert_eq!(conversation["read"], position, "{media_type} {body}");
    }
    let request = jane
        .request(Method::PATCH, &path)
        .header(CONTENT_TYPE, "text/plain");
    Reply::of(request.header("If-Match", &etag).body("x"))
        .await
        .expect_problem(415, "unsupported-media-type");
    for body in [
        json!({}),
        json!({ "text": "x", "read": true }),
        json!({ "files": [] }),
        json!({ "text": 1 }),
    ] {
        jane.patch(&sent["id"], &sent["timestamp"], body)
            .await
            .wrong_fields();
    }
}

#[tokio::test]
async fn only_the_sender_edits_only_the_recipient_marks_and_both_delete() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    for deleter in [&jane, &john] {
        let sent = jane.send("john", "hi").await;
        let (id, tag) = (&sent["id"], &sent["timestamp"]);
        john.patch(id, tag, json!({ "text": "x" }))
            .await
            .expect_problem(403, "forbidden");
        jane.patch(id, tag, json!({ "read": true }))
            .await
            .expect_problem(403, "forbidden");
        deleter.delete(id, tag).await.expect(200);
    }
}

#[tokio::test]
async fn a_deleted_message_is_a_tombstone_for_ever() {
    let (database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let body = json!({ "to": "john", "text": "secret", "files": ["f"], "attributes": { "a": 1 } });
    let sent = jane.post(body).await.expect(201);
    let reply = jane.delete(&sent["id"], &sent["timestamp"]).await;
    let tombstone = reply.expect(200);
    assert_eq!(
        tombstone,
        json!({ "id": sent["id"], "timestamp": tombstone["timestamp"], "number": 1, "deleted": true })
    );
    assert_eq!(
        reply.header("etag"),
        format!("\"{}\"", tombstone["timestamp"])
    );
    assert_eq!(
        john.get(&format!("/messages/{}", sent["id"]))
            .await
            .expect(200),
        tombstone
    );
    let left = "SELECT count(*) FROM messages WHERE text IS NOT NULL OR files IS NOT NULL OR attributes IS NOT NULL";
    assert_eq!(database.count(left).await, 0, "the data are cleared");
    for tag in [&tombstone["timestamp"], &sent["timestamp"]] {
        jane.delete(&sent["id"], tag)
            .await
            .expect_problem(410, "deleted");
        jane.patch(&sent["id"], tag, json!({ "text": "x" }))
            .await
            .expect_problem(410, "deleted");
        john.patch(&sent["id"], tag, json!({ "read": true }))
            .await
            .expect_problem(410, "deleted");
    }
    john.patch(&sent["id"], &json!(0), json!({ "text": "x" }))
        .await
        .expect_problem(403, "forbidden");
}

#[tokio::test]
async fn a_change_says_which_state_it_means() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let sent = jane.send("john", "hi").await;
    let id = &sent["id"];
    for tag in [None, Some("*")] {
        let conditional = |request: reqwest::RequestBuilder| match tag {
            Some(tag) => request.header("If-Match", tag),
            None => request,
        };
        let edit = conditional(jane.patching(id, json!({ "text": "x" })));
        Reply::of(edit)
            .await
            .expect_problem(428, "precondition-required");
        Reply::of(conditional(jane.deleting(id)))
            .await
            .expect_problem(428, "precondition-required");
        let unknown = conditional(jane.patching(&json!(999_999), json!({ "text": "x" })));
        Reply::of(unknown)
            .await
            .expect_problem(428, "precondition-required");
        let invalid = conditional(jane.patching(id, json!({ "text": 7 })));
        Reply::of(invalid).await.expect_problem(422, "invalid");
    }
    for tag in [
        "\"999999\"",
        "\"abc\"",
        "abc",
        "W/\"0\"",
        "\"7777\", \"8888\"",
    ] {
        let reply = Reply::of(jane.deleting(id).header("If-Match", tag)).await;
        assert_eq!(
            reply.expect_problem(412, "stale")["current"],
            sent["timestamp"]
        );
    }
    let half = jane.deleting(id).header("If-Match", "\"7");
    Reply::of(half).await.expect_problem(400, "malformed");
    let weak = format!("W/\"{}\"", sent["timestamp"]);
    let edited = jane
        .patching(id, json!({ "text": "x" }))
        .header("If-Match", weak);
    let edited = Reply::of(edited).await.expect(200);
    let bare = edited["timestamp"].to_string();
    Reply::of(jane.deleting(id).header("If-Match", bare))
        .await
        .expect(200);
}

#[tokio::test]
async fn what_changes_nothing_is_answered_and_not_listed() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let sent = jane.send("john", "hi").await;
    let edited = jane
        .patch(&sent["id"], &sent["timestamp"], json!({ "text": "ho" }))
        .await
        .expect(200);
    for tag in [&sent["timestamp"], &edited["timestamp"], &json!(7_777_777)] {
        let repeated = jane
            .patch(&sent["id"], tag, json!({ "text": "  ho" }))
            .await;
        assert_eq!(repeated.expect(200), edited);
        assert_eq!(
            repeated.header("etag"),
            format!("\"{}\"", edited["timestamp"])
        );
        assert_eq!(
            john.patch(&sent["id"], tag, json!({ "read": false }))
                .await
                .expect(200),
            edited
        );
    }
    assert_eq!(jane.sync("").await["total"], 2);
}

#[tokio::test]
async fn a_text_may_go_only_where_files_or_attributes_remain() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let bare = jane.send("john", "hi").await;
    let reply = jane
        .patch(&bare["id"], &bare["timestamp"], json!({ "text": " " }))
        .await;
    assert_eq!(reply.wrong_fields(), ["text"]);
    for rest in [json!({ "files": ["a"] }), json!({ "attributes": {} })] {
        let mut body = json!({ "to": "john", "text": "hi" });
        body.as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        let sent = jane.post(body).await.expect(201);
        let emptied = jane
            .patch(&sent["id"], &sent["timestamp"], json!({ "text": "" }))
            .await
            .expect(200);
        assert!(emptied["text"].is_null());
        let filled = jane
            .patch(&sent["id"], &emptied["timestamp"], json!({ "text": "new" }))
            .await
            .expect(200);
        assert_eq!(filled["text"], "new");
    }
}

#[tokio::test]
async fn a_path_that_names_no_message_is_not_found() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    for id in [
        "999999",
        "0",
        "-1",
        "abc",
        "1.0",
        "99999999999999999999",
        "%FF",
        "%00",
    ] {
        jane.get(&format!("/messages/{id}"))
            .await
            .expect_problem(404, "not-found");
        let request = jane
            .request(Method::DELETE, &format!("/messages/{id}"))
            .header("If-Match", "1");
        Reply::of(request).await.expect_problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_message_is_labelled_as_what_it_is_whichever_kind_the_caller_accepts() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let sent = jane.send("john", "hi").await;
    for (accept, status, label) in [
        (
            "application/vnd.chatMessage.v1+json",
            200,
            "application/vnd.personalMessage.v1+json",
        ),
        (
            "application/vnd.personalMessage.v1+json",
            200,
            "application/vnd.personalMessage.v1+json",
        ),
        ("application/json", 200, "application/json"),
        ("text/html", 406, "application/problem+json"),
    ] {
        let request = jane
            .request(Method::GET, &format!("/messages/{}", sent["id"]))
            .header("Accept", accept);
        let reply = Reply::of(request).await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (status, label)
        );
    }
}
