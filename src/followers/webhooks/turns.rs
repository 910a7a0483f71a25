//! Which webhook has its turn when.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    domain::{ApplicationId, WebhookId},
    store::webhooks::deliveries::{Waiting, WebhookKey},
};

/// How long a webhook that has caught up is left alone.
const REST: Duration = Duration::from_millis(250);

/// How a turn has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// There is nothing to send, up to the end of the timeline or as far as was looked.
    Nothing { has_caught_up: bool },
    /// The webhook has not taken its batch, and is left alone for so long.
    Refused(Duration),
    /// The webhook was removed or paused.
    Gone,
}

/// The webhooks that are not paused.
#[derive(Default)]
pub struct Turns(BTreeMap<WebhookKey, Turn>);

#[derive(Clone, Copy)]
struct Turn {
    /// Something may have happened since its last turn has begun.
    is_behind: bool,
    is_under_way: bool,
    /// It is left alone until then.
    not_before: Instant,
}

impl Turns {
    /// Takes over what a look has found. A webhook that is under way may have moved on since.
    pub fn look(&mut self, found: Vec<Waiting>) {
        let now = Instant::now();
        let mut before = std::mem::take(&mut self.0);
        for Waiting {
            key,
            is_behind,
            pause,
        } in found
        {
            let before = before.remove(&key);
            let turn = Turn {
                is_behind: is_behind || before.is_some_and(|turn| turn.is_behind),
                is_under_way: before.is_some_and(|turn| turn.is_under_way),
                not_before: now + pause,
            };
            self.0.insert(key, turn);
        }
        // Those that are gone, but under way, end in their own time: nobody else has their turn.
        before.retain(|_, turn| turn.is_under_way);
        self.0.extend(before);
    }

    /// Something has happened in these applications.
    pub fn note(&mut self, applications: &BTreeSet<ApplicationId>) {
        for application in applications {
            let key = |id| WebhookKey {
                application: *application,
                id: WebhookId::new(id),
            };
            for (_, turn) in self.0.range_mut(key(0)..=key(i64::MAX)) {
                turn.is_behind = true;
            }
        }
    }

    /// Begins the turn of the webhook that has waited longest, if one may have its turn now.
    pub fn begin_next(&mut self) -> Option<WebhookKey> {
        let now = Instant::now();
        let waiting = self.0.iter_mut().filter(|(_, turn)| turn.is_waiting());
        let due = waiting.filter(|(_, turn)| turn.not_before <= now);
        let (key, turn) = due.min_by_key(|(_, turn)| turn.not_before)?;
        turn.is_behind = false;
        turn.is_under_way = true;
        Some(*key)
    }

    /// When the next turn may begin, if one waits for its time.
    pub fn next_time(&self) -> Option<Instant> {
        let waiting = self.0.values().filter(|turn| turn.is_waiting());
        waiting.map(|turn| turn.not_before).min()
    }

    pub fn end(&mut self, key: WebhookKey, ended: Ended) {
        let Some(turn) = self.0.get_mut(&key) else {
            return;
        };
        turn.is_under_way = false;
        let now = Instant::now();
        match ended {
            Ended::Nothing { has_caught_up } => {
                turn.is_behind |= !has_caught_up;
                turn.not_before = now + REST;
            }
            Ended::Refused(pause) => {
                turn.is_behind = true;
                turn.not_before = now + pause;
            }
            Ended::Gone => {
                self.0.remove(&key);
            }
        }
    }
}

impl Turn {
    fn is_waiting(&self) -> bool {
        self.is_behind && !self.is_under_way
    }
}
