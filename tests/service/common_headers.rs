//! What the answers of all operations have in common: problems, request ids, encodings, caching,
//! CORS.

use reqwest::Method;
use serde_json::json;

use crate::support::{Database, Replica, Reply, Settings, service};

#[tokio::test]
async fn what_no_route_has_is_a_problem_like_any_other() {
    let (_database, replica) = service().await;
    let nobody = replica.nobody();
    nobody
        .get("/nothing")
        .await
        .expect_problem(404, "no-such-resource");
    nobody
        .get("/swagger-ui/nothing")
        .await
        .expect_problem(404, "no-such-resource");
    nobody
        .get("/messages/1/2")
        .await
        .expect_problem(404, "no-such-resource");
    for (method, path, allowed) in [
        (Method::PUT, "/messages", ["GET", "POST"]),
        (Method::POST, "/messages/1", ["PATCH", "DELETE"]),
        (Method::DELETE, "/health/live", ["GET", "HEAD"]),
    ] {
        let reply = Reply::of(nobody.request(method, path)).await;
        reply.expect_problem(405, "method-not-allowed");
        assert!(
            allowed
                .iter()
                .all(|method| reply.header("allow").contains(method)),
            "{:?}",
            reply.headers
        );
    }
}

#[tokio::test]
async fn a_request_id_is_taken_or_made_and_returned() {
    let (_database, replica) = service().await;
    let get = |id: &'static str| {
        Reply::of(
            replica
                .user("jane")
                .request(Method::GET, "/messages")
                .header("X-Request-Id", id),
        )
    };
    assert_eq!(get("order-66").await.header("x-request-id"), "order-66");
    assert_eq!(get("not for a log").await.header("x-request-id").len(), 36);
    let made = replica.nobody().get("/messages").await;
    made.expect_problem(401, "unauthorized");
    assert_eq!(made.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn an_encoding_that_is_not_there_is_no_reason_to_refuse_an_answer() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    for encodings in [
        "identity;q=0",
        "*;q=0",
        "zstd, *;q=0",
        "gzip;q=0, identity;q=0",
        "",
    ] {
        let request = jane
            .posting(json!({ "to": "john", "text": "hi" }))
            .header("Accept-Encoding", encodings);
        let reply = Reply::of(request).await;
        reply.expect(201);
        assert_eq!(reply.header("content-encoding"), "", "{encodings}");
    }
    assert_eq!(jane.sync("").await["total"], 5);
}

#[tokio::test]
async fn an_encoded_body_is_not_supported() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let request = jane
        .posting(json!({ "to": "john", "text": "hi" }))
        .header("Content-Encoding", "gzip");
    let reply = Reply::of(request).await;
    reply.expect_problem(415, "unsupported-media-type");
    assert_eq!(reply.header("accept-encoding"), "identity");
}

#[tokio::test]
async fn long_answers_are_compressed_for_whoever_accepts_it() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let sent = jane.send("john", &"again and again ".repeat(200)).await;
    let request = jane.request(Method::GET, &format!("/messages/{}", sent["id"]));
    let reply = request
        .header("Accept-Encoding", "gzip")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.headers()["content-encoding"], "gzip");
    assert!(reply.bytes().await.unwrap().len() < 1000);
}

#[tokio::test]
async fn answers_stay_out_of_shared_caches() {
    let (_database, replica) = service().await;
    let nobody = replica.nobody();
    for reply in [
        replica.user("jane").get("/messages").await,
        nobody.get("/messages").await,
        nobody.get("/nothing").await,
    ] {
        assert_eq!(reply.header("cache-control"), "private, no-cache");
        let vary: Vec<_> = reply.headers.get_all("vary").iter().collect();
        assert_eq!(vary, ["Accept, Accept-Encoding, Authorization, As-User"]);
    }
}

#[tokio::test]
async fn pages_of_configured_origins_may_call() {
    let database = Database::fresh().await;
    let settings =
        Settings::default().with("CORS_ORIGINS", "https://app.example,https://other.example");
    let replica = Replica::start(&database, settings).await;
    let preflight = |origin: &'static str| {
        let request = replica
            .nobody()
            .request(Method::OPTIONS, "/messages")
            .header("Origin", origin);
        let request = request.header("Access-Control-Request-Method", "POST");
        Reply::of(request.header(
            "Access-Control-Request-Headers",
            "authorization,idempotency-key,if-match",
        ))
    };
    let allowed = preflight("https://app.example").await;
    assert_eq!(allowed.status, 200);
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        "https://app.example"
    );
    assert!(
        allowed
            .header("access-control-allow-headers")
            .contains("idempotency-key")
    );
    assert_eq!(
        preflight("https://evil.example")
            .await
            .header("access-control-allow-origin"),
        ""
    );
    let request = replica
        .nobody()
        .request(Method::GET, "/messages")
        .header("Origin", "https://app.example");
    let refused = Reply::of(request).await;
    refused.expect_problem(401, "unauthorized");
    assert_eq!(
        refused.header("access-control-allow-origin"),
        "https://app.example",
        "errors can be read too"
    );
}
