//! What is done next: looks at the table of webhooks, and turns of single webhooks.
//!
//! A webhook has a turn when something may have happened in its application, one at a time, in the order in
//! which webhooks have become due. Those that failed last may have no more than half of the turns at a time,
//! so that servers that hang do not take the turns of others.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    super::LOOK_PERIOD_MIN,
    looks::{Looks, Scope},
};
use crate::{
    domain::{ApplicationId, WebhookId},
    store::webhooks::deliveries::{Waiting, WebhookKey},
};

/// Turns at the same time.
const TURNS_MAX: usize = 512;

/// Turns of webhooks that failed last.
const FAILING_TURNS_MAX: usize = TURNS_MAX / 2;

/// How long a webhook that has caught up is left alone: what happens in the meantime comes together.
const REST: Duration = Duration::from_millis(250);

/// The same where nothing of its kinds had happened: then its cursor was moved in vain.
const REST_AFTER_NOTHING: Duration = Duration::from_secs(1);

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// Look which webhooks there are.
    Look(Scope),
    /// Bring a webhook what it gets next.
    Turn(WebhookKey),
}

/// How a turn has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The webhook has taken a batch.
    Taken { has_caught_up: bool },
    /// Nothing of its kinds has happened, as far as was looked.
    Nothing { has_caught_up: bool },
    /// Its application has changed it meanwhile.
    Changed,
    /// It has failed, and is left alone for so long.
    Failed(Duration),
    /// It was removed or paused.
    Gone,
}

impl Ended {
    /// The same, unless the webhook is not any more as it was read.
    pub fn unless_changed(self, is_as_read: bool) -> Self {
        if is_as_read { self } else { Self::Changed }
    }
}

/// The webhooks that are not paused, and when they have their turns.
pub struct Schedule {
    webhooks: BTreeMap<WebhookKey, Webhook>,
    /// Those that wait for their turn, by the time from which they may have it.
    waiting: Queue,
    waiting_after_failure: Queue,
    turns: usize,
    turns_after_failure: usize,
    looks: Looks,
}

type Queue = BTreeSet<(Instant, WebhookKey)>;

#[derive(Debug, Clone, Copy)]
struct Webhook {
    /// Something may have happened since its last turn has begun.
    is_behind: bool,
    has_turn: bool,
    has_failed: bool,
    /// It is left alone until then.
    not_before: Instant,
}

impl Schedule {
    /// Begins with a look.
    pub fn new() -> Self {
        Self {
            webhooks: BTreeMap::new(),
            waiting: Queue::new(),
            waiting_after_failure: Queue::new(),
            turns: 0,
            turns_after_failure: 0,
            looks: Looks::begin_with_all(),
        }
    }

    /// Nothing is known of what has happened.
    pub fn note_all(&mut self) {
        self.looks.note_all();
    }

    /// Something has happened in an application.
    pub fn note(&mut self, application: ApplicationId) {
        let now = Instant::now();
        for key in self.keys_of(application) {
            self.change(key, |webhook| {
                // Who has rested for long waits as long as the others.
                if !webhook.is_behind {
                    webhook.not_before = webhook.not_before.max(now);
                }
                webhook.is_behind = true;
            });
        }
    }

    /// An application has changed its webhooks.
    pub fn note_change(&mut self, application: ApplicationId) {
        self.looks.note(application);
    }

    /// Begins what is to be done now, if there is something.
    pub fn begin(&mut self) -> Option<Task> {
        let now = Instant::now();
        if let Some(scope) = self.looks.begin(now) {
            return Some(Task::Look(scope));
        }
        self.begin_turn(now).map(Task::Turn)
    }

    /// When there is something to be done next, unless something else happens.
    pub fn next_time(&self) -> Instant {
        let of_turns = [self.first_waiting(), self.first_waiting_after_failure()];
        let times = of_turns.into_iter().flatten().map(|(time, _)| time);
        times
            .chain(self.looks.next_time())
            .min()
            .unwrap_or_else(|| {
                // Whatever is under way ends before.
                Instant::now() + LOOK_PERIOD_MIN
            })
    }

