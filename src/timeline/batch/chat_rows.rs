//! The rows that follow from the changes of a batch in chats.

use std::collections::BTreeMap;

use super::BatchChanges;
use crate::{
    domain::{
        Change, Chat, ChatNumber, Expiring, History, ImportingMember, Marked, Member, MessageId,
        MessageNumber, Named, Subject, Timestamp, UserId,
    },
    store::{
        chats::NewChatRow,
        members::{DepartedMember, Membership},
        pins::PinRow,
        updates::ChatUpdate,
    },
};

/// A user who is kept from joining a chat.
type Ban<'a> = (ChatNumber, &'a UserId);

impl BatchChanges {
    /// Each chat that the batch changes, as the batch leaves it.
    pub(super) fn chats(&self) -> BTreeMap<ChatNumber, &Chat> {
        let changes = self.chat_changes();
        changes
            .map(|change| (change.after.number, &*change.after))
            .collect()
    }

    pub(super) fn new_chats<'a>(
        &'a self,
        chats: &BTreeMap<ChatNumber, &'a Chat>,
    ) -> impl Iterator<Item = NewChatRow<'a>> {
        let creations = self.chat_changes().filter(|change| change.is_creation());
        creations.map(|change| NewChatRow {
            chat: chats[&change.after.number],
            creator: change.creator(),
            idempotency: change.idempotency.as_deref(),
        })
    }

    /// The memberships that the batch begins, each with the number after which it reads.
    pub(super) fn joined(&self) -> Vec<(Membership, MessageNumber)> {
        let joined = self.chat_changes().flat_map(|change| {
            let chat = &change.after;
            let member = Member::new(chat.timestamp, chat.messages);
            let joined = change.joined.iter().map(move |user| (user, member));
            let admitted = change
                .admitted()
                .iter()
                .map(|(user, member)| (user, *member));
            joined.chain(admitted).map(move |(user, member)| {
                let membership = Membership {
                    chat: chat.number,
                    user: user.clone(),
                    member,
                };
                (membership, member.reads_after(chat.rules.history))
            })
        });
        joined.collect()
    }

    /// Who is to be a member of the chats that the batch begins to import.
    pub(super) fn importing(&self) -> Vec<(ChatNumber, &UserId, ImportingMember)> {
        let changes = self.chat_changes();
        let importing = changes.flat_map(|change| {
            let importing = change.importing().iter();
            importing.map(|(user, member)| (change.after.number, user, *member))
        });
        importing.collect()
    }

    /// The chats whose import the batch ends.
    pub(super) fn imported_chats(&self) -> Vec<ChatNumber> {
        let ended = self.chat_changes().filter(|change| change.ends_import());
        ended.map(|change| change.after.number).collect()
    }

    /// The members whose role or mute the batch changes, as it leaves them.
    pub(super) fn altered(&self) -> Vec<Membership> {
        let mut altered = BTreeMap::new();
        for change in self.chat_changes() {
            for (user, member) in &change.altered {
                let membership = Membership {
                    chat: change.after.number,
                    user: user.clone(),
                    member: *member,
                };
                altered.insert((change.after.number, user, member.joined), membership);
            }
        }
        altered.into_values().collect()
    }

    /// The chats whose members read another history.
    pub(super) fn new_histories(&self) -> Vec<(ChatNumber, History)> {
        let histories = self.chat_changes();
        let histories =
            histories.filter_map(|change| Some((change.after.number, change.new_history()?)));
        histories.collect::<BTreeMap<_, _>>().into_iter().collect()
    }

    /// Who is banned from which chat after the batch and was not before it, and the other way round.
    pub(super) fn bans(&self) -> (Vec<Ban<'_>>, Vec<Ban<'_>>) {
        let mut bans = BTreeMap::new();
        for change in self.chat_changes() {
            let chat = change.after.number;
            bans.extend(change.banned.iter().map(|user| ((chat, user), true)));
            bans.extend(change.unbanned.iter().map(|user| ((chat, user), false)));
        }
        let (banned, unbanned): (Vec<_>, Vec<_>) =
            bans.into_iter().partition(|(_, banned)| *banned);
        let users = |bans: Vec<(_, bool)>| bans.into_iter().map(|(user, _)| user).collect();
        (users(banned), users(unbanned))
    }

    /// The messages that are pinned after the batch, and those that are not; deleted ones are not.
    pub(super) fn pins(&self) -> (Vec<PinRow<'_>>, Vec<(ChatNumber, MessageId)>) {
        let mut pins = BTreeMap::new();
        for made in &self.changes {
            match &made.change {
                Change::Chat(change) => {
                    let chat = change.after.number;
                    let row = |message| PinRow {
                        chat,
                        message,
                        timestamp: change.after.timestamp,
                        pinned_by: made.actor.as_ref(),
                    };
                    let pinned = change.pinned.map(|id| ((chat, id), Some(row(id))));
                    let unpinned = change.unpinned.map(|id| ((chat, id), None));
                    pins.extend(pinned.into_iter().chain(unpinned));
                }
                Change::Message(change) if change.after.content.is_none() => {
                    let chat = change.after.conversation.chat();
                    pins.extend(chat.map(|chat| ((chat, change.after.id), None)));
                }
                Change::Clearing(change) => {
                    let messages = change.before.iter();
                    pins.extend(messages.filter_map(|message| {
                        Some(((message.conversation.chat()?, message.id), None))
                    }));
                }
                _ => {}
            }
        }
        let unpinned = pins.iter().filter(|(_, row)| row.is_none());
        let unpinned = unpinned.map(|(pin, _)| *pin).collect();
        (pins.into_values().flatten().collect(), unpinned)
    }

    /// The chats that the batch deletes, and when.
    pub(super) fn deleted_chats(&self) -> Vec<(ChatNumber, Timestamp)> {
        let deletions = self.chat_changes().filter(|change| change.deleted);
        deletions
            .map(|change| (change.after.number, change.after.timestamp))
            .collect()
    }

    /// The memberships that the batch ends, with the timestamps of their ends.
    pub(super) fn departed(&self) -> Vec<DepartedMember> {
        let departed = self.chat_changes().flat_map(|change| {
            change.departed.iter().map(|(user, member)| DepartedMember {
                chat: change.after.number,
                user: user.clone(),
                joined: member.joined,
                departed: change.after.timestamp,
                reads_after: member.reads_after(change.after.rules.history),
            })
        });
        departed.collect()
    }

    /// The positions that the batch sets in chats, as it leaves them.
    pub(super) fn chat_positions(&self) -> Vec<Membership> {
        let mut positions = BTreeMap::new();
        for change in self.position_changes() {
            if let Marked::Chat(chat, member) = &change.marked {
                let membership = Membership {
                    chat: chat.number,
                    user: change.user.clone(),
                    member: *member,
                };
                positions.insert((chat.number, &change.user, member.joined), membership);
            }
        }
        positions.into_values().collect()
    }

    /// The changes that concern all members of a chat.
    pub(super) fn chat_updates(&self) -> impl Iterator<Item = ChatUpdate> {
        let made = self.changes.iter().filter(|made| !made.is_folded);
        made.filter_map(|made| {
            let change = &made.change;
            let (chat, subject, named) = match change {
                Change::Message(change) if change.imported.is_some() => return None,
                Change::Message(change) => {
                    let message = &change.after;
                    let subject = Subject::Message(message.id);
                    (message.conversation.chat()?, subject, change.named())
                }
                Change::Reactions(change) => {
                    let message = &change.message;
                    let subject = Subject::Reactions(message.id);
                    (message.conversation.chat()?, subject, None)
                }
                Change::Chat(change) => of_chat(&change.after),
                Change::Expiry(change) => match &change.after {
                    Expiring::Chat(chat) => of_chat(chat),
                    Expiring::Personal(_) => return None,
                },
                Change::Positions(change) => match &change.marked {
                    Marked::Chat(chat, _) if chat.tells_positions() => of_chat(chat),
                    Marked::Chat(..) | Marked::Personal(_) => return None,
                },
                _ => return None,
            };
            Some(ChatUpdate {
                chat,
                timestamp: change.timestamp(),
                subject,
                number: read_by(change),
                named,
            })
        })
    }

    /// Whether all members of the chat are told of the marks at `timestamp`: the first of them
    /// decides.
    pub(super) fn tells_all(&self, timestamp: Timestamp) -> bool {
        let mut changes = self.position_changes();
        let first = changes.find(|change| change.timestamp == timestamp);
        first.is_some_and(|change| match &change.marked {
            Marked::Chat(chat, _) => chat.tells_positions(),
            Marked::Personal(_) => true,
        })
    }
}

/// The number of the message that the change is about, which not every member may read.
fn read_by(change: &Change) -> Option<MessageNumber> {
    match change {
        Change::Expiry(_) => None,
        _ => change.number(),
    }
}

/// A change of a chat itself: the chat, what has changed, and whom it names.
fn of_chat(chat: &Chat) -> (ChatNumber, Subject, Option<Named>) {
    (chat.number, Subject::Chat(chat.number), None)
}
