//! Decides from the timeline whether everybody was answered truly: who had a right when it was used.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::AddAssign,
    time::Duration,
};

/// A call on the clock of whoever makes it: when it was sent, and when its answer was there.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub sent: Duration,
    pub answered: Duration,
}

impl Call {
    fn is_over_before(&self, other: &Self) -> bool {
        self.answered < other.sent
    }
}

/// A change by which somebody gets a right or loses it, and its timestamp.
#[derive(Debug, Clone)]
pub struct Turn {
    pub call: Call,
    pub at: i64,
    pub holds: bool,
}

/// A call that needs the right.
#[derive(Debug, Clone)]
pub struct Use {
    pub call: Call,
    /// The number of the turn against which it ran; none if it was sent after the answer to it.
    pub against: Option<usize>,
    /// By which its effect is found on the timeline; none if it was refused.
    pub accepted: Option<String>,
}

/// All that has happened to one right of one user.
#[derive(Debug, Clone, Default)]
pub struct History {
    pub held_at_first: bool,
    /// In the order of their calls, each answered before the next one was sent.
    pub turns: Vec<Turn>,
    pub uses: Vec<Use>,
    /// What the timeline has of the user's own changes: what is found, and its timestamp.
    pub effects: Vec<(String, i64)>,
}

/// How many uses were accepted and refused while they ran against a change of the right.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub races: usize,
    pub accepted_at_loss: usize,
    pub refused_at_loss: usize,
    pub accepted_at_gain: usize,
    pub refused_at_gain: usize,
}

impl History {
    /// What contradicts the promise that the timeline decides. Nothing, if all is well.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = self.of_turns();
        let mut effects = BTreeMap::new();
        for (effect, at) in &self.effects {
            if effects.insert(effect, *at).is_some() {
                complaints.push(format!("{effect} is on the timeline twice"));
            }
        }
        let mut claimed = BTreeSet::new();
        for used in &self.uses {
            match &used.accepted {
                None => complaints.extend(self.of_refused(used)),
                Some(effect) if !claimed.insert(effect) => {
                    complaints.push(format!("{effect} was accepted twice"));
                }
                Some(effect) => match effects.remove(effect) {
                    Some(at) => complaints.extend(self.of_accepted(used, effect, at)),
                    None => complaints.push(format!("{effect} is not on the timeline: {used:?}")),
                },
            }
        }
        let unclaimed = effects.iter();
        complaints.extend(unclaimed.map(|(effect, at)| format!("{effect} at {at}: not accepted")));
        complaints
    }

    fn of_turns(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut held = self.held_at_first;
        for turn in &self.turns {
            if turn.holds == held {
                complaints.push(format!("a turn that changes nothing: {turn:?}"));
            }
            held = turn.holds;
        }
        for pair in self.turns.windows(2) {
            if pair[0].at >= pair[1].at || !pair[0].call.is_over_before(&pair[1].call) {
                complaints.push(format!("turns out of order: {pair:?}"));
            }
        }
        complaints
    }

    /// An accepted use has its place where the right was held, and on the same side of each turn as
    /// its caller has seen it.
    fn of_accepted(&self, used: &Use, effect: &str, at: i64) -> Vec<String> {
        let mut complaints = Vec::new();
        let before = self.turns.iter().rev().find(|turn| turn.at < at);
        if !before.map_or(self.held_at_first, |turn| turn.holds) {
            complaints.push(format!("{effect} at {at} is without the right: {before:?}"));
        }
        let contradicts = |turn: &&Turn| {
            let is_too_late = used.call.is_over_before(&turn.call) && turn.at < at;
            let is_too_early = turn.call.is_over_before(&used.call) && at < turn.at;
            is_too_late || is_too_early
        };
        if let Some(turn) = self.turns.iter().find(contradicts) {
            complaints.push(format!("{effect} at {at} is on the wrong side of {turn:?}"));
        }
        complaints
    }

    /// A use is refused only if there was a moment of its call at which the right may not have been
    /// held.
    fn of_refused(&self, used: &Use) -> Option<String> {
        let first = (!self.held_at_first).then_some((0, Duration::ZERO));
        let losses = self.turns.iter().enumerate();
        let losses = losses
            .filter(|(_, turn)| !turn.holds)
            .map(|(number, turn)| (number + 1, turn.call.sent));
        let is_explained = first.into_iter().chain(losses).any(|(next, lost)| {
            let gained = self.turns.get(next);
            lost <= used.call.answered
                && gained.is_none_or(|gained| used.call.sent <= gained.call.answered)
        });
        (!is_explained).then(|| format!("refused while the right was held: {used:?}"))
    }

    pub fn tally(&self) -> Tally {
        let mut tally = Tally {
            races: self.turns.len(),
            ..Tally::default()
        };
        for used in &self.uses {
            let Some(turn) = used.against else { continue };
            let count = match (self.turns[turn].holds, used.accepted.is_some()) {
                (false, true) => &mut tally.accepted_at_loss,
                (false, false) => &mut tally.refused_at_loss,
                (true, true) => &mut tally.accepted_at_gain,
                (true, false) => &mut tally.refused_at_gain,
            };
            *count += 1;
        }
        tally
    }
}

