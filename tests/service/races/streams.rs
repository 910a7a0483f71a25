//! A user is suspended while it writes and follows its timeline at both replicas, and is let back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::sync::watch;

use super::{
    arena::effects_of,
    judge::{Call, History, Tally, Turn, Use},
    seed,
    world::{HESITATION_MAX, World, follow, get, hesitate, served, timeline},
};
use crate::support::{Client, Database, Dice, EventQueue, Reply, Stream};

/// Users who are suspended.
const USERS: usize = 60;

/// How often each of them is suspended and let back.
const CYCLES: usize = 2;

/// Within this time after the answer to a suspension, by the [`Pulse`] of a replica, its streams of earlier tokens
/// have ended.
const END_TIME_MAX: Duration = Duration::from_secs(5);

/// What a beat of a [`Pulse`] counts at the most, and the pause before the next one.
const BEAT_TIME_MAX: Duration = Duration::from_millis(500);
const BEAT_PAUSE: Duration = Duration::from_millis(50);

/// So many sends at least have each outcome.
const OUTCOMES_MIN: usize = 50;

/// A user who follows its timeline at two replicas.
struct Suspect {
    world: Arc<World>,
    name: String,
    dice: Dice,
    history: History,
    /// What has come by each of the streams, one after the other.
    seen: [Vec<Value>; 2],
    /// The time at each of the replicas.
    pulses: [Pulse; 2],
    /// The longest that a stream went on after the suspension was answered.
    ended_after: Duration,
}

/// The time at a replica, in milliseconds. It stands still while the database does not answer, for that long
/// streams stay open.
#[derive(Clone)]
struct Pulse(Arc<AtomicU64>);

impl Pulse {
    fn of(application: Client, done: watch::Receiver<bool>) -> Self {
        let pulse = Self(Arc::default());
        let time = Arc::clone(&pulse.0);
        tokio::spawn(async move {
            while !*done.borrow() {
                let began = Instant::now();
                get(&application, "/users/nobody/restrictions").await;
                tokio::time::sleep(BEAT_PAUSE).await;
                let beat = began.elapsed().min(BEAT_TIME_MAX);
                time.fetch_add(beat.as_millis() as u64, Ordering::SeqCst);
            }
        });
        pulse
    }

    fn time(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Reads a stream up to its end; returns its updates, and when it has ended.
async fn read_to_end(mut stream: Stream, pulse: Pulse) -> (Vec<Value>, Duration) {
    let mut updates = Vec::new();
    while let Some(block) = stream.block().await {
        if block.event == "update" {
            updates.push(block.data);
        }
    }
    (updates, pulse.time())
}

impl Suspect {
    /// A stream that goes on after what was seen, and has come to the end of the timeline.
    async fn follow(&mut self, user: &Client, number: usize, replica: usize) -> Stream {
        let seen = &mut self.seen[number];
        let after = seen.last().map_or(json!(0), |it| it["timestamp"].clone());
        let user = self.world.at(replica, user);
        let mut stream = follow(&user, &after).await;
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
    /// else writes to it. Returns the time at each replica when the application had its answer.
    async fn race(
        &mut self,
        tokens: &[Client; 2],
        restrictions: Value,
        holds: bool,
    ) -> [Duration; 2] {
        let turn = self.history.turns.len();
        let mut requests = vec![self.restricting(&restrictions), self.writing_to()];
        for token in tokens {
            requests.extend([0, 1].map(|replica| send(&self.world.at(replica, token))));
        }
        let mut requests: Vec<_> = requests.into_iter().enumerate().collect();
        self.dice.shuffle(&mut requests);
        let mut calls = Vec::new();
        for (number, request) in requests {
            let pause = self.dice.roll(HESITATION_MAX);
            let (world, pulses) = (Arc::clone(&self.world), self.pulses.clone());
            calls.push(async move {
                hesitate(pause).await;
                let (call, reply) = world.timed(served(request)).await;
                (number, call, reply, pulses.map(|pulse| pulse.time()))
            });
        }
        let mut answered = [Duration::ZERO; 2];
        for (number, call, reply, times) in join_all(calls).await {
            match number {
                0 => {
                    reply.expect(200);
                    self.history.turns.push(Turn { call, at: 0, holds });
                    answered = times;
                }
                1 => drop(reply.expect(201)),
                _ => self.note(call, &reply, Some(turn)),
            }
        }
        answered
    }

    fn restricting(&mut self, restrictions: &Value) -> RequestBuilder {
        let app = self.world.at(self.dice.roll(2), &self.world.app);
        let path = format!("/users/{}/restrictions", self.name);
        app.request(Method::PUT, &path).json(restrictions)
    }

    fn writing_to(&mut self) -> RequestBuilder {
        let jane = self.world.app.acting_as("jane");
        let jane = self.world.at(self.dice.roll(2), &jane);
        jane.posting(json!({ "to": self.name, "text": "hi" }))
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
            let (call, reply) = self.world.timed(served(request)).await;
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
            let replica = (number + cycle) % 2;
            let stream = self.follow(&old, number, replica).await;
            let pulse = self.pulses[replica].clone();
            reading.push((replica, tokio::spawn(read_to_end(stream, pulse))));
        }
        let now = OffsetDateTime::from(SystemTime::now());
        let suspended = json!({
            "suspendedUntil": "2999-01-01T00:00:00Z", "tokensSince": now.format(&Rfc3339).unwrap(),
        });
        let answered = self.race(&[old, acting.clone()], suspended, false).await;
        for (number, (replica, reading)) in reading.into_iter().enumerate() {
            let (updates, ended) = reading.await.unwrap();
            self.seen[number].extend(updates);
            let after = ended.saturating_sub(answered[replica]);
            self.ended_after = self.ended_after.max(after);
        }
        // It goes on to be written to, and to read.
        let jane = world.app.acting_as("jane");
        let message = json!({ "to": self.name, "text": "where are you?" });
        served(jane.posting(message)).await.expect(201);
        let new = world.minted(&self.name).await;
        for replica in 0..2 {
            get(&world.at(replica, &new), "/messages").await;
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

fn send(user: &Client) -> RequestBuilder {
    user.posting(json!({ "to": "jane", "text": "hi" }))
}

#[tokio::test]
async fn a_suspension_ends_sends_and_streams_which_miss_nothing_afterwards() {
    let seed = seed();
    let (database, queue) = (Database::fresh().await, EventQueue::on_shared_broker());
    let (one, other) = super::two_replicas(&database, &queue).await;
    let world = Arc::new(World::create("Suspensions", &[&one, &other]).await);
    let done = watch::Sender::new(false);
    let pulses = [0, 1].map(|replica| {
        let application = world.at(replica, &world.app);
        Pulse::of(application, done.subscribe())
    });
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
            pulses: pulses.clone(),
            ended_after: Duration::ZERO,
        };
        tokio::spawn(suspect.run())
    });
    let suspects = join_all(suspects).await;
    let (feed, restrictions) = (world.feed().await, world.restrictions(&database).await);
    done.send_replace(true);
    let (mut tally, mut ended_after) = (Tally::default(), Duration::ZERO);
    for suspect in suspects {
        let mut suspect = suspect.unwrap();
        tally += suspect.judge(&feed, &restrictions);
        ended_after = ended_after.max(suspect.ended_after);
    }
    eprintln!("{tally:?}, streams have ended within {ended_after:?}");
    assert!(tally.rarest() >= OUTCOMES_MIN, "{tally:?}");
}
