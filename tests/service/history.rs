//! Histories: whole messages, page by page in both directions.

use serde_json::Value;

use crate::support::{Client, service};

/// All pages from a query on, each followed by its `next`.
async fn pages(user: &Client, path: &str, parameter: &str, start: Option<i64>) -> Vec<Vec<Value>> {
    let (mut pages, mut position) = (Vec::new(), start);
    loop {
        let position_query = position.map_or(String::new(), |at| format!("&{parameter}={at}"));
        let page = user
            .get(&format!("{path}?limit=2{position_query}"))
            .await
            .expect(200);
        pages.push(page["messages"].as_array().unwrap().clone());
        position = page["next"].as_i64();
        if position.is_none() {
            return pages;
        }
    }
}

fn texts(pages: &[Vec<Value>]) -> Vec<Vec<&str>> {
    pages
        .iter()
        .map(|page| page.iter().map(text_of).collect())
        .collect()
}

fn text_of(message: &Value) -> &str {
    message["text"].as_str().unwrap()
}

#[tokio::test]
async fn a_conversation_is_read_in_both_directions() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    for (number, (from, to)) in (1..).zip([
        (&jane, "john"),
        (&john, "jane"),
        (&jane, "john"),
        (&john, "jane"),
        (&jane, "john"),
    ]) {
        from.send(to, &number.to_string()).await;
        jane.send("jim", "between others").await;
    }
    jane.send("jane", "to myself").await;
    for (user, other) in [(&jane, "john"), (&john, "jane")] {
        let path = format!("/users/{other}/messages");
        let newest = pages(user, &path, "before", None).await;
        assert_eq!(texts(&newest), [vec!["5", "4"], vec!["3", "2"], vec!["1"]]);
        let oldest = pages(user, &path, "after", Some(0)).await;
        assert_eq!(texts(&oldest), [vec!["1", "2"], vec!["3", "4"], vec!["5"]]);
    }
    let own = jane.get("/users/jane/messages").await.expect(200);
    assert_eq!(own["messages"].as_array().unwrap().len(), 1);
    assert_eq!(own.get("next"), None);
    let none = jane.get("/users/nobody/messages").await.expect(200);
    assert_eq!(none, serde_json::json!({ "messages": [] }));
}

#[tokio::test]
async fn a_chat_is_read_by_number_with_its_tombstones() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let chat = jane.chat("Team", &["john"]).await;
    let mut sent = Vec::new();
    for number in 1..=5 {
        sent.push(jane.post_into(chat, &number.to_string()).await);
    }
    let tombstone = jane
        .delete(&sent[2]["id"], &sent[2]["timestamp"])
        .await
        .expect(200);
    let path = format!("/chats/{chat}/messages");
    let newest = pages(&jane, &path, "before", None).await;
    let numbers: Vec<_> = newest
        .iter()
        .flatten()
        .map(|message| message["number"].clone())
        .collect();
    assert_eq!(numbers, [5, 4, 3, 2, 1]);
    assert_eq!(newest[1][0], tombstone);
    let oldest = pages(&jane, &path, "after", Some(3)).await;
    assert_eq!(texts(&oldest), [["4", "5"]]);
}

#[tokio::test]
async fn bad_pages_are_refused() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let path = "/users/john/messages";
    jane.get(&format!("{path}?before=x"))
        .await
        .expect_problem(400, "malformed");
    jane.get(&format!("{path}?after=-1"))
        .await
        .expect_problem(400, "malformed");
    assert_eq!(
        jane.get(&format!("{path}?before=1&after=1"))
            .await
            .wrong_fields(),
        ["after"]
    );
    assert_eq!(
        jane.get(&format!("{path}?limit=101")).await.wrong_fields(),
        ["limit"]
    );
    assert_eq!(
        jane.get("/users/a%20b/messages").await.wrong_fields(),
        ["user"]
    );
}
