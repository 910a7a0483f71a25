//! Reacting to a message, and taking a reaction back.

use std::collections::BTreeSet;

use super::{Command, Context, Decision, Needs, content, context::Inside, ensure};
use crate::{
    domain::{Change, KEYS_OF_USER_MAX, Message, MessageId, ReactionKey, ReactionsChange, Refusal},
    timeline::BatchState,
};

/// Adds the caller's reaction to a message with a key, or removes it. What is so already stays so, whatever
/// the caller may do by now: a request that is repeated succeeds.
#[derive(Debug, Clone)]
pub struct React {
    pub id: MessageId,
    pub key: ReactionKey,
    pub reacts: bool,
}

impl Command for React {
    type Output = ();

    fn needs(&self) -> Needs<'_> {
        Needs {
            conversation_of_message: true,
            reactions: true,
            ..Needs::of_message(self.id)
        }
    }

    fn rows(&self, members: usize) -> usize {
        members
    }

    fn is_part_of_earlier(&self, state: &BatchState) -> bool {
        state.reactions_changed(self.id).is_some()
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<()>, Refusal> {
        let user = context.caller.ok_or(Refusal::NotFound)?;
        let (message, inside) = context.visible_message(self.id)?;
        content(message)?;
        let own = context.state.reacted(self.id, user);
        if own.is_some_and(|own| own.contains(&self.key)) == self.reacts {
            return Ok(Decision::Keep(()));
        }
        if self.reacts {
            require_reacting(context, message, inside.as_ref())?;
        }
        let before = context.state.reactions(self.id);
        let mut after = before.cloned().unwrap_or_default();
        let added = if self.reacts {
            let of_user =
                Refusal::TooManyReactions("you react to a message with 20 keys at the most");
            let count = own.map_or(0, BTreeSet::len);
            ensure(count < KEYS_OF_USER_MAX, of_user)?;
            let of_message =
                Refusal::TooManyReactions("the reactions to a message have 50 keys at the most");
            ensure(!after.is_full(&self.key), of_message)?;
            Some(after.add(&self.key))
        } else {
            after.remove(&self.key);
            None
        };
        let earlier = context.state.reactions_changed(self.id);
        let change = ReactionsChange {
            timestamp: earlier.unwrap_or(context.next.timestamp),
            message: message.clone(),
            user: user.clone(),
            key: self.key.clone(),
            added,
            after,
        };
        Ok(Decision::Change(Change::Reactions(change), ()))
    }
}

/// Fails if the caller may read the message and may not react to it.
fn require_reacting(
    context: &Context<'_>,
    message: &Message,
    inside: Option<&Inside<'_>>,
) -> Result<(), Refusal> {
    match (inside, message.conversation.pair()) {
        (Some(inside), _) => context.require_reacting(inside),
        (None, Some(pair)) => context.require_accepted(pair),
        (None, None) => Err(Refusal::NotFound),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{
            Story, add, change_chat, conversation, create, draft, edit, leave, react, remove, send,
            send_to, settings,
        },
        *,
    };
    use crate::{domain::SettingsPatch, timeline::commands::ChatPatch};

    #[test]
    fn a_reaction_is_there_once_and_leaves_the_message_as_it_is() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("jane", "john", "hi")));
        story.given("john", react(&sent, "👍", true));
        let again = story.when("john", react(&sent, "👍", true));
        assert_eq!(again, Ok(Decision::Keep(())));
        story.given("john", react(&sent, "👍", false));
        let again = story.when("john", react(&sent, "👍", false));
        assert_eq!(again, Ok(Decision::Keep(())));
        assert_eq!(
            story.when("jim", react(&sent, "👍", true)),
            Err(Refusal::NotFound)
        );
        story.given("jane", edit(&sent, "ho"));
    }

    #[test]
    fn changes_of_one_message_share_a_timestamp_until_the_members_change_or_the_batch_ends() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        let message = story.given("jane", send_to(&chat));
        story.given("jane", react(&message, "a", true));
        let first = story.last_timestamp();
        story.given("john", react(&message, "a", true));
        story.given("jane", react(&message, "a", false));
        assert_eq!(story.last_timestamp(), first);
        story.given("jane", add(&chat, "jim"));
        story.given("jim", react(&message, "a", true));
        let second = story.last_timestamp();
        assert!(second > first, "jim was no member at the first");
        story.end_batch();
        story.given("john", react(&message, "b", true));
        assert!(story.last_timestamp() > second);
    }

    #[test]
    fn there_are_so_many_keys_of_a_user_and_of_a_message() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john", "jim"]));
        let message = story.given("jane", send_to(&chat));
        for (user, keys) in [("jane", 0..20), ("john", 20..40), ("jim", 40..50)] {
            for key in keys {
                story.given(user, react(&message, &key.to_string(), true));
            }
        }
        let refused = |story: &mut Story, user, key| {
            let refused = story.when(user, react(&message, key, true)).err();
            matches!(refused, Some(Refusal::TooManyReactions(_)))
        };
        assert!(refused(&mut story, "jane", "20"), "the 21st of the user");
        assert!(refused(&mut story, "jim", "new"), "the 51st of the message");
        story.given("jim", react(&message, "0", true));
        story.given("jim", react(&message, "49", false));
        story.given("jim", react(&message, "new", true));
    }

    #[test]
    fn who_reads_and_does_not_act_does_not_react_and_takes_back_what_is_there() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        let message = story.given("jane", send_to(&chat));
        story.given("john", react(&message, "a", true));
        let frozen = |frozen| ChatPatch {
            frozen: Some(frozen),
            ..ChatPatch::default()
        };
        let reactions = |reactions| ChatPatch {
            reactions: Some(reactions),
            ..ChatPatch::default()
        };
        for (patch, back, otherwise) in [
            (reactions(false), reactions(true), "no reactions"),
            (frozen(true), frozen(false), "frozen"),
        ] {
            let chat = story.chat(chat.number);
            story.given("jane", change_chat(&chat, patch));
            let refused = story.when("john", react(&message, "b", true)).err();
            let words = refused.unwrap().to_string();
            assert!(words.contains(otherwise), "{words}");
            story.given("john", react(&message, "a", false));
            let chat = story.chat(chat.number);
            story.given("jane", change_chat(&chat, back));
            story.given("john", react(&message, "a", true));
        }
        story.given("john", leave(&chat, "john"));
        assert_eq!(
            story.when("john", react(&message, "a", false)),
            Err(Refusal::NotFound)
        );

        let sent = story.given("jane", send(draft("jane", "jim", "hi")));
        let patch = SettingsPatch {
            blocked: Some(true),
            ..SettingsPatch::default()
        };
        story.given("jane", settings(&conversation("jane", "jim"), &patch));
        let refused = story.when("jim", react(&sent, "a", true));
        assert_eq!(refused, Err(Refusal::NotAccepted));
    }

    #[test]
    fn a_deleted_message_has_no_reactions() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("jane", "john", "hi")));
        story.given("john", react(&sent, "a", true));
        story.given("jane", remove(&sent));
        for reacts in [true, false] {
            let gone = story.when("john", react(&sent, "a", reacts));
            assert_eq!(gone, Err(Refusal::Gone));
        }
    }
}
