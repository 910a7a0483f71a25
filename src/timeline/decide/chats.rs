//! What may become of a chat.
//!
//! The order of the checks is that of messages: not found, forbidden, nothing to do, stale, and last
//! what the present state makes unacceptable.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Change, ChatChange, Creation, Decision, Draw, State, is_application_or, replay, require_current,
    visible_chat,
};
use crate::{
    domain::{Chat, ChatNumber, MEMBERS_MAX, Refusal, Title, UserId},
    timeline::command::{Command, Expected, Idempotency, Subject},
};

pub fn create(
    state: &State,
    command: &Command,
    name: &Title,
    members: &[UserId],
    idempotency: Option<&Idempotency>,
    draw: &Draw,
) -> Result<Decision, Refusal> {
    if let Some(earlier) = replay(state, command, idempotency)? {
        return Ok(Decision::Replay(earlier));
    }
    let owner = command.caller.clone();
    let members: BTreeSet<_> = members.iter().chain(&owner).cloned().collect();
    if members.len() > MEMBERS_MAX {
        return Err(Refusal::ChatFull);
    }
    let chat = Chat {
        number: state.next_chat(command.application),
        timestamp: draw.timestamp,
        name: name.clone(),
        owner: owner.clone(),
        created: draw.now,
        messages: 0,
        members: i32::try_from(members.len()).expect("the members were counted"),
    };
    Ok(Decision::Change(Change::Chat(ChatChange {
        chat: Arc::new(chat),
        created: Some(Creation { creator: owner, idempotency: idempotency.cloned() }),
        joined: members.into_iter().collect(),
        departed: None,
    })))
}

pub fn rename(
    state: &State,
    command: &Command,
    number: ChatNumber,
    name: &Title,
    expected: &Expected,
    draw: &Draw,
) -> Result<Decision, Refusal> {
    let chat = managed_chat(state, command, number, "only the chat's owner may rename it")?;
    if chat.name == *name {
        return Ok(keep(chat));
    }
    require_current(chat.timestamp, expected)?;
    let renamed = Chat { name: name.clone(), timestamp: draw.timestamp, ..Chat::clone(chat) };
    Ok(change(renamed, Vec::new()))
}

pub fn add_member(
    state: &State,
    command: &Command,
    number: ChatNumber,
    user: &UserId,
    draw: &Draw,
) -> Result<Decision, Refusal> {
    let chat = managed_chat(state, command, number, "only the chat's owner may add members")?;
    if state.member_since(command.application, number, user).is_some() {
        return Ok(keep(chat));
    }
    if usize::try_from(chat.members).is_ok_and(|members| members >= MEMBERS_MAX) {
        return Err(Refusal::ChatFull);
    }
    let members = chat.members + 1;
    let larger = Chat { members, timestamp: draw.timestamp, ..Chat::clone(chat) };
    Ok(change(larger, vec![user.clone()]))
}

/// The owner who leaves passes the chat on to the member who has been there longest.
pub fn remove_member(
    state: &State,
    command: &Command,
    number: ChatNumber,
    user: &UserId,
    draw: &Draw,
) -> Result<Decision, Refusal> {
    let chat = visible_chat(state, command, number)?;
    if !is_application_or(command, chat.owner.as_ref()) && command.caller.as_ref() != Some(user) {
        return Err(Refusal::Forbidden("only the chat's owner may remove others"));
    }
    let Some(joined) = state.member_since(command.application, number, user) else {
        return Ok(keep(chat));
    };
    let mut smaller = Chat { members: chat.members - 1, timestamp: draw.timestamp, ..Chat::clone(chat) };
    if smaller.owner.as_ref() == Some(user) {
        smaller.owner = state.longest_member(command.application, number, user).cloned();
    }
    Ok(Decision::Change(Change::Chat(ChatChange {
        chat: Arc::new(smaller),
        created: None,
        joined: Vec::new(),
        departed: Some((user.clone(), joined)),
    })))
}

/// The chat, if the caller may know of it and may manage it.
fn managed_chat<'s>(
    state: &'s State,
    command: &Command,
    number: ChatNumber,
    otherwise: &'static str,
) -> Result<&'s Arc<Chat>, Refusal> {
    let chat = visible_chat(state, command, number)?;
    let may = is_application_or(command, chat.owner.as_ref());
    may.then_some(chat).ok_or(Refusal::Forbidden(otherwise))
}

fn keep(chat: &Arc<Chat>) -> Decision {
    Decision::Keep(Subject::Chat(Arc::clone(chat)))
}

fn change(chat: Chat, joined: Vec<UserId>) -> Decision {
    let chat = Arc::new(chat);
    Decision::Change(Change::Chat(ChatChange { chat, created: None, joined, departed: None }))
}
