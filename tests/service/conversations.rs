//! The first screen: the list of conversations, and the counts of what is unread.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Client, Database, Dice, Replica, Reply, Settings, administered, counted, counts_are_true,
    eventually, first_screen, service,
};

#[tokio::test]
async fn a_conversation_is_shown_with_all_that_its_member_sees_of_it() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let hi = jane.send("john", "hi").await;
    let chat = jane.chat("Team", &["john"]).await;
    let all = jane.post_into(chat, "all").await;
    let page = john.get("/conversations").await.expect(200);
    let [in_chat, personal] = &counted(&page)[..] else {
        panic!("{page}");
    };
    let expected = json!({
        "chat": chat, "number": chat, "name": "Team", "owner": "jane", "members": 2,
        "role": "member", "timestamp": in_chat["timestamp"], "created": in_chat["created"],
        "messages": 1, "last": all["timestamp"], "message": all, "read": 0, "unread": 1,
        "mentions": 0, "settings": {}, "reads": [{ "user": "jane", "read": 1 }],
    });
    assert_eq!(*in_chat, expected);
    let expected = json!({
        "with": "jane", "timestamp": hi["timestamp"], "created": hi["created"], "messages": 1,
        "last": hi["timestamp"], "message": hi, "read": 0, "unread": 1, "mentions": 0,
        "settings": {}, "reads": [{ "user": "jane", "read": 1 }],
    });
    assert_eq!(*personal, expected);
    let total = json!({ "messages": 2, "conversations": 2, "mentions": 0 });
    assert_eq!(page["unread"], total);
    assert_eq!(page["latest"], john.sync("").await["latest"]);
    assert_eq!(page["next"], Value::Null);
    assert_eq!(john.get("/users/jane").await.expect(200), *personal);
    let one = john.get(&format!("/chats/{chat}")).await;
    assert_eq!(one.expect(200), *in_chat);
    assert_eq!(one.header("etag"), format!("\"{}\"", in_chat["timestamp"]));
    let chats = john.get("/chats").await.expect(200);
    assert_eq!(chats, json!({ "chats": [in_chat] }));
    let of_jane = jane.get("/conversations").await.expect(200);
    assert_eq!(of_jane["conversations"][0]["role"], "owner");
    assert_eq!(of_jane["unread"]["messages"], 0, "sending is reading");
    let stranger = replica.user("jim").get("/conversations").await.expect(200);
    assert_eq!(stranger["conversations"], json!([]));
    assert_eq!(stranger["latest"], 0);
}

#[tokio::test]
async fn a_conversation_is_listed_by_its_newest_message_and_an_empty_chat_by_its_creation() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    jane.send("john", "first").await;
    let chat = jane.chat("Empty", &[]).await;
    let newer = jane.send("jim", "second").await;
    let names = async || {
        let page = jane.get("/conversations").await.expect(200);
        let names = counted(&page).into_iter().map(|seen| {
            let chat = seen["name"].as_str();
            chat.or(seen["with"].as_str()).unwrap().to_owned()
        });
        names.collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["jim", "Empty", "john"]);
    // Neither an edit, a deletion nor a mark is a newer message.
    let first = jane.get("/users/john/messages/1").await.expect(200);
    jane.patch(
        &first["id"],
        &first["timestamp"],
        json!({ "text": "edited" }),
    )
    .await
    .expect(200);
    replica
        .user("john")
        .marks(&first["id"], true)
        .await
        .expect(200);
    let rename = jane.get(&format!("/chats/{chat}")).await.expect(200);
    let renamed = jane
        .request(Method::PATCH, &format!("/chats/{chat}"))
        .json(&json!({ "name": "Empty" }))
        .header("if-match", rename["timestamp"].to_string());
    Reply::of(renamed).await.expect(200);
    assert_eq!(names().await, ["jim", "Empty", "john"]);
    jane.delete(&newer["id"], &newer["timestamp"])
        .await
        .expect(200);
    assert_eq!(names().await, ["jim", "Empty", "john"]);
    let jim = jane.get("/users/jim").await.expect(200);
    assert_eq!(jim["message"]["deleted"], true);
    assert_eq!(jim["last"], newer["timestamp"]);
}

