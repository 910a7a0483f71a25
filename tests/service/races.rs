//! Races between those who take a right and those who use it, over two replicas: the timeline decides.
//!
//! A race is a change that takes a right from a user or gives it back, and three or four uses of that
//! right: all sent at once, to any of the replicas, in an order and with pauses that follow from a seed.
//! Then everything is compared with the feed: what was accepted has its place where the right was held,
//! and what was refused has left nothing (`races/judge.rs` has the rules).
//!
//! | test | races |
//! | --- | --- |
//! | a right and its use | 3 applications × 7 ways to lose a right × 3 users × 24 = 1,512 |
//! | a suspension, sends and streams (`streams.rs`) | 60 users × 2 suspensions and 2 returns = 240 |
//! | posts into a slow chat (`joining.rs`) | 6 chats × 40 members = 240 |
//! | an addition, a ban and a post (`joining.rs`) | 6 chats × 40 users = 240 |
//!
//! So 2,232 races of some 9,000 calls, each of which may come before or after each other one.

mod arena;
mod evidence;
mod joining;
mod judge;
mod streams;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::future::join_all;

use self::{
    arena::{Arena, Loss},
    evidence::Evidence,
    judge::Tally,
    world::World,
};
use crate::support::{Database, Dice, EventQueue, Replica, administered, new_seed, repeated_seed};

/// Users of each application who race for each of the rights.
const ARENAS: usize = 3;

/// How often each loses the right and gets it back, together.
const ROUNDS: usize = 24;

/// Of each way to lose a right, so many uses at least have each outcome: the races are real.
const OUTCOMES_MIN: usize = 50;

/// What all choices follow from. `RACES_SEED` repeats those of a test that has failed; when calls arrive
/// differs all the same.
fn seed() -> u64 {
    let seed = repeated_seed("RACES_SEED").unwrap_or_else(new_seed);
    eprintln!("RACES_SEED={seed}");
    seed
}

/// Two replicas that publish events of files to the queue.
async fn two_replicas(database: &Database, queue: &EventQueue) -> (Replica, Replica) {
    let mut settings = administered();
    settings.environment.extend(queue.settings().environment);
    tokio::join!(
        Replica::start(database, settings.clone()),
        Replica::start(database, settings.clone())
    )
}

/// Two applications are written through both replicas; a third one through one of them, whose writers so decide
/// from what they have kept.
#[tokio::test]
async fn a_right_and_its_use_are_decided_by_the_timeline() {
    let seed = seed();
    let (database, queue) = (Database::fresh().await, EventQueue::on_shared_broker());
    let (one, other) = two_replicas(&database, &queue).await;
    let replicas: [&[&Replica]; 3] = [&[&one, &other], &[&other, &one], &[&one]];
    let worlds = join_all(replicas.map(|replicas| World::create("Races", replicas))).await;
    let mut races = Vec::new();
    for (number, world) in worlds.into_iter().map(Arc::new).enumerate() {
        let seed = seed.wrapping_mul(1000).wrapping_add(number as u64 * 100);
        races.push(tokio::spawn(race(world, seed)));
    }
    let (mut tallies, mut accepted, mut refused) = (
        BTreeMap::<_, Tally>::new(),
        BTreeSet::new(),
        BTreeSet::new(),
    );
    for races in races {
        let (world, begun, arenas) = races.await.unwrap();
        let evidence = Evidence {
            begun,
            feed: world.feed().await,
            restrictions: world.restrictions(&database).await,
        };
        for mut arena in arenas {
            *tallies.entry(arena.loss).or_default() += arena.judge(&evidence).await;
            accepted.append(&mut arena.accepted_files);
            refused.append(&mut arena.refused_files);
        }
    }
    check_files(&database, &queue, &accepted, &refused).await;
    for (loss, tally) in tallies {
        eprintln!("{loss:?}: {tally:?}");
        assert!(tally.rarest() >= OUTCOMES_MIN, "{loss:?}: {tally:?}");
    }
}

/// All races of an application; with the last timestamp before them.
async fn race(world: Arc<World>, seed: u64) -> (Arc<World>, i64, Vec<Arena>) {
    let losses = Loss::ALL.iter().flat_map(|loss| [*loss; ARENAS]);
    let arenas = (seed..).zip(losses);
    let arenas = arenas.map(|(seed, loss)| Arena::create(&world, loss, ROUNDS, Dice(seed)));
    let arenas = join_all(arenas).await;
    let begun = world.latest().await;
    let racing = arenas.into_iter().map(|mut arena| {
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                arena.race(round).await;
            }
            arena
        })
    });
    let arenas = join_all(racing).await.into_iter().map(Result::unwrap);
    let arenas = arenas.collect();
    (world, begun, arenas)
}

/// The broker has an event of each file that was accepted, and of no other.
async fn check_files(
    database: &Database,
    queue: &EventQueue,
    accepted: &BTreeSet<String>,
    refused: &BTreeSet<String>,
) {
    database.until_events_are_published().await;
    let mut published = BTreeSet::new();
    let delivered = queue
        .consume_until(|events| {
            published = events.iter().map(|event| event.file.clone()).collect();
            published.len() >= accepted.len()
        })
        .await;
    assert_eq!(published, *accepted);
    assert!(
        delivered
            .iter()
            .all(|event| event.in_use && !refused.contains(&event.file))
    );
}
