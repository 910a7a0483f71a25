//! Applies changes to the state, so that the commands after them see them.

use std::sync::Arc;

use super::BatchState;
use crate::domain::{
    ApplicationChange, Change, ChatChange, ClearingChange, Conversation, ErasureChange,
    ErasureEvent, Expiring, ExpiryChange, ImportedMessage, Marked, Member, Message, MessageChange,
    PositionsChange, ReactionsChange, RenamingChange, Restrictions, RestrictionsChange,
    SettingsChange,
};

impl BatchState {
    /// Applies a change, so that the commands after it see it.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Message(change) => self.apply_to_message(change),
            Change::Chat(change) => self.apply_to_chat(change),
            Change::Positions(change) => self.apply_to_position(change),
            Change::Reactions(change) => self.apply_to_reactions(change),
            Change::Settings(change) => self.apply_to_settings(change),
            Change::Report(change) => self.add_report(Arc::clone(&change.report)),
            Change::Opening(change) => self.add_personal(Arc::clone(&change.after)),
            Change::Renaming(change) => self.apply_to_name(change),
            Change::Restrictions(change) => self.apply_to_restrictions(change),
            Change::Erasure(change) => self.apply_to_erasure(change),
            Change::Application(change) => self.apply_to_application(change),
            Change::Expiry(change) => self.apply_expiry(change),
            Change::Clearing(change) => self.apply_clearing(change),
        }
        if let Some((creator, request, created)) = change.idempotency() {
            self.add_key(creator.cloned(), request.clone(), created);
        }
    }

    fn apply_to_message(&mut self, change: &MessageChange) {
        if let Some(begun) = &change.begun {
            self.add_personal(Arc::clone(begun));
        }
        if change.is_creation() {
            self.count(&change.after);
        }
        if let Some(imported) = &change.imported {
            let message = ImportedMessage {
                id: change.after.id,
                number: change.after.number,
            };
            let line = imported.line.clone();
            self.add_imported(change.after.conversation_id, line, message);
        }
        if change.after.content.is_none() {
            self.reactions.remove(&change.after.id);
            for pins in self.pins.values_mut() {
                pins.remove(&change.after.id);
            }
        }
        self.add_message(Arc::clone(&change.after));
    }

    /// Counts a new message in its conversation. Its sender has read it.
    fn count(&mut self, message: &Message) {
        let (number, timestamp) = (message.number, message.timestamp);
        match &message.conversation {
            Conversation::Chat(chat) => {
                if let Some(chat) = self.chats.get_mut(chat) {
                    let chat = Arc::make_mut(chat);
                    (chat.messages, chat.last) = (number, timestamp);
                }
                if let Some(sender) = &message.from
                    && let Some(member) = self.members.get_mut(&(*chat, sender.clone()))
                {
                    member.position = member.position.after_sending(number);
                    member.posted = Some(message.created);
                }
            }
            Conversation::Personal(pair) => {
                if let Some(sender) = &message.from
                    && let Some(personal) = self.personal.get_mut(pair)
                {
                    Arc::make_mut(personal).count(number, timestamp, sender);
                }
            }
        }
    }

    fn apply_to_restrictions(&mut self, change: &RestrictionsChange) {
        if let Some(Some(application)) = &mut self.application {
            let end = application
                .suspensions_end
                .max(change.after.suspended_until);
            application.suspensions_end = end;
        }
        self.add_restrictions(change.user.clone(), change.after);
    }

    /// What is kept of messages names its users as the database does: those of the conversation are changed
    /// one by one.
    fn apply_to_name(&mut self, change: &RenamingChange) {
        self.personal.remove(&change.before);
        // A later change of its position is none of the one before: it has another name.
        self.moved.remove(&change.after.id);
        self.add_personal(Arc::clone(&change.after));
    }

    fn apply_to_erasure(&mut self, change: &ErasureChange) {
        let user = &change.erasure.user;
        let Some(Some(application)) = &mut self.application else {
            return;
        };
        match change.event {
            ErasureEvent::Requested { .. } => {
                let erasure = Arc::clone(&change.erasure);
                application.erasures.insert(user.clone(), erasure);
            }
            ErasureEvent::Finished { .. } => {
                application.erasures.remove(user);
                self.add_restrictions(user.clone(), Restrictions::default());
            }
        }
    }

    fn apply_to_application(&mut self, change: &ApplicationChange) {
        if let Some(Some(application)) = &mut self.application {
            application.name = change.name.clone();
            application.policy = change.policy;
        }
    }

    fn apply_expiry(&mut self, change: &ExpiryChange) {
        if let Some(Some(application)) = &mut self.application {
            application.expired = application.expired.max(change.newest);
        }
        match &change.after {
            Expiring::Personal(after) => self.add_personal(Arc::clone(after)),
            Expiring::Chat(after) => self.add_chat(Arc::clone(after)),
        }
    }

    fn apply_clearing(&mut self, change: &ClearingChange) {
        for message in &change.before {
            self.messages.remove(&message.id);
            self.reactions.remove(&message.id);
            for pins in self.pins.values_mut() {
                pins.remove(&message.id);
            }
        }
        if let Some(emptied) = &change.emptied {
            self.add_message(Arc::clone(emptied));
        }
    }

    fn apply_to_position(&mut self, change: &PositionsChange) {
        match &change.marked {
            Marked::Personal(after) => {
                self.moved.insert(after.id, change.timestamp);
                self.add_personal(Arc::clone(after));
            }
            Marked::Chat(chat, member) => {
                self.moved.insert(chat.id, change.timestamp);
                self.add_member(chat.number, change.user.clone(), *member);
            }
        }
    }

    fn apply_to_reactions(&mut self, change: &ReactionsChange) {
        let message = &change.message;
        let changed = (message.conversation_id, change.timestamp);
        self.reactions_changed.insert(message.id, changed);
        self.add_reactions(message.id, change.after.clone());
        let own = (message.id, change.user.clone());
        let own = self.reacted.entry(own).or_default();
        match change.added {
            Some(_) => own.insert(change.key.clone()),
            None => own.remove(&change.key),
        };
    }

    fn apply_to_settings(&mut self, change: &SettingsChange) {
        if let Some(personal) = &change.personal {
            self.add_personal(Arc::clone(personal));
        }
        let settings = change.after.clone();
        self.add_settings(change.user.clone(), change.conversation, settings);
    }

    fn apply_to_chat(&mut self, change: &ChatChange) {
        let chat = &change.after;
        self.moved.remove(&chat.id);
        let elsewhere = |_: &_, (conversation, _): &mut _| *conversation != chat.id;
        self.reactions_changed.retain(elsewhere);
        if change.is_creation() {
            self.set_last_chat(chat.number);
            self.add_roster(chat.number);
        }
        if chat.import.is_running() && change.is_creation() {
            self.importing
                .insert(chat.number, change.importing().to_vec());
        }
        for user in &change.joined {
            let member = Member::new(chat.timestamp, chat.messages);
            self.add_member(chat.number, user.clone(), member);
        }
        for (user, member) in change.admitted().iter().chain(&change.altered) {
            self.add_member(chat.number, user.clone(), *member);
        }
        for (user, _) in &change.departed {
            self.leave_roster(chat.number, user);
            self.members.remove(&(chat.number, user.clone()));
        }
        for user in &change.banned {
            self.add_ban(chat.number, user.clone());
        }
        for user in &change.unbanned {
            self.bans.remove(&(chat.number, user.clone()));
        }
        if let Some(message) = change.pinned {
            self.add_pins(chat.number).insert(message);
        }
        if let Some(message) = change.unpinned {
            self.add_pins(chat.number).remove(&message);
        }
        if change.deleted {
            self.chats.remove(&chat.number);
        } else {
            self.add_chat(Arc::clone(chat));
        }
    }
}