    /// A look has found these.
    pub fn end_look(&mut self, scope: &Scope, found: Vec<Waiting>) {
        let now = Instant::now();
        self.looks.end(scope, now);
        let mut gone: BTreeSet<WebhookKey> = match scope {
            Scope::All => self.webhooks.keys().copied().collect(),
            Scope::Applications(applications) => {
                let keys = applications
                    .iter()
                    .map(|application| self.keys_of(*application));
                keys.flatten().collect()
            }
        };
        for waiting in found {
            gone.remove(&waiting.key);
            self.find(waiting, now);
        }
        for key in gone {
            let has_turn = self.webhooks[&key].has_turn;
            self.change(key, |webhook| webhook.is_behind = false);
            // Otherwise its turn ends in its own time: nobody else has one for it.
            if !has_turn {
                self.webhooks.remove(&key);
            }
        }
    }

    pub fn end_turn(&mut self, key: WebhookKey, ended: Ended) {
        let now = Instant::now();
        let webhook = self.webhooks.get(&key).copied();
        let webhook = webhook.expect("what has its turn is not forgotten");
        self.turns -= 1;
        self.turns_after_failure -= usize::from(webhook.has_failed);
        self.change(key, |webhook| {
            webhook.has_turn = false;
            webhook.has_failed = matches!(ended, Ended::Failed(_));
            let (goes_on, rest) = match ended {
                Ended::Taken {
                    has_caught_up: true,
                } => (false, REST),
                Ended::Nothing {
                    has_caught_up: true,
                } => (false, REST_AFTER_NOTHING),
                Ended::Taken { .. } | Ended::Nothing { .. } | Ended::Changed => {
                    (true, Duration::ZERO)
                }
                Ended::Failed(rest) => (true, rest),
                Ended::Gone => (false, Duration::ZERO),
            };
            webhook.is_behind |= goes_on;
            webhook.not_before = now + rest;
        });
        if ended == Ended::Gone && !self.webhooks[&key].is_behind {
            self.webhooks.remove(&key);
        }
    }

    fn find(&mut self, found: Waiting, now: Instant) {
        let not_before = now + found.retry_in;
        // What happened to a new one since the look has begun was noted in vain.
        let known = self.webhooks.entry(found.key).or_insert(Webhook {
            is_behind: true,
            has_turn: false,
            has_failed: found.has_failed,
            not_before,
        });
        let has_turn = known.has_turn;
        self.change(found.key, |webhook| {
            webhook.is_behind |= found.is_behind;
            if !has_turn {
                webhook.has_failed = found.has_failed;
            }
            // Who waits already keeps its place, and nobody waits longer than the table says.
            webhook.not_before = webhook.not_before.min(not_before);
        });
    }

    fn begin_turn(&mut self, now: Instant) -> Option<WebhookKey> {
        let candidates = [self.first_waiting(), self.first_waiting_after_failure()];
        let (_, key) = candidates
            .into_iter()
            .flatten()
            .min()
            .filter(|(time, _)| *time <= now)?;
        self.change(key, |webhook| {
            webhook.is_behind = false;
            webhook.has_turn = true;
        });
        self.turns += 1;
        self.turns_after_failure += usize::from(self.webhooks[&key].has_failed);
        Some(key)
    }

    fn first_waiting(&self) -> Option<(Instant, WebhookKey)> {
        let may_begin = self.turns < TURNS_MAX;
        self.waiting.first().copied().filter(|_| may_begin)
    }

    fn first_waiting_after_failure(&self) -> Option<(Instant, WebhookKey)> {
        let may_begin = self.turns < TURNS_MAX && self.turns_after_failure < FAILING_TURNS_MAX;
        self.waiting_after_failure
            .first()
            .copied()
            .filter(|_| may_begin)
    }

