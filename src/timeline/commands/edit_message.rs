//! Editing a message: its text, its attributes, and whom it names.

use std::sync::Arc;

use super::{Command, Context, Decision, Expected, Needs, content, ensure};
use crate::domain::{
    Attributes, Content, MENTIONS_MAX, Mentions, Message, MessageId, Refusal, Text, UserId,
};

/// Replaces parts of a message. What is `None` stays as it is.
#[derive(Debug, Clone)]
pub struct EditMessage {
    pub id: MessageId,
    pub edit: MessageEdit,
    pub expected: Expected,
}

/// The parts of a message that an edit replaces.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MessageEdit {
    /// An inner `None` empties it.
    pub text: Option<Option<Text>>,
    /// An inner `None` removes them.
    pub attributes: Option<Option<Attributes>>,
    pub mentions: Option<Vec<UserId>>,
    pub mentions_all: Option<bool>,
}

impl Command for EditMessage {
    type Output = Arc<Message>;

    fn needs(&self) -> Needs<'_> {
        Needs {
            mentioned: self.edit.mentions.as_deref().unwrap_or_default(),
            conversation_of_message: true,
            ..Needs::of_message(self.id)
        }
    }

    fn rows(&self, members: usize) -> usize {
        members + 2 * MENTIONS_MAX
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Arc<Message>>, Refusal> {
        let (message, inside) = context.visible_message(self.id)?;
        let is_sender = message.from.as_ref() == context.caller;
        let is_application = context.caller.is_none() && self.edit.is_of_attributes();
        let otherwise = "only the sender may edit the message";
        ensure(is_sender || is_application, Refusal::Forbidden(otherwise))?;
        let is_done = |content: &Content| self.edit.of(content) == *content;
        if message.content.as_ref().is_some_and(is_done) {
            return Ok(Decision::Keep(Arc::clone(message)));
        }
        if let Some(inside) = &inside {
            context.require_posting(inside)?;
        }
        if let Some(pair) = message.conversation.pair() {
            context.require_accepted(pair)?;
        }
        let content = content(message)?;
        let mut edited = self.edit.of(content);
        // A name that is being erased does not come back.
        edited.mentions = edited
            .mentions
            .without(|user| context.state.erasure(user).is_some());
        self.expected.require(message.timestamp)?;
        let something_remains =
            edited.text.is_some() || !content.files.is_empty() || edited.attributes.is_some();
        ensure(something_remains, Refusal::NothingLeft)?;
        let before = content.mentions.users();
        let named = edited.mentions.users().iter();
        let newly_named = named.filter(|user| !before.contains(user));
        context.require_inside(&message.conversation, newly_named)?;
        let edited = Content {
            edited: Some(context.next.now),
            ..edited
        };
        Ok(context.change_message(message, Some(edited)))
    }
}

impl MessageEdit {
    /// An edit of the text alone; `None` empties it.
    pub fn text(text: Option<Text>) -> Self {
        Self {
            text: Some(text),
            ..Self::default()
        }
    }

    /// Whether it leaves everything but the attributes as it is.
    fn is_of_attributes(&self) -> bool {
        self.text.is_none() && self.mentions.is_none() && self.mentions_all.is_none()
    }

    fn of(&self, content: &Content) -> Content {
        let mentions = &content.mentions;
        // In another order, they are the same.
        let is_other = |users: &&Vec<UserId>| {
            users.len() != mentions.users().len()
                || users.iter().any(|user| !mentions.users().contains(user))
        };
        let users = self.mentions.as_ref().filter(is_other);
        let users = users.map_or(mentions.users(), Vec::as_slice);
        Content {
            text: self.text.clone().unwrap_or_else(|| content.text.clone()),
            attributes: self
                .attributes
                .clone()
                .unwrap_or_else(|| content.attributes.clone()),
            mentions: Mentions::trusted(users.to_vec(), self.mentions_all.unwrap_or(mentions.all)),
            ..content.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};

    use super::{
        super::story::{Story, draft, edit, remove, send, with_files},
        *,
    };

    #[test]
    fn only_the_sender_edits() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("jane", "john", "hi")));
        let refusal = story.when("john", edit(&sent, "ho")).err();
        assert!(matches!(refusal, Some(Refusal::Forbidden(_))));
        assert_eq!(
            story.when("jim", edit(&sent, "ho")).err(),
            Some(Refusal::NotFound)
        );
        let edited = story.given("jane", edit(&sent, "ho"));
        let at = OffsetDateTime::UNIX_EPOCH + Duration::seconds(edited.timestamp.get());
        assert_eq!(edited.content.as_ref().unwrap().edited, Some(at));
    }

    #[test]
    fn an_edit_that_changes_nothing_takes_no_timestamp_however_stale() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("jane", "john", "hi")));
        let edited = story.given("jane", edit(&sent, "ho"));
        assert_eq!(
            story.when("jane", edit(&sent, "ho")),
            Ok(Decision::Keep(edited))
        );
    }

    #[test]
    fn of_two_edits_of_the_same_state_the_first_wins() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("jane", "john", "hi")));
        let current = story.given("jane", edit(&sent, "one")).timestamp;
        let stale = Some(Refusal::Stale { current });
        assert_eq!(story.when("jane", edit(&sent, "two")).err(), stale);
        assert_eq!(story.when("john", remove(&sent)).err(), stale);
    }

    #[test]
    fn a_text_is_emptied_only_if_something_remains() {
        let mut story = Story::default();
        let bare = story.given("jane", send(draft("jane", "john", "hi")));
        assert_eq!(
            story.when("jane", edit(&bare, "")).err(),
            Some(Refusal::NothingLeft)
        );
        let filed = story.given("jane", send(with_files("jane", "john", &["a"])));
        let emptied = story.given("jane", edit(&filed, ""));
        assert_eq!(emptied.content.as_ref().unwrap().text, None);
        story.given("jane", edit(&emptied, "text for a message of files"));
    }

    #[test]
    fn a_stale_edit_that_would_leave_nothing_is_stale_first() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("jane", "john", "hi")));
        story.given("jane", edit(&sent, "ho"));
        let refusal = story.when("jane", edit(&sent, "")).err();
        assert!(matches!(refusal, Some(Refusal::Stale { .. })));
    }
}
