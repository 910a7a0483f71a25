//! `GET /messages` with `Accept: text/event-stream`.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::{
    Client, Database, Replica, Reply, Settings, Stream, eventually, service, token,
};

async fn streams(replica: &Replica) -> f64 {
    replica
        .metric("messages_live_connections", "kind=\"stream\"")
        .await
}

async fn until_no_stream_is_open(replica: &Replica) {
    eventually("no stream is open", async || {
        (streams(replica).await == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_sends_what_there_is_and_then_each_change() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let first = jane.send("john", "first").await;
    let mut stream = replica.user("john").stream("").await;
    assert_eq!(stream.headers["cache-control"], "no-store, no-transform");
    assert_eq!(stream.headers["x-accel-buffering"], "no");
    assert!(!stream.headers.contains_key("content-encoding"));
    assert_eq!(stream.begin().await, 0);
    let update = stream.event("update").await;
    assert_eq!(update.id, first["timestamp"].as_i64());
    assert_eq!(
        update.data,
        json!({ "id": first["id"], "timestamp": first["timestamp"] })
    );
    assert_eq!(
        stream.event("current").await.data,
        json!({ "latest": first["timestamp"] })
    );
    let second = jane.send("john", "second").await;
    assert_eq!(stream.event("update").await.data["id"], second["id"]);
    let edited = jane
        .patch(
            &second["id"],
            &second["timestamp"],
            json!({ "text": "edited" }),
        )
        .await;
    assert_eq!(
        stream.event("update").await.id,
        edited.json()["timestamp"].as_i64()
    );
}

#[tokio::test]
async fn a_stream_with_messages_carries_them_as_they_are_now() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let sent = jane.send("john", "first").await;
    let edited = jane
        .patch(&sent["id"], &sent["timestamp"], json!({ "text": "second" }))
        .await
        .json();
    let mut stream = john.stream("include=message").await;
    stream.begin().await;
    assert_eq!(
        stream.event("update").await.data.get("message"),
        None,
        "it is at its newest entry"
    );
    assert_eq!(stream.event("update").await.data["message"], edited);
    stream.event("current").await;
    // A line break between the tokens of attributes, which come back as they were sent.
    let body = "{\"to\":\"john\",\"attributes\":{\r\n\"a\":\n1}}";
    let request = jane
        .request(Method::POST, "/messages")
        .header("Content-Type", "application/json");
    let sent = Reply::of(request.body(body)).await.expect(201);
    assert_eq!(stream.event("update").await.data["message"], sent);
}

#[tokio::test]
async fn a_stream_resumes_from_its_last_id_which_counts_before_after() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let mut sent = Vec::new();
    for number in 0..3 {
        sent.push(
            jane.send("john", &number.to_string()).await["timestamp"]
                .as_i64()
                .unwrap(),
        );
    }
    let resume = |id: String| {
        john.streaming("/messages?after=0")
            .header("Last-Event-ID", id)
    };
    let mut stream = Stream::open(resume(sent[1].to_string())).await;
    assert_eq!(stream.begin().await, sent[1]);
    assert_eq!(stream.event("update").await.id, Some(sent[2]));
    let mut stream = Stream::open(resume(String::new())).await;
    assert_eq!(stream.begin().await, 0, "an empty id is none");
    for id in ["x", "-1", "1.5", "latest"] {
        Reply::of(resume(id.to_owned()))
            .await
            .expect_problem(400, "malformed");
    }
}

#[tokio::test]
async fn a_stream_from_now_on_says_where_it_began() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let before = jane.send("john", "before").await["timestamp"].as_i64();
    let mut stream = replica.user("john").stream("after=latest").await;
    assert_eq!(Some(stream.begin_current().await), before);
    let after = jane.send("john", "after").await["timestamp"].as_i64();
    assert_eq!(stream.event("update").await.id, after);
}

#[tokio::test]
async fn a_cursor_beyond_the_timeline_is_reset_and_ends_the_stream() {
    let (_database, replica) = service().await;
    let sent = replica.user("jane").send("john", "hello").await;
    let mut stream = replica.user("john").stream("after=9").await;
    let reset = stream.event("reset").await;
    assert_eq!(reset.data["type"], "/problems/cursor-ahead");
    assert_eq!(reset.data["last"], sent["timestamp"]);
    assert_eq!(
        reset.data["requestId"],
        stream.headers["x-request-id"].to_str().unwrap()
    );
    assert_eq!(reset.id, Some(0), "who does nothing about it begins anew");
    assert_eq!(stream.try_block().await.unwrap(), None);
    until_no_stream_is_open(&replica).await;
}

#[tokio::test]
async fn an_idle_stream_is_kept_open_by_comments() {
    let database = Database::fresh().await;
    let settings = Settings::default().with("STREAM_COMMENT_MS", "1000");
    let replica = Replica::start(&database, settings).await;
    let mut stream = replica.user("john").stream("").await;
    stream.begin_current().await;
    let began = std::time::Instant::now();
    for _ in 0..2 {
        assert!(stream.block().await.unwrap().comment);
    }
    assert!(
        began.elapsed() > Duration::from_millis(1500),
        "one a second: {:?}",
        began.elapsed()
    );
    replica.user("jane").send("john", "hello").await;
    stream.event("update").await;
}

