//! Erasing a user from a message.

use std::sync::Arc;

use super::{Command, Context, Decision, Needs};
use crate::domain::{
    Content, Conversation, Erasure, FILES_MAX, MENTIONS_MAX, Mentions, Message, MessageId, Pair,
    Refusal, UserId,
};

/// Erases a user from a message: what it has sent becomes a tombstone; in the messages of others a pseudonym
/// takes its place as the recipient, and it is named no more.
#[derive(Debug, Clone)]
pub struct EraseMessage {
    pub id: MessageId,
    pub erasure: Arc<Erasure>,
    /// With a change of a chat, the user has posted it: a message without a sender.
    pub is_announcement: bool,
}

impl Command for EraseMessage {
    /// The message; `None` if it has expired and was cleared meanwhile.
    type Output = Option<Arc<Message>>;

    const ERASES: bool = true;

    fn needs(&self) -> Needs<'_> {
        Needs::of_message(self.id)
    }

    fn rows(&self, members: usize) -> usize {
        members + FILES_MAX + MENTIONS_MAX
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Self::Output>, Refusal> {
        let Some(message) = context.message(self.id) else {
            return Ok(Decision::Keep(None));
        };
        let erased = self.erased(message);
        if erased == **message || !context.is_under_way(&self.erasure) {
            return Ok(Decision::Keep(Some(Arc::clone(message))));
        }
        Ok(context.message_change(message, erased).map(Some))
    }
}

impl EraseMessage {
    fn erased(&self, message: &Message) -> Message {
        let user = &self.erasure.user;
        let is_own = message.from.as_ref() == Some(user);
        let is_personal = self.of_user(&message.conversation);
        let is_deleted =
            is_own || self.is_announcement || (is_personal && self.erasure.others.are_deleted());
        let content = message.content.as_ref().filter(|_| !is_deleted);
        Message {
            from: match is_own {
                true => Some(self.erasure.pseudonym.clone()),
                false => message.from.clone(),
            },
            conversation: self.renamed(&message.conversation),
            content: content.map(|content| unnamed(content, user)),
            ..message.clone()
        }
    }

    /// Whether it is a personal conversation of the user.
    fn of_user(&self, conversation: &Conversation) -> bool {
        let erasure = &self.erasure;
        let is_one = |pair: &Pair| {
            pair.users()
                .any(|it| *it == erasure.user || *it == erasure.pseudonym)
        };
        conversation.pair().is_some_and(is_one)
    }

    fn renamed(&self, conversation: &Conversation) -> Conversation {
        match conversation {
            Conversation::Personal(pair) => Conversation::Personal(self.erasure.renamed(pair)),
            Conversation::Chat(chat) => Conversation::Chat(*chat),
        }
    }
}

/// The data without a mention of the user.
fn unnamed(content: &Content, user: &UserId) -> Content {
    let mut content = content.clone();
    let mentions = &content.mentions;
    if mentions.users().contains(user) {
        let users = mentions.users().iter().filter(|named| *named != user);
        content.mentions = Mentions::trusted(users.cloned().collect(), mentions.all);
    }
    content
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{
            Story, announce, change_members, create, draft, erase, erasure, send, send_to, user,
            with_files,
        },
        *,
    };
    use crate::{domain::OthersMessages, timeline::commands::Draft};

    fn erase_from(message: &Message, others: OthersMessages) -> EraseMessage {
        EraseMessage {
            id: message.id,
            erasure: Arc::new(Erasure {
                others,
                ..erasure("jane")
            }),
            is_announcement: false,
        }
    }

    #[test]
    fn what_it_has_sent_is_a_tombstone_under_its_pseudonym() {
        let mut story = Story::default();
        let note = story.given("jane", send(draft("jane", "jane", "note")));
        let sent = story.given("jane", send(with_files("jane", "john", &["a"])));
        let chat = story.given("john", create(&["jane"]));
        let posted = story.given("jane", send_to(&chat));
        story.given_application(erase("jane"));
        let pseudonym = erasure("jane").pseudonym;
        for message in [&note, &sent, &posted] {
            let command = || erase_from(message, OthersMessages::Kept);
            let erased = story.given_application(command()).unwrap();
            assert_eq!(erased.content, None);
            assert_eq!(erased.from.as_ref(), Some(&pseudonym));
            assert!(erased.timestamp > message.timestamp);
            let named = erased.conversation.pair();
            assert!(named.is_none_or(|pair| pair.contains(&pseudonym)));
            assert!(named.is_none_or(|pair| !pair.contains(&user("jane"))));
            let files = story.last_message_change().files().len();
            assert_eq!(files, usize::from(message.id == sent.id));
            let again = story.when_application(command());
            assert_eq!(again, Ok(Decision::Keep(Some(erased))));
        }
    }

    #[test]
    fn what_it_has_posted_with_a_change_of_a_chat_is_a_tombstone() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        let words = announce(change_members(&chat, &["kim"], &[]), "jane brings kim");
        story.given("jane", words);
        let posted = Arc::clone(&story.last_message_change().after);
        story.given_application(erase("jane"));
        let others = erase_from(&posted, OthersMessages::Deleted);
        let kept = story.when_application(others.clone());
        assert_eq!(kept, Ok(Decision::Keep(Some(Arc::clone(&posted)))));
        let own = EraseMessage {
            is_announcement: true,
            ..others
        };
        let erased = story.given_application(own).unwrap();
        assert_eq!((&erased.content, &erased.from), (&None, &None));
    }

    #[test]
    fn messages_of_others_name_it_no_more() {
        let mut story = Story::default();
        let to_jane = story.given("john", send(draft("john", "jane", "hi")));
        let chat = story.given("john", create(&["jane", "jim"]));
        let naming = send_to(&chat);
        let both = Mentions::new(vec![user("jane"), user("jim")], false).unwrap();
        let naming = send(Draft {
            mentions: both,
            ..naming.draft
        });
        let naming = story.given("john", naming);
        let silent = story.given("john", send_to(&chat));
        story.given_application(erase("jane"));
        let kept = story
            .given_application(erase_from(&to_jane, OthersMessages::Kept))
            .unwrap();
        assert_eq!(kept.content, to_jane.content);
        assert_eq!(kept.to(), Some(&erasure("jane").pseudonym));
        let named = story
            .given_application(erase_from(&naming, OthersMessages::Deleted))
            .unwrap();
        let content = named.content.as_ref().unwrap();
        assert_eq!(content.mentions.users(), [user("jim")]);
        let same = story.when_application(erase_from(&silent, OthersMessages::Deleted));
        assert_eq!(same, Ok(Decision::Keep(Some(silent))));
        // In its personal conversations they may be deleted, too: before or after it has a pseudonym there.
        let deleted = story
            .given_application(erase_from(&kept, OthersMessages::Deleted))
            .unwrap();
        assert_eq!(deleted.content, None);
    }
}