#[tokio::test]
async fn parameters_of_the_list_are_checked() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    for query in ["before=x", "limit=x", "archived=yes", "archived="] {
        let reply = jane.get(&format!("/conversations?{query}")).await;
        reply.expect_problem(400, "malformed");
    }
    for query in ["limit=0", "limit=101"] {
        let reply = jane.get(&format!("/conversations?{query}")).await;
        assert_eq!(reply.wrong_fields(), ["limit"]);
    }
}

/// Pages are read while conversations move to the front: together with the timeline from the first
/// page on, nothing is missed and nothing comes twice.
#[tokio::test(flavor = "multi_thread")]
async fn pages_miss_and_repeat_nothing_while_conversations_move() {
    const OTHERS: usize = 40;
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let others: Vec<_> = (0..OTHERS).map(|number| format!("user-{number}")).collect();
    for other in &others {
        replica.user(other).send("jane", "hi").await;
    }
    for round in 0..10 {
        let writer = tokio::spawn({
            let senders: Vec<_> = others.iter().map(|other| replica.user(other)).collect();
            async move {
                for step in 0..60 {
                    let sender = &senders[(step * 7 + round * 11) % OTHERS];
                    sender.send("jane", "and again").await;
                }
            }
        });
        let (mut seen, mut latest, mut before) = (Vec::new(), None, String::new());
        loop {
            let page = jane.get(&format!("/conversations?limit=7{before}")).await;
            let page = page.expect(200);
            latest = latest.or(page["latest"].as_i64());
            let lasts: Vec<_> = counted(&page)
                .iter()
                .map(|seen| seen["last"].as_i64().unwrap())
                .collect();
            assert!(lasts.windows(2).all(|pair| pair[0] > pair[1]), "{lasts:?}");
            seen.extend(counted(&page).iter().map(|seen| seen["with"].to_string()));
            if page["next"].is_null() {
                break;
            }
            before = format!("&before={}", page["next"]);
        }
        writer.await.unwrap();
        let on_pages: BTreeSet<_> = seen.iter().cloned().collect();
        assert_eq!(on_pages.len(), seen.len(), "nothing is repeated");
        let latest = latest.unwrap();
        let told = jane
            .sync(&format!("after={latest}&limit=1000&include=message"))
            .await;
        let told = told["messages"].as_array().unwrap().iter();
        let told: BTreeSet<_> = told
            .map(|entry| entry["message"]["from"].to_string())
            .collect();
        let known = on_pages.union(&told).count();
        assert_eq!(known, OTHERS, "nothing is missed");
    }
}

/// What happens, as somebody would count it who reads every message.
#[derive(Default)]
struct Naive {
    messages: Vec<NaiveMessage>,
    /// The positions of the present members.
    positions: BTreeMap<&'static str, usize>,
    settings: BTreeMap<&'static str, NaiveSettings>,
}

struct NaiveMessage {
    id: Value,
    timestamp: Value,
    sender: &'static str,
    names: Vec<&'static str>,
    is_deleted: bool,
}

#[derive(Default, Clone)]
struct NaiveSettings {
    is_muted: bool,
    /// How many messages there were when it was archived.
    archived: Option<usize>,
}

impl Naive {
    fn is_archived(&self, user: &str) -> bool {
        let settings = self.settings.get(user).cloned().unwrap_or_default();
        settings
            .archived
            .is_some_and(|at| at == self.messages.len() || settings.is_muted)
    }

    /// The count of messages and of mentions that are unread.
    fn unread(&self, user: &str) -> (i64, i64) {
        let after = self.messages[self.positions[user]..]
            .iter()
            .filter(|message| !message.is_deleted);
        let mentions = after
            .clone()
            .filter(|message| message.sender != user && message.names.contains(&user));
        (after.count() as i64, mentions.count() as i64)
    }
}

