//! Loading the present state of all that a batch names, in a fixed number of round trips.

use std::collections::BTreeSet;

use super::{State, commands::Needs, pending::Requester};
use crate::{
    domain::{ApplicationId, ChatNumber, Idempotency, MessageId, Subject, UserId},
    store::{self, Lane},
};

/// A command as far as loading is concerned: who has sent it, and what it needs.
pub type Wanted<'a> = (&'a Requester, Needs<'a>);

/// Loads what the commands need to be decided.
pub async fn load(lane: &mut Lane, commands: &[Wanted<'_>]) -> store::Result<State> {
    let mut state = State::default();
    let applications = commands.iter().map(|(requester, _)| requester.application);
    state.add_missing(lane.missing(applications.collect()).await?);
    let created = load_created(lane, commands, &mut state).await?;
    load_messages(lane, commands, &created, &mut state).await?;
    load_chats(lane, commands, &created, &mut state).await?;
    load_members(lane, commands, &mut state).await?;
    load_last_chats(lane, commands, &mut state).await?;
    Ok(state)
}

/// What was created under idempotency keys.
type Created = Vec<(ApplicationId, Subject)>;

async fn load_created(
    lane: &mut Lane,
    commands: &[Wanted<'_>],
    state: &mut State,
) -> store::Result<Created> {
    let keyed = commands.iter().filter_map(|(requester, needs)| {
        let key = &needs.idempotency?.key;
        Some((requester.application, requester.user.as_ref(), key))
    });
    let keys: Vec<_> = keyed.collect();
    let mut created = Created::new();
    if keys.is_empty() {
        return Ok(created);
    }
    for (index, subject, digest) in store::idempotency::load(lane, &keys).await? {
        let (application, creator, key) = keys[index];
        let request = Idempotency {
            key: key.clone(),
            digest,
        };
        state.add_key(application, creator.cloned(), request, subject);
        created.push((application, subject));
    }
    Ok(created)
}

async fn load_messages(
    lane: &mut Lane,
    commands: &[Wanted<'_>],
    created: &Created,
    state: &mut State,
) -> store::Result<()> {
    let needed = commands
        .iter()
        .filter_map(|(requester, needs)| Some((requester.application, needs.message?)));
    let ids: BTreeSet<(ApplicationId, MessageId)> = needed
        .chain(
            created
                .iter()
                .filter_map(|(application, subject)| match subject {
                    Subject::Message(id) => Some((*application, *id)),
                    Subject::Chat(_) => None,
                }),
        )
        .collect();
    if ids.is_empty() {
        return Ok(());
    }
    let messages = store::messages::load(lane.connection(), ids.into_iter()).await?;
    for (application, message) in messages {
        state.add_message(application, message);
    }
    Ok(())
}

/// The chats that commands and keys name, and those of messages.
async fn load_chats(
    lane: &mut Lane,
    commands: &[Wanted<'_>],
    created: &Created,
    state: &mut State,
) -> store::Result<()> {
    let needed = commands
        .iter()
        .filter_map(|(requester, needs)| Some((requester.application, needs.chat?)));
    let created = created
        .iter()
        .filter_map(|(application, subject)| match subject {
            Subject::Chat(number) => Some((*application, *number)),
            Subject::Message(_) => None,
        });
    let of_messages = state.messages().filter_map(|(application, message)| {
        let chat = message.conversation.chat()?;
        Some((application, chat))
    });
    let chats: BTreeSet<(ApplicationId, ChatNumber)> =
        needed.chain(created).chain(of_messages).collect();
    if chats.is_empty() {
        return Ok(());
    }
    for (application, chat) in store::chats::load(lane, chats.into_iter()).await? {
        state.add_chat(application, chat);
    }
    Ok(())
}

/// The memberships that decide about rights; and where an owner leaves a chat, those of all.
async fn load_members(
    lane: &mut Lane,
    commands: &[Wanted<'_>],
    state: &mut State,
) -> store::Result<()> {
    let wanted: BTreeSet<(ApplicationId, ChatNumber, &UserId)> = commands
        .iter()
        .filter_map(|command| Some((command, chat_of(command, state)?)))
        .flat_map(|((requester, needs), chat)| {
            let users = requester.user.iter().chain(needs.member);
            users.map(move |user| (requester.application, chat, user))
        })
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let left: BTreeSet<_> = commands
        .iter()
        .filter_map(|command| left_by_owner(command, state))
        .collect();
    let mut members = store::members::load(lane, wanted.into_iter()).await?;
    if !left.is_empty() {
        for (application, chat) in &left {
            state.add_roster(*application, *chat);
        }
        members.extend(store::members::load_rosters(lane, left.into_iter()).await?);
    }
    for member in members {
        state.add_member(member.application, member.chat, member.user, member.joined);
    }
    Ok(())
}

async fn load_last_chats(
    lane: &mut Lane,
    commands: &[Wanted<'_>],
    state: &mut State,
) -> store::Result<()> {
    let creating = commands.iter().filter(|(_, needs)| needs.next_chat);
    let applications: BTreeSet<_> = creating
        .map(|(requester, _)| requester.application)
        .collect();
    if applications.is_empty() {
        return Ok(());
    }
    for (application, last) in store::chats::load_last(lane, applications.into_iter()).await? {
        state.add_last_chat(application, last);
    }
    Ok(())
}

/// The chat that a command is about: the one that it names, or that of its message.
pub fn chat_of((requester, needs): &Wanted<'_>, state: &State) -> Option<ChatNumber> {
    let of_message = || {
        let message = state.message(requester.application, needs.message?)?;
        message.conversation.chat()
    };
    needs.chat.or_else(of_message)
}

/// The chat whose present owner leaves it. (Another owner can leave it in the same batch only after
/// this one.)
fn left_by_owner(
    (requester, needs): &Wanted<'_>,
    state: &State,
) -> Option<(ApplicationId, ChatNumber)> {
    if !needs.successors {
        return None;
    }
    let chat = needs.chat?;
    let owner = state.chat(requester.application, chat)?.owner.as_ref();
    (owner == needs.member).then_some((requester.application, chat))
}
