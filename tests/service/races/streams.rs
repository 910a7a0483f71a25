//! A user is suspended while it writes and follows its timeline at both replicas, and is let back.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    arena::effects_of,
    judge::{Call, History, Tally, Turn, Use},
    seed,
    world::{HESITATION_MAX, World, hesitate, timeline},
};
use crate::support::{Client, Database, Dice, EventQueue, Reply, Stream};

/// Users who are suspended.
const USERS: usize = 60;

/// How often each of them is suspended and let back.
const CYCLES: usize = 2;

/// Within this time after a suspension is answered, the streams of earlier tokens have ended on every replica.
const END_TIME_MAX: Duration = Duration::from_secs(5);

/// So many sends at least have each outcome.
const OUTCOMES_MIN: usize = 40;

/// A user who follows its timeline at two replicas.
struct Suspect {
    world: Arc<World>,
    name: String,
    dice: Dice,
    history: History,
    /// What has come by each of the streams, one after the other.
    seen: [Vec<Value>; 2],
    /// The longest that a stream went on after the suspension was answered.
    ended_after: Duration,
}

/// Reads a stream up to its end; returns its updates, and when it has ended.
async fn read_to_end(mut stream: Stream) -> (Vec<Value>, Instant) {
    let mut updates = Vec::new();
    while let Some(block) = stream.block().await {
        if block.event == "update" {
            updates.push(block.data);
        }
    }
    (updates, Instant::now())
}

impl Suspect {
    /// A stream that goes on after what was seen, and has come to the end of the timeline.
    async fn follow(&mut self, user: &Client, number: usize, replica: usize) -> Stream {
        let seen = &mut self.seen[number];
        let after = seen.last().map_or(json!(0), |it| it["timestamp"].clone());
        let user = self.world.at(replica, user);
        let mut stream = user.stream(&format!("after={after}")).await;
        loop {
            let block = stream.next_event().await;
            match block.event.as_str() {
                "update" => seen.push(block.data),
                "current" => return stream,
                other => assert_eq!(other, "", "{block:?}"),
            }
        }
    }

    /// Sends with these tokens at each replica, while the application sets what the user is forbidden, and somebody
    /// else writes to it. Returns when that was answered.
    async fn race(&mut self, tokens: &[Client; 2], restrictions: Value, holds: bool) -> Instant {
        let turn = self.history.turns.len();
        let mut contenders: Vec<_> = (0..6).collect();
        self.dice.shuffle(&mut contenders);
        let pauses: Vec<_> = contenders
            .iter()
            .map(|_| self.dice.roll(HESITATION_MAX))
            .collect();
        let replica = self.dice.roll(2);
        let path = format!("/users/{}/restrictions", self.name);
        let calls = contenders.iter().zip(pauses).map(|(number, pause)| {
            let (world, path) = (&self.world, &path);
            let request = match number {
                0 => {
                    let app = world.at(replica, &world.app);
                    app.request(Method::PUT, path).json(&restrictions)
                }
                1 => {
                    let jane = world.at(replica + 1, &world.app.acting_as("jane"));
                    jane.posting(json!({ "to": self.name, "text": "hi" }))
                }
                // Each of the tokens at each of the replicas.
                _ => send(&world.at(number % 2, &tokens[number / 2 - 1])),
            };
            async move {
                hesitate(pause).await;
                let (call, reply) = world.timed(Reply::of(request)).await;
                (*number, call, reply, Instant::now())
            }
        });
        let mut answered = Instant::now();
        for (number, call, reply, at) in join_all(calls).await {
            match number {
                0 => {
                    reply.expect(200);
                    self.history.turns.push(Turn { call, at: 0, holds });
                    answered = at;
                }
                1 => drop(reply.expect(201)),
                _ => self.note(call, &reply, Some(turn)),
            }
        }
        answered
    }

    fn note(&mut self, call: Call, reply: &Reply, against: Option<usize>) {
        let accepted = match reply.status {
            201 => Some(format!("message.created {}", reply.json()["id"])),
            // Its replica knows that the token has ended.
            401 => {
                reply.expect_problem(401, "unauthorized");
                None
            }
            _ => {
                reply.expect_problem(403, "suspended");
                None
            }
        };
        self.history.uses.push(Use {
            call,
            against,
            accepted,
        });
    }