const USERS: [&str; 3] = ["jane", "john", "jim"];

/// A personal conversation and a chat, written to through two replicas by turns.
struct Story {
    clients: [BTreeMap<&'static str, Client>; 2],
    chat: i64,
    personal: Naive,
    in_chat: Naive,
    dice: Dice,
}

impl Story {
    async fn begin(replicas: &[Replica; 2], seed: u64) -> Self {
        let clients = [0, 1].map(|number: usize| {
            let clients = USERS.map(|user| (user, replicas[number].user(user)));
            BTreeMap::from(clients)
        });
        let chat = clients[0]["jane"].chat("Team", &["john", "jim"]).await;
        Self {
            clients,
            chat,
            personal: Naive {
                positions: BTreeMap::from([("jane", 0), ("john", 0)]),
                ..Naive::default()
            },
            in_chat: Naive {
                positions: USERS.into_iter().map(|user| (user, 0)).collect(),
                ..Naive::default()
            },
            dice: Dice(seed),
        }
    }

    /// A conversation with one of its members, and its path.
    fn choose(&mut self) -> (&mut Naive, &'static str, String, Client) {
        let is_chat = self.dice.roll(3) > 0;
        let replica = self.dice.roll(2);
        let naive = if is_chat {
            &mut self.in_chat
        } else {
            &mut self.personal
        };
        let members: Vec<_> = naive.positions.keys().copied().collect();
        let user = members[self.dice.roll(members.len())];
        let path = match (is_chat, user) {
            (true, _) => format!("/chats/{}", self.chat),
            (false, "jane") => "/users/john".to_owned(),
            (false, _) => "/users/jane".to_owned(),
        };
        (naive, user, path, self.clients[replica][user].clone())
    }

    async fn step(&mut self) {
        let (kind, share) = (self.dice.roll(10), self.dice.roll(101));
        let (naive, user, path, client) = self.choose();
        let count = naive.messages.len();
        match kind {
            0..=3 => send(naive, user, &path, &client, share).await,
            4 if count > 0 => {
                let place = share * (count - 1) / 100;
                delete(naive, place, &client, user).await;
            }
            5 | 6 if count > 0 => {
                let (number, back) = (share * count / 100, kind == 6);
                let body = json!({ "number": number, "back": back });
                let reply = client
                    .call(Method::PUT, &format!("{path}/read"), body)
                    .await;
                let position = naive.positions.get_mut(user).unwrap();
                *position = if back { number } else { number.max(*position) };
                assert_eq!(reply.expect(200), json!({ "number": *position }));
            }
            7 if path.starts_with("/chats/") && user != "jane" => {
                let member = format!("{path}/members/{user}");
                client.ask(Method::DELETE, &member, None).await;
                let jane = &self.clients[1]["jane"];
                jane.ask(Method::PUT, &member, None).await;
                let naive = &mut self.in_chat;
                naive.positions.insert(user, count);
            }
            8 => set(naive, user, &path, &client, share).await,
            _ => {}
        }
    }

