//! `GET /messages`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Database, Replica, Settings, service};

fn timestamps(page: &Value) -> Vec<i64> {
    let entries = page["messages"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["timestamp"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn pages_follow_each_other_until_the_client_has_caught_up() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let mut sent = Vec::new();
    for number in 0..5 {
        sent.push(
            jane.send("john", &number.to_string()).await["timestamp"]
                .as_i64()
                .unwrap(),
        );
    }
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let page = replica
            .user("john")
            .sync(&format!("after={after}&limit=2"))
            .await;
        assert_eq!(page["total"], page["messages"].as_array().unwrap().len());
        assert_eq!(page["latest"], sent[4]);
        seen.extend(timestamps(&page));
        after = page["next"].as_i64().unwrap();
        if page["next"].as_i64() >= page["latest"].as_i64() {
            break;
        }
    }
    assert_eq!(seen, sent);
    let page = jane.sync(&format!("after={after}")).await;
    assert_eq!(
        page,
        json!({ "total": 0, "messages": [], "next": after, "latest": after })
    );
}

#[tokio::test]
async fn a_page_has_fifty_entries_where_the_client_does_not_say() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    for number in 0..51 {
        jane.send("john", &number.to_string()).await;
    }
    assert_eq!(jane.sync("").await["total"], 50);
    assert_eq!(jane.sync("limit=1000").await["total"], 51);
    assert_eq!(jane.sync("limit=1").await["total"], 1);
}

#[tokio::test]
async fn every_change_is_listed_and_data_come_with_the_newest_entry() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let first = jane.send("john", "one").await;
    let other = john.send("jane", "other").await;
    let edited = jane
        .patch(&first["id"], &first["timestamp"], json!({ "text": "two" }))
        .await
        .expect(200);
    john.marks(&first["id"], false).await.expect(200);
    let gone = john
        .delete(&other["id"], &other["timestamp"])
        .await
        .expect(200);
    for (user, with) in [(&jane, "john"), (&john, "jane")] {
        let page = user.sync("include=message").await;
        let read = &page["messages"][3]["timestamp"];
        let expected = json!([
            { "id": first["id"], "timestamp": first["timestamp"] },
            { "id": other["id"], "timestamp": other["timestamp"] },
            { "id": first["id"], "timestamp": edited["timestamp"], "message": edited },
            { "with": with, "timestamp": read },
            { "id": other["id"], "timestamp": gone["timestamp"], "message": gone },
        ]);
        assert_eq!(page["messages"], expected);
        let page = user.sync("include=message&limit=3").await;
        assert_eq!(
            page["messages"][2]["message"], edited,
            "the present data, whatever came after the page"
        );
        assert_eq!(page["messages"][1]["message"], gone);
        assert_eq!(page["latest"], gone["timestamp"]);
    }
}

#[tokio::test]
async fn a_page_with_data_ends_after_one_mebibyte_and_reads_on_from_there() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    // 80,000 bytes each: the fourteenth passes the limit.
    let text = "\u{1f600}".repeat(20_000);
    let mut first = jane.send("john", &text).await;
    for _ in 1..20 {
        jane.send("john", &text).await;
    }
    first = jane
        .patch(
            &first["id"],
            &first["timestamp"],
            json!({ "text": "short" }),
        )
        .await
        .expect(200);
    let page = jane.sync("include=message&limit=1000").await;
    assert_eq!(page["total"], 15, "the short text makes room for one more");
    assert_eq!(
        page["messages"][0]["message"], first,
        "its newest entry is on a later page"
    );
    let rest = jane
        .sync(&format!(
            "include=message&limit=1000&after={}",
            page["next"]
        ))
        .await;
    assert_eq!(rest["total"], 6);
    assert_eq!(rest["messages"][5]["message"], first);
    assert_eq!(rest["next"], rest["latest"]);
    assert_eq!(
        jane.sync("limit=1000").await["total"],
        21,
        "ids alone are not limited by data"
    );
}

/// Messages with much data are read by a statement of their own.
#[tokio::test]
async fn messages_come_with_their_pages_however_much_data_they_have() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    // Of a page of 500, what has more than 4 KiB is read apart; of a page of 1,000, more than 2 KiB.
    let long = "x".repeat(5_000);
    let names: Vec<_> = (0..60).map(|n| format!("{n}{}", "f".repeat(50))).collect();
    for body in [
        json!({ "text": "short" }),
        json!({ "text": long }),
        json!({ "text": "x".repeat(3_000) }),
        json!({ "text": "\u{1}\n\"".repeat(1_000) }),
        json!({ "files": names }),
        json!({ "text": "x", "attributes": { "key": long } }),
    ] {
        let mut message = body;
        message["to"] = json!("john");
        jane.post(message).await.expect(201);
    }
    let mut edited = jane.send("john", &long).await;
    for text in [format!("{long}y"), "short".to_owned(), format!("{long}z")] {
        edited = jane
            .patch(&edited["id"], &edited["timestamp"], json!({ "text": text }))
            .await
            .expect(200);
    }
    let deleted = jane.send("john", &long).await;
    jane.delete(&deleted["id"], &deleted["timestamp"])
        .await
        .expect(200);
    let team = jane.chat("team", &["jane", "john"]).await;
    for text in ["short", long.as_str()] {
        let body = json!({
            "text": text, "replyTo": jane.post_into(team, text).await["id"], "mentions": ["john"],
            "mentionsAll": true,
        });
        let path = format!("/chats/{team}/messages");
        jane.call(Method::POST, &path, body).await.expect(201);
    }
    let chat = jane.chat("left", &["jane", "john"]).await;
    let posted = jane.post_into(chat, &long).await;
    let member = format!("/chats/{chat}/members/john");
    john.ask(Method::DELETE, &member, None).await.expect(204);

    for limit in [1, 2, 7, 500, 1000] {
        let (mut after, mut latest) = (json!(0), json!(1));
        while after != latest {
            let query = format!("include=message&limit={limit}&after={after}");
            let page = john.sync(&query).await;
            let entries = page["messages"].as_array().unwrap();
            for (place, entry) in entries.iter().enumerate() {
                let id = &entry["id"];
                let is_newest = entries[place + 1..].iter().all(|later| later["id"] != *id);
                let expected = if id.is_null() || *id == posted["id"] || !is_newest {
                    json!(null)
                } else {
                    john.get(&format!("/messages/{id}")).await.expect(200)
                };
                assert_eq!(entry["message"], expected, "of {limit} entries: {entry}");
            }
            (after, latest) = (page["next"].clone(), page["latest"].clone());
        }
    }
}