    /// Sends at each replica, when nothing else happens.
    async fn send_everywhere(&mut self, user: &Client) {
        for replica in 0..2 {
            let request = send(&self.world.at(replica, user));
            let (call, reply) = self.world.timed(Reply::of(request)).await;
            self.note(call, &reply, None);
        }
    }

    /// Is suspended and let back.
    async fn cycle(&mut self, cycle: usize) {
        let world = Arc::clone(&self.world);
        let (old, acting) = (
            world.minted(&self.name).await,
            world.app.acting_as(&self.name),
        );
        let mut reading = Vec::new();
        for number in 0..2 {
            let stream = self.follow(&old, number, number + cycle).await;
            reading.push(tokio::spawn(read_to_end(stream)));
        }
        let now = OffsetDateTime::from(SystemTime::now());
        let suspended = json!({
            "suspendedUntil": "2999-01-01T00:00:00Z", "tokensSince": now.format(&Rfc3339).unwrap(),
        });
        let answered = self.race(&[old, acting.clone()], suspended, false).await;
        for (number, reading) in reading.into_iter().enumerate() {
            let (updates, ended) = reading.await.unwrap();
            self.seen[number].extend(updates);
            let after = ended.saturating_duration_since(answered);
            self.ended_after = self.ended_after.max(after);
        }
        // It goes on to be written to, and to read.
        let jane = world.app.acting_as("jane");
        jane.send(&self.name, "where are you?").await;
        let new = world.minted(&self.name).await;
        for replica in 0..2 {
            world.at(replica, &new).sync("").await;
        }
        self.send_everywhere(&new).await;
        self.race(&[new.clone(), acting], json!({}), true).await;
        self.send_everywhere(&new).await;
    }

    async fn run(mut self) -> Self {
        for cycle in 0..CYCLES {
            self.cycle(cycle).await;
        }
        let user = self.world.minted(&self.name).await;
        for number in 0..2 {
            self.follow(&user, number, number).await;
        }
        let listed = timeline(&user).await;
        for seen in &self.seen {
            assert_eq!(*seen, listed, "a stream of {}", self.name);
        }
        self
    }

    /// Fails if anything contradicts the timeline.
    fn judge(&mut self, feed: &[Value], restrictions: &[(i64, String)]) -> Tally {
        let own = restrictions.iter().filter(|(_, user)| *user == self.name);
        let found: Vec<_> = own.map(|(timestamp, _)| *timestamp).collect();
        let turns = &mut self.history.turns;
        assert_eq!(found.len(), turns.len(), "suspensions of {}", self.name);
        for (turn, at) in turns.iter_mut().zip(found) {
            turn.at = at;
        }
        self.history.effects = effects_of(&self.name, feed);
        let complaints = self.history.complaints();
        assert!(complaints.is_empty(), "{}: {complaints:#?}", self.name);
        assert!(self.ended_after < END_TIME_MAX, "{:?}", self.ended_after);
        self.history.tally()
    }
}

fn send(user: &Client) -> reqwest::RequestBuilder {
    user.posting(json!({ "to": "jane", "text": "hi" }))
}

#[tokio::test]
async fn a_suspension_ends_sends_and_streams_which_miss_nothing_afterwards() {
    let seed = seed();
    let (database, queue) = (Database::fresh().await, EventQueue::on_shared_broker());
    let (one, other) = super::two_replicas(&database, &queue).await;
    let world = Arc::new(World::create("Suspensions", &[&one, &other]).await);
    let suspects = (0..USERS as u64).map(|number| {
        let suspect = Suspect {
            world: Arc::clone(&world),
            name: format!("suspect-{number}"),
            dice: Dice(seed.wrapping_add(number)),
            history: History {
                held_at_first: true,
                ..History::default()
            },
            seen: [Vec::new(), Vec::new()],
            ended_after: Duration::ZERO,
        };
        tokio::spawn(suspect.run())
    });
    let suspects = join_all(suspects).await;
    let (feed, restrictions) = (world.feed().await, world.restrictions(&database).await);
    let (mut tally, mut ended_after) = (Tally::default(), Duration::ZERO);
    for suspect in suspects {
        let mut suspect = suspect.unwrap();
        tally += suspect.judge(&feed, &restrictions);
        ended_after = ended_after.max(suspect.ended_after);
    }
    eprintln!("{tally:?}, streams have ended after {ended_after:?}");
    assert!(tally.rarest() >= OUTCOMES_MIN, "{tally:?}");
}
