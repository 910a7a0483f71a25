//! When the table of webhooks is looked at: at all of them every few seconds, and at those of an application
//! that has changed its own.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use super::super::{LOOK_PERIOD_MIN, LOOK_SHARE};
use crate::domain::ApplicationId;

/// The least time from the end of one look to the next one.
pub const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Whose webhooks a look is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    All,
    Applications(BTreeSet<ApplicationId>),
}

/// When the table of webhooks is looked at.
pub struct Looks {
    /// When all are looked at next, unless something is noted before.
    next_at_all: Instant,
    is_all_noted: bool,
    not_before: Instant,
    under_way: Option<Instant>,
    wanted_of: BTreeSet<ApplicationId>,
}

impl Looks {
    /// The first look is at all.
    pub fn begin_with_all() -> Self {
        let now = Instant::now();
        Self {
            next_at_all: now,
            is_all_noted: true,
            not_before: now,
            under_way: None,
            wanted_of: BTreeSet::new(),
        }
    }

    pub fn note_all(&mut self) {
        self.is_all_noted = true;
    }

    pub fn note(&mut self, application: ApplicationId) {
        self.wanted_of.insert(application);
    }

    /// Begins a look, if one may begin now.
    pub fn begin(&mut self, now: Instant) -> Option<Scope> {
        if self.under_way.is_some() || now < self.not_before {
            return None;
        }
        let scope = if self.is_all_noted || now >= self.next_at_all {
            self.is_all_noted = false;
            self.wanted_of.clear();
            Scope::All
        } else if self.wanted_of.is_empty() {
            return None;
        } else {
            Scope::Applications(std::mem::take(&mut self.wanted_of))
        };
        self.under_way = Some(now);
        Some(scope)
    }

    /// None while one is under way.
    pub fn next_time(&self) -> Option<Instant> {
        let next = if self.is_all_noted || !self.wanted_of.is_empty() {
            self.not_before
        } else {
            self.next_at_all.max(self.not_before)
        };
        self.under_way.is_none().then_some(next)
    }

    /// Looks at all take a small share of the time, however many webhooks there are.
    pub fn end(&mut self, scope: &Scope, now: Instant) {
        let began = self.under_way.take().unwrap_or(now);
        self.not_before = now + LOOK_PAUSE;
        if *scope == Scope::All {
            self.next_at_all = now + LOOK_PERIOD_MIN.max((now - began) * LOOK_SHARE);
        }
    }
}