    /// Compares what each user is shown with what was counted.
    async fn check(&self, replica: usize) {
        for user in USERS {
            let client = &self.clients[replica][user];
            let (mut listed, mut total) = (BTreeMap::new(), None);
            for archived in [false, true] {
                let query = format!("/conversations?archived={archived}");
                let page = client.get(&query).await.expect(200);
                for seen in counted(&page) {
                    assert_eq!(seen["settings"]["archived"] == true, archived, "{seen}");
                    let key = seen["chat"].is_null();
                    assert!(listed.insert(key, seen).is_none());
                }
                total = Some(page["unread"].clone());
            }
            let mut expected = json!({ "messages": 0, "conversations": 0, "mentions": 0 });
            for (naive, is_personal) in [(&self.in_chat, false), (&self.personal, true)] {
                let has_place = naive.positions.contains_key(user);
                let is_set = naive.settings.contains_key(user);
                let is_seen = has_place && (!is_personal || is_set || !naive.messages.is_empty());
                let Some(seen) = listed.get(&is_personal).filter(|_| is_seen) else {
                    let hidden = !is_seen || is_set;
                    assert!(hidden, "{user} does not see a conversation");
                    continue;
                };
                let (unread, mentions) = naive.unread(user);
                assert_eq!(seen["messages"], naive.messages.len(), "{user}: {seen}");
                assert_eq!(seen["read"], naive.positions[user], "{user}: {seen}");
                assert_eq!(seen["unread"], unread, "{user}: {seen}");
                assert_eq!(seen["mentions"], mentions, "{user}: {seen}");
                assert_eq!(
                    seen["settings"]["archived"] == true,
                    naive.is_archived(user),
                    "{user}: {seen}"
                );
                for position in seen["reads"].as_array().into_iter().flatten() {
                    let other = position["user"].as_str().unwrap();
                    assert_eq!(position["read"], naive.positions[other], "{seen}");
                }
                let is_muted = naive.settings.get(user).is_some_and(|set| set.is_muted);
                if !is_muted {
                    let add = |field: &str, count: i64, expected: &mut Value| {
                        expected[field] = json!(expected[field].as_i64().unwrap() + count);
                    };
                    add("messages", unread, &mut expected);
                    add("conversations", i64::from(unread > 0), &mut expected);
                    add("mentions", mentions, &mut expected);
                }
            }
            assert_eq!(total, Some(expected), "{user}");
            counts_are_true(client, user).await;
        }
    }
}

async fn send(naive: &mut Naive, user: &'static str, path: &str, client: &Client, share: usize) {
    let members: Vec<_> = naive.positions.keys().copied().collect();
    let (names, all) = match share % 4 {
        0 => (members.clone(), true),
        1 => (vec![members[share % members.len()]], false),
        _ => (vec![], false),
    };
    let mut body = json!({ "text": "hi", "mentionsAll": all });
    if !all {
        body["mentions"] = json!(names);
    }
    let reply = match path.strip_prefix("/users/") {
        Some(other) => {
            body["to"] = json!(other);
            client.post(body).await
        }
        None => {
            client
                .call(Method::POST, &format!("{path}/messages"), body)
                .await
        }
    };
    let sent = reply.expect(201);
    naive.messages.push(NaiveMessage {
        id: sent["id"].clone(),
        timestamp: sent["timestamp"].clone(),
        sender: user,
        names,
        is_deleted: false,
    });
    assert_eq!(sent["number"], naive.messages.len());
    naive.positions.insert(user, naive.messages.len());
}

/// Deletes or edits a message, if the user may.
async fn delete(naive: &mut Naive, place: usize, client: &Client, user: &str) {
    let message = &mut naive.messages[place];
    if message.sender != user || message.is_deleted {
        return;
    }
    if place.is_multiple_of(3) {
        let body = json!({ "text": "edited", "mentions": [user], "mentionsAll": false });
        let edited = client.patch(&message.id, &message.timestamp, body).await;
        let edited = edited.expect(200);
        message.timestamp = edited["timestamp"].clone();
        message.names = vec![];
    } else {
        let deleted = client.delete(&message.id, &message.timestamp).await;
        deleted.expect(200);
        message.is_deleted = true;
    }
}

async fn set(naive: &mut Naive, user: &'static str, path: &str, client: &Client, share: usize) {
    let is_archived = naive.is_archived(user);
    let count = naive.messages.len();
    let settings = naive.settings.entry(user).or_default();
    settings.archived = settings.archived.filter(|_| is_archived);
    let body = match share % 4 {
        0 => {
            settings.is_muted = true;
            json!({ "mutedUntil": "2099-01-01T00:00:00Z" })
        }
        1 => {
            settings.is_muted = false;
            json!({ "mutedUntil": null })
        }
        2 => {
            settings.archived = Some(count);
            json!({ "archived": true })
        }
        _ => {
            settings.archived = None;
            json!({ "archived": false })
        }
    };
    let path = format!("{path}/settings");
    client.call(Method::PATCH, &path, body).await.expect(200);
}

/// After any steps, through whichever replica: messages, deletions, edits, mentions, marks forth and
/// back, leaving and rejoining, muting and archiving.
#[tokio::test(flavor = "multi_thread")]
async fn every_count_is_what_somebody_counts_who_reads_every_message() {
    for seed in 1..=3 {
        let database = Database::fresh().await;
        let replicas = [
            Replica::start(&database, Settings::default()).await,
            Replica::start(&database, Settings::default()).await,
        ];
        let mut story = Story::begin(&replicas, seed).await;
        for step in 0..90 {
            story.step().await;
            if step % 6 == 5 {
                story.check(step % 2).await;
            }
        }
    }
}

/// Counts are true whatever was killed in between, in a chat of 1,000 too.
#[tokio::test(flavor = "multi_thread")]
async fn counts_are_true_after_replicas_were_killed() {
    const MEMBERS: usize = 1000;
    const WRITERS: usize = 8;
    let database = Database::fresh().await;
    let mut victim = Replica::start(&database, Settings::default()).await;
    let other = Replica::start(&database, Settings::default()).await;
    let members: Vec<_> = (0..MEMBERS)
        .map(|number| format!("user-{number}"))
        .collect();
    let names: Vec<_> = members.iter().map(String::as_str).collect();
    let chat = other.user("user-0").chat("Large", &names).await;
    for round in 0..2 {
        let mut writers = Vec::new();
        for (number, member) in members.iter().take(WRITERS).enumerate() {
            let clients = [victim.user(member), other.user(member)];
            writers.push(tokio::spawn(async move {
                for step in 0..12 {
                    let client = &clients[(number + step) % 2];
                    write_somehow(client, chat, step + round).await;
                }
            }));
        }
        eventually("some of it is written", async || {
            let count = database.count("SELECT count(*) FROM messages").await;
            (count > 15 + 40 * round as i64).then_some(())
        })
        .await;
        victim.kill();
        for writer in writers {
            writer.await.unwrap();
        }
        let base = victim.base.clone();
        victim = Replica::start_again_at(&base, &database, Settings::default()).await;
        for member in members.iter().take(2 * WRITERS) {
            counts_are_true(&victim.user(member), member).await;
        }
    }
}

/// Sends, deletes or marks; nobody answers where the replica was killed.
async fn write_somehow(client: &Client, chat: i64, step: usize) {
    let path = format!("/chats/{chat}");
    if step % 3 == 2 {
        let read = client
            .request(Method::PUT, &format!("{path}/read"))
            .json(&json!({ "number": step, "back": step.is_multiple_of(2) }));
        let _ = Reply::try_of(read).await;
        return;
    }
    let send = client.request(Method::POST, &format!("{path}/messages"));
    let sent = Reply::try_of(send.json(&json!({ "text": "hi" }))).await;
    let Ok(sent) = sent else { return };
    if sent.status == 201 && step % 3 == 1 {
        let sent = sent.json();
        let delete = client.request(Method::DELETE, &format!("/messages/{}", sent["id"]));
        let tag = sent["timestamp"].to_string();
        let _ = Reply::try_of(delete.header("if-match", tag)).await;
    }
}

#[tokio::test]
async fn an_application_reads_the_badges_of_its_users() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let created = replica
        .administrator()
        .call(Method::POST, "/applications", json!({ "name": "shop" }))
        .await
        .expect(201);
    let shop = replica.with_token(created["token"].as_str().unwrap());
    let jane = shop.acting_as("jane");
    jane.send("john", "one").await;
    jane.send("john", "two").await;
    let body = json!({ "text": "three", "mentions": ["john"] });
    let chat = jane.chat("Team", &["john"]).await;
    let path = format!("/chats/{chat}/messages");
    jane.call(Method::POST, &path, body).await.expect(201);
    // What other applications have does not count.
    replica.user("tom").send("john", "elsewhere").await;
    let nothing = json!({ "messages": 0, "conversations": 0, "mentions": 0 });
    let johns = json!({ "messages": 3, "conversations": 2, "mentions": 1 });
    let expected = json!({ "users": [
        { "user": "john", "unread": johns },
        { "user": "nobody", "unread": nothing },
        { "user": "jane", "unread": nothing },
        { "user": "john", "unread": johns },
    ] });
    let badges = shop.get("/unread?users=john,nobody,jane,john").await;
    assert_eq!(badges.expect(200), expected);
    let page = shop.acting_as("john").get("/conversations").await;
    assert_eq!(page.expect(200)["unread"], johns);
    let many = vec!["john"; 101].join(",");
    for users in ["", "?users=", "?users=a%20b", &format!("?users={many}")] {
        let reply = shop.get(&format!("/unread{users}")).await;
        assert_eq!(reply.wrong_fields(), ["users"], "{users}");
    }
    for other in [replica.user("john"), replica.administrator()] {
        let reply = other.get("/unread?users=john").await;
        reply.expect_problem(403, "forbidden");
    }
    shop.get("/conversations").await.expect(422);
}

