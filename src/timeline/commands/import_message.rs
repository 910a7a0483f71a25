//! Importing a message.

use std::sync::Arc;

use time::OffsetDateTime;

use super::{Command, Context, Decision, Needs, ensure};
use crate::domain::{
    Attributes, Change, Content, Conversation, ConversationId, Files, Idempotency, IdempotencyKey,
    Imported, ImportedMessage, ImportedReactions, Mentions, Message, MessageChange, MessageId,
    MessageNumber, Refusal, Text, UserId,
};

/// Adds a message from elsewhere to a conversation that is being imported. No user is told of it.
#[derive(Debug, Clone)]
pub struct ImportMessage {
    /// The line that it is imported from. Its key is one of the conversation's.
    pub line: Idempotency,
    /// The line before it in the same conversation, which must be stored by then.
    pub after: Option<IdempotencyKey>,
    pub conversation: Conversation,
    /// `None`: the application itself.
    pub from: Option<UserId>,
    pub created: OffsetDateTime,
    pub system: bool,
    /// `None` if it is deleted.
    pub content: Option<ImportedContent>,
    pub reactions: ImportedReactions,
}

/// What an imported message says: at least one of text, files and attributes.
#[derive(Debug, Clone)]
pub struct ImportedContent {
    pub text: Option<Text>,
    pub files: Files,
    pub attributes: Option<Attributes>,
    pub mentions: Mentions,
    pub reply_to: Option<ReplyTo>,
    pub edited: Option<OffsetDateTime>,
}

/// The message that is replied to, in the same conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyTo {
    Id(MessageId),
    /// The one that was imported under this key.
    Key(IdempotencyKey),
}

/// Where a message is imported to.
struct Place {
    id: ConversationId,
    newest: MessageNumber,
    recipient_newest: Option<MessageNumber>,
    is_running: bool,
}

impl Command for ImportMessage {
    type Output = ImportedMessage;

    fn needs(&self) -> Needs<'_> {
        let (message, key) = match self.reply_to() {
            Some(ReplyTo::Id(id)) => (Some(*id), None),
            Some(ReplyTo::Key(key)) => (None, Some(key)),
            None => (None, None),
        };
        Needs {
            message,
            conversation: Some(self.conversation.clone()),
            imported: [Some(&self.line.key), self.after.as_ref(), key],
            ..Needs::default()
        }
    }

    fn rows(&self, _: usize) -> usize {
        let content = self.content.as_ref();
        let named = content.map_or(0, |it| it.files.len() + it.mentions.users().len());
        named + self.reactions.count()
    }

    fn replay(&self, context: &Context<'_>) -> Result<Option<ImportedMessage>, Refusal> {
        context.require_application()?;
        let place = self.place(context)?;
        let earlier = context.state.imported(place.id, &self.line.key);
        let Some((message, digest)) = earlier else {
            return Ok(None);
        };
        ensure(digest == self.line.digest, Refusal::KeyReused)?;
        Ok(Some(message))
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<ImportedMessage>, Refusal> {
        let place = self.place(context)?;
        ensure(place.is_running, Refusal::NotImporting)?;
        ensure(self.created <= context.next.now, Refusal::InFuture)?;
        let is_stored = |key| context.state.imported(place.id, key).is_some();
        ensure(
            self.after.as_ref().is_none_or(is_stored),
            Refusal::OutOfOrder,
        )?;
        context.require_present(self.named())?;
        let content = self.content.as_ref();
        let content = content
            .map(|it| self.content(context, place.id, it))
            .transpose()?;
        let message = Message {
            id: context.next.id,
            timestamp: context.next.timestamp,
            from: self.from.clone(),
            conversation: self.conversation.clone(),
            conversation_id: place.id,
            number: place.newest.next(),
            created: self.created,
            system: self.system,
            content,
        };
        let imported = ImportedMessage {
            id: message.id,
            number: message.number,
        };
        let change = MessageChange {
            before: None,
            after: Arc::new(message),
            begun: None,
            recipient_newest: place.recipient_newest,
            idempotency: None,
            imported: Some(Box::new(Imported {
                line: self.line.clone(),
                reactions: self.reactions.clone(),
            })),
        };
        Ok(Decision::Change(Change::Message(change), imported))
    }
}

impl ImportMessage {
    fn reply_to(&self) -> Option<&ReplyTo> {
        self.content.as_ref()?.reply_to.as_ref()
    }

    fn place(&self, context: &Context<'_>) -> Result<Place, Refusal> {
        match &self.conversation {
            Conversation::Chat(number) => {
                let chat = context.inside(*number)?.chat;
                Ok(Place {
                    id: chat.id,
                    newest: chat.messages,
                    recipient_newest: None,
                    is_running: chat.import.is_running(),
                })
            }
            Conversation::Personal(pair) => {
                let personal = context.state.personal(pair).ok_or(Refusal::NotImporting)?;
                let from = self.from.as_ref().ok_or(Refusal::NotFound)?;
                let recipient = personal.position(pair.other_of(from));
                Ok(Place {
                    id: personal.id,
                    newest: personal.messages,
                    recipient_newest: Some(recipient.sent()),
                    is_running: personal.import.is_running(),
                })
            }
        }
    }

    /// The users whom it names, besides those of its conversation.
    fn named(&self) -> impl Iterator<Item = &UserId> {
        let content = self.content.as_ref();
        let mentioned = content.into_iter().flat_map(|it| it.mentions.users());
        let reacting = self.reactions.0.iter().flat_map(|(_, users)| users);
        self.from.iter().chain(mentioned).chain(reacting)
    }