    fn keys_of(&self, application: ApplicationId) -> Vec<WebhookKey> {
        let key = |id| WebhookKey {
            application,
            id: WebhookId::new(id),
        };
        let of_application = self.webhooks.range(key(0)..=key(i64::MAX));
        of_application.map(|(key, _)| *key).collect()
    }

    /// Changes a webhook, and its place among those that wait.
    fn change(&mut self, key: WebhookKey, change: impl FnOnce(&mut Webhook)) {
        let Some(webhook) = self.webhooks.get_mut(&key) else {
            return;
        };
        self.waiting.remove(&(webhook.not_before, key));
        self.waiting_after_failure
            .remove(&(webhook.not_before, key));
        change(webhook);
        if webhook.is_behind && !webhook.has_turn {
            let queue = if webhook.has_failed {
                &mut self.waiting_after_failure
            } else {
                &mut self.waiting
            };
            queue.insert((webhook.not_before, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::{
        super::{super::LOOK_SHARE, looks::LOOK_PAUSE},
        *,
    };

    const SHOP: ApplicationId = ApplicationId::new(1);

    fn key(id: i64) -> WebhookKey {
        WebhookKey {
            application: SHOP,
            id: WebhookId::new(id),
        }
    }

    fn waiting(id: i64) -> Waiting {
        Waiting {
            key: key(id),
            is_behind: true,
            has_failed: false,
            retry_in: Duration::ZERO,
        }
    }

    /// A schedule that has looked at all, and has found these.
    fn found(webhooks: Vec<Waiting>) -> Schedule {
        let mut schedule = Schedule::new();
        assert_eq!(schedule.begin(), Some(Task::Look(Scope::All)));
        schedule.end_look(&Scope::All, webhooks);
        schedule
    }

    fn turns(schedule: &mut Schedule) -> Vec<i64> {
        let mut turns = Vec::new();
        while let Some(Task::Turn(key)) = schedule.begin() {
            turns.push(key.id.get());
        }
        turns
    }

    #[tokio::test(start_paused = true)]
    async fn a_webhook_has_one_turn_at_a_time_and_another_one_for_what_happens_meanwhile() {
        let mut schedule = found(vec![waiting(1)]);
        assert_eq!(turns(&mut schedule), [1]);
        schedule.note(SHOP);
        assert_eq!(turns(&mut schedule), [0; 0]);
        schedule.end_turn(
            key(1),
            Ended::Taken {
                has_caught_up: true,
            },
        );
        assert_eq!(schedule.next_time(), Instant::now() + REST);
        advance(REST).await;
        assert_eq!(turns(&mut schedule), [1]);
        schedule.end_turn(
            key(1),
            Ended::Nothing {
                has_caught_up: true,
            },
        );
        advance(LOOK_PERIOD_MIN / 2).await;
        assert_eq!(turns(&mut schedule), [0; 0], "nothing has happened");
        schedule.note(SHOP);
        assert_eq!(turns(&mut schedule), [1]);
        schedule.end_turn(key(1), Ended::Changed);
        assert_eq!(turns(&mut schedule), [1], "at once");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_waited_longest_comes_first_also_after_another_look() {
        let mut schedule = found(vec![waiting(2)]);
        advance(LOOK_PERIOD_MIN).await;
        assert_eq!(schedule.begin(), Some(Task::Look(Scope::All)));
        schedule.end_look(&Scope::All, vec![waiting(1), waiting(2), waiting(3)]);
        assert_eq!(turns(&mut schedule), [2, 1, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn servers_that_hang_leave_turns_to_others() {
        let failing = (1..=1000).map(|id| Waiting {
            has_failed: true,
            ..waiting(id)
        });
        let mut schedule = found(failing.chain([waiting(2000)]).collect());
        let begun = turns(&mut schedule);
        assert_eq!(begun.len(), FAILING_TURNS_MAX + 1);
        assert!(begun.contains(&2000));
        let new = (3000..4000).map(waiting);
        advance(LOOK_PERIOD_MIN).await;
        assert_eq!(schedule.begin(), Some(Task::Look(Scope::All)));
        schedule.end_look(&Scope::All, new.collect());
        assert_eq!(turns(&mut schedule).len(), TURNS_MAX - begun.len());
        assert_eq!(turns(&mut schedule), [0; 0]);
        schedule.end_turn(key(1), Ended::Failed(Duration::from_secs(60)));
        assert_eq!(turns(&mut schedule).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_webhook_that_failed_is_left_alone_until_its_time_or_its_application_changes_it() {
        let mut schedule = found(vec![waiting(1)]);
        let rest = Duration::from_secs(200);
        assert_eq!(turns(&mut schedule), [1]);
        schedule.end_turn(key(1), Ended::Failed(rest));
        schedule.note(SHOP);
        assert_eq!(turns(&mut schedule), [0; 0]);
        advance(LOOK_PAUSE).await;
        schedule.note_change(SHOP);
        let scope = Scope::Applications(BTreeSet::from([SHOP]));
        assert_eq!(schedule.begin(), Some(Task::Look(scope.clone())));
        assert_eq!(schedule.begin(), None, "one look at a time");
        schedule.end_look(&scope, vec![waiting(1)]);
        assert_eq!(turns(&mut schedule), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_paused_or_removed_is_forgotten_when_its_turn_has_ended() {
        let mut schedule = found(vec![waiting(1), waiting(2)]);
        assert_eq!(turns(&mut schedule), [1, 2]);
        schedule.end_turn(key(2), Ended::Gone);
        advance(LOOK_PERIOD_MIN).await;
        assert_eq!(schedule.begin(), Some(Task::Look(Scope::All)));
        schedule.end_look(&Scope::All, Vec::new());
        assert_eq!(schedule.webhooks.len(), 1);
        // It is found again before its turn has ended.
        advance(LOOK_PERIOD_MIN).await;
        assert_eq!(schedule.begin(), Some(Task::Look(Scope::All)));
        schedule.end_look(&Scope::All, vec![waiting(1)]);
        schedule.end_turn(key(1), Ended::Gone);
        assert_eq!(turns(&mut schedule), [1]);
        schedule.end_turn(key(1), Ended::Gone);
        assert!(schedule.webhooks.is_empty() && schedule.waiting.is_empty());
        assert_eq!((schedule.turns, schedule.turns_after_failure), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn looks_at_all_take_a_small_share_of_the_time_however_long_they_take() {
        let mut schedule = Schedule::new();
        assert_eq!(schedule.begin(), Some(Task::Look(Scope::All)));
        let long = 2 * LOOK_PERIOD_MIN;
        advance(long).await;
        schedule.end_look(&Scope::All, Vec::new());
        let next = Instant::now() + long * LOOK_SHARE;
        assert_eq!(schedule.next_time(), next);
        schedule.note_change(SHOP);
        assert_eq!(schedule.next_time(), Instant::now() + LOOK_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_while_a_webhook_is_being_found_is_not_lost() {
        let mut schedule = Schedule::new();
        assert_eq!(schedule.begin(), Some(Task::Look(Scope::All)));
        schedule.note(SHOP);
        let idle = Waiting {
            is_behind: false,
            ..waiting(1)
        };
        schedule.end_look(&Scope::All, vec![idle]);
        assert_eq!(turns(&mut schedule), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_noted_during_a_look_is_looked_for_after_it() {
        let mut schedule = Schedule::new();
        assert_eq!(schedule.begin(), Some(Task::Look(Scope::All)));
        schedule.note_all();
        schedule.note_change(SHOP);
        schedule.end_look(&Scope::All, Vec::new());
        assert_eq!(schedule.begin(), None);
        assert_eq!(schedule.next_time(), Instant::now() + LOOK_PAUSE);
        advance(LOOK_PAUSE).await;
        assert_eq!(schedule.begin(), Some(Task::Look(Scope::All)));
    }
}
