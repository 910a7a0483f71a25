//! Erasing a reaction of a user.

use std::sync::Arc;

use super::{Command, Context, Decision, Needs};
use crate::domain::{Change, Erasure, MessageId, ReactionKey, ReactionsChange, Refusal};

/// Takes back a reaction of a user who is erased, wherever the message is.
#[derive(Debug, Clone)]
pub struct EraseReaction {
    pub id: MessageId,
    pub key: ReactionKey,
    pub erasure: Arc<Erasure>,
}

impl Command for EraseReaction {
    type Output = ();

    const ERASES: bool = true;

    fn needs(&self) -> Needs<'_> {
        Needs {
            reactions: true,
            reacted_by: Some(&self.erasure.user),
            ..Needs::of_message(self.id)
        }
    }

    fn rows(&self, members: usize) -> usize {
        members
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<()>, Refusal> {
        let user = &self.erasure.user;
        // It may have expired and been cleared meanwhile.
        let Some(message) = context.message(self.id) else {
            return Ok(Decision::Keep(()));
        };
        let own = context.state.reacted(self.id, user);
        let before = context.state.reactions(self.id);
        let (true, Some(before)) = (own.is_some_and(|own| own.contains(&self.key)), before) else {
            return Ok(Decision::Keep(()));
        };
        if !context.is_under_way(&self.erasure) {
            return Ok(Decision::Keep(()));
        }
        let mut after = before.clone();
        after.remove(&self.key);
        let change = ReactionsChange {
            timestamp: context.next.timestamp,
            message: message.clone(),
            user: user.clone(),
            key: self.key.clone(),
            added: None,
            after,
        };
        Ok(Decision::Change(Change::Reactions(change), ()))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{Story, draft, erase, erasure, react, send},
        *,
    };

    #[test]
    fn a_reaction_is_taken_back_once_and_others_stay() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("jane", "john", "hi")));
        story.given("jane", react(&sent, "a", true));
        story.given("john", react(&sent, "a", true));
        story.given_application(erase("jane"));
        let command = || EraseReaction {
            id: sent.id,
            key: ReactionKey::parse("a").unwrap(),
            erasure: Arc::new(erasure("jane")),
        };
        story.given_application(command());
        assert_eq!(story.when_application(command()), Ok(Decision::Keep(())));
        let again = story.when("john", react(&sent, "a", true));
        assert_eq!(again, Ok(Decision::Keep(())));
    }
}