impl Tally {
    /// The outcome that came least.
    pub fn rarest(&self) -> usize {
        let at_loss = self.accepted_at_loss.min(self.refused_at_loss);
        at_loss.min(self.accepted_at_gain.min(self.refused_at_gain))
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.races += other.races;
        self.accepted_at_loss += other.accepted_at_loss;
        self.refused_at_loss += other.refused_at_loss;
        self.accepted_at_gain += other.accepted_at_gain;
        self.refused_at_gain += other.refused_at_gain;
    }
}

fn call(sent: u64, answered: u64) -> Call {
    let [sent, answered] = [sent, answered].map(Duration::from_millis);
    Call { sent, answered }
}

fn used(call: Call, accepted: Option<&str>) -> Use {
    Use {
        call,
        against: None,
        accepted: accepted.map(str::to_owned),
    }
}

/// The right is lost at 20, by a call from 100 to 200, and held again from 40 on, by a call from 300
/// to 400.
fn true_history() -> History {
    let turn = |call, at, holds| Turn { call, at, holds };
    History {
        held_at_first: true,
        turns: vec![
            turn(call(100, 200), 20, false),
            turn(call(300, 400), 40, true),
        ],
        uses: vec![
            used(call(10, 20), Some("first")),
            used(call(90, 210), Some("second")),
            used(call(90, 210), None),
            used(call(210, 220), None),
            used(call(290, 410), None),
            used(call(290, 410), Some("third")),
            used(call(410, 420), Some("fourth")),
        ],
        effects: [("first", 5), ("second", 19), ("third", 41), ("fourth", 50)]
            .map(|(effect, at)| (effect.to_owned(), at))
            .to_vec(),
    }
}

/// The complaints about a history that was forged.
fn complaints_about(forge: impl FnOnce(&mut History)) -> String {
    let mut history = true_history();
    forge(&mut history);
    let complaints = history.complaints();
    assert!(complaints.len() <= 1, "{complaints:?}");
    complaints.concat()
}

#[test]
fn a_true_history_has_no_complaints() {
    assert_eq!(complaints_about(|_| {}), "");
}

#[test]
fn every_forged_history_is_complained_about() {
    let is_about = |complaints: String, expected: &str| {
        assert!(complaints.contains(expected), "{expected}: {complaints:?}");
    };
    // What was sent beside the loss has its place after it, or before the gain.
    let without = |at| complaints_about(|it| it.effects[1].1 = at);
    is_about(without(21), "second at 21 is without the right");
    let early = complaints_about(|it| it.effects[2].1 = 39);
    is_about(early, "third at 39 is without the right");
    // What was answered before the loss was sent, or sent after it was answered, is elsewhere.
    let late = complaints_about(|it| it.effects[0].1 = 45);
    is_about(late, "first at 45 is on the wrong side");
    let early = complaints_about(|it| it.effects[3].1 = 15);
    is_about(early, "fourth at 15 is on the wrong side");
    // What was refused is there, or what was accepted is not, or is there twice.
    let left = complaints_about(|it| it.effects.push(("fifth".to_owned(), 6)));
    is_about(left, "fifth at 6: not accepted");
    let lost = complaints_about(|it| drop(it.effects.pop()));
    is_about(lost, "fourth is not on the timeline");
    let twice = complaints_about(|it| it.effects.insert(0, ("first".to_owned(), 4)));
    is_about(twice, "first is on the timeline twice");
    let twice = complaints_about(|it| it.uses.push(used(call(11, 12), Some("first"))));
    is_about(twice, "first was accepted twice");
    // What was refused while nothing forbade it.
    for idle in [call(10, 99), call(401, 500)] {
        let refused = complaints_about(|it| it.uses.push(used(idle, None)));
        is_about(refused, "refused while the right was held");
    }
    // Turns that are no turns.
    let order = complaints_about(|it| it.turns[1].at = 19);
    is_about(order, "turns out of order");
    let idle = complaints_about(|it| {
        let again = Turn {
            call: call(500, 600),
            at: 60,
            holds: true,
        };
        it.turns.push(again);
    });
    is_about(idle, "a turn that changes nothing");
}
