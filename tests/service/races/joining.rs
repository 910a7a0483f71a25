//! What only one of several calls may do: to be the first to post into a slow chat, and to be in a chat before
//! a ban.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::future::join_all;
use reqwest::{Method, header::IF_MATCH};
use serde_json::{Value, json};

use super::{
    seed,
    world::{HESITATION_MAX, World, appoint, create_chat, get, hesitate, served},
};
use crate::support::{Client, Database, Dice, EventQueue, Reply};

/// Chats, and the members of each who race.
const CHATS: usize = 6;
const MEMBERS: usize = 40;

/// What one member sends at once.
const POSTS: usize = 4;

/// Chats that users join while they are banned, and how many join each.
const JOINED: usize = 6;
const JOINING: usize = 40;

/// So many joins at least come before the ban, and after it.
const OUTCOMES_MIN: usize = 40;

/// Sends all requests at once, each after some turns of the scheduler, in another order than the given one.
async fn at_once(dice: &mut Dice, requests: Vec<reqwest::RequestBuilder>) -> Vec<Reply> {
    let mut requests: Vec<_> = requests.into_iter().enumerate().collect();
    dice.shuffle(&mut requests);
    let calls = requests.into_iter().map(|(number, request)| {
        let pause = dice.roll(HESITATION_MAX);
        async move {
            hesitate(pause).await;
            (number, served(request).await)
        }
    });
    let calls: Vec<_> = calls.collect();
    let replies: BTreeMap<_, _> = join_all(calls).await.into_iter().collect();
    replies.into_values().collect()
}

async fn change(owner: &Client, chat: i64, patch: Value) {
    let path = format!("/chats/{chat}");
    let tag = get(owner, &path).await["timestamp"].to_string();
    let request = owner.request(Method::PATCH, &path).json(&patch);
    served(request.header(IF_MATCH, tag)).await.expect(200);
}

/// Posts several times at once; returns the one message that was accepted.
async fn post_at_once(world: Arc<World>, chat: i64, name: String, mut dice: Dice) -> Value {
    let user = world.user(&name);
    let path = format!("/chats/{chat}/messages");
    let posts = (0..POSTS).map(|_| {
        let user = world.at(dice.roll(2), &user);
        let post = user.request(Method::POST, &path);
        post.json(&json!({ "text": "me first" }))
    });
    let posts = posts.collect();
    let replies = at_once(&mut dice, posts).await;
    let replies = replies.into_iter();
    let (accepted, refused): (Vec<_>, Vec<_>) = replies.partition(|reply| reply.status == 201);
    for reply in refused {
        reply.expect_problem(429, "slow-mode");
    }
    assert_eq!(accepted.len(), 1, "{name} in {chat}: {accepted:?}");
    accepted[0].json()
}

#[tokio::test]
async fn of_posts_into_a_slow_chat_at_once_one_is_accepted() {
    let seed = seed();
    let (database, queue) = (Database::fresh().await, EventQueue::on_shared_broker());
    let (one, other) = super::two_replicas(&database, &queue).await;
    let world = Arc::new(World::create("Slow", &[&one, &other]).await);
    let owner = world.user("jane");
    let names: Vec<_> = (0..MEMBERS).map(|it| format!("member-{it}")).collect();
    let mut races = Vec::new();
    for _ in 0..CHATS {
        let chat = create_chat(&owner, &names).await;
        change(&owner, chat, json!({ "slowMode": 3600 })).await;
        for name in &names {
            let dice = Dice(seed.wrapping_add(races.len() as u64));
            let race = post_at_once(Arc::clone(&world), chat, name.clone(), dice);
            races.push(tokio::spawn(race));
        }
    }
    let accepted = join_all(races).await.into_iter().map(Result::unwrap);
    let accepted: BTreeSet<_> = accepted.map(|it| it["id"].as_i64().unwrap()).collect();
    let feed = world.feed().await;
    let created = feed.iter();
    let created = created.filter(|entry| entry["kind"] == "message.created");
    let created: BTreeSet<_> = created.map(|it| it["id"].as_i64().unwrap()).collect();
    assert_eq!(created, accepted);
}

