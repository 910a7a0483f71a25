//! Reports of messages: users make them, and their application looks after them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Database, Replica, Reply, administered, eventually};

async fn service() -> (Database, Replica, Client) {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let application = replica.application().await;
    (database, replica, application)
}

async fn report(user: &Client, message: &Value, body: Value) -> Reply {
    let path = format!("/messages/{}/reports", message["id"]);
    user.call(Method::POST, &path, body).await
}

async fn reports(application: &Client, query: &str) -> Value {
    let list = application.get(&format!("/reports?{query}")).await;
    list.expect(200)
}

#[tokio::test]
async fn a_message_is_reported_once_by_each_who_may_read_it() {
    let (_database, replica, app) = service().await;
    let [jane, john, jim] = ["jane", "john", "jim"].map(|user| replica.user(user));
    let sent = jane.send("john", "buy this").await;
    let body = json!({ "reason": " spam ", "text": "for days" });
    let made = report(&john, &sent, body).await.expect(201);
    assert_eq!(
        made,
        json!({
            "id": made["id"], "message": sent["id"], "from": "john", "reason": "spam",
            "text": "for days", "created": made["created"]
        })
    );
    let again = report(&john, &sent, json!({ "reason": "scam" })).await;
    assert_eq!(again.expect(200), made);
    let own = report(&jane, &sent, json!({ "reason": "by mistake" })).await;
    let own = own.expect(201);
    let stranger = report(&jim, &sent, json!({ "reason": "spam" })).await;
    stranger.expect_problem(404, "not-found");
    let nobody = report(&app, &sent, json!({ "reason": "spam" })).await;
    assert_eq!(nobody.wrong_fields(), ["As-User"]);
    let acting = app.acting_as("john");
    assert_eq!(
        report(&acting, &sent, json!({ "reason": "x" }))
            .await
            .expect(200),
        made
    );
    let wrong = report(&john, &sent, json!({ "reason": " ", "text": "\u{0}" })).await;
    assert_eq!(wrong.wrong_fields(), ["reason", "text"]);

    // Nobody but the application learns of it.
    for user in [&jane, &john] {
        assert_eq!(user.sync("").await["total"], 1);
    }
    assert_eq!(reports(&app, "").await, json!({ "reports": [made, own] }));
    for user in [&jane, &replica.administrator()] {
        user.get("/reports").await.expect_problem(403, "forbidden");
    }
    let page = app
        .get("/feed?include=message,recipients")
        .await
        .expect(200);
    let entry = page["entries"][1].as_object().unwrap();
    let told = ["kind", "timestamp", "id", "with", "number", "actor"];
    let told = told.map(|member| entry[member].clone());
    let expected = [
        json!("message.reported"),
        made["id"].clone(),
        sent["id"].clone(),
        json!("jane"),
        json!(1),
        json!("john"),
    ];
    assert_eq!(told, expected);
    assert_eq!(entry.get("recipients"), None, "it is told to no member");
}

#[tokio::test]
async fn reports_are_listed_and_resolved_by_the_application() {
    let (_database, replica, app) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let mut ids = Vec::new();
    for turn in 0..5 {
        let sent = jane.send("john", &format!("buy this {turn}")).await;
        let made = report(&john, &sent, json!({ "reason": "spam" })).await;
        ids.push(made.expect(201)["id"].clone());
    }
    let listed = |page: &Value| {
        let reports = page["reports"].as_array().unwrap().iter();
        reports
            .map(|report| report["id"].clone())
            .collect::<Vec<_>>()
    };
    let first = reports(&app, "limit=3").await;
    assert_eq!(
        (listed(&first), &first["next"]),
        (ids[..3].to_vec(), &ids[2])
    );
    let rest = reports(&app, &format!("limit=3&after={}", ids[2])).await;
    assert_eq!((listed(&rest), rest.get("next")), (ids[3..].to_vec(), None));

    let path = format!("/reports/{}", ids[1]);
    let resolve = async |resolved: Value| {
        app.call(Method::PATCH, &path, json!({ "resolved": resolved }))
            .await
    };
    let resolved = resolve(json!(true)).await.expect(200);
    assert!(resolved["resolved"].is_string(), "{resolved}");
    assert_eq!(resolve(json!(true)).await.expect(200), resolved);
    let open = listed(&reports(&app, "resolved=false").await);
    assert_eq!(open, [0, 2, 3, 4].map(|place| ids[place].clone()));
    assert_eq!(
        resolve(json!(false)).await.expect(200).get("resolved"),
        None
    );
    assert_eq!(listed(&reports(&app, "resolved=false").await), ids);
    assert_eq!(resolve(Value::Null).await.wrong_fields(), ["resolved"]);
    let none = app
        .call(Method::PATCH, "/reports/1", json!({ "resolved": true }))
        .await;
    none.expect_problem(404, "not-found");

    // A report in a chat wakes who follows the feed.
    let chat = jane.chat("Team", &["john"]).await;
    let posted = jane.post_into(chat, "buy this").await;
    let after = &posted["timestamp"];
    let path = format!("/feed?after={after}&wait=60&kinds=message.reported");
    let held = tokio::spawn({
        let app = app.clone();
        async move { app.get(&path).await }
    });
    eventually("the answer is held", async || {
        let held = replica.metric("messages_live_connections", "kind=\"poll\"");
        (held.await == 1.0).then_some(())
    })
    .await;
    let made = report(&john, &posted, json!({ "reason": "spam" }))
        .await
        .expect(201);
    let page = held.await.unwrap().expect(200);
    assert_eq!(page["entries"][0]["timestamp"], made["id"]);
    assert_eq!(page["entries"][0]["chat"], chat);

    let sent = jane.send("john", "gone").await;
    jane.delete(&sent["id"], &sent["timestamp"])
        .await
        .expect(200);
    let gone = report(&john, &sent, json!({ "reason": "spam" })).await;
    gone.expect_problem(410, "deleted");
}