#[tokio::test]
async fn a_stream_is_never_compressed() {
    let (_database, replica) = service().await;
    replica
        .user("jane")
        .send("john", &"long ".repeat(100))
        .await;
    let request = replica.user("john").streaming("/messages?include=message");
    let mut stream = Stream::open(request.header("Accept-Encoding", "gzip, br")).await;
    assert!(!stream.headers.contains_key("content-encoding"));
    stream.begin().await;
    stream.event("update").await;
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let (_database, replica) = service().await;
    let mut stream = replica
        .with_token(&token(1, "john", Duration::from_secs(3)))
        .stream("")
        .await;
    stream.begin_current().await;
    assert_eq!(stream.try_block().await.unwrap(), None);
    until_no_stream_is_open(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_do_not_hold_up_the_end_of_the_service() {
    let (_database, mut replica) = service().await;
    let mut opening = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let john = replica.user(&format!("john-{}", number % 50));
        opening.spawn(async move {
            let mut stream = john.stream("").await;
            stream.begin_current().await;
            stream
        });
    }
    let mut open = opening.join_all().await;
    assert_eq!(streams(&replica).await, 1000.0);
    let began = std::time::Instant::now();
    replica.signal_to_stop();
    for stream in &mut open {
        while stream
            .try_block()
            .await
            .expect("the stream ends in order")
            .is_some()
        {}
    }
    assert!(replica.ended().await.success());
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert!(
        !replica.log().iter().any(|line| line.contains("cut off")),
        "{:?}",
        replica.log()
    );
}

#[tokio::test]
async fn a_stream_whose_reader_has_gone_ends() {
    let (_database, replica) = service().await;
    let stream = replica.user("john").stream("").await;
    assert_eq!(streams(&replica).await, 1.0);
    drop(stream);
    until_no_stream_is_open(&replica).await;
    let head = replica.user("john").request(Method::HEAD, "/messages");
    let reply = Reply::of(head.header("Accept", "text/event-stream")).await;
    assert_eq!(reply.status, 200);
    until_no_stream_is_open(&replica).await;
}

async fn ticket(client: &Client) -> String {
    let reply = Reply::of(client.request(Method::POST, "/tickets")).await;
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("content-type"), "application/json");
    let given = reply.expect(201);
    assert!(given["expires"].as_str().unwrap().ends_with('Z'));
    given["ticket"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_ticket_opens_streams_on_every_replica_and_nothing_else() {
    let database = Database::fresh().await;
    let settings = Settings::default().with("LOG_FILTER", "trace");
    let one = Replica::start(&database, settings.clone()).await;
    let other = Replica::start(&database, settings).await;
    let sent = one.user("jane").send("john", "hello").await;
    for replica in [&one, &other] {
        let ticket = ticket(&one.user("john")).await;
        let path = format!("/messages?ticket={ticket}");
        let nobody = replica.nobody();
        let mut stream = Stream::open(nobody.streaming(&path)).await;
        stream.begin().await;
        assert_eq!(stream.event("update").await.data["id"], sent["id"]);
        nobody.get(&path).await.expect_problem(401, "unauthorized");
        nobody
            .get(&format!("{path}&wait=1"))
            .await
            .expect_problem(401, "unauthorized");
        let other = format!("/messages/{}?ticket={ticket}", sent["id"]);
        nobody.get(&other).await.expect_problem(401, "unauthorized");
        replica
            .with_token(&ticket)
            .get("/messages")
            .await
            .expect_problem(401, "unauthorized");
        for bad in [
            "",
            "x",
            &ticket[1..],
            &token(1, "john", Duration::from_secs(60)),
        ] {
            let reply = Reply::of(nobody.streaming(&format!("/messages?ticket={bad}"))).await;
            reply.expect_problem(401, "unauthorized");
        }
        let lines = replica.log();
        assert!(lines.len() > 20, "everything is logged");
        assert!(
            !lines.iter().any(|line| line.contains(&ticket)),
            "the ticket is not"
        );
    }
    Reply::of(one.nobody().request(Method::POST, "/tickets"))
        .await
        .expect_problem(401, "unauthorized");
}

#[tokio::test]
async fn a_stream_that_a_ticket_has_opened_ends_with_the_token() {
    let (_database, replica) = service().await;
    let john = replica.with_token(&token(1, "john", Duration::from_secs(3)));
    let path = format!("/messages?ticket={}", ticket(&john).await);
    let mut stream = Stream::open(replica.nobody().streaming(&path)).await;
    stream.begin_current().await;
    assert_eq!(stream.try_block().await.unwrap(), None);
    Reply::of(replica.nobody().streaming(&path))
        .await
        .expect_problem(401, "unauthorized");
}