/// A user whom a moderator adds to a chat and the owner bans, while it posts there.
struct Joining {
    name: String,
    replies: Vec<Reply>,
}

/// Of so many users.
#[derive(Default)]
struct Outcomes {
    added_first: usize,
    banned_first: usize,
    posted: usize,
}

impl Joining {
    async fn race(world: Arc<World>, chat: i64, name: String, mut dice: Dice) -> Self {
        let callers = ["kim", "jane", &name].map(|user| world.at(dice.roll(2), &world.user(user)));
        let [moderator, owner, user] = callers;
        let path = format!("/chats/{chat}");
        let requests = vec![
            moderator.request(Method::PUT, &format!("{path}/members/{name}")),
            owner.request(Method::PUT, &format!("{path}/bans/{name}")),
            user.request(Method::POST, &format!("{path}/messages"))
                .json(&json!({ "text": "hi" })),
        ];
        let replies = at_once(&mut dice, requests).await;
        Self { name, replies }
    }

    /// Fails if the answers do not follow from the feed.
    fn judge(&self, feed: &[Value], outcomes: &mut Outcomes) {
        let [adding, banning, posting] = &self.replies[..] else {
            panic!("three were sent");
        };
        assert_eq!(banning.status, 201, "{}", banning.text);
        match adding.status {
            201 => outcomes.added_first += 1,
            _ => {
                adding.expect_problem(403, "banned");
                outcomes.banned_first += 1;
            }
        }
        match posting.status {
            201 => outcomes.posted += 1,
            _ => drop(posting.expect_problem(404, "not-found")),
        }
        let expected: &[_] = match (adding.status, posting.status) {
            (201, 201) => &["member.added", "message.created", "member.removed"],
            (201, _) => &["member.added", "member.removed"],
            _ => &["chat.changed"],
        };
        let own = feed.iter().filter(|entry| {
            let names = [&entry["user"], &entry["actor"]];
            names.into_iter().any(|name| name == self.name.as_str())
        });
        let kinds: Vec<_> = own.map(|entry| entry["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, expected, "{}: {:?}", self.name, self.replies);
    }
}

/// Whatever comes first, the user is outside at the end.
#[tokio::test]
async fn whoever_is_added_and_banned_at_once_is_outside() {
    let seed = seed();
    let (database, queue) = (Database::fresh().await, EventQueue::on_shared_broker());
    let (one, other) = super::two_replicas(&database, &queue).await;
    let world = Arc::new(World::create("Joining", &[&one, &other]).await);
    let owner = world.user("jane");
    let (mut races, mut chats) = (Vec::new(), Vec::new());
    for _ in 0..JOINED {
        let chat = create_chat(&owner, &["kim".to_owned()]).await;
        chats.push(chat);
        appoint(&owner, chat, "kim").await;
        for number in 0..JOINING {
            let dice = Dice(seed.wrapping_add(races.len() as u64));
            let name = format!("joining-{chat}-{number}");
            let race = Joining::race(Arc::clone(&world), chat, name, dice);
            races.push(tokio::spawn(race));
        }
    }
    let races = join_all(races).await;
    let (feed, mut outcomes) = (world.feed().await, Outcomes::default());
    for joining in races {
        joining.unwrap().judge(&feed, &mut outcomes);
    }
    for chat in chats {
        let path = format!("/chats/{chat}/members");
        let members = get(&owner, &path).await;
        assert_eq!(members["members"].as_array().unwrap().len(), 2, "{members}");
    }
    let Outcomes {
        added_first,
        banned_first,
        posted,
    } = outcomes;
    eprintln!("added first: {added_first}, banned first: {banned_first}, posted: {posted}");
    assert!(added_first.min(banned_first) >= OUTCOMES_MIN && posted > 0);
}
