//! Clearing messages that have expired.

use std::sync::Arc;

use super::{Command, Context, Decision, Needs, ensure};
use crate::domain::{
    Change, ClearingChange, Conversation, ConversationId, FILES_MAX, Message, MessageId,
    MessageNumber, Refusal,
};

/// The most files whose use one change ends: those of a message that has as many as it may have.
pub const CLEARED_FILES_MAX: usize = FILES_MAX;

/// Clears messages of a conversation that have expired, for the service itself: their rows are deleted, and
/// the use of their files ends. What has not expired, or is cleared already, stays as it is.
///
/// The newest message of the conversation loses its data, and its row stays until there is a newer one: the
/// next message has the number after it. Messages of which the files would be too many are left for the next
/// command; the first message is cleared however many it has.
#[derive(Debug, Clone)]
pub struct ClearExpired {
    pub conversation: Conversation,
    /// Its id: after an erasure, another conversation may have the same users.
    pub id: ConversationId,
    pub messages: Vec<MessageId>,
}

impl Command for ClearExpired {
    /// How many messages are cleared.
    type Output = usize;

    const ERASES: bool = true;

    fn needs(&self) -> Needs<'_> {
        Needs {
            cleared: &self.messages,
            conversation: Some(self.conversation.clone()),
            ..Needs::default()
        }
    }

    /// For each message its row, and those of its pin, its reactions and a mention.
    fn rows(&self, _: usize) -> usize {
        4 * self.messages.len() + CLEARED_FILES_MAX
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<usize>, Refusal> {
        let otherwise = Refusal::Forbidden("this is for the service itself");
        ensure(context.caller.is_none(), otherwise)?;
        let Present { newest, first } = self.present(context).ok_or(Refusal::NotFound)?;
        let mut change = ClearingChange {
            timestamp: context.next.timestamp,
            conversation: self.id,
            before: Vec::new(),
            emptied: None,
            files: Vec::new(),
        };
        for message in self.expired(context, first) {
            let content = message.content.as_ref();
            let files = content.map_or(&[][..], |content| content.files.as_slice());
            let is_too_much = change.files.len() + files.len() > CLEARED_FILES_MAX;
            if is_too_much && !change.before.is_empty() {
                break;
            }
            if message.number == newest {
                if content.is_none() {
                    continue;
                }
                change.emptied = Some(message.cleared());
            }
            change.files.extend_from_slice(files);
            change.before.push(Arc::clone(message));
        }
        let cleared = change.before.len();
        Ok(match cleared {
            0 => Decision::Keep(0),
            _ => Decision::Change(Change::Clearing(change), cleared),
        })
    }
}

/// What the conversation has and keeps.
struct Present {
    newest: MessageNumber,
    first: MessageNumber,
}

impl ClearExpired {
    /// `None` if there is no such conversation any more.
    fn present(&self, context: &Context<'_>) -> Option<Present> {
        let (id, newest, first) = match &self.conversation {
            Conversation::Chat(chat) => {
                let chat = context.state.chat(*chat)?;
                (chat.id, chat.messages, chat.first)
            }
            Conversation::Personal(pair) => {
                let personal = context.state.personal(pair)?;
                (personal.id, personal.messages, personal.first)
            }
        };
        (id == self.id).then_some(Present { newest, first })
    }

