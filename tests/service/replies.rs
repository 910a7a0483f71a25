//! The replies to a message: which they are, how many, and for whom.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Database, Replica, Reply, administered, service};

/// Replies in a chat to a message, and returns the reply.
async fn reply(user: &Client, chat: i64, root: &Value, text: &str) -> Value {
    let path = format!("/chats/{chat}/messages");
    let body = json!({ "text": text, "replyTo": root["id"] });
    user.call(Method::POST, &path, body).await.expect(201)
}

async fn replies(user: &Client, root: &Value, query: &str) -> Value {
    let path = format!("/messages/{}/replies?{query}", root["id"]);
    user.get(&path).await.expect(200)
}

fn texts(page: &Value) -> Vec<&str> {
    let messages = page["messages"].as_array().unwrap().iter();
    messages
        .map(|message| message["text"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn replies_are_listed_by_number_and_counted_page_by_page() {
    let (_database, replica) = service().await;
    let [jane, john] = ["jane", "john"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &["john"]).await;
    let root = jane.post_into(chat, "root").await;
    assert_eq!(
        replies(&john, &root, "").await,
        json!({ "messages": [], "replies": { "count": 0 } })
    );
    let mut sent = Vec::new();
    for number in 1..=5 {
        let user = if number % 2 == 0 { &jane } else { &john };
        jane.post_into(chat, "between").await;
        sent.push(reply(user, chat, &root, &number.to_string()).await);
    }
    // A reply to a reply is none to the root.
    reply(&jane, chat, &sent[0], "elsewhere").await;
    let whole = replies(&jane, &root, "").await;
    assert_eq!(whole["messages"], json!(sent));
    assert_eq!(
        whole["replies"],
        json!({ "count": 5, "last": sent[4]["number"] })
    );
    assert_eq!(whole.get("next"), None);

    let first = replies(&john, &root, "limit=2").await;
    assert_eq!(texts(&first), ["1", "2"]);
    assert_eq!(first["next"], sent[1]["number"]);
    assert_eq!(first["replies"], whole["replies"], "all are counted");
    let second = format!("limit=2&after={}", first["next"]);
    let second = replies(&john, &root, &second).await;
    assert_eq!(texts(&second), ["3", "4"]);
    let third = format!("limit=2&after={}", second["next"]);
    let third = replies(&john, &root, &third).await;
    assert_eq!(texts(&third), ["5"]);
    assert_eq!(third.get("next"), None);
    let beyond = replies(&john, &root, "after=1000").await;
    assert_eq!(texts(&beyond), [""; 0]);
    assert_eq!(beyond["replies"], whole["replies"]);
    assert_eq!(texts(&replies(&jane, &sent[0], "").await), ["elsewhere"]);
}

#[tokio::test]
async fn deleted_replies_are_gone_edited_ones_stay_and_a_deleted_root_keeps_its_replies() {
    let (_database, replica) = service().await;
    let [jane, john] = ["jane", "john"].map(|user| replica.user(user));
    let root = jane.send("john", "root").await;
    let mut sent = Vec::new();
    for text in ["one", "two", "three"] {
        let body = json!({ "to": "jane", "text": text, "replyTo": root["id"] });
        sent.push(john.post(body).await.expect(201));
    }
    let edit = json!({ "text": "two, edited" });
    let edited = john
        .patch(&sent[1]["id"], &sent[1]["timestamp"], edit)
        .await;
    edited.expect(200);
    let gone = john.delete(&sent[2]["id"], &sent[2]["timestamp"]).await;
    gone.expect(200);
    let page = replies(&jane, &root, "").await;
    assert_eq!(texts(&page), ["one", "two, edited"]);
    assert_eq!(
        page["replies"],
        json!({ "count": 2, "last": sent[1]["number"] })
    );

    // The root has none of it in its data: its ETag is the same.
    let path = format!("/messages/{}", root["id"]);
    assert_eq!(jane.get(&path).await.expect(200), root);
    let gone = jane.delete(&root["id"], &root["timestamp"]).await;
    gone.expect(200);
    assert_eq!(replies(&jane, &root, "").await, page);
    assert_eq!(replies(&john, &root, "").await, page);
}

#[tokio::test]
async fn whoever_may_read_the_message_reads_its_replies_and_nobody_else() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let [jane, john, jim] = ["jane", "john", "jim"].map(|user| replica.user(user));
    let application = replica.application().await;
    let chat = jane.chat("Team", &["john"]).await;
    let path = format!("/chats/{chat}");
    let tag = jane.get(&path).await.expect(200)["timestamp"].to_string();
    let joined = jane.request(Method::PATCH, &path).header("if-match", tag);
    let joined = joined.json(&json!({ "history": "joined" }));
    Reply::of(joined).await.expect(200);
    let early = jane.post_into(chat, "early").await;
    let members = format!("/chats/{chat}/members");
    jane.ask(Method::PUT, &format!("{members}/jim"), None).await;
    let late = jane.post_into(chat, "late").await;
    for root in [&early, &late] {
        reply(&john, chat, root, "reply").await;
        for reader in [&jane, &john, &application] {
            assert_eq!(texts(&replies(reader, root, "").await), ["reply"]);
        }
    }
    // What came before jim is not his to read, whatever replies to it.
    let of_early = format!("/messages/{}/replies", early["id"]);
    jim.get(&of_early).await.expect_problem(404, "not-found");
    assert_eq!(texts(&replies(&jim, &late, "").await), ["reply"]);

    let member = format!("{members}/john");
    john.ask(Method::DELETE, &member, None).await.expect(204);
    john.get(&of_early).await.expect_problem(404, "not-found");
    let personal = jane.send("john", "between two").await;
    let of_personal = format!("/messages/{}/replies", personal["id"]);
    for stranger in [&jim, &application] {
        let reply = stranger.get(&of_personal).await;
        reply.expect_problem(404, "not-found");
    }
    replica
        .nobody()
        .get(&of_personal)
        .await
        .expect_problem(401, "unauthorized");
    for id in ["999999", "0", "x"] {
        let reply = jane.get(&format!("/messages/{id}/replies")).await;
        reply.expect_problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_message_is_read_with_the_count_of_its_replies_and_then_has_no_etag() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let body = json!({ "to": "john", "text": "root", "attributes": { "k": [1.50] } });
    let root = jane.post(body).await.expect(201);
    let path = format!("/messages/{}", root["id"]);
    for count in 0..3 {
        let request = jane.request(Method::GET, &format!("{path}?include=replies"));
        let same = request.header("if-none-match", format!("\"{}\"", root["timestamp"]));
        let reply = Reply::of(same).await;
        assert_eq!(reply.headers.get("etag"), None);
        let mut message = reply.expect(200);
        let replies = message["replies"].take();
        assert_eq!(replies["count"], count);
        let newest = (count > 0).then_some(count + 1);
        assert_eq!(replies.get("last").and_then(Value::as_i64), newest);
        message.as_object_mut().unwrap().remove("replies");
        assert_eq!(message, root, "its own data are the same");
        let body = json!({ "to": "john", "text": "reply", "replyTo": root["id"] });
        jane.post(body).await.expect(201);
    }
    let plain = jane.get(&path).await;
    assert_eq!(plain.headers["etag"], format!("\"{}\"", root["timestamp"]));
    let wrong = jane.get(&format!("{path}?include=reply")).await;
    assert_eq!(wrong.wrong_fields(), ["include"]);
    let stranger = replica.user("jim");
    let hidden = stranger.get(&format!("{path}?include=replies")).await;
    hidden.expect_problem(404, "not-found");
}

#[tokio::test]
async fn bad_pages_of_replies_are_refused() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let root = jane.send("john", "root").await;
    let path = format!("/messages/{}/replies", root["id"]);
    for query in ["after=x", "after=-1", "limit=ten", "after=1&after=2"] {
        let reply = jane.get(&format!("{path}?{query}")).await;
        reply.expect_problem(400, "malformed");
    }
    for query in ["limit=0", "limit=101"] {
        let reply = jane.get(&format!("{path}?{query}")).await;
        assert_eq!(reply.wrong_fields(), ["limit"]);
    }
}
