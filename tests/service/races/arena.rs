//! A user in a chat, who is given a right and deprived of it over and over, and uses it meanwhile.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder, header::IF_MATCH};
use serde_json::{Value, json};

use super::{
    judge::{Call, History, Turn, Use},
    world::{HESITATION_MAX, World, appoint, call, create_chat, follow, hesitate, served, suspend},
};
use crate::support::{Client, Dice, Reply, Stream};

/// How the right is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    Ban,
    Demotion,
    /// The member becomes a reader.
    Reading,
    Mute,
    Freeze,
    /// Only moderators post.
    Announcements,
    Suspension,
}

impl Loss {
    pub const ALL: [Self; 7] = [
        Self::Ban,
        Self::Demotion,
        Self::Reading,
        Self::Mute,
        Self::Freeze,
        Self::Announcements,
        Self::Suspension,
    ];

    /// What runs against each change of the right.
    fn contenders(self) -> &'static [Act] {
        match self {
            Self::Ban => &[Act::Turn, Act::Post, Act::Post, Act::Post, Act::Witness],
            Self::Demotion => &[Act::Turn, Act::Post, Act::Delete, Act::Pin, Act::Remove],
            Self::Suspension => &[Act::Turn, Act::Post, Act::Write, Act::Write],
            _ => &[Act::Turn, Act::Post, Act::Post, Act::Post],
        }
    }

    /// The status and the problem by which a use is refused.
    fn refusal(self, act: Act) -> (u16, &'static str) {
        match (self, act) {
            (Self::Ban, _) => (404, "not-found"),
            (Self::Suspension, _) => (403, "suspended"),
            (_, Act::Post) => (403, "may-not-post"),
            _ => (403, "forbidden"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// Somebody else takes the right from its holder, or gives it back.
    Turn,
    /// The owner posts, whatever happens.
    Witness,
    /// The holder posts into the chat.
    Post,
    /// It writes to the owner.
    Write,
    /// It deletes a message of the owner.
    Delete,
    /// It pins a message, or takes the pin back.
    Pin,
    /// It removes a member.
    Remove,
}

/// A chat in which one user has a right, or has it not.
pub struct Arena {
    pub world: Arc<World>,
    pub loss: Loss,
    pub chat: i64,
    pub holder: Client,
    pub name: String,
    pub owner: Client,
    moderator: Client,
    dice: Dice,
    /// The last timestamp of the chat that the owner was told.
    tag: i64,
    /// The messages of which one is deleted in each round.
    targets: Vec<Value>,
    /// The message that is pinned, and may have been pinned and unpinned so many times.
    pinned: Value,
    pub is_pinned: bool,
    pins: usize,
    pub history: History,
    pub accepted_files: BTreeSet<String>,
    pub refused_files: BTreeSet<String>,
    /// The holder's own timeline, from its beginning on.
    pub stream: Option<Stream>,
}

/// A call that runs against others.
struct Contender {
    act: Act,
    hesitation: usize,
    replica: usize,
    /// Which of two ways to do it, where there are two.
    way: usize,
    file: String,
}

/// The member who is removed in a round.
pub fn target_member(round: usize) -> String {
    format!("target-{round}")
}

impl Arena {
    /// A chat whose holder has the right.
    pub async fn create(world: &Arc<World>, loss: Loss, rounds: usize, dice: Dice) -> Self {
        let name = format!("{loss:?}-{}", dice.0).to_lowercase();
        let owner = world.user("jane");
        let removed = match loss {
            Loss::Demotion => rounds,
            _ => 0,
        };
        let mut members: Vec<_> = (0..removed).map(target_member).collect();
        members.extend([name.clone(), "kim".to_owned()]);
        let mut arena = Self {
            world: Arc::clone(world),
            loss,
            chat: create_chat(&owner, &members).await,
            holder: world.user(&name),
            name,
            owner,
            moderator: world.user("kim"),
            dice,
            tag: 0,
            targets: Vec::new(),
            pinned: Value::Null,
            is_pinned: false,
            pins: 0,
            history: History {
                held_at_first: true,
                ..History::default()
            },
            accepted_files: BTreeSet::new(),
            refused_files: BTreeSet::new(),
            stream: None,
        };
        arena.prepare(rounds).await;
        arena
    }

    async fn prepare(&mut self, rounds: usize) {
        let mut chat = appoint(&self.owner, self.chat, "kim").await;
        if self.loss == Loss::Demotion {
            chat = appoint(&self.owner, self.chat, &self.name).await;
        }
        self.tag = chat["timestamp"].as_i64().unwrap();
        if self.loss == Loss::Demotion {
            let posting = json!({ "posting": "moderators" });
            self.change(self.owner.clone(), posting).await.expect(200);
            for _ in 0..rounds {
                let target = self.post("a target").await;
                self.targets.push(target);
            }
            self.pinned = self.post("to be pinned").await;
        }
        if self.loss == Loss::Ban {
            let replica = self.dice.roll(2);
            let holder = self.world.at(replica, &self.holder);
            self.stream = Some(follow(&holder, &json!(0)).await);
        }
    }

    async fn post(&self, text: &str) -> Value {
        let path = format!("/chats/{}/messages", self.chat);
        let posted = call(&self.owner, Method::POST, &path, json!({ "text": text })).await;
        posted.expect(201)
    }

    /// Changes the right, while its holder uses it: all at once, in any order.
    pub async fn race(&mut self, round: usize) {
        let mut acts = self.loss.contenders().to_vec();
        self.dice.shuffle(&mut acts);
        let contenders: Vec<_> = acts.into_iter().map(|act| self.contender(act)).collect();
        let calls = contenders.iter().map(|it| self.call(it, round));
        let replies = join_all(calls).await;
        for (contender, (call, reply)) in contenders.into_iter().zip(replies) {
            self.note(contender, call, &reply, round, Some(round));
        }
        // What is sent after the answer to the turn, the turn decides.
        if self.dice.roll(4) == 0 {
            let late = self.contender(Act::Post);
            let (call, reply) = self.call(&late, round).await;
            self.note(late, call, &reply, round, None);
        }
    }

    fn contender(&mut self, act: Act) -> Contender {
        Contender {
            act,
            hesitation: self.dice.roll(HESITATION_MAX),
            replica: self.dice.roll(2),
            way: self.dice.roll(2),
            file: uuid::Uuid::new_v4().to_string(),
        }
    }

    async fn call(&self, contender: &Contender, round: usize) -> (Call, Reply) {
        hesitate(contender.hesitation).await;
        let calling = async {
            match contender.act {
                Act::Turn => self.turn(contender, round % 2 == 1).await,
                _ => served(self.using(contender, round)).await,
            }
        };
        self.world.timed(calling).await
    }

    /// A use of the right.
    fn using(&self, contender: &Contender, round: usize) -> RequestBuilder {
        let holder = self.world.at(contender.replica, &self.holder);
        let chat = format!("/chats/{}", self.chat);
        let message = json!({ "text": "hi", "files": [contender.file] });
        match contender.act {
            Act::Turn => unreachable!("it is no use"),
            Act::Witness => {
                let owner = self.world.at(contender.replica, &self.owner);
                let post = owner.request(Method::POST, &format!("{chat}/messages"));
                post.json(&json!({ "text": "ho" }))
            }
            Act::Post => {
                let post = holder.request(Method::POST, &format!("{chat}/messages"));
                post.json(&message)
            }
            Act::Write => {
                let to = json!({ "to": "jane", "text": "hi", "files": [contender.file] });
                holder.posting(to)
            }
            Act::Delete => {
                let target = &self.targets[round];
                let delete = holder.deleting(&target["id"]);
                delete.header(IF_MATCH, target["timestamp"].to_string())
            }
            Act::Pin => {
                let pin = format!("{chat}/pins/{}", self.pinned["id"]);
                let method = [Method::PUT, Method::DELETE][usize::from(self.is_pinned)].clone();
                holder.request(method, &pin)
            }
            Act::Remove => {
                let member = format!("{chat}/members/{}", target_member(round));
                holder.request(Method::DELETE, &member)
            }
        }
    }

    /// The right is given or taken.
    async fn turn(&self, contender: &Contender, holds: bool) -> Reply {
        let by = |caller: &Client| self.world.at(contender.replica, caller);
        // A moderator may act on members, as the owner does.
        let higher = by([&self.owner, &self.moderator][contender.way]);
        match self.loss {
            Loss::Ban if holds && contender.way == 0 => self.let_in(&by(&self.world.app)).await,
            Loss::Ban if holds => {
                let unbanned = self.ban(&higher, Method::DELETE).await;
                assert_eq!(unbanned.status, 204, "{}", unbanned.text);
                self.let_in(&by(&self.owner)).await
            }
            Loss::Ban => self.ban(&higher, Method::PUT).await,
            Loss::Demotion => {
                let role = ["member", "moderator"][usize::from(holds)];
                let owner = by(&self.owner);
                self.alter(&owner, &self.name, json!({ "role": role }))
                    .await
            }
            Loss::Reading => {
                let role = ["reader", "member"][usize::from(holds)];
                self.alter(&higher, &self.name, json!({ "role": role }))
                    .await
            }
            Loss::Mute => {
                let until = (!holds).then_some("2999-01-01T00:00:00Z");
                let muted = json!({ "mutedUntil": until });
                self.alter(&higher, &self.name, muted).await
            }
            Loss::Freeze => {
                self.change(by(&self.owner), json!({ "frozen": !holds }))
                    .await
            }
            Loss::Announcements => {
                let posting = ["moderators", "members"][usize::from(holds)];
                self.change(by(&self.owner), json!({ "posting": posting }))
                    .await
            }
            Loss::Suspension => suspend(&by(&self.world.app), &self.name, !holds).await,
        }
    }

    async fn let_in(&self, caller: &Client) -> Reply {
        let path = format!("/chats/{}/members/{}", self.chat, self.name);
        call(caller, Method::PUT, &path, Value::Null).await
    }

    async fn ban(&self, caller: &Client, method: Method) -> Reply {
        let path = format!("/chats/{}/bans/{}", self.chat, self.name);
        call(caller, method, &path, Value::Null).await
    }

    async fn alter(&self, caller: &Client, member: &str, patch: Value) -> Reply {
        let path = format!("/chats/{}/members/{member}", self.chat);
        call(caller, Method::PATCH, &path, patch).await
    }

    async fn change(&self, caller: Client, patch: Value) -> Reply {
        let request = caller.request(Method::PATCH, &format!("/chats/{}", self.chat));
        let request = request.json(&patch).header(IF_MATCH, self.tag.to_string());
        served(request).await
    }

    /// Adds what was answered to the history.
    fn note(
        &mut self,
        contender: Contender,
        call: Call,
        reply: &Reply,
        round: usize,
        against: Option<usize>,
    ) {
        let act = contender.act;
        let is_accepted = (200..300).contains(&reply.status);
        if matches!(act, Act::Turn | Act::Witness) {
            assert!(is_accepted, "{act:?} of {}: {}", self.name, reply.text);
        } else if !is_accepted {
            let (status, problem) = self.loss.refusal(act);
            reply.expect_problem(status, problem);
        }
        match act {
            Act::Witness => return,
            Act::Turn => return self.note_turn(call, reply, round % 2 == 1),
            Act::Post | Act::Write if is_accepted => {
                self.accepted_files.insert(contender.file);
            }
            Act::Post | Act::Write => {
                self.refused_files.insert(contender.file);
            }
            Act::Delete | Act::Pin | Act::Remove => {}
        }
        let accepted = is_accepted.then(|| self.effect(act, reply, round));
        if act == Act::Pin && is_accepted {
            self.pins += 1;
            self.is_pinned = !self.is_pinned;
        }
        self.history.uses.push(Use {
            call,
            against,
            accepted,
        });
    }

    fn note_turn(&mut self, call: Call, reply: &Reply, holds: bool) {
        // Not every answer has it, and where the holder pins messages, it may be that of a pin.
        let timestamp = reply.json()["timestamp"].as_i64();
        self.tag = timestamp.unwrap_or(self.tag);
        let at = timestamp.filter(|_| self.loss != Loss::Demotion);
        self.history.turns.push(Turn {
            call,
            at: at.unwrap_or_default(),
            holds,
        });
    }

    /// By which an accepted use is found among [the changes of its caller](effects_of).
    fn effect(&self, act: Act, reply: &Reply, round: usize) -> String {
        match act {
            Act::Delete => format!("message.deleted {}", self.targets[round]["id"]),
            Act::Pin => format!("chat.changed {}", self.pins),
            Act::Remove => format!("member.removed {}", target_member(round)),
            _ => format!("message.created {}", reply.json()["id"]),
        }
    }
}

/// What the feed has of a user's changes, each with its timestamp.
pub fn effects_of(user: &str, feed: &[Value]) -> Vec<(String, i64)> {
    let own = feed.iter().filter(|entry| entry["actor"] == user);
    let mut pins = 0;
    let effect = |entry: &Value| {
        let kind = entry["kind"].as_str().unwrap();
        let what = match kind {
            "member.removed" => entry["user"].as_str().unwrap().to_owned(),
            "chat.changed" => {
                pins += 1;
                (pins - 1).to_string()
            }
            _ => entry["id"].to_string(),
        };
        let timestamp = entry["timestamp"].as_i64().unwrap();
        (format!("{kind} {what}"), timestamp)
    };
    own.map(effect).collect()
}