    /// Those of the messages that are there, and have expired. A message may name its users as they were called
    /// before an erasure: so what counts is the id of its conversation.
    fn expired<'a>(
        &self,
        context: &Context<'a>,
        first: MessageNumber,
    ) -> impl Iterator<Item = &'a Arc<Message>> {
        let messages = self.messages.iter().filter_map(|id| context.message(*id));
        messages.filter(move |message| message.conversation_id == self.id && message.number < first)
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::{
        super::{
            ExpireMessages,
            story::{Story, conversation, draft, edit, policy, remove, send, with_files},
        },
        *,
    };
    use crate::domain::{OverdueMessages, PolicyPatch, RetentionDays};

    fn expire(newest: &Message) -> ExpireMessages {
        ExpireMessages {
            conversation: newest.conversation.clone(),
            id: newest.conversation_id,
            overdue: OverdueMessages {
                id: newest.id,
                number: newest.number,
                youngest: newest.created,
            },
        }
    }

    fn clear(messages: &[&Arc<Message>]) -> ClearExpired {
        ClearExpired {
            conversation: conversation("jane", "john"),
            id: messages[0].conversation_id,
            messages: messages.iter().map(|message| message.id).collect(),
        }
    }

    /// A story in which messages expire after a day.
    fn story() -> Story {
        let mut story = Story::default();
        story.given_application(policy(PolicyPatch {
            retention: Some(RetentionDays::parse(1).ok()),
            ..PolicyPatch::default()
        }));
        story
    }

    #[test]
    fn nothing_expires_that_is_kept() {
        let mut story = story();
        let sent = story.given("jane", send(draft("jane", "john", "hi")));
        let kept = Ok(Decision::Keep(MessageNumber::FIRST));
        assert_eq!(story.when_application(expire(&sent)), kept, "it is young");
        story.wait(Duration::days(2));
        let refused = story.when("jane", expire(&sent)).err();
        assert!(
            matches!(refused, Some(Refusal::Forbidden(_))),
            "{refused:?}"
        );
        story.given_application(policy(PolicyPatch {
            retention: Some(None),
            ..PolicyPatch::default()
        }));
        assert_eq!(
            story.when_application(expire(&sent)),
            kept,
            "it is kept for ever"
        );
        assert_eq!(
            story.when_application(clear(&[&sent])),
            Ok(Decision::Keep(0))
        );
    }

    #[test]
    fn what_has_expired_is_gone_for_everybody_and_cleared_once() {
        let mut story = story();
        let files = |files: &[&str]| send(with_files("jane", "john", files));
        let first = story.given("jane", files(&["a", "b"]));
        let second = story.given("jane", files(&["a"]));
        story.wait(Duration::days(2));
        let third = story.given("jane", send(draft("jane", "john", "hi")));
        assert_eq!(story.given_application(expire(&second)), third.number);
        let again = story.when_application(expire(&first));
        assert_eq!(again, Ok(Decision::Keep(third.number)));
        for caller in ["jane", "john", "jim"] {
            let gone = story.when(caller, edit(&first, "x")).err();
            assert_eq!(gone, Some(Refusal::Expired), "{caller}");
        }
        assert_eq!(
            story.when("jane", remove(&second)).err(),
            Some(Refusal::Expired)
        );
        let reply = crate::timeline::commands::Draft {
            reply_to: Some(first.id),
            ..draft("john", "jane", "re")
        };
        let refused = story.when("john", send(reply)).err();
        assert_eq!(refused, Some(Refusal::ReplyElsewhere(first.id)));

        let all = clear(&[&first, &second, &third]);
        assert_eq!(story.given_application(all.clone()), 2);
        let ended = story.last_change().files().iter();
        let ended: Vec<_> = ended.map(|file| file.as_str()).collect();
        assert_eq!(ended, ["a", "b", "a"]);
        assert_eq!(story.when_application(all), Ok(Decision::Keep(0)));
        story.given("jane", edit(&third, "ho"));
    }

    #[test]
    fn the_newest_message_leaves_its_number() {
        let mut story = story();
        let sent = story.given("jane", send(with_files("jane", "john", &["a"])));
        story.wait(Duration::days(2));
        assert_eq!(story.given_application(expire(&sent)), sent.number.next());
        assert_eq!(story.given_application(clear(&[&sent])), 1);
        let again = story.when_application(clear(&[&sent]));
        assert_eq!(again, Ok(Decision::Keep(0)), "its row stays");
        let next = story.given("jane", send(draft("jane", "john", "hi")));
        assert_eq!(next.number, sent.number.next());
        assert_eq!(
            story.given_application(clear(&[&sent])),
            1,
            "and is not needed any more"
        );
        assert!(story.last_change().files().is_empty(), "each use ends once");
    }

    #[test]
    fn one_change_ends_the_use_of_so_many_files() {
        let mut story = story();
        let files: Vec<_> = (0..CLEARED_FILES_MAX / 2)
            .map(|file| format!("f{file}"))
            .collect();
        let files: Vec<_> = files.iter().map(String::as_str).collect();
        let sent: Vec<_> = (0..12)
            .map(|_| story.given("jane", send(with_files("jane", "john", &files))))
            .collect();
        story.wait(Duration::days(2));
        story.given_application(expire(&sent[11]));
        let all: Vec<_> = sent.iter().collect();
        assert_eq!(story.given_application(clear(&all)), 2);
        assert_eq!(story.given_application(clear(&all)), 2);
    }
}
