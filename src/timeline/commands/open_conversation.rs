//! Letting two users write to each other.

use std::sync::Arc;

use super::{Command, Context, Decision, Needs};
use crate::domain::{
    Change, Conversation, Import, MessageNumber, OpeningChange, Pair, PersonalConversation, Refusal,
};

/// Opens the conversation of two users, or closes it, by the application. It counts where the application's
/// policy lets users write in opened conversations alone.
#[derive(Debug, Clone)]
pub struct OpenConversation {
    pub pair: Pair,
    pub opened: bool,
}

impl Command for OpenConversation {
    type Output = Arc<PersonalConversation>;

    fn needs(&self) -> Needs<'_> {
        Needs {
            conversation: Some(Conversation::Personal(self.pair.clone())),
            ..Needs::default()
        }
    }

    fn rows(&self, _: usize) -> usize {
        0
    }

    fn decide(
        &self,
        context: &Context<'_>,
    ) -> Result<Decision<Arc<PersonalConversation>>, Refusal> {
        context.require_application()?;
        let next = context.next;
        let before = context.state.personal(&self.pair);
        let mut after = match before {
            Some(before) => PersonalConversation::clone(before),
            None => PersonalConversation::created_at(next.timestamp, next.now, &self.pair),
        };
        if after.messages == MessageNumber::ZERO && after.import == Import::None {
            // What one of them has set before is nothing that the other one should learn of.
            after.created = next.now;
        }
        if after.opened == self.opened {
            return Ok(Decision::Keep(Arc::new(after)));
        }
        (after.opened, after.timestamp) = (self.opened, next.timestamp);
        let after = Arc::new(after);
        let change = OpeningChange {
            is_told: !after.import.is_running(),
            after: Arc::clone(&after),
        };
        Ok(Decision::Change(Change::Opening(change), after))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{Story, draft, edit, open, policy, send},
        *,
    };
    use crate::domain::{Personal, PolicyPatch};

    fn personal(personal: Personal) -> PolicyPatch {
        PolicyPatch {
            personal: Some(personal),
            ..PolicyPatch::default()
        }
    }

    #[test]
    fn where_the_policy_says_so_only_opened_conversations_are_written_in() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("jane", "john", "hi")));
        story.given_application(policy(personal(Personal::Opened)));
        for refused in [
            story.when("jane", send(draft("jane", "john", "ho"))).err(),
            story.when("jane", send(draft("jane", "jim", "hi"))).err(),
            story.when("jane", edit(&sent, "ho")).err(),
        ] {
            assert_eq!(refused, Some(Refusal::NotAccepted));
        }
        story.given("jane", send(draft("jane", "jane", "a note")));
        story.given_application(open("jane", "jim", true));
        story.given("jim", send(draft("jim", "jane", "hi")));
        story.given("jane", send(draft("jane", "jim", "hi")));
        assert!(story.personal("jane", "jim").opened);
        let again = story.when_application(open("jim", "jane", true));
        assert!(matches!(again, Ok(Decision::Keep(_))));
        story.given_application(open("jane", "jim", false));
        let closed = story.when("jane", send(draft("jane", "jim", "hi"))).err();
        assert_eq!(closed, Some(Refusal::NotAccepted));
        story.given_application(policy(personal(Personal::Nobody)));
        let nobody = story.when("jane", send(draft("jane", "john", "hi"))).err();
        assert_eq!(nobody, Some(Refusal::NotAccepted));
        story.given_application(policy(personal(Personal::Anyone)));
        story.given("jane", send(draft("jane", "john", "hi")));
    }

    #[test]
    fn what_is_closed_and_was_never_opened_is_no_change() {
        let mut story = Story::default();
        let closed = story.when_application(open("jane", "john", false));
        assert!(matches!(closed, Ok(Decision::Keep(_))));
    }
}
