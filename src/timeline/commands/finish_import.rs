//! Finishing the import of a conversation.

use std::{collections::BTreeMap, sync::Arc};

use super::{Command, Context, Decision, Needs, ensure};
use crate::domain::{
    Change, Chat, ChatChange, ChatNumber, Conversation, Import, ImportedMembers, Member,
    MessageNumber, OpeningChange, Pair, PersonalConversation, Position, Refusal, UserId,
};

/// Ends the import of a conversation: by one change all its members learn of it. A conversation that was
/// imported stays as it is.
#[derive(Debug, Clone)]
pub struct FinishImport {
    pub conversation: Conversation,
    /// How far members have read it. Who is not named has read everything. In a chat, who is no member is passed
    /// over: an erasure may have taken the user out of it, and a while later nothing but a digest says who was erased.
    pub read: BTreeMap<UserId, MessageNumber>,
}

impl Command for FinishImport {
    type Output = ();

    fn needs(&self) -> Needs<'_> {
        Needs {
            conversation: Some(self.conversation.clone()),
            importing: true,
            ..Needs::default()
        }
    }

    /// The members, and their updates.
    fn rows(&self, members: usize) -> usize {
        2 * members
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<()>, Refusal> {
        context.require_application()?;
        match &self.conversation {
            Conversation::Chat(number) => self.finish_chat(context, *number),
            Conversation::Personal(pair) => self.finish_personal(context, pair),
        }
    }
}

impl FinishImport {
    fn finish_chat(
        &self,
        context: &Context<'_>,
        number: ChatNumber,
    ) -> Result<Decision<()>, Refusal> {
        let chat = context.inside(number)?.chat;
        if chat.import == Import::Done {
            return Ok(Decision::Keep(()));
        }
        ensure(chat.import.is_running(), Refusal::NotImporting)?;
        self.require_at_most(chat.messages)?;
        let members = context.state.importing_members(number);
        let is_there = |user: &UserId| context.state.erasure(user).is_none();
        let staying = members.iter().filter(|(user, _)| is_there(user));
        let admitted = staying.map(|(user, importing)| {
            let member = Member {
                joined: context.next.timestamp,
                // Beyond the last message, it would hide those that are sent from now on.
                since: importing.since.min(chat.messages),
                position: self.position(user, Position::ZERO, chat.messages),
                role: importing.role,
                muted_until: None,
                posted: None,
            };
            (user.clone(), member)
        });
        let admitted: Vec<_> = admitted.collect();
        let done = Chat {
            import: Import::Done,
            owner: chat.owner.clone().filter(is_there),
            members: i32::try_from(admitted.len()).expect("a chat has 1,000 members at the most"),
            ..Chat::clone(chat)
        };
        let change = ChatChange {
            imported: Some(Box::new(ImportedMembers {
                admitted,
                ..ImportedMembers::default()
            })),
            ..context.chat_change(chat, done)
        };
        Ok(Decision::Change(Change::Chat(change), ()))
    }

    fn finish_personal(&self, context: &Context<'_>, pair: &Pair) -> Result<Decision<()>, Refusal> {
        let before = context.state.personal(pair).ok_or(Refusal::NotImporting)?;
        if before.import == Import::Done {
            return Ok(Decision::Keep(()));
        }
        ensure(before.import.is_running(), Refusal::NotImporting)?;
        let are_inside = self.read.keys().all(|user| pair.contains(user));
        ensure(are_inside, Refusal::NoMember { field: "read" })?;
        self.require_at_most(before.messages)?;
        let mut after = PersonalConversation {
            import: Import::Done,
            timestamp: context.next.timestamp,
            ..PersonalConversation::clone(before)
        };
        for user in pair.users() {
            let position = self.position(user, before.position(user), before.messages);
            *after.positions.of_mut(pair, user) = position;
        }
        let change = OpeningChange {
            after: Arc::new(after),
            is_told: true,
        };
        Ok(Decision::Change(Change::Opening(change), ()))
    }