#[tokio::test]
async fn a_page_ends_after_one_mebibyte_of_json_and_not_of_text() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    // 20,000 bytes each, which are six times as many as JSON: the ninth passes the limit.
    let text = "\u{1}".repeat(20_000);
    for _ in 0..12 {
        jane.send("john", &text).await;
    }
    let query = "include=message&limit=1000";
    let page = jane.sync(query).await;
    assert_eq!(page["total"], 9);
    let rest = jane.sync(&format!("{query}&after={}", page["next"])).await;
    assert_eq!(rest["total"], 3);
    assert_eq!(rest["messages"][0]["message"]["text"], json!(text));
}

#[tokio::test]
async fn a_client_may_begin_with_what_comes_from_now_on() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    assert_eq!(
        jane.sync("after=latest").await,
        json!({ "total": 0, "messages": [], "next": 0, "latest": 0 })
    );
    let old = jane.send("john", "old").await;
    let page = john.sync("after=latest&include=message").await;
    assert_eq!(
        (&page["total"], &page["next"]),
        (&json!(0), &old["timestamp"])
    );
    let new = jane.send("john", "new").await;
    let page = john.sync(&format!("after={}", page["next"])).await;
    assert_eq!(
        page["messages"],
        json!([{ "id": new["id"], "timestamp": new["timestamp"] }])
    );
}

#[tokio::test]
async fn a_cursor_beyond_the_timeline_is_never_an_empty_list() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    jane.get("/messages?after=1")
        .await
        .expect_problem(410, "cursor-ahead");
    let sent = jane.send("john", "hi").await;
    let last = sent["timestamp"].as_i64().unwrap();
    for after in [last + 1, 9_007_199_254_740_991, i64::MAX] {
        for include in ["", "&include=message"] {
            let reply = jane.get(&format!("/messages?after={after}{include}")).await;
            assert_eq!(reply.expect_problem(410, "cursor-ahead")["last"], last);
        }
    }
    let stranger = replica.user("jim").sync(&format!("after={last}")).await;
    assert_eq!(
        (&stranger["next"], &stranger["latest"]),
        (&json!(last), &json!(last))
    );
}

#[tokio::test]
async fn parameters_are_checked_before_anything_is_read() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    for query in [
        "after=-1",
        "after=1.5",
        "after=9223372036854775808",
        "after=x",
        "limit=x",
        "after=1&after=2",
    ] {
        jane.get(&format!("/messages?{query}"))
            .await
            .expect_problem(400, "malformed");
    }
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("include=all", "include"),
    ] {
        assert_eq!(
            jane.get(&format!("/messages?{query}")).await.wrong_fields(),
            [field]
        );
    }
}

#[tokio::test]
async fn a_page_is_labelled_as_the_caller_asks() {
    let (_database, replica) = service().await;
    let get = |accept: &'static str| {
        let request = replica
            .user("jane")
            .request(reqwest::Method::GET, "/messages");
        crate::support::Reply::of(request.header("Accept", accept))
    };
    assert_eq!(
        get("*/*").await.header("content-type"),
        "application/vnd.messageUpdates.v1+json"
    );
    assert_eq!(
        get("application/json").await.header("content-type"),
        "application/json"
    );
    get("text/plain")
        .await
        .expect_problem(406, "not-acceptable");
    get("application/vnd.personalMessage.v1+json")
        .await
        .expect_problem(406, "not-acceptable");
}

#[tokio::test]
async fn what_was_acknowledged_is_read_at_once_on_every_replica() {
    let database = Database::fresh().await;
    let one = Replica::start(&database, Settings::default()).await;
    let other = Replica::start(&database, Settings::default()).await;
    for number in 0..50 {
        let sent = one.user("jane").send("john", &number.to_string()).await;
        let after = sent["timestamp"].as_i64().unwrap() - 1;
        let page = other.user("john").sync(&format!("after={after}")).await;
        assert_eq!(page["messages"][0]["id"], sent["id"]);
    }
}

#[tokio::test]
async fn a_restored_database_shows_nothing_of_what_it_was_before() {
    let (database, replica) = service().await;
    let before = replica.user("jane").send("john", "before").await;
    for _ in 0..4 {
        let page = replica.user("john").sync("include=message").await;
        assert_eq!(page["messages"][0]["message"], before);
    }
    // The same numbers are given again, to others.
    database
        .execute(
            "TRUNCATE conversations, messages, updates, changes, search_entries;
             UPDATE followers SET cursor = 0;
             SELECT setval('timeline', 1, false), setval('message_ids', 1, false);
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    let after = replica.user("ann").send("bob", "after").await;
    assert_eq!(
        (&after["id"], &after["timestamp"]),
        (&before["id"], &before["timestamp"])
    );
    for _ in 0..4 {
        let page = replica.user("bob").sync("include=message").await;
        assert_eq!(page["messages"][0]["message"], after);
    }
}
