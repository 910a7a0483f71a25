//! Loading the present state of all that a batch names, in a fixed number of round trips.

use std::collections::BTreeSet;

use super::{
    command::{Action, Command, Idempotency},
    decide::State,
};
use crate::{
    domain::{ApplicationId, ChatNumber},
    store::{
        self, Lane,
        keys::{KeyOf, Named},
    },
};

/// Loads what the commands need to be decided.
pub async fn load(lane: &mut Lane, commands: &[&Command]) -> store::Result<State> {
    let mut state = State::default();
    let applications = commands.iter().map(|command| command.application).collect();
    state.add_missing(lane.missing(applications).await?);
    let known = keys(lane, commands, &mut state).await?;
    messages(lane, commands, &known, &mut state).await?;
    chats(lane, commands, &known, &mut state).await?;
    members(lane, commands, &mut state).await?;
    last_chats(lane, commands, &mut state).await?;
    Ok(state)
}

/// Something that a key names.
type Known = Vec<(ApplicationId, Named)>;

async fn keys(lane: &mut Lane, commands: &[&Command], state: &mut State) -> store::Result<Known> {
    let keyed = commands
        .iter()
        .filter_map(|command| Some((command.application, command.caller.as_ref(), command.key()?)));
    let keys: Vec<KeyOf<'_>> = keyed.collect();
    let mut known = Known::new();
    if keys.is_empty() {
        return Ok(known);
    }
    for (index, named, digest) in store::keys::load(lane, &keys).await? {
        let (application, creator, key) = keys[index];
        let idempotency = Idempotency {
            key: key.clone(),
            digest,
        };
        state.add_key(application, creator.cloned(), idempotency, named);
        known.push((application, named));
    }
    Ok(known)
}

async fn messages(
    lane: &mut Lane,
    commands: &[&Command],
    known: &Known,
    state: &mut State,
) -> store::Result<()> {
    let touched = commands
        .iter()
        .filter_map(|command| Some((command.application, command.touches()?)));
    let known = known.iter().filter_map(|(application, named)| match named {
        Named::Message(id) => Some((*application, *id)),
        Named::Chat(_) => None,
    });
    let ids: BTreeSet<_> = touched.chain(known).collect();
    if !ids.is_empty() {
        for (application, message) in
            store::messages::load(lane.connection(), ids.into_iter()).await?
        {
            state.add_message(application, message);
        }
    }
    Ok(())
}

/// The chats that are named by commands and keys, and those of messages.
async fn chats(
    lane: &mut Lane,
    commands: &[&Command],
    known: &Known,
    state: &mut State,
) -> store::Result<()> {
    let named = commands
        .iter()
        .filter_map(|command| Some((command.application, command.chat()?)));
    let known = known.iter().filter_map(|(application, named)| match named {
        Named::Chat(number) => Some((*application, *number)),
        Named::Message(_) => None,
    });
    let of_messages = state
        .messages()
        .filter_map(|(application, message)| Some((application, message.chat()?)));
    let chats: BTreeSet<_> = named.chain(known).chain(of_messages).collect();
    if !chats.is_empty() {
        for (application, chat) in store::chats::load(lane, chats.into_iter()).await? {
            state.add_chat(application, chat);
        }
    }
    Ok(())
}

/// The memberships that decide about rights; and where an owner leaves a chat, those of all.
async fn members(lane: &mut Lane, commands: &[&Command], state: &mut State) -> store::Result<()> {
    let wanted: BTreeSet<_> = commands
        .iter()
        .filter_map(|command| Some((command, chat_of(command, state)?)))
        .flat_map(|(command, chat)| {
            command
                .members()
                .map(move |user| (command.application, chat, user))
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

async fn last_chats(
    lane: &mut Lane,
    commands: &[&Command],
    state: &mut State,
) -> store::Result<()> {
    let creating = commands
        .iter()
        .filter(|command| matches!(command.action, Action::CreateChat { .. }));
    let applications: BTreeSet<_> = creating.map(|command| command.application).collect();
    if !applications.is_empty() {
        for (application, last) in store::chats::load_last(lane, applications.into_iter()).await? {
            state.add_last_chat(application, last);
        }
    }
    Ok(())
}

/// The chat that a command is about: the one that it names, or that of the message that it touches.
fn chat_of(command: &Command, state: &State) -> Option<ChatNumber> {
    let touched = || {
        state
            .message(command.application, command.touches()?)?
            .chat()
    };
    command.chat().or_else(touched)
}

/// The chat whose present owner leaves it. (Another owner can leave it in the same batch only after
/// this one.)
fn left_by_owner(command: &Command, state: &State) -> Option<(ApplicationId, ChatNumber)> {
    let Action::RemoveMember { chat, user } = &command.action else {
        return None;
    };
    let owner = state.chat(command.application, *chat)?.owner.as_ref();
    (owner == Some(user)).then_some((command.application, *chat))
}