#[tokio::test]
async fn entries_carry_the_conversations_that_are_asked_for() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let chat = jane.chat("Team", &["john"]).await;
    jane.send("john", "hi").await;
    let mut stream = john
        .stream("after=latest&include=message,conversation")
        .await;
    stream.begin_current().await;
    let latest = john.sync("").await["latest"].clone();
    let held = tokio::spawn({
        let john = john.clone();
        async move {
            let query = format!("after={latest}&wait=50&include=conversation");
            john.sync(&query).await
        }
    });
    let read = json!({ "number": 1 });
    john.call(Method::PUT, "/users/jane/read", read.clone())
        .await
        .expect(200);
    let seen = john.get("/users/jane").await.expect(200);
    assert_eq!((&seen["read"], &seen["unread"]), (&json!(1), &json!(0)));
    let told = stream.event("update").await.data;
    assert_eq!(told["conversation"], seen);
    assert_eq!(held.await.unwrap()["messages"][0]["conversation"], seen);

    // On a page, at the newest entry that names it.
    let again = json!({ "number": 0, "back": true });
    john.call(Method::PUT, "/users/jane/read", again)
        .await
        .expect(200);
    let page = john.sync("include=conversation").await;
    let entries = page["messages"].as_array().unwrap();
    let [created, message, marked, back] = &entries[..] else {
        panic!("{page}");
    };
    let in_chat = john.get(&format!("/chats/{chat}")).await.expect(200);
    assert_eq!(created["conversation"], in_chat);
    assert_eq!(message["conversation"], Value::Null);
    assert_eq!(marked["conversation"], Value::Null);
    let seen = john.get("/users/jane").await.expect(200);
    assert_eq!((&seen["read"], &seen["unread"]), (&json!(0), &json!(1)));
    assert_eq!(back["conversation"], seen);

    // What one has left is told without what one does not see any more.
    let member = format!("/chats/{chat}/members/john");
    john.ask(Method::DELETE, &member, None).await;
    let page = john.sync("include=conversation").await;
    let entries = page["messages"].as_array().unwrap();
    let of_chat = entries.iter().filter(|entry| entry["chat"] == chat);
    assert!(of_chat.clone().count() > 1);
    assert!(
        of_chat
            .into_iter()
            .all(|entry| entry["conversation"].is_null())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_ends_after_one_mebibyte_of_conversations_and_reads_on_from_there() {
    const USERS: usize = 16;
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    // Each is 80,000 bytes.
    let text = "\u{1f642}".repeat(20_000);
    for number in 0..USERS {
        replica
            .user(&format!("user-{number}"))
            .send("jane", &text)
            .await;
    }
    let mut after = jane.sync("limit=1000").await["latest"].clone();
    for number in 0..USERS {
        let path = format!("/users/user-{number}/read");
        let read = json!({ "number": 1 });
        jane.call(Method::PUT, &path, read).await.expect(200);
    }
    let mut pages = Vec::new();
    loop {
        let query = format!("/messages?include=conversation&limit=100&after={after}");
        let reply = jane.get(&query).await;
        let page = reply.expect(200);
        assert!(reply.text.len() < (1 << 20) + 4096, "{}", reply.text.len());
        let entries = page["messages"].as_array().unwrap();
        if entries.is_empty() {
            break;
        }
        assert!(
            entries
                .iter()
                .all(|entry| entry["conversation"]["read"] == 1)
        );
        pages.push(entries.len());
        after = page["next"].clone();
    }
    assert!(
        pages.len() == 2 && pages.iter().sum::<usize>() == USERS,
        "{pages:?}"
    );
}

#[tokio::test]
async fn messages_are_read_by_their_ids_in_the_order_asked() {
    let (_database, replica) = service().await;
    let (jane, jim) = (replica.user("jane"), replica.user("jim"));
    let first = jane.send("john", "first").await;
    let hidden = jim.send("tom", "not for jane").await;
    let chat = jane.chat("Team", &["john"]).await;
    let second = jane.post_into(chat, "second").await;
    let gone = jane
        .delete(&first["id"], &first["timestamp"])
        .await
        .expect(200);
    let ids = format!("{},{},{},999999", second["id"], hidden["id"], first["id"]);
    let reply = jane.get(&format!("/messages?ids={ids}")).await;
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.expect(200), json!({ "messages": [second, gone] }));
    let nothing = jane.get(&format!("/messages?ids={}", hidden["id"])).await;
    assert_eq!(nothing.expect(200), json!({ "messages": [] }));
    let many = vec!["1"; 101].join(",");
    assert_eq!(
        jane.get(&format!("/messages?ids={many}"))
            .await
            .wrong_fields(),
        ["ids"]
    );
    for ids in ["", "1,", "x", "-1"] {
        let reply = jane.get(&format!("/messages?ids={ids}")).await;
        reply.expect_problem(400, "malformed");
    }
    let stream = Reply::of(jane.streaming("/messages?ids=1")).await;
    stream.expect_problem(406, "not-acceptable");
}

