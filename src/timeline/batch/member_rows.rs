//! The rows that follow from what users have set, how they have reacted, what they have reported, what they are
//! forbidden, and whom messages name.

use std::{borrow::Cow, collections::BTreeMap};

use super::BatchChanges;
use crate::{
    domain::{Change, Imported, Message, ReactionNumber, Report},
    store::{
        mentions::Mention,
        reactions::{CountsRow, Reaction},
        restrictions::RestrictionsRow,
        settings::SettingsRow,
    },
};

impl BatchChanges {
    /// What the batch sets for conversations, as it leaves it.
    pub(super) fn settings(&self) -> Vec<SettingsRow<'_>> {
        let mut settings = BTreeMap::new();
        for change in self.changes() {
            if let Change::Settings(change) = change {
                let row = settings
                    .entry((&change.user, change.conversation))
                    .or_insert(SettingsRow {
                        user: &change.user,
                        conversation: change.conversation,
                        settings: &change.after,
                        timestamp: change.timestamp,
                    });
                row.settings = &change.after;
            }
        }
        settings.into_values().collect()
    }

    /// The reactions that are there after the batch and were not before it, by their numbers, and the other
    /// way round.
    pub(super) fn reactions(&self) -> (Vec<(ReactionNumber, Reaction<'_>)>, Vec<Reaction<'_>>) {
        let mut reactions: BTreeMap<Reaction<'_>, (bool, Option<ReactionNumber>)> = BTreeMap::new();
        for (message, imported) in self.imported() {
            let numbered = imported.reactions.numbered();
            reactions.extend(
                numbered
                    .map(|(number, user, key)| ((message.id, user, key), (false, Some(number)))),
            );
        }
        for change in self.reaction_changes() {
            let reaction = (change.message.id, &change.user, &change.key);
            let was_there = change.added.is_none();
            let (_, now) = reactions.entry(reaction).or_insert((was_there, None));
            *now = change.added;
        }
        let added = reactions
            .iter()
            .filter_map(|(reaction, (_, now))| Some(((*now)?, *reaction)));
        let removed = reactions.iter().filter(|(_, (was_there, _))| *was_there);
        (
            added.collect(),
            removed.map(|(reaction, _)| *reaction).collect(),
        )
    }

    /// The reactions to messages, as the batch leaves them.
    pub(super) fn reaction_counts(&self) -> Vec<CountsRow<'_>> {
        let imported = self
            .imported()
            .filter(|(_, imported)| imported.reactions.count() > 0);
        let imported = imported.map(|(message, imported)| CountsRow {
            message: message.id,
            timestamp: message.timestamp,
            reactions: Cow::Owned(imported.reactions.counted()),
        });
        let changed = self.reaction_changes().map(|change| CountsRow {
            message: change.message.id,
            timestamp: change.timestamp,
            reactions: Cow::Borrowed(&change.after),
        });
        let rows = imported.chain(changed);
        let last: BTreeMap<_, _> = rows.map(|row| (row.message, row)).collect();
        last.into_values().collect()
    }

    /// The messages that the batch imports.
    fn imported(&self) -> impl Iterator<Item = (&Message, &Imported)> {
        let changes = self.message_changes();
        changes.filter_map(|change| Some((&*change.after, change.imported.as_deref()?)))
    }

    pub(super) fn reports(&self) -> Vec<&Report> {
        let reports = self.changes().filter_map(|change| match change {
            Change::Report(change) => Some(&*change.report),
            _ => None,
        });
        reports.collect()
    }

    /// What the application forbids users, as the batch leaves it.
    pub(super) fn restrictions(&self) -> Vec<RestrictionsRow<'_>> {
        let mut restrictions = BTreeMap::new();
        for change in self.changes() {
            if let Change::Restrictions(change) = change {
                let row = RestrictionsRow {
                    user: &change.user,
                    restrictions: change.after,
                    timestamp: change.timestamp,
                };
                restrictions.insert(&change.user, row);
            }
        }
        restrictions.into_values().collect()
    }

    /// The users who are named one by one by messages that did not name them before the batch, and
    /// those whom messages do not name any more.
    pub(super) fn mentions(&self) -> (Vec<Mention<'_>>, Vec<Mention<'_>>) {
        let mut messages = BTreeMap::new();
        for change in self.message_changes() {
            let (_, after) = messages
                .entry(change.after.id)
                .or_insert((change.before.as_deref(), &*change.after));
            *after = &*change.after;
        }
        let cleared = self.clearings().flat_map(|change| &change.before);
        let (mut named, mut unnamed) = (Vec::new(), Vec::new());
        unnamed.extend(cleared.flat_map(|message| mentions_of(message)));
        for (before, after) in messages.into_values() {
            let (before, after) = (before.map(mentions_of), mentions_of(after));
            let before = before.unwrap_or_default();
            named.extend(after.iter().filter(|mention| !before.contains(mention)));
            unnamed.extend(before.iter().filter(|mention| !after.contains(mention)));
        }
        (named, unnamed)
    }
}

/// The users whom a message names one by one.
fn mentions_of(message: &Message) -> Vec<Mention<'_>> {
    let content = message.content.as_ref();
    let users = content
        .into_iter()
        .flat_map(|content| content.mentions.one_by_one(message.from.as_ref()));
    users
        .map(|user| Mention {
            user,
            conversation: message.conversation_id,
            number: message.number,
        })
        .collect()
}
