//! What the service shows of an arena once its races are over.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    arena::{Arena, Loss, effects_of, target_member},
    judge::Tally,
    world::{get, timeline},
};

/// What an application reads when all races are over.
pub struct Evidence {
    /// The last timestamp before the races.
    pub begun: i64,
    pub feed: Vec<Value>,
    /// The changes of what users are forbidden.
    pub restrictions: Vec<(i64, String)>,
}

impl Evidence {
    /// The entries of the feed since the races have begun.
    fn of_races(&self) -> impl Iterator<Item = &Value> {
        self.feed
            .iter()
            .filter(|entry| entry["timestamp"].as_i64().unwrap() > self.begun)
    }

    fn of_chat(&self, chat: i64) -> impl Iterator<Item = &Value> {
        self.feed.iter().filter(move |entry| entry["chat"] == chat)
    }

    /// Where the timeline has the changes of the right.
    fn turns(&self, arena: &Arena) -> Vec<i64> {
        if arena.loss == Loss::Suspension {
            let own = self.restrictions.iter();
            let own = own.filter(|(_, user)| *user == arena.name);
            return own.map(|(timestamp, _)| *timestamp).collect();
        }
        let kinds: &[_] = match arena.loss {
            Loss::Ban => &["member.removed", "member.added"],
            Loss::Freeze | Loss::Announcements => &["chat.changed"],
            _ => &["member.changed"],
        };
        let turns = self.of_races().filter(|entry| {
            let is_chats = kinds == ["chat.changed"];
            entry["chat"] == arena.chat
                && kinds.contains(&entry["kind"].as_str().unwrap())
                && (is_chats || entry["user"] == arena.name.as_str())
        });
        turns
            .map(|entry| entry["timestamp"].as_i64().unwrap())
            .collect()
    }
}

impl Arena {
    /// Fails if anything contradicts the timeline; returns how the races have ended.
    pub async fn judge(&mut self, evidence: &Evidence) -> Tally {
        let found = evidence.turns(self);
        let turns = &mut self.history.turns;
        assert_eq!(found.len(), turns.len(), "changes of {}", self.name);
        for (turn, at) in turns.iter_mut().zip(found) {
            assert!(turn.at == 0 || turn.at == at, "{turn:?} is at {at}");
            turn.at = at;
        }
        self.history.effects = effects_of(&self.name, &evidence.feed);
        let complaints = self.history.complaints();
        assert!(complaints.is_empty(), "{}: {complaints:#?}", self.name);
        self.check_messages(evidence).await;
        match self.loss {
            Loss::Ban => self.check_timeline(evidence).await,
            Loss::Demotion => self.check_moderated().await,
            _ => {}
        }
        self.history.tally()
    }

    /// The chat has the messages of the feed, numbered without a gap, and no others.
    async fn check_messages(&self, evidence: &Evidence) {
        let (mut found, mut after) = (Vec::new(), json!(0));
        while !after.is_null() {
            let path = format!("/chats/{}/messages?after={after}&limit=100", self.chat);
            let page = get(&self.owner, &path).await;
            found.extend(page["messages"].as_array().unwrap().clone());
            after = page["next"].clone();
        }
        let found = found
            .iter()
            .map(|it| (it["number"].clone(), it["id"].clone()));
        let told = evidence.of_chat(self.chat);
        let told = told.filter(|entry| entry["kind"] == "message.created");
        let told = (1..)
            .zip(told)
            .map(|(number, it)| (json!(number), it["id"].clone()));
        assert!(found.eq(told), "messages of {}", self.name);
    }

    /// The holder's timeline, and its stream, have what has happened while it was a member, each of its
    /// removals at the end, and nothing else.
    async fn check_timeline(&mut self, evidence: &Evidence) {
        let mut expected = Vec::new();
        let mut is_member = true;
        for entry in evidence.of_chat(self.chat) {
            let is_own = entry["user"] == self.name.as_str();
            let was_member = is_member;
            match entry["kind"].as_str().unwrap() {
                "member.removed" if is_own => is_member = false,
                "member.added" if is_own => is_member = true,
                _ => {}
            }
            if was_member || is_member {
                let subject = [&entry["id"], &entry["chat"]];
                let is_message = entry["kind"] == "message.created";
                expected.push(match is_message {
                    true => json!({ "id": subject[0], "timestamp": entry["timestamp"] }),
                    false => json!({ "chat": subject[1], "timestamp": entry["timestamp"] }),
                });
            }
        }
        let listed = timeline(&self.holder).await;
        assert_eq!(listed, expected, "the timeline of {}", self.name);
        let mut stream = self.stream.take().expect("its timeline was followed");
        for entry in expected {
            let update = stream.update().await;
            assert_eq!(update.data, entry, "the stream of {}", self.name);
        }
    }

    /// Members and pins are what was accepted, and nothing else.
    async fn check_moderated(&self) {
        let path = format!("/chats/{}", self.chat);
        let page = get(&self.owner, &format!("{path}/members?limit=100")).await;
        let members = page["members"].as_array().unwrap().iter();
        let found: BTreeSet<_> = members
            .map(|member| member["user"].as_str().unwrap().to_owned())
            .collect();
        let mut expected: BTreeSet<_> = ["jane", "kim", &self.name].map(str::to_owned).into();
        expected.extend((0..self.history.turns.len()).map(target_member));
        for (effect, _) in &self.history.effects {
            if let Some(removed) = effect.strip_prefix("member.removed ") {
                expected.remove(removed);
            }
        }
        assert_eq!(found, expected, "members of {}", self.name);
        let pins = get(&self.owner, &format!("{path}/pins")).await;
        let pins = pins["pins"].as_array().unwrap().len();
        assert_eq!(pins, usize::from(self.is_pinned), "pins of {}", self.name);
    }
}
