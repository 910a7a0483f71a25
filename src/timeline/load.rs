//! Loads the present state of all that a batch names, unless the batches before have left it: in a
//! fixed number of round trips at the most.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{BatchState, commands::Needs, pending::Requester, state::PresentApplication};
use crate::{
    domain::{
        ChatNumber, Conversation, ConversationId, Created, Idempotency, MessageId, Pair,
        Restrictions, UserId,
    },
    store::{self, Lane},
};

/// What loading has to do for one command: its requester and its needs.
pub type LoadRequest<'a> = (&'a Requester, Needs<'a>);

/// Adds to the state what the commands need to be decided.
pub async fn load(
    lane: &mut Lane<'_>,
    state: &mut BatchState,
    commands: &[LoadRequest<'_>],
) -> store::Result<()> {
    let mut loading = Loading {
        lane,
        state,
        commands,
    };
    loading.load_application().await?;
    loading.load_restrictions().await?;
    let created = loading.load_created().await?;
    loading.load_messages(&created).await?;
    loading.load_chats(&created).await?;
    loading.load_personal().await?;
    loading.load_imported().await?;
    loading.load_importing().await?;
    loading.load_members().await?;
    loading.load_bans().await?;
    loading.load_settings().await?;
    loading.load_reactions().await?;
    loading.load_pins().await?;
    loading.load_reports().await?;
    loading.load_last_chat().await
}

struct Loading<'a, 'l> {
    lane: &'a mut Lane<'l>,
    state: &'a mut BatchState,
    commands: &'a [LoadRequest<'a>],
}

impl Loading<'_, '_> {
    async fn load_application(&mut self) -> store::Result<()> {
        if self.state.application().is_none() {
            let application = store::applications::load(self.lane).await?;
            let is_erasing = application.as_ref().is_some_and(|present| present.erasing);
            let erasures = match is_erasing {
                true => store::erasures::load(self.lane).await?,
                false => Vec::new(),
            };
            let erasures = erasures.into_iter();
            let erasures = erasures.map(|erasure| (erasure.user.clone(), Arc::new(erasure)));
            self.state
                .set_application(application.map(|present| PresentApplication {
                    name: present.name,
                    policy: present.policy,
                    suspensions_end: present.suspensions_end,
                    erasures: erasures.collect(),
                    expired: present.expired,
                }));
        }
        Ok(())
    }