    fn content(
        &self,
        context: &Context<'_>,
        conversation: ConversationId,
        content: &ImportedContent,
    ) -> Result<Content, Refusal> {
        let reply_to = match &content.reply_to {
            None => None,
            Some(ReplyTo::Id(id)) => {
                let message = context.message(*id);
                let is_inside = |it: &&Arc<Message>| it.conversation_id == conversation;
                ensure(
                    message.as_ref().is_some_and(is_inside),
                    Refusal::ReplyElsewhere(*id),
                )?;
                Some(*id)
            }
            Some(ReplyTo::Key(key)) => {
                let earlier = context.state.imported(conversation, key);
                let (message, _) = earlier.ok_or_else(|| Refusal::UnknownReply(key.clone()))?;
                Some(message.id)
            }
        };
        Ok(Content {
            text: content.text.clone(),
            files: content.files.clone(),
            attributes: content.attributes.clone(),
            mentions: content.mentions.clone(),
            reply_to,
            edited: content.edited,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{
            Story, begin_import, draft, finish_import, idempotency, import, imported_chat, send,
            user,
        },
        *,
    };
    use crate::domain::Conversation;

    #[test]
    fn a_message_keeps_its_times_and_has_the_next_number() {
        let mut story = Story::default();
        let chat = story.given_application(imported_chat(&["jane"]));
        let place = Conversation::Chat(chat.number);
        let old = OffsetDateTime::UNIX_EPOCH - time::Duration::days(365);
        let first = ImportMessage {
            created: old,
            ..import("a", &place, Some("stranger"))
        };
        let stored = story.given_application(first);
        assert_eq!(stored.number.get(), 1);
        let change = story.last_message_change();
        assert_eq!(change.after.created, old);
        assert_eq!(change.after.from, Some(user("stranger")));
        let second = story.given_application(import("b", &place, None));
        assert_eq!(second.number.get(), 2);
    }

    #[test]
    fn a_line_is_stored_once_even_when_the_import_is_done() {
        let mut story = Story::default();
        let chat = story.given_application(imported_chat(&[]));
        let place = Conversation::Chat(chat.number);
        let stored = story.given_application(import("a", &place, Some("jane")));
        story.given_application(finish_import(&place));
        let again = story.when_application(import("a", &place, Some("jane")));
        assert_eq!(again, Ok(Decision::Replay(stored)));
        let other = ImportMessage {
            system: true,
            ..import("a", &place, Some("jane"))
        };
        let other = ImportMessage {
            line: idempotency("a", 9),
            ..other
        };
        assert_eq!(
            story.when_application(other).err(),
            Some(Refusal::KeyReused)
        );
        let late = story.when_application(import("b", &place, Some("jane")));
        assert_eq!(late.err(), Some(Refusal::NotImporting));
    }

    #[test]
    fn replies_name_an_earlier_message_of_the_conversation() {
        let mut story = Story::default();
        let [place, elsewhere] = [(); 2]
            .map(|()| Conversation::Chat(story.given_application(imported_chat(&[])).number));
        let first = story.given_application(import("a", &place, None));
        let reply = |key: &str, place: &Conversation, to: ReplyTo| {
            let mut reply = import(key, place, None);
            reply.content.as_mut().unwrap().reply_to = Some(to);
            reply
        };
        let key = || ReplyTo::Key(idempotency("a", 1).key);
        story.given_application(reply("b", &place, key()));
        let content = story.last_message_change().after.content.clone();
        assert_eq!(content.unwrap().reply_to, Some(first.id));
        story.given_application(reply("c", &place, ReplyTo::Id(first.id)));
        let unknown = story.when_application(reply("d", &elsewhere, key()));
        assert!(matches!(unknown.err(), Some(Refusal::UnknownReply(_))));
        let outside = story.when_application(reply("e", &elsewhere, ReplyTo::Id(first.id)));
        assert_eq!(outside.err(), Some(Refusal::ReplyElsewhere(first.id)));
    }

    #[test]
    fn only_the_application_writes_while_a_conversation_is_imported() {
        let mut story = Story::default();
        story.given_application(begin_import("jane", "john"));
        let place = Conversation::between(&user("jane"), &user("john"));
        story.given_application(import("a", &place, Some("john")));
        assert!(story.last_message_change().imported.is_some());
        let sent = story.when("jane", send(draft("jane", "john", "hi")));
        assert_eq!(sent.err(), Some(Refusal::Importing));
        let by_user = story.when("jane", import("b", &place, Some("jane")));
        assert!(matches!(by_user.err(), Some(Refusal::Forbidden(_))));
        let again = story.when_application(begin_import("john", "jane"));
        assert_eq!(again, Ok(Decision::Keep(())));
        story.given_application(finish_import(&place));
        let personal = story.personal("jane", "john");
        let read = ["jane", "john"].map(|name| personal.position(&user(name)).read().get());
        assert_eq!(read, [1, 1]);
        story.given("jane", send(draft("jane", "john", "hi")));
        let again = story.when_application(begin_import("john", "jane"));
        assert_eq!(again, Ok(Decision::Keep(())));
        story.given("jane", send(draft("jane", "jim", "hi")));
        let late = story.when_application(begin_import("jane", "jim"));
        assert_eq!(late.err(), Some(Refusal::HasMessages));
    }
}