/// Two devices that only follow the timeline agree with the list.
#[tokio::test]
async fn who_follows_after_the_first_screen_knows_what_the_next_one_shows() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    jane.send("john", "one").await;
    let (shown, latest) = first_screen(&john).await;
    assert_eq!(shown.len(), 1);
    jane.send("john", "two").await;
    let chat = jane.chat("Team", &["john"]).await;
    jane.post_into(chat, "three").await;
    let query = format!("after={latest}&include=message,conversation&limit=1000");
    let told = john.sync(&query).await;
    let told = told["messages"].as_array().unwrap().clone();
    let texts: Vec<_> = told.iter().map(|entry| &entry["message"]["text"]).collect();
    assert_eq!(texts, [&json!("two"), &Value::Null, &json!("three")]);
    let unread: Vec<_> = told
        .iter()
        .map(|entry| &entry["conversation"]["unread"])
        .collect();
    assert_eq!(unread, [&json!(2), &json!(1), &json!(1)]);
}

/// A client that keeps nothing but what it shows has the counts with each message.
#[tokio::test]
async fn with_its_data_a_message_carries_its_conversation() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let chat = jane.chat("Team", &["john"]).await;
    let mut stream = john
        .stream("after=latest&include=message,conversation")
        .await;
    stream.begin_current().await;
    for unread in 1..=3 {
        let sent = jane.post_into(chat, "hi").await;
        let told = stream.event("update").await.data;
        assert_eq!(told["message"], sent);
        assert_eq!(told["conversation"]["unread"], unread);
    }
    let page = john.sync("include=message,conversation").await;
    let entries = page["messages"].as_array().unwrap();
    let unread: Vec<_> = entries
        .iter()
        .map(|entry| &entry["conversation"]["unread"])
        .collect();
    assert_eq!(unread, [&json!(3), &Value::Null, &Value::Null, &json!(3)]);
}