    /// Loads what the application forbids those who call, if it may forbid them something, and those whom
    /// it is to forbid something.
    async fn load_restrictions(&mut self) -> store::Result<()> {
        let suspends = self.state.suspends(self.lane.now());
        let mut unknown = BTreeSet::new();
        for (requester, needs) in self.commands {
            let calling = requester.user.as_ref().filter(|_| suspends);
            for user in calling.into_iter().chain(needs.restrictions) {
                if !self.state.recall_restrictions(user) {
                    unknown.insert(user);
                }
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        for user in &unknown {
            self.state
                .add_restrictions(UserId::clone(user), Restrictions::default());
        }
        for (user, restrictions) in
            store::restrictions::load(self.lane, unknown.into_iter()).await?
        {
            self.state.add_restrictions(user, restrictions);
        }
        Ok(())
    }

    /// Loads what was created under idempotency keys.
    async fn load_created(&mut self) -> store::Result<Vec<Created>> {
        let keyed = self.commands.iter().filter_map(|(requester, needs)| {
            let key = &needs.idempotency?.key;
            Some((requester.user.as_ref(), key))
        });
        let keys: Vec<_> = keyed.collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let found = store::idempotency::load(self.lane, &keys).await?;
        for (index, created, digest) in &found {
            let (creator, key) = keys[*index];
            let request = Idempotency {
                key: key.clone(),
                digest: *digest,
            };
            self.state.add_key(creator.cloned(), request, *created);
        }
        Ok(found.into_iter().map(|(_, created, _)| created).collect())
    }

    async fn load_messages(&mut self, created: &[Created]) -> store::Result<()> {
        let needed = self.commands.iter();
        let needed =
            needed.flat_map(|(_, needs)| needs.message.iter().chain(needs.cleared).copied());
        let created = created.iter().filter_map(|created| match created {
            Created::Message(id) => Some(*id),
            Created::Chat(_) => None,
        });
        let state = &mut *self.state;
        let unknown = needed
            .chain(created)
            .filter(|id| !state.recall_message(*id));
        let unknown: BTreeSet<MessageId> = unknown.collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let application = self.lane.application();
        let connection = self.lane.connection();
        let unknown = Vec::from_iter(unknown);
        for message in store::messages::load(connection, application, &unknown).await? {
            self.state.add_message(message);
        }
        Ok(())
    }

    /// Loads the chats that commands and keys name, and the chats of messages.
    async fn load_chats(&mut self, created: &[Created]) -> store::Result<()> {
        let named = self.commands.iter();
        let named = named.filter_map(|command| chat_of(command, self.state));
        let created = created.iter().filter_map(|created| match created {
            Created::Chat(number) => Some(*number),
            Created::Message(id) => self.state.message(*id)?.conversation.chat(),
        });
        let chats: BTreeSet<ChatNumber> = named.chain(created).collect();
        let unknown = chats.into_iter();
        let unknown: Vec<_> = unknown
            .filter(|chat| !self.state.recall_chat(*chat))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        for chat in store::chats::load(self.lane, &unknown).await? {
            self.state.add_chat(chat);
        }
        Ok(())
    }

    /// Loads the personal conversations that commands name, and those of messages whose state
    /// they need, or which may have expired; by either name if one of the users is being erased.
    async fn load_personal(&mut self) -> store::Result<()> {
        let mut unknown: BTreeSet<Pair> = BTreeSet::new();
        for request in self.commands {
            let needs = &request.1;
            let is_old = |id| self.state.has_expired_up_to(id);
            let is_needed = needs.conversation.is_some()
                || needs.conversation_of_message
                || needs.message.is_some_and(is_old);
            let conversation = conversation_of(request, self.state);
            let pair = conversation
                .filter(|_| is_needed)
                .and_then(Conversation::pair);
            // A pair that a message names is cloned, since the message is part of the state.
            let Some(pair) = pair.cloned() else {
                continue;
            };
            let renamed = self.state.renamed(&pair);
            for pair in [pair].into_iter().chain(renamed) {
                if !self.state.recall_personal(&pair) {
                    unknown.insert(pair);
                }
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        for conversation in store::personal::load(self.lane, unknown.iter()).await? {
            self.state.add_personal(conversation);
        }
        Ok(())
    }

    /// Loads what was imported into conversations under keys.
    async fn load_imported(&mut self) -> store::Result<()> {
        let mut keys = BTreeSet::new();
        for request in self.commands {
            let named = request.1.imported.into_iter().flatten();
            let conversation = self.conversation_id(request);
            keys.extend(named.filter_map(|key| Some((conversation?, key))));
        }
        if keys.is_empty() {
            return Ok(());
        }
        let found = store::imports::load_messages(self.lane, keys.into_iter()).await?;
        for (conversation, line, message) in found {
            self.state.add_imported(conversation, line, message);
        }
        Ok(())
    }

    /// Loads who is to be a member of chats whose import is to end.
    async fn load_importing(&mut self) -> store::Result<()> {
        let finishing = self.commands.iter().filter(|(_, needs)| needs.importing);
        let chats: BTreeSet<_> = finishing.filter_map(|(_, needs)| needs.chat()).collect();
        if chats.is_empty() {
            return Ok(());
        }
        for chat in &chats {
            self.state.add_importing(*chat).clear();
        }
        for (chat, user, member) in store::imports::load_members(self.lane, &chats).await? {
            self.state.add_importing(chat).push((user, member));
        }
        Ok(())
    }

    /// The id of a command's conversation, if that exists.
    fn conversation_id(&self, request: &LoadRequest<'_>) -> Option<ConversationId> {
        match conversation_of(request, self.state)? {
            Conversation::Chat(chat) => self.state.chat(*chat).map(|chat| chat.id),
            Conversation::Personal(pair) => self.state.personal(pair).map(|personal| personal.id),
        }
    }

    /// Loads the memberships on which rights depend. If the owner leaves a chat, or everybody does, loads
    /// all its members.
    async fn load_members(&mut self) -> store::Result<()> {
        let mut unknown = BTreeSet::new();
        for command in self.commands {
            let Some(chat) = chat_of(command, self.state) else {
                continue;
            };
            let (requester, needs) = command;
            let named = [needs.joining, needs.leaving, needs.mentioned];
            let named = named.into_iter().flatten().chain(needs.owner);
            for user in requester.user.iter().chain(named) {
                if !self.state.recall_member(chat, user) {
                    unknown.insert((chat, user));
                }
            }
        }
        if !unknown.is_empty() {
            for found in store::members::load(self.lane, unknown.into_iter()).await? {
                self.state.add_member(found.chat, found.user, found.member);
            }
        }
        self.load_rosters().await
    }

    /// Loads who of those who are to join is kept from that.
    async fn load_bans(&mut self) -> store::Result<()> {
        let mut needed = BTreeSet::new();
        for command in self.commands {
            let (_, needs) = command;
            let leaving = needs.leaving.iter().filter(|_| needs.bans);
            for user in needs.joining.iter().chain(leaving) {
                needed.extend(needs.chat().map(|chat| (chat, user)));
            }
        }
        if needed.is_empty() {
            return Ok(());
        }
        for (chat, user) in store::bans::load(self.lane, needed.into_iter()).await? {
            self.state.add_ban(chat, user);
        }
        Ok(())
    }

    /// Loads all members of the chats that their owners leave, or everybody does. Nobody but the owner and
    /// the application can do that, so what others ask for costs nothing here.
    async fn load_rosters(&mut self) -> store::Result<()> {
        let owners = self.owners();
        let emptied = self.commands.iter().filter_map(|(requester, needs)| {
            let owners = owners.get(&needs.chat()?)?;
            let is_owner = |user: &UserId| owners.contains(user);
            let may = requester.user.as_ref().is_none_or(is_owner);
            let leaves = needs.everybody || needs.leaving.iter().any(is_owner);
            (may && leaves).then(|| needs.chat())?
        });
        let emptied: Vec<_> = emptied.collect::<BTreeSet<_>>().into_iter().collect();
        if emptied.is_empty() {
            return Ok(());
        }
        for chat in &emptied {
            self.state.add_roster(*chat);
        }
        for found in store::members::load_rosters(self.lane, &emptied).await? {
            self.state.add_member(found.chat, found.user, found.member);
        }
        Ok(())
    }

    /// The owners of the chats that the commands name, now and once any of these have handed them on. (Who
    /// becomes the owner because another one leaves, leaves a chat that is loaded already.)
    fn owners(&self) -> BTreeMap<ChatNumber, BTreeSet<UserId>> {
        let mut owners: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (_, needs) in self.commands {
            let Some(chat) = needs.chat() else { continue };
            let present = self.state.chat(chat).and_then(|chat| chat.owner.as_ref());
            let all = present.into_iter().chain(needs.owner);
            owners.entry(chat).or_default().extend(all.cloned());
        }
        owners
    }

    /// Loads what callers have set for the conversations that exist.
    async fn load_settings(&mut self) -> store::Result<()> {
        let mut needed = Vec::new();
        for request in self.commands.iter().filter(|(_, needs)| needs.settings) {
            let id = self.conversation_id(request);
            needed.extend(request.0.user.as_ref().zip(id));
        }
        if needed.is_empty() {
            return Ok(());
        }
        for (user, conversation, settings) in store::settings::load(self.lane, &needed).await? {
            self.state.add_settings(user, conversation, settings);
        }
        Ok(())
    }

    /// Loads the reactions to messages, and those of the callers or of whom they name.
    async fn load_reactions(&mut self) -> store::Result<()> {
        let reacting = self.commands.iter().filter(|(_, needs)| needs.reactions);
        let needed = reacting.filter_map(|(requester, needs)| {
            Some((
                needs.message?,
                needs.reacted_by.or(requester.user.as_ref())?,
            ))
        });
        let needed: BTreeSet<_> = needed.collect();
        if needed.is_empty() {
            return Ok(());
        }
        let messages: BTreeSet<_> = needed.iter().map(|(message, _)| *message).collect();
        for (message, reactions) in store::reactions::load_counts(self.lane, &messages).await? {
            self.state.add_reactions(message, reactions);
        }
        for (message, user, key) in store::reactions::load(self.lane, &needed).await? {
            self.state.add_reacted(message, user, key);
        }
        Ok(())
    }

    /// Loads what is pinned in the chats in which somebody is to pin.
    async fn load_pins(&mut self) -> store::Result<()> {
        let pinning = self.commands.iter().filter(|(_, needs)| needs.pins);
        let chats: BTreeSet<_> = pinning.filter_map(|(_, needs)| needs.chat()).collect();
        if chats.is_empty() {
            return Ok(());
        }
        for chat in &chats {
            self.state.add_pins(*chat);
        }
        for (chat, message) in store::pins::load(self.lane, &chats).await? {
            self.state.add_pins(chat).insert(message);
        }
        Ok(())
    }

    /// Loads what callers have reported before.
    async fn load_reports(&mut self) -> store::Result<()> {
        let reporting = self.commands.iter().filter(|(_, needs)| needs.report);
        let needed = reporting
            .filter_map(|(requester, needs)| Some((needs.message?, requester.user.as_ref()?)));
        let needed: Vec<_> = needed.collect();
        if needed.is_empty() {
            return Ok(());
        }
        for report in store::reports::load(self.lane, &needed).await? {
            self.state.add_report(Arc::new(report));
        }
        Ok(())
    }

    async fn load_last_chat(&mut self) -> store::Result<()> {
        let is_needed = self.commands.iter().any(|(_, needs)| needs.next_chat);
        if is_needed && self.state.application().is_some() && !self.state.knows_last_chat() {
            let last = store::chats::load_last(self.lane).await?;
            self.state.set_last_chat(last);
        }
        Ok(())
    }
}

/// The conversation of a command: the one that it names, or the one of its message.
fn conversation_of<'a>(
    (_, needs): &'a LoadRequest<'_>,
    state: &'a BatchState,
) -> Option<&'a Conversation> {
    let of_message = || Some(&state.message(needs.message?)?.conversation);
    needs.conversation.as_ref().or_else(of_message)
}

/// The chat of a command: the one that it names, or the chat of its message.
pub fn chat_of(request: &LoadRequest<'_>, state: &BatchState) -> Option<ChatNumber> {
    conversation_of(request, state)?.chat()
}
