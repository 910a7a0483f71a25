//! Applications: made by the administrator, called with their tokens, acting as their users.

use std::{process::Command, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor;

use crate::support::{Client, Database, Replica, Reply, Stream, administered, eventually, token};

async fn administered_service() -> (Database, Replica) {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    (database, replica)
}

async fn create(replica: &Replica, name: &str) -> Value {
    let body = json!({ "name": name });
    replica
        .administrator()
        .call(Method::POST, "/applications", body)
        .await
        .expect(201)
}

/// A new application, calling.
async fn application(replica: &Replica) -> Client {
    replica.with_token(create(replica, "shop").await["token"].as_str().unwrap())
}

#[tokio::test]
async fn the_administrator_creates_lists_renames_and_nothing_else() {
    let (_database, replica) = administered_service().await;
    let administrator = replica.administrator();
    let reply = administrator
        .call(Method::POST, "/applications", json!({ "name": " shop " }))
        .await;
    let shop = reply.expect(201);
    assert_eq!(
        reply.header("location"),
        format!("/applications/{}", shop["id"])
    );
    assert_eq!(reply.header("cache-control"), "no-store");
    assert!(
        shop["token"]
            .as_str()
            .unwrap()
            .starts_with(&format!("msgapp_{}_", shop["id"]))
    );
    assert_eq!((&shop["name"], &shop["chats"]), (&json!("shop"), &json!(0)));
    let path = format!("/applications/{}", shop["id"]);
    let read = administrator.get(&path).await.expect(200);
    assert_eq!(
        (read.get("token"), &read["created"]),
        (None, &shop["created"]),
        "shown once"
    );
    let renamed = administrator
        .call(Method::PATCH, &path, json!({ "name": "store" }))
        .await
        .expect(200);
    assert_eq!(renamed["name"], "store");
    create(&replica, "third").await;
    let page = administrator.get("/applications?limit=2").await.expect(200);
    assert_eq!(page["applications"][0]["name"], "default");
    let rest = administrator
        .get(&format!("/applications?after={}", page["next"]))
        .await
        .expect(200);
    assert_eq!(
        (&rest["applications"][0]["name"], rest.get("next")),
        (&json!("third"), None)
    );

    administrator
        .get("/applications/99")
        .await
        .expect_problem(404, "not-found");
    administrator
        .get("/messages")
        .await
        .expect_problem(403, "forbidden");
    administrator
        .get("/chats")
        .await
        .expect_problem(403, "forbidden");
    let nameless = administrator
        .call(Method::POST, "/applications", json!({}))
        .await;
    assert_eq!(nameless.wrong_fields(), ["name"]);
    let shop = replica.with_token(shop["token"].as_str().unwrap());
    for caller in [&replica.user("jane"), &shop] {
        caller
            .get("/applications")
            .await
            .expect_problem(403, "forbidden");
        caller.get(&path).await.expect_problem(403, "forbidden");
        let created = caller
            .call(Method::POST, "/applications", json!({ "name": "x" }))
            .await;
        created.expect_problem(403, "forbidden");
    }
    replica
        .with_token("nobody's")
        .get("/applications")
        .await
        .expect_problem(401, "unauthorized");
}

#[tokio::test]
async fn whether_a_token_was_replaced_is_unknown_while_the_database_does_not_answer() {
    let (database, replica) = administered_service().await;
    let shop = create(&replica, "shop").await;
    let caller = replica.with_token(shop["token"].as_str().unwrap());
    let mut locked = database.connect().await;
    locked
        .execute("BEGIN; SELECT FROM applications FOR UPDATE")
        .await
        .unwrap();
    let path = format!("/applications/{}/token", shop["id"]);
    let reply = replica
        .administrator()
        .call(Method::POST, &path, json!(null))
        .await;
    reply.expect_problem(503, "outcome-unknown");
    assert!(reply.header("retry-after").parse::<u32>().unwrap() > 0);
    // The server goes on with it, whoever has gone.
    locked.execute("COMMIT").await.unwrap();
    eventually("the token is another one", async || {
        (caller.get("/applications/self").await.status == 401).then_some(())
    })
    .await;
    let token = replica
        .administrator()
        .call(Method::POST, &path, json!(null))
        .await
        .expect(201);
    let caller = replica.with_token(token["token"].as_str().unwrap());
    assert_eq!(
        caller.get("/applications/self").await.expect(200)["name"],
        "shop"
    );
}

#[tokio::test]
async fn an_application_looks_at_its_own() {
    let (_database, replica) = administered_service().await;
    let shop = application(&replica).await;
    shop.call(Method::POST, "/chats", json!({ "name": "Team" }))
        .await
        .expect(201);
    let own = shop.get("/applications/self").await.expect(200);
    assert_eq!((&own["name"], &own["chats"]), (&json!("shop"), &json!(1)));
    let renamed = shop
        .call(
            Method::PATCH,
            "/applications/self",
            json!({ "name": "store" }),
        )
        .await;
    assert_eq!(renamed.expect(200)["name"], "store");
    replica
        .user("jane")
        .get("/applications/self")
        .await
        .expect_problem(403, "forbidden");
}

#[tokio::test]
async fn an_application_acts_as_its_users() {
    let (_database, replica) = administered_service().await;
    let shop = application(&replica).await;
    let (jane, john) = (shop.acting_as("jane"), shop.acting_as("john"));
    let sent = jane.send("john", "hi").await;
    assert_eq!(sent["from"], "jane");
    assert_eq!(john.sync("").await["messages"][0]["id"], sent["id"]);
    john.marks(&sent["id"], true).await.expect(200);
    assert_eq!(
        john.get("/users/jane/messages").await.expect(200)["messages"][0]["id"],
        sent["id"]
    );
    for reply in [
        shop.get("/messages").await,
        shop.get("/users/jane/messages").await,
        shop.post(json!({ "to": "john", "text": "hi" })).await,
        shop.ask(Method::POST, "/tickets", None).await,
        shop.acting_as("a b").get("/messages").await,
    ] {
        assert_eq!(reply.wrong_fields(), ["As-User"]);
    }
    shop.get(&format!("/messages/{}", sent["id"]))
        .await
        .expect_problem(404, "not-found");
    let pretender = replica.user("jane").acting_as("john");
    pretender
        .get("/messages")
        .await
        .expect_problem(403, "forbidden");
}

#[tokio::test]
async fn an_application_posts_into_chats_and_manages_them() {
    let (_database, replica) = administered_service().await;
    let shop = application(&replica).await;
    let body = json!({ "name": "Team", "members": ["jane"] });
    let chat = shop.call(Method::POST, "/chats", body).await.expect(201);
    assert_eq!((chat.get("owner"), &chat["members"]), (None, &json!(1)));
    let posted = shop.post_into(1, "welcome").await;
    assert_eq!((posted.get("from"), &posted["number"]), (None, &json!(1)));
    let jane = shop.acting_as("jane");
    assert_eq!(jane.get("/chats/1/messages/1").await.expect(200), posted);
    let edited = shop
        .patch(
            &posted["id"],
            &posted["timestamp"],
            json!({ "text": "hello" }),
        )
        .await;
    assert_eq!(edited.expect(200)["text"], "hello");
    let hers = jane.post_into(1, "hers").await;
    let words = shop
        .patch(&hers["id"], &hers["timestamp"], json!({ "text": "mine" }))
        .await;
    words.expect_problem(403, "forbidden");
    shop.delete(&hers["id"], &hers["timestamp"])
        .await
        .expect(200);
    for (method, status) in [(Method::PUT, 201), (Method::DELETE, 204)] {
        let reply = shop.ask(method, "/chats/1/members/john", None).await;
        assert_eq!(reply.status, status);
    }
    let rename = shop
        .request(Method::PATCH, "/chats/1")
        .json(&json!({ "name": "Crew" }));
    let current = shop.get("/chats/1").await.expect(200)["timestamp"].to_string();
    assert_eq!(
        Reply::of(rename.header("If-Match", current))
            .await
            .expect(200)["name"],
        "Crew"
    );
    assert_eq!(
        jane.ask(Method::DELETE, "/chats/1/members/jane", None)
            .await
            .status,
        204
    );
    let deserted = shop.get("/chats/1/messages").await.expect(200);
    assert_eq!(
        deserted["messages"].as_array().unwrap().len(),
        2,
        "readable for the application"
    );
}

#[tokio::test]
async fn an_application_makes_tokens_for_its_users() {
    let (_database, replica) = administered_service().await;
    let shop = application(&replica).await;
    let mint = async |body: Value| shop.call(Method::POST, "/tokens", body).await;
    let made = mint(json!({ "user": "jane", "expiresIn": 60 }))
        .await
        .expect(201);
    let jane = replica.with_token(made["token"].as_str().unwrap());
    assert_eq!(jane.send("jane", "note").await["from"], "jane");
    assert_eq!(
        shop.acting_as("jane").sync("").await["total"],
        1,
        "of the same application"
    );
    assert_eq!(
        replica.user("jane").sync("").await["total"],
        0,
        "and of no other"
    );
    assert_eq!(
        mint(json!({ "user": "a b", "expiresIn": 59 }))
            .await
            .wrong_fields(),
        ["user", "expiresIn"]
    );
    assert_eq!(
        mint(json!({ "expiresIn": 2_592_001 })).await.wrong_fields(),
        ["user", "expiresIn"]
    );
    let by_user = replica
        .user("jane")
        .call(Method::POST, "/tokens", json!({ "user": "john" }))
        .await;
    by_user.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn a_replaced_token_ends_on_every_replica_and_with_it_its_streams() {
    let (database, one) = administered_service().await;
    let other = Replica::start(&database, administered()).await;
    let created = create(&one, "shop").await;
    let old = created["token"].as_str().unwrap();
    let path = format!("/applications/{}/token", created["id"]);
    other
        .with_token(old)
        .get("/applications/self")
        .await
        .expect(200);
    let mut stream = other.with_token(old).acting_as("jane").stream("").await;
    stream.begin_current().await;
    let ticket = other
        .with_token(old)
        .acting_as("jane")
        .ask(Method::POST, "/tickets", None)
        .await;
    let ticket = ticket.expect(201)["ticket"].as_str().unwrap().to_owned();
    let by_ticket = other
        .nobody()
        .streaming(&format!("/messages?ticket={ticket}"));
    let mut by_ticket = Stream::open(by_ticket).await;
    by_ticket.begin_current().await;
    let replaced = one
        .administrator()
        .ask(Method::POST, &path, None)
        .await
        .expect(201);
    let (new, began) = (
        replaced["token"].as_str().unwrap(),
        std::time::Instant::now(),
    );
    assert_ne!(old, new);
    other
        .with_token(new)
        .get("/applications/self")
        .await
        .expect(200);
    one.with_token(old)
        .get("/applications/self")
        .await
        .expect_problem(401, "unauthorized");
    one.with_token(new)
        .get("/applications/self")
        .await
        .expect(200);
    eventually("the old token ends on the other replica", async || {
        (other.with_token(old).get("/applications/self").await.status == 401).then_some(())
    })
    .await;
    while stream.try_block().await.unwrap().is_some() {}
    while by_ticket.try_block().await.unwrap().is_some() {}
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let late = Reply::of(
        other
            .nobody()
            .streaming(&format!("/messages?ticket={ticket}")),
    )
    .await;
    late.expect_problem(401, "unauthorized");
}

#[tokio::test]
async fn tokens_are_stored_as_hashes_and_checked_whole() {
    let (database, replica) = administered_service().await;
    let created = create(&replica, "shop").await;
    let secret = created["token"].as_str().unwrap();
    let stored = database
        .count(&format!(
            "SELECT count(*) FROM applications
             WHERE token_hash = sha256('{secret}') AND to_jsonb(applications)::text NOT LIKE '%{secret}%'"
        ))
        .await;
    assert_eq!(stored, 1);
    let almost = [
        &secret[..secret.len() - 1],
        &format!("{secret}0"),
        "msgapp_1_",
        "msgapp_2_x",
        "msgapp_x_y",
    ];
    for token in almost {
        replica
            .with_token(token)
            .get("/chats")
            .await
            .expect_problem(401, "unauthorized");
    }
    let unknown = replica.with_token(&token(99, "jane", Duration::from_secs(60)));
    unknown
        .get("/messages")
        .await
        .expect_problem(401, "unauthorized");
    assert!(!replica.log().iter().any(|line| line.contains(secret)));
}

#[tokio::test]
async fn an_application_is_created_from_the_command_line() {
    let (database, replica) = administered_service().await;
    let output = Command::new(env!("CARGO_BIN_EXE_messages"))
        .args(["application", "create", "shop"])
        .env_clear()
        .env("DATABASE_URL", &database.url)
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let token = text
        .lines()
        .find_map(|line| line.strip_prefix("token "))
        .unwrap();
    let own = replica
        .with_token(token)
        .get("/applications/self")
        .await
        .expect(200);
    assert_eq!(own["name"], "shop");
}