    /// Fails if somebody has read what is not there.
    fn require_at_most(&self, last: MessageNumber) -> Result<(), Refusal> {
        let are_there = self.read.values().all(|number| *number <= last);
        ensure(are_there, Refusal::BeyondLast { last })
    }

    fn position(&self, user: &UserId, before: Position, last: MessageNumber) -> Position {
        let read = self.read.get(user).copied().unwrap_or(last);
        before.set_to(read, last)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            ChatImport, CreateChat,
            story::{
                Story, begin_import, conversation, erase, finish_import, import, imported_chat,
                user,
            },
        },
        *,
    };
    use crate::domain::{History, ImportingMember};

    /// The end of an import of which users have read so much.
    fn read_by(place: &Conversation, read: &[(&str, i64)]) -> FinishImport {
        let read = read.iter();
        let read = read.map(|(name, number)| (user(name), MessageNumber::new(*number)));
        FinishImport {
            read: read.collect(),
            ..finish_import(place)
        }
    }

    /// The members whom the last change has admitted.
    fn admitted(story: &Story) -> BTreeMap<UserId, Member> {
        match story.last_change() {
            Change::Chat(change) => change.admitted().iter().cloned().collect(),
            other => panic!("nobody is admitted by {other:?}"),
        }
    }

    #[test]
    fn who_has_joined_late_reads_what_came_since_and_what_is_sent_from_now_on() {
        let mut story = Story::default();
        let since = |number| ImportingMember {
            since: MessageNumber::new(number),
            ..ImportingMember::default()
        };
        let late = [(user("john"), since(1)), (user("kim"), since(9))];
        let chat = story.given_application(CreateChat {
            import: Some(ChatImport {
                described: late.into(),
                ..ChatImport::default()
            }),
            ..imported_chat(&["jane", "john", "kim"])
        });
        let place = Conversation::Chat(chat.number);
        for key in ["a", "b"] {
            story.given_application(import(key, &place, Some("jane")));
        }
        story.given_application(finish_import(&place));
        let members = admitted(&story);
        let reads_after = ["jane", "john", "kim"]
            .map(|name| members[&user(name)].reads_after(History::Joined).get());
        assert_eq!(reads_after, [0, 1, 2]);
    }

    /// After its erasure, a user is like one who never was to be a member.
    #[test]
    fn who_is_erased_meanwhile_is_passed_over() {
        let mut story = Story::default();
        let chat = story.given_application(imported_chat(&["jane", "john"]));
        let place = Conversation::Chat(chat.number);
        story.given_application(import("a", &place, Some("john")));
        story.given_application(erase("jane"));
        story.given_application(read_by(&place, &[("erased", 1), ("jane", 1), ("john", 0)]));
        let members = admitted(&story);
        let read = members.iter();
        let read = read.map(|(user, member)| (user.as_str(), member.position.read().get()));
        assert_eq!(Vec::from_iter(read), [("john", 0)]);
    }

    #[test]
    fn nobody_has_read_what_is_not_there_and_no_stranger_what_two_users_write() {
        let mut story = Story::default();
        let chat = story.given_application(imported_chat(&["jane"]));
        let place = Conversation::Chat(chat.number);
        story.given_application(import("a", &place, Some("jane")));
        let last = MessageNumber::FIRST;
        let beyond = story.when_application(read_by(&place, &[("jane", 2)]));
        assert_eq!(beyond.err(), Some(Refusal::BeyondLast { last }));
        story.given_application(begin_import("jane", "john"));
        let between = conversation("jane", "john");
        let stranger = story.when_application(read_by(&between, &[("jim", 0)]));
        assert_eq!(stranger.err(), Some(Refusal::NoMember { field: "read" }));
        story.given_application(read_by(&between, &[("jane", 0)]));
    }
}
