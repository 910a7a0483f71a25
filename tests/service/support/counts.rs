//! The checker of counts: what the list of conversations says, compared with the histories.

use serde_json::Value;

use super::{Client, eventually};

/// The conversations of a page.
pub fn counted(page: &Value) -> Vec<Value> {
    page["conversations"].as_array().unwrap().clone()
}

/// All conversations of a caller that are not archived, and the cursor of the first page.
pub async fn first_screen(client: &Client) -> (Vec<Value>, i64) {
    let (mut seen, mut latest, mut before) = (Vec::new(), None, String::new());
    loop {
        let page = client
            .get(&format!("/conversations?limit=100{before}"))
            .await;
        let page = page.expect(200);
        latest = latest.or(page["latest"].as_i64());
        seen.extend(counted(&page));
        if page["next"].is_null() {
            return (seen, latest.unwrap());
        }
        before = format!("&before={}", page["next"]);
    }
}

/// Fails if a count that the caller is shown differs from what its history says at the same point of
/// the timeline.
pub async fn counts_are_true(client: &Client) {
    eventually("nothing changes while the histories are read", async || {
        let (seen, latest) = first_screen(client).await;
        let mut histories = Vec::new();
        for conversation in seen {
            let history = history(client, &conversation).await;
            histories.push((conversation, history));
        }
        let (_, now) = first_screen(client).await;
        (now == latest).then(|| {
            histories
                .iter()
                .for_each(|(seen, history)| check(seen, history))
        })
    })
    .await;
}

async fn history(client: &Client, conversation: &Value) -> Vec<Value> {
    let path = match conversation["with"].as_str() {
        Some(user) => format!("/users/{user}"),
        None => format!("/chats/{}", conversation["chat"]),
    };
    let (mut messages, mut after) = (Vec::new(), Value::from(0));
    loop {
        let query = format!("{path}/messages?after={after}&limit=100");
        let page = client.get(&query).await.expect(200);
        messages.extend(page["messages"].as_array().unwrap().clone());
        if page["next"].is_null() {
            return messages;
        }
        after = page["next"].clone();
    }
}

fn check(seen: &Value, history: &[Value]) {
    let read = seen["read"].as_i64().unwrap();
    let is_after = |message: &&Value| message["number"].as_i64().unwrap() > read;
    let after = history.iter().filter(is_after);
    let unread = after.filter(|message| message["deleted"] != true).count();
    assert_eq!(seen["unread"], unread, "{seen}");
    assert_eq!(seen["messages"], history.len(), "{seen}");
    let newest = history.last().unwrap_or(&Value::Null);
    assert_eq!(seen["message"], *newest, "{seen}");
}
