//! Two callers, one message.

use serde_json::json;

use crate::support::{Client, Database, Replica, Settings, service};

#[tokio::test]
async fn of_two_edits_of_the_same_state_exactly_one_wins() {
    let database = Database::fresh().await;
    let one = Replica::start(&database, Settings::default()).await;
    let other = Replica::start(&database, Settings::default()).await;
    for round in 0..20 {
        let sent = one.user("jane").send("john", "hi").await;
        let edit = |client: Client, text: String| {
            let sent = sent.clone();
            async move {
                client
                    .patch(&sent["id"], &sent["timestamp"], json!({ "text": text }))
                    .await
            }
        };
        let second = if round % 2 == 0 { &one } else { &other };
        let (first, second) = tokio::join!(
            edit(one.user("jane"), format!("first {round}")),
            edit(second.user("jane"), format!("second {round}")),
        );
        let (won, lost) = if first.status == 200 {
            (first, second)
        } else {
            (second, first)
        };
        let won = won.expect(200);
        assert_eq!(
            lost.expect_problem(412, "stale")["current"],
            won["timestamp"]
        );
        assert_eq!(
            one.user("john")
                .get(&format!("/messages/{}", sent["id"]))
                .await
                .expect(200),
            won
        );
    }
}

#[tokio::test]
async fn of_two_edits_in_one_batch_exactly_one_wins() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let sent = jane.send("john", "hi").await;
    let batches_of_two = async || {
        let of_two = replica
            .metric("messages_batch_size_bucket", "queue=\"timeline\",le=\"2\"")
            .await;
        of_two
            - replica
                .metric("messages_batch_size_bucket", "queue=\"timeline\",le=\"1\"")
                .await
    };
    assert_eq!(batches_of_two().await, 0.0);

    let lane = database.block_lane().await;
    let edits = ["one", "two"].map(|text| {
        let (jane, sent) = (jane.clone(), sent.clone());
        tokio::spawn(async move {
            jane.patch(&sent["id"], &sent["timestamp"], json!({ "text": text }))
                .await
        })
    });
    replica.until_waiting("timeline", 2.0).await;
    crate::support::open_lane(lane).await;

    let mut statuses = Vec::new();
    for edit in edits {
        statuses.push(edit.await.unwrap().status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    assert_eq!(batches_of_two().await, 1.0, "both edits were in one batch");
    assert_eq!(
        database
            .count("SELECT count(*) FROM updates WHERE user_id = 'jane'")
            .await,
        2
    );
}

#[tokio::test]
async fn one_command_that_cannot_be_stored_does_not_hurt_its_batch() {
    let (database, replica) = service().await;
    database.refuse_messages("poison").await;
    let jane = replica.user("jane");
    let lane = database.block_lane().await;
    let sends = (0..9).map(|number| {
        let jane = jane.clone();
        let text = if number == 4 {
            "poison".to_owned()
        } else {
            number.to_string()
        };
        tokio::spawn(async move { jane.post(json!({ "to": "john", "text": text })).await })
    });
    let sends: Vec<_> = sends.collect();
    replica.until_waiting("timeline", 9.0).await;
    crate::support::open_lane(lane).await;
    for (number, send) in sends.into_iter().enumerate() {
        let reply = send.await.unwrap();
        if number == 4 {
            reply.expect_problem(500, "internal");
        } else {
            reply.expect(201);
        }
    }
    assert_eq!(jane.sync("").await["total"], 8);
}

#[tokio::test]
async fn a_full_queue_sheds_load_and_changes_nothing() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, Settings::default().with("WRITE_QUEUE_MAX", "3")).await;
    let jane = replica.user("jane");
    let lane = database.block_lane().await;
    let first = tokio::spawn({
        let jane = jane.clone();
        async move { jane.send("john", "the writer waits with it").await }
    });
    database.until_writer_waits().await;
    let waiting = ["one", "two"].map(|text| {
        let jane = jane.clone();
        tokio::spawn(async move { jane.send("john", text).await })
    });
    replica.until_waiting("timeline", 3.0).await;
    let shed = jane.post(json!({ "to": "john", "text": "too many" })).await;
    shed.expect_problem(503, "overloaded");
    assert!(shed.header("retry-after").parse::<u32>().unwrap() >= 1);
    assert_eq!(jane.get("/messages").await.status, 200, "reads go on");
    crate::support::open_lane(lane).await;
    first.await.unwrap();
    for send in waiting {
        send.await.unwrap();
    }
    assert_eq!(jane.sync("").await["total"], 3);
}
