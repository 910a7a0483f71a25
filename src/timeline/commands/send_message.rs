//! Sending a message, to a user or into a chat.

use std::sync::Arc;

use super::{Command, Context, Decision, Needs, ensure};
use crate::domain::{
    Attributes, Change, Content, Conversation, ConversationId, Created, Files, Idempotency,
    Mentions, Message, MessageChange, MessageId, MessageNumber, Pair, PersonalConversation,
    Refusal, Text, UserId,
};

/// Sends a message.
#[derive(Debug, Clone)]
pub struct SendMessage {
    pub draft: Draft,
    pub idempotency: Option<Idempotency>,
}

/// A message before it is sent: at least one of text, files and attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub conversation: Conversation,
    pub text: Option<Text>,
    pub files: Files,
    pub attributes: Option<Attributes>,
    pub mentions: Mentions,
    pub reply_to: Option<MessageId>,
}

impl Command for SendMessage {
    type Output = Arc<Message>;

    fn needs(&self) -> Needs<'_> {
        Needs {
            message: self.draft.reply_to,
            conversation: Some(self.draft.conversation.clone()),
            mentioned: self.draft.mentions.users(),
            idempotency: self.idempotency.as_ref(),
            ..Needs::default()
        }
    }

    fn rows(&self, members: usize) -> usize {
        members + self.draft.files.len() + self.draft.mentions.users().len()
    }

    fn replay(&self, context: &Context<'_>) -> Result<Option<Arc<Message>>, Refusal> {
        let Some(Created::Message(id)) = context.replayed(self.idempotency.as_ref())? else {
            return Ok(None);
        };
        let earlier = context.message(id).ok_or(Refusal::NotFound)?;
        if context.has_expired(earlier) {
            // Its data are not kept any more, and its row not for long.
            return Ok(Some(earlier.cleared()));
        }
        Ok(Some(Arc::clone(earlier)))
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Arc<Message>>, Refusal> {
        let place = self.place(context)?;
        self.require_reply_inside(context)?;
        let mentioned = self.draft.mentions.users().iter();
        context.require_inside(&self.draft.conversation, mentioned)?;
        let message = Arc::new(self.message(context, place.id, place.newest.next()));
        let change = MessageChange {
            before: None,
            begun: place.begun.map(Arc::new),
            recipient_newest: place.recipient_newest,
            after: Arc::clone(&message),
            idempotency: self.idempotency.clone(),
            imported: None,
        };
        Ok(Decision::Change(Change::Message(change), message))
    }
}

/// Where a message goes.
struct Place {
    id: ConversationId,
    /// The number of the conversation's newest message.
    newest: MessageNumber,
    /// In a personal conversation: the number of the recipient's newest message.
    recipient_newest: Option<MessageNumber>,
    /// The personal conversation that the message begins.
    begun: Option<PersonalConversation>,
}

impl SendMessage {
    /// Where the message goes, if the caller may send into the conversation. The first message of a
    /// pair creates the conversation.
    fn place(&self, context: &Context<'_>) -> Result<Place, Refusal> {
        match &self.draft.conversation {
            Conversation::Chat(chat) => {
                let inside = context.inside(*chat)?;
                context.require_posting(&inside)?;
                context.require_patience(&inside)?;
                Ok(Place {
                    id: inside.chat.id,
                    newest: inside.chat.messages,
                    recipient_newest: None,
                    begun: None,
                })
            }
            Conversation::Personal(pair) => {
                let sender = context.caller.filter(|user| pair.contains(user));
                personal_place(context, pair, sender.ok_or(Refusal::NotFound)?)
            }
        }
    }

    fn require_reply_inside(&self, context: &Context<'_>) -> Result<(), Refusal> {
        let Some(id) = self.draft.reply_to else {
            return Ok(());
        };
        let is_inside = |message: &Arc<Message>| message.conversation == self.draft.conversation;
        let visible = context.visible_message(id);
        let holds = visible.is_ok_and(|(message, _)| is_inside(message));
        ensure(holds, Refusal::ReplyElsewhere(id))
    }

    fn message(
        &self,
        context: &Context<'_>,
        conversation_id: ConversationId,
        number: MessageNumber,
    ) -> Message {
        let draft = self.draft.clone();
        Message {
            id: context.next.id,
            timestamp: context.next.timestamp,
            from: context.caller.cloned(),
            conversation: draft.conversation,
            conversation_id,
            number,
            created: context.next.now,
            system: false,
            content: Some(Content {
                text: draft.text,
                files: draft.files,
                attributes: draft.attributes,
                mentions: draft.mentions,
                reply_to: draft.reply_to,
                edited: None,
            }),
        }
    }
}

