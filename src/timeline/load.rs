//! Loads the present state of all that a batch names, in a fixed number of round trips.

use std::collections::BTreeSet;

use super::{BatchState, commands::Needs, pending::Requester};
use crate::{
    domain::{
        ApplicationId, ChatNumber, Conversation, Created, Idempotency, MessageId, Pair, UserId,
    },
    store::{self, Lane},
};

/// What loading has to do for one command: its requester and its needs.
pub type LoadRequest<'a> = (&'a Requester, Needs<'a>);

/// Loads what the commands need to be decided.
pub async fn load(lane: &mut Lane, commands: &[LoadRequest<'_>]) -> store::Result<BatchState> {
    let mut state = BatchState::default();
    let applications = commands.iter().map(|(requester, _)| requester.application);
    state.add_missing(lane.missing(applications.collect()).await?);
    let created = load_created(lane, commands, &mut state).await?;
    load_messages(lane, commands, &created, &mut state).await?;
    load_chats(lane, commands, &created, &mut state).await?;
    load_personal(lane, commands, &mut state).await?;
    load_members(lane, commands, &mut state).await?;
    load_last_chats(lane, commands, &mut state).await?;
    Ok(state)
}

/// The messages and chats that were created under idempotency keys.
type CreatedUnderKeys = Vec<(ApplicationId, Created)>;

async fn load_created(
    lane: &mut Lane,
    commands: &[LoadRequest<'_>],
    state: &mut BatchState,
) -> store::Result<CreatedUnderKeys> {
    let keyed = commands.iter().filter_map(|(requester, needs)| {
        let key = &needs.idempotency?.key;
        Some((requester.application, requester.user.as_ref(), key))
    });
    let keys: Vec<_> = keyed.collect();
    let mut all = CreatedUnderKeys::new();
    if keys.is_empty() {
        return Ok(all);
    }
    for (index, created, digest) in store::idempotency::load(lane, &keys).await? {
        let (application, creator, key) = keys[index];
        let request = Idempotency {
            key: key.clone(),
            digest,
        };
        state.add_key(application, creator.cloned(), request, created);
        all.push((application, created));
    }
    Ok(all)
}

async fn load_messages(
    lane: &mut Lane,
    commands: &[LoadRequest<'_>],
    created: &CreatedUnderKeys,
    state: &mut BatchState,
) -> store::Result<()> {
    let needed = commands
        .iter()
        .filter_map(|(requester, needs)| Some((requester.application, needs.message?)));
    let ids: BTreeSet<(ApplicationId, MessageId)> = needed
        .chain(
            created
                .iter()
                .filter_map(|(application, created)| match created {
                    Created::Message(id) => Some((*application, *id)),
                    Created::Chat(_) => None,
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

/// Loads the chats that commands and keys name, and the chats of messages.
async fn load_chats(
    lane: &mut Lane,
    commands: &[LoadRequest<'_>],
    created: &CreatedUnderKeys,
    state: &mut BatchState,
) -> store::Result<()> {
    let needed = commands
        .iter()
        .filter_map(|(requester, needs)| Some((requester.application, needs.chat()?)));
    let created = created
        .iter()
        .filter_map(|(application, created)| match created {
            Created::Chat(number) => Some((*application, *number)),
            Created::Message(_) => None,
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

/// Loads the personal conversations that commands name, and those of messages whose positions they
/// need.
async fn load_personal(
    lane: &mut Lane,
    commands: &[LoadRequest<'_>],
    state: &mut BatchState,
) -> store::Result<()> {
    let pair = |request| {
        let (_, needs): &LoadRequest<'_> = request;
        let is_needed = needs.conversation.is_some() || needs.positions;
        conversation_of(request, state)
            .filter(|_| is_needed)?
            .pair()
    };
    let pairs: BTreeSet<(ApplicationId, &Pair)> = commands
        .iter()
        .filter_map(|request| Some((request.0.application, pair(request)?)))
        .collect();
    if pairs.is_empty() {
        return Ok(());
    }
    for (application, found) in store::personal::load(lane, pairs.into_iter()).await? {
        state.add_personal(application, found);
    }
    Ok(())
}

/// Loads the memberships on which rights depend. If the owner leaves a chat, loads all its members.
async fn load_members(
    lane: &mut Lane,
    commands: &[LoadRequest<'_>],
    state: &mut BatchState,
) -> store::Result<()> {
    let lookup: BTreeSet<(ApplicationId, ChatNumber, &UserId)> = commands
        .iter()
        .filter_map(|command| Some((command, chat_of(command, state)?)))
        .flat_map(|((requester, needs), chat)| {
            let users = requester.user.iter().chain(needs.member);
            users.map(move |user| (requester.application, chat, user))
        })
        .collect();
    if lookup.is_empty() {
        return Ok(());
    }
    let left: BTreeSet<_> = commands
        .iter()
        .filter_map(|command| left_by_owner(command, state))
        .collect();
    let mut members = store::members::load(lane, lookup.into_iter()).await?;
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
    commands: &[LoadRequest<'_>],
    state: &mut BatchState,
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

/// The conversation of a command: the one that it names, or the one of its message.
fn conversation_of<'a>(
    (requester, needs): &'a LoadRequest<'_>,
    state: &'a BatchState,
) -> Option<&'a Conversation> {
    let of_message = || {
        let message = state.message(requester.application, needs.message?)?;
        Some(&message.conversation)
    };
    needs.conversation.as_ref().or_else(of_message)
}

/// The chat of a command: the one that it names, or the chat of its message.
pub fn chat_of(request: &LoadRequest<'_>, state: &BatchState) -> Option<ChatNumber> {
    conversation_of(request, state)?.chat()
}

/// The chat that the command's member leaves, if that member owns it now. (If a later command of
/// the batch removes the next owner, this one has loaded all members already.)
fn left_by_owner(
    (requester, needs): &LoadRequest<'_>,
    state: &BatchState,
) -> Option<(ApplicationId, ChatNumber)> {
    if !needs.successors {
        return None;
    }
    let chat = needs.chat()?;
    let owner = state.chat(requester.application, chat)?.owner.as_ref();
    (owner == needs.member).then_some((requester.application, chat))
}
