//! A pseudonym in place of a user in a personal conversation.

use std::sync::Arc;

use super::{Command, Context, Decision, Needs};
use crate::domain::{
    Change, Conversation, Each, Erasure, Import, MessageNumber, Pair, PersonalConversation,
    Position, Refusal, RenamingChange,
};

/// Puts the pseudonym of a user who is erased in its place in a personal conversation. The other user learns
/// that there is none by the name of before. Nobody writes there any more.
///
/// Where the conversation has its new name, the other user is told of it once more.
#[derive(Debug, Clone)]
pub struct RenameConversation {
    /// The users, by either name.
    pub pair: Pair,
    pub erasure: Arc<Erasure>,
}

impl Command for RenameConversation {
    type Output = ();

    const ERASES: bool = true;

    fn needs(&self) -> Needs<'_> {
        Needs {
            conversation: Some(Conversation::Personal(self.pair.clone())),
            ..Needs::default()
        }
    }

    fn rows(&self, _: usize) -> usize {
        2
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<()>, Refusal> {
        let Some(before) = context.state.personal(&self.pair) else {
            return Ok(Decision::Keep(()));
        };
        if !context.is_under_way(&self.erasure) {
            return Ok(Decision::Keep(()));
        }
        let timestamp = context.next.timestamp;
        let change = RenamingChange {
            timestamp,
            before: self.pair.clone(),
            after: Arc::new(PersonalConversation {
                timestamp,
                ..self.renamed(before)
            }),
            erasure: Arc::clone(&self.erasure),
        };
        Ok(Decision::Change(Change::Renaming(change), ()))
    }
}

