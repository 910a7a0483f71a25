//! The checker of counts: what the list of conversations says, compared with the histories.

use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Client, eventually};

/// The conversations of a page.
pub fn counted(page: &Value) -> Vec<Value> {
    page["conversations"].as_array().unwrap().clone()
}

/// All conversations of a caller that are not archived, and the cursor of the first page.
pub async fn first_screen(client: &Client) -> (Vec<Value>, i64) {
    let (seen, first) = list(client, false).await;
    (seen, first["latest"].as_i64().unwrap())
}

/// All conversations of a caller that are archived, or that are not, and the first page of them.
async fn list(client: &Client, archived: bool) -> (Vec<Value>, Value) {
    let (mut seen, mut first, mut before) = (Vec::new(), None, String::new());
    loop {
        let query = format!("/conversations?limit=100&archived={archived}{before}");
        let page = client.get(&query).await.expect(200);
        seen.extend(counted(&page));
        let next = page["next"].clone();
        let first = first.get_or_insert(page);
        if next.is_null() {
            return (seen, first.take());
        }
        before = format!("&before={next}");
    }
}

/// Fails if a count that `user` is shown differs from what the histories say at the same point of the
/// timeline.
pub async fn counts_are_true(client: &Client, user: &str) {
    eventually("nothing changes while the histories are read", async || {
        let (mut seen, first) = list(client, false).await;
        seen.extend(list(client, true).await.0);
        let mut histories = Vec::new();
        for conversation in seen {
            let history = history(client, &conversation).await;
            histories.push((conversation, history));
        }
        let (_, now) = first_screen(client).await;
        (first["latest"] == now).then(|| {
            let mut totals = [0; 3];
            for (seen, history) in &histories {
                let [unread, mentions] = check(seen, history, user);
                if is_muted(seen) {
                    continue;
                }
                totals[0] += unread;
                totals[1] += usize::from(unread > 0);
                totals[2] += mentions;
            }
            let total = ["messages", "conversations", "mentions"];
            let total = total.map(|name| first["unread"][name].clone());
            assert_eq!(total, totals.map(Value::from), "{user}");
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

/// Whether it is left out of the totals.
fn is_muted(seen: &Value) -> bool {
    let until = seen["settings"]["mutedUntil"].as_str();
    let until = until.map(|until| OffsetDateTime::parse(until, &Rfc3339).unwrap());
    until.is_some_and(|until| until > OffsetDateTime::now_utc())
}

/// What `user` has not read, and what of it mentions the user.
fn check(seen: &Value, history: &[Value], user: &str) -> [usize; 2] {
    let read = seen["read"].as_i64().unwrap();
    let is_unread =
        |message: &&Value| message["number"].as_i64().unwrap() > read && message["deleted"] != true;
    let unread: Vec<_> = history.iter().filter(is_unread).collect();
    let mentions = unread.iter().filter(|message| {
        let named = message["mentions"].as_array();
        let is_named = named.is_some_and(|named| named.iter().any(|name| name == user));
        message["from"] != user && (message["mentionsAll"] == true || is_named)
    });
    let counts = [unread.len(), mentions.count()];
    assert_eq!(seen["unread"], counts[0], "{seen}");
    assert_eq!(seen["mentions"], counts[1], "{seen}");
    assert_eq!(seen["messages"], history.len(), "{seen}");
    let newest = history.last().unwrap_or(&Value::Null);
    assert_eq!(seen["message"], *newest, "{seen}");
    counts
}