fn personal_place(context: &Context<'_>, pair: &Pair, sender: &UserId) -> Result<Place, Refusal> {
    context.require_accepted(pair)?;
    let existing = context.state.personal(pair);
    if let Some(existing) = existing
        && existing.messages > MessageNumber::ZERO
    {
        return Ok(Place {
            id: existing.id,
            newest: existing.messages,
            recipient_newest: Some(existing.position(pair.other_of(sender)).sent()),
            begun: None,
        });
    }
    let next = context.next;
    let mut begun = PersonalConversation::created_at(next.timestamp, next.now, pair);
    if let Some(existing) = existing {
        // What one of them has set before is nothing that the other one should learn of.
        (begun.id, begun.blocks, begun.opened) = (existing.id, existing.blocks, existing.opened);
    }
    Ok(Place {
        id: begun.id,
        newest: MessageNumber::ZERO,
        recipient_newest: Some(MessageNumber::ZERO),
        begun: Some(begun),
    })
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};

    use super::{
        super::story::{
            Story, conversation, draft, idempotency, remove, send, send_once, user, with_files,
        },
        *,
    };
    use crate::domain::Timestamp;

    fn reply(id: MessageId, draft: Draft) -> Draft {
        Draft {
            reply_to: Some(id),
            ..draft
        }
    }

    #[test]
    fn a_message_is_sent_with_the_numbers_that_are_next() {
        let message = Story::default().given("jane", send(with_files("jane", "john", &["a"])));
        assert_eq!(
            (message.id, message.timestamp),
            (MessageId::new(1001), Timestamp::new(1))
        );
        let second = OffsetDateTime::UNIX_EPOCH + Duration::seconds(1);
        assert_eq!(message.created, second);
        assert_eq!(message.to(), Some(&user("john")));
    }

    #[test]
    fn its_change_begins_the_use_of_each_file() {
        let mut story = Story::default();
        story.given("jane", send(with_files("jane", "john", &["a", "b"])));
        let begun = story.last_message_change().files();
        let begun: Vec<_> = begun.iter().map(|file| file.as_str()).collect();
        assert_eq!(begun, ["a", "b"]);
    }

    #[test]
    fn a_reply_stays_in_its_conversation() {
        let mut story = Story::default();
        let first = story.given("jane", send(draft("jane", "john", "hi"))).id;
        assert!(
            story
                .when("john", send(reply(first, draft("john", "jane", "re"))))
                .is_ok()
        );
        assert!(
            story
                .when("jane", send(reply(first, draft("jane", "john", "re"))))
                .is_ok()
        );
        for (from, to) in [("jane", "jim"), ("jim", "jane")] {
            let elsewhere = story.when(from, send(reply(first, draft(from, to, "re"))));
            assert_eq!(elsewhere.err(), Some(Refusal::ReplyElsewhere(first)));
        }
        let unknown = story.when(
            "jane",
            send(reply(MessageId::new(7), draft("jane", "john", "re"))),
        );
        assert_eq!(
            unknown.err(),
            Some(Refusal::ReplyElsewhere(MessageId::new(7)))
        );
    }

    #[test]
    fn nobody_sends_into_a_conversation_of_others() {
        let mut story = Story::default();
        let sent = story.when("jim", send(draft("jane", "john", "hi")));
        assert_eq!(sent.err(), Some(Refusal::NotFound));
        let by_application = story.when_application(send(draft("jane", "john", "hi")));
        assert_eq!(by_application.err(), Some(Refusal::NotFound));
    }

    #[test]
    fn a_repeated_request_gets_the_message_as_it_is_now() {
        let mut story = Story::default();
        let request = || send_once(draft("jane", "john", "hi"), "k", 1);
        let sent = story.given("jane", request());
        assert_eq!(
            story.when("jane", request()),
            Ok(Decision::Replay(Arc::clone(&sent)))
        );
        let deleted = story.given("jane", remove(&sent));
        assert_eq!(story.when("jane", request()), Ok(Decision::Replay(deleted)));
    }

    #[test]
    fn a_repeated_request_is_answered_before_any_other_check_of_state() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("jane", "john", "hi")));
        story.add_key("jane", &idempotency("k", 1), Created::Message(sent.id));
        let to_nothing = reply(MessageId::new(7), draft("jane", "john", "hi"));
        let again = story.when("jane", send_once(to_nothing, "k", 1));
        assert_eq!(again, Ok(Decision::Replay(sent)));
    }

    #[test]
    fn a_key_belongs_to_one_request_of_one_sender() {
        let mut story = Story::default();
        story.given("jane", send_once(draft("jane", "john", "hi"), "k", 1));
        let other = story.when("jane", send_once(draft("jane", "john", "ho"), "k", 2));
        assert_eq!(other.err(), Some(Refusal::KeyReused));
        story.given("john", send_once(draft("john", "jane", "hi"), "k", 3));
    }

    #[test]
    fn a_refused_request_leaves_its_key_free() {
        let mut story = Story::default();
        let bad = reply(MessageId::new(7), draft("jane", "john", "hi"));
        assert!(story.when("jane", send_once(bad, "k", 1)).is_err());
        story.given("jane", send_once(draft("jane", "john", "hi"), "k", 2));
    }

    #[test]
    fn a_message_to_oneself_is_in_a_conversation_of_one() {
        let message = Story::default().given("jane", send(draft("jane", "jane", "note")));
        assert_eq!(message.conversation, conversation("jane", "jane"));
        assert_eq!(message.to(), Some(&user("jane")));
    }
}