impl RenameConversation {
    /// The conversation with the pseudonym, whose side accepts nothing and has read nothing.
    fn renamed(&self, before: &PersonalConversation) -> PersonalConversation {
        let Erasure {
            user, pseudonym, ..
        } = &*self.erasure;
        let pair = self.erasure.renamed(&before.pair);
        let other = pair.other_of(pseudonym);
        let position = before.position(other);
        // As where an import is done, nothing in it is unread.
        let position = match before.import {
            Import::Running => position.set_to(before.messages, before.messages),
            _ => position,
        };
        let mut after = PersonalConversation {
            positions: Each {
                least: position,
                greatest: position,
            },
            blocks: Each {
                least: *before.blocks.of(&before.pair, other),
                greatest: *before.blocks.of(&before.pair, other),
            },
            pair: pair.clone(),
            // Who stays sees what was imported by then.
            import: match before.import {
                Import::Running => Import::Done,
                import => import,
            },
            ..before.clone()
        };
        let user = if before.pair.contains(user) {
            user
        } else {
            pseudonym
        };
        let sent = before.position(user).sent();
        *after.positions.of_mut(&pair, pseudonym) =
            Position::stored(MessageNumber::ZERO, MessageNumber::ZERO, sent);
        *after.blocks.of_mut(&pair, pseudonym) = true;
        after
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            FinishErasure,
            story::{
                Story, begin_import, conversation, draft, erase, erasure, finish_import, import,
                mark, move_back, move_to, send, user,
            },
        },
        *,
    };

    fn rename(pair: Pair, whom: &str) -> RenameConversation {
        RenameConversation {
            pair,
            erasure: Arc::new(erasure(whom)),
        }
    }

    /// In the order of ids, the pseudonym comes before the one and after the other.
    #[test]
    fn the_other_user_keeps_its_side_whatever_the_order_of_the_names() {
        for (gone, stays) in [("jane", "john"), ("john", "jane"), ("jane", "adam")] {
            let mut story = Story::default();
            story.given(gone, send(draft(gone, stays, "1")));
            story.given(stays, send(draft(stays, gone, "2")));
            story.given(gone, send(draft(gone, stays, "3")));
            story.given(stays, move_to(&conversation(gone, stays), 3));
            story.given_application(erase(gone));
            let pair = Pair::new(&user(gone), &user(stays));
            story.given_application(rename(pair.clone(), gone));
            let again = story.when_application(rename(pair, gone));
            assert_eq!(again, Ok(Decision::Keep(())));
            let pseudonym = erasure(gone).pseudonym;
            let after = story.personal(pseudonym.as_str(), stays).clone();
            let read = |user| after.position(user).read().get();
            assert_eq!((read(&user(stays)), after.messages.get()), (3, 3));
            assert!(after.blocks.of(&after.pair, &pseudonym));
            assert!(!after.blocks.of(&after.pair, &user(stays)));
            let refused = story.when(stays, send(draft(stays, pseudonym.as_str(), "4")));
            assert_eq!(refused.err(), Some(Refusal::NotAccepted));
            story.given_application(rename(after.pair.clone(), gone));
            let told = story.personal(pseudonym.as_str(), stays);
            assert!(told.timestamp > after.timestamp);
            assert_eq!(told.positions, after.positions);
        }
    }

    /// Until the erasure is over, its messages name one user after another, and lists were read before.
    #[test]
    fn meanwhile_the_other_user_marks_by_either_name_and_by_message() {
        let mut story = Story::default();
        let [first, second, third] =
            ["1", "2", "3"].map(|text| story.given("jane", send(draft("jane", "john", text))));
        story.given_application(erase("jane"));
        let with_jane = conversation("jane", "john");
        story.given("john", move_to(&with_jane, 1));
        let refused = story.when("jane", move_to(&with_jane, 1)).err();
        assert_eq!(
            refused,
            Some(Refusal::Forbidden("the user is being erased"))
        );
        story.given_application(rename(Pair::new(&user("jane"), &user("john")), "jane"));
        let pseudonym = erasure("jane").pseudonym;
        let read = |story: &Story| {
            let after = story.personal(pseudonym.as_str(), "john");
            after.position(&user("john")).read()
        };
        assert_eq!(read(&story), first.number);
        story.given("john", move_to(&with_jane, 2));
        assert_eq!(read(&story), second.number);
        story.given("john", mark(&third, true));
        assert_eq!(read(&story), third.number);
        let with_pseudonym = conversation(pseudonym.as_str(), "john");
        story.given("john", move_back(&with_pseudonym, 1));
        assert_eq!(read(&story), first.number);
        story.given_application(FinishErasure {
            erasure: Arc::new(erasure("jane")),
        });
        let unknown = story.when("john", move_to(&with_jane, 2)).err();
        assert_eq!(unknown, Some(Refusal::NotFound));
        story.given("john", move_to(&with_pseudonym, 2));
    }

    #[test]
    fn an_import_ends_and_who_stays_has_read_everything() {
        let mut story = Story::default();
        story.given_application(begin_import("jane", "john"));
        let place = conversation("jane", "john");
        for (key, from) in [("a", "jane"), ("b", "john"), ("c", "jane")] {
            story.given_application(import(key, &place, Some(from)));
        }
        story.given_application(erase("jane"));
        story.given_application(rename(Pair::new(&user("jane"), &user("john")), "jane"));
        let after = story.personal(erasure("jane").pseudonym.as_str(), "john");
        assert_eq!(after.import, Import::Done);
        assert_eq!(after.position(&user("john")).read(), after.messages);
        let refused = story.when_application(finish_import(&place)).err();
        assert_eq!(refused, Some(Refusal::NotAccepted));
    }

    #[test]
    fn notes_to_oneself_are_those_of_the_pseudonym() {
        let mut story = Story::default();
        story.given("jane", send(draft("jane", "jane", "note")));
        story.given_application(erase("jane"));
        let pair = Pair::new(&user("jane"), &user("jane"));
        story.given_application(rename(pair, "jane"));
        let pseudonym = erasure("jane").pseudonym;
        let after = story.personal(pseudonym.as_str(), pseudonym.as_str());
        assert_eq!(after.messages.get(), 1);
    }
}
