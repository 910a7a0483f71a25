//! What may become of a message.
//!
//! The order of the checks is part of the contract: not found, forbidden, gone, nothing to do,
//! stale, and last what the present state makes unacceptable. "Nothing to do" stands before
//! "stale", so that a repeated edit does not fail against itself.

use std::sync::Arc;

use super::{
    Change, Creation, Decision, MessageChange, Next, State, is_application_or, replay,
    require_current, visible_chat,
};
use crate::{
    domain::{Chat, Content, Message, MessageId, MessageNumber, Recipient, Refusal, Text, UserId},
    timeline::command::{Command, Draft, Expected, Idempotency, Subject, Target},
};

pub fn send(
    state: &State,
    command: &Command,
    draft: &Draft,
    idempotency: Option<&Idempotency>,
    next: &Next,
) -> Result<Decision, Refusal> {
    if let Some(earlier) = replay(state, command, idempotency)? {
        return Ok(Decision::Replay(earlier));
    }
    let (to, numbered_by) = recipient(state, command, &draft.to)?;
    if let Some(id) = draft.reply_to {
        let answered = state.message(command.application, id);
        answered
            .filter(|answered| is_in_conversation(answered, command.caller.as_ref(), &draft.to))
            .ok_or(Refusal::ReplyElsewhere(id))?;
    }
    let message = Message {
        id: next.id,
        timestamp: next.timestamp,
        from: command.caller.clone(),
        to,
        created: next.now,
        content: Some(Content {
            text: draft.text.clone(),
            files: draft.files.clone(),
            attributes: draft.attributes.clone(),
            reply_to: draft.reply_to,
            edited: None,
            read: false,
        }),
    };
    let creator = command.caller.clone();
    Ok(Decision::Change(Change::Message(MessageChange {
        files: message.file_uses(true),
        text_changed: draft.text.is_some(),
        message: Arc::new(message),
        created: Some(Creation {
            creator,
            idempotency: idempotency.cloned(),
        }),
        numbered_by,
    })))
}

/// Where the message goes; into a chat, with its next number, and the chat that has given it.
fn recipient(
    state: &State,
    command: &Command,
    target: &Target,
) -> Result<(Recipient, Option<Arc<Chat>>), Refusal> {
    match target {
        // What an application sends to a user has a user who sends it.
        Target::User(_) if command.caller.is_none() => Err(Refusal::NotFound),
        Target::User(user) => Ok((Recipient::User(user.clone()), None)),
        Target::Chat(number) => {
            let chat = visible_chat(state, command, *number)?;
            let chat = Chat {
                messages: chat.messages + 1,
                ..Chat::clone(chat)
            };
            let to = Recipient::Chat(*number, MessageNumber(chat.messages));
            Ok((to, Some(Arc::new(chat))))
        }
    }
}

fn is_in_conversation(message: &Message, caller: Option<&UserId>, target: &Target) -> bool {
    match target {
        Target::User(user) => caller.is_some_and(|caller| message.is_between(caller, user)),
        Target::Chat(chat) => message.chat() == Some(*chat),
    }
}

pub fn edit_text(
    state: &State,
    command: &Command,
    id: MessageId,
    text: Option<&Text>,
    expected: &Expected,
    next: &Next,
) -> Result<Decision, Refusal> {
    let (message, content) = editable(state, command, id, may_edit)?;
    if content.text.as_ref() == text {
        return Ok(Decision::Keep(Subject::Message(Arc::clone(message))));
    }
    require_current(message.timestamp, expected)?;
    if text.is_none() && content.files.is_empty() && content.attributes.is_none() {
        return Err(Refusal::NothingLeft);
    }
    let content = Content {
        text: text.cloned(),
        edited: Some(next.now),
        ..content.clone()
    };
    Ok(modify(message, content, next))
}

pub fn mark_read(
    state: &State,
    command: &Command,
    id: MessageId,
    read: bool,
    expected: &Expected,
    next: &Next,
) -> Result<Decision, Refusal> {
    let (message, content) = editable(state, command, id, may_mark)?;
    if content.read == read {
        return Ok(Decision::Keep(Subject::Message(Arc::clone(message))));
    }
    require_current(message.timestamp, expected)?;
    let content = Content {
        read,
        ..content.clone()
    };
    Ok(modify(message, content, next))
}

pub fn delete(
    state: &State,
    command: &Command,
    id: MessageId,
    expected: &Expected,
    next: &Next,
) -> Result<Decision, Refusal> {
    let (message, content) = editable(state, command, id, may_delete)?;
    require_current(message.timestamp, expected)?;
    let tombstone = Message {
        timestamp: next.timestamp,
        content: None,
        ..Message::clone(message)
    };
    Ok(Decision::Change(Change::Message(MessageChange {
        files: message.file_uses(false),
        text_changed: content.text.is_some(),
        message: Arc::new(tombstone),
        created: None,
        numbered_by: None,
    })))
}

/// What the caller may not do to a message that it sees. `owner` is that of the message's chat.
type Permission = fn(&Message, &Command, owner: Option<&UserId>) -> Result<(), Refusal>;

fn may_edit(message: &Message, command: &Command, _: Option<&UserId>) -> Result<(), Refusal> {
    let may = message.from == command.caller;
    may.then_some(())
        .ok_or(Refusal::Forbidden("only the sender may edit the text"))
}

fn may_mark(message: &Message, command: &Command, _: Option<&UserId>) -> Result<(), Refusal> {
    let may = matches!(&message.to, Recipient::User(user) if Some(user) == command.caller.as_ref());
    may.then_some(()).ok_or(Refusal::Forbidden(
        "only the recipient of a personal message may mark it as read",
    ))
}

fn may_delete(message: &Message, command: &Command, owner: Option<&UserId>) -> Result<(), Refusal> {
    let may = message.chat().is_none()
        || message.from == command.caller
        || is_application_or(command, owner);
    may.then_some(()).ok_or(Refusal::Forbidden(
        "only the sender, the owner of the chat or the application may delete the message",
    ))
}

/// The message, if the caller may know of it, may do this to it, and it is not deleted.
fn editable<'s>(
    state: &'s State,
    command: &Command,
    id: MessageId,
    permission: Permission,
) -> Result<(&'s Arc<Message>, &'s Content), Refusal> {
    let message = state
        .message(command.application, id)
        .ok_or(Refusal::NotFound)?;
    let owner = match message.chat() {
        Some(chat) => visible_chat(state, command, chat)?.owner.as_ref(),
        None => {
            let is_participant = message
                .participants()
                .any(|user| command.caller.as_ref() == Some(user));
            is_participant.then_some(None).ok_or(Refusal::NotFound)?
        }
    };
    permission(message, command, owner)?;
    let content = message.content.as_ref().ok_or(Refusal::Gone)?;
    Ok((message, content))
}

fn modify(message: &Message, content: Content, next: &Next) -> Decision {
    let earlier = message
        .content
        .as_ref()
        .and_then(|content| content.text.as_ref());
    let text_changed = content.text.as_ref() != earlier;
    let modified = Message {
        timestamp: next.timestamp,
        content: Some(content),
        ..message.clone()
    };
    Decision::Change(Change::Message(MessageChange {
        message: Arc::new(modified),
        created: None,
        numbered_by: None,
        text_changed,
        files: Vec::new(),
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::{Duration, OffsetDateTime};

    use super::*;
    use crate::{
        domain::{ApplicationId, Digest, FileId, Files, IdempotencyKey, Timestamp, UserId},
        store::keys::Named,
        timeline::{command::Action, decide::decide},
    };

    const APPLICATION: ApplicationId = ApplicationId::DEFAULT;

    /// A state and the next next: given what was done, when a command comes, then this follows.
    #[derive(Default)]
    struct Story {
        state: State,
        drawn: i64,
    }

    impl Story {
        fn when(&mut self, caller: &str, action: Action) -> Result<Decision, Refusal> {
            self.drawn += 1;
            let next = Next {
                timestamp: Timestamp(self.drawn),
                id: MessageId(self.drawn + 1000),
                now: OffsetDateTime::UNIX_EPOCH + Duration::seconds(self.drawn),
            };
            let command = Command {
                application: APPLICATION,
                caller: Some(user(caller)),
                action,
            };
            let decision = decide(&self.state, &command, &next);
            if let Ok(Decision::Change(change)) = &decision {
                self.state.apply(APPLICATION, change);
            }
            decision
        }

        /// As `when`, for what must be a change.
        fn given(&mut self, caller: &str, action: Action) -> MessageChange {
            match self.when(caller, action) {
                Ok(Decision::Change(Change::Message(change))) => change,
                other => panic!("no change but {other:?}"),
            }
        }
    }

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    fn text(text: &str) -> Option<Text> {
        Text::parse_or_empty(text).unwrap()
    }

    fn draft(to: &str, words: &str) -> Draft {
        let files = Files::default();
        Draft {
            to: Target::User(user(to)),
            text: text(words),
            files,
            attributes: None,
            reply_to: None,
        }
    }

    fn send(draft: Draft) -> Action {
        Action::Send {
            draft,
            idempotency: None,
        }
    }

    fn send_once(draft: Draft, key: &str, digest: u8) -> Action {
        let key = IdempotencyKey::parse(key).unwrap();
        Action::Send {
            draft,
            idempotency: Some(Idempotency {
                key,
                digest: Digest([digest; 32]),
            }),
        }
    }

    fn expect(timestamp: Timestamp) -> Expected {
        Expected(vec![timestamp])
    }

    fn edit(message: &Message, words: &str) -> Action {
        let expected = expect(message.timestamp);
        Action::EditText {
            id: message.id,
            text: text(words),
            expected,
        }
    }

    fn mark(message: &Message, read: bool) -> Action {
        Action::MarkRead {
            id: message.id,
            read,
            expected: expect(message.timestamp),
        }
    }

    fn remove(message: &Message) -> Action {
        Action::Delete {
            id: message.id,
            expected: expect(message.timestamp),
        }
    }

    fn with_files(to: &str, words: &str, files: &[&str]) -> Draft {
        let files = Files::new(files.iter().map(|file| FileId::trusted(file)).collect()).unwrap();
        Draft {
            files,
            ..draft(to, words)
        }
    }

    #[test]
    fn a_message_is_sent_with_what_was_drawn_for_it() {
        let change = Story::default().given("jane", send(with_files("john", "hi", &["a", "b"])));
        let message = &change.message;
        assert_eq!(
            (message.id, message.timestamp),
            (MessageId(1001), Timestamp(1))
        );
        assert_eq!(
            message.created,
            OffsetDateTime::UNIX_EPOCH + Duration::seconds(1)
        );
        let uses: Vec<_> = change
            .files
            .iter()
            .map(|used| (used.file.as_str(), used.in_use))
            .collect();
        assert_eq!(uses, [("a", true), ("b", true)]);
        assert!(change.created.is_some());
    }

    #[test]
    fn a_message_to_oneself_concerns_one_user_once() {
        let change = Story::default().given("jane", send(draft("jane", "note")));
        assert_eq!(
            change.message.participants().collect::<Vec<_>>(),
            [&user("jane")]
        );
    }

    #[test]
    fn a_reply_stays_in_its_conversation() {
        let mut story = Story::default();
        let first = story.given("jane", send(draft("john", "hi"))).message;
        let reply = |to: &str| {
            send(Draft {
                reply_to: Some(first.id),
                ..draft(to, "re")
            })
        };
        assert!(story.when("john", reply("jane")).is_ok());
        assert!(story.when("jane", reply("john")).is_ok());
        assert_eq!(
            story.when("jane", reply("jim")),
            Err(Refusal::ReplyElsewhere(first.id))
        );
        assert_eq!(
            story.when("jim", reply("jane")),
            Err(Refusal::ReplyElsewhere(first.id))
        );
        let unknown = Draft {
            reply_to: Some(MessageId(7)),
            ..draft("john", "re")
        };
        assert_eq!(
            story.when("jane", send(unknown)),
            Err(Refusal::ReplyElsewhere(MessageId(7)))
        );
    }

    #[test]
    fn a_repeated_request_gets_the_message_as_it_is_now() {
        let mut story = Story::default();
        let sent = story
            .given("jane", send_once(draft("john", "hi"), "k", 1))
            .message;
        let again = story.when("jane", send_once(draft("john", "hi"), "k", 1));
        assert_eq!(
            again,
            Ok(Decision::Replay(Subject::Message(Arc::clone(&sent))))
        );
        let deleted = story.given("jane", remove(&sent)).message;
        let after_all = story.when("jane", send_once(draft("john", "hi"), "k", 1));
        assert_eq!(after_all, Ok(Decision::Replay(Subject::Message(deleted))));
    }

    #[test]
    fn a_repeated_request_is_answered_before_any_other_check_of_state() {
        let mut story = Story::default();
        let key = IdempotencyKey::parse("k").unwrap();
        let known = Idempotency {
            key,
            digest: Digest([1; 32]),
        };
        let sent = story.given("jane", send(draft("john", "hi"))).message;
        story.state.add_key(
            APPLICATION,
            Some(user("jane")),
            known,
            Named::Message(sent.id),
        );
        let reply_to_nothing = Draft {
            reply_to: Some(MessageId(7)),
            ..draft("john", "hi")
        };
        let again = story.when("jane", send_once(reply_to_nothing, "k", 1));
        assert_eq!(again, Ok(Decision::Replay(Subject::Message(sent))));
    }

    #[test]
    fn a_key_stands_for_one_request_of_one_sender() {
        let mut story = Story::default();
        story.given("jane", send_once(draft("john", "hi"), "k", 1));
        let other = story.when("jane", send_once(draft("john", "ho"), "k", 2));
        assert_eq!(other, Err(Refusal::KeyReused));
        story.given("john", send_once(draft("jane", "hi"), "k", 3));
    }

    #[test]
    fn a_refused_request_leaves_its_key_free() {
        let mut story = Story::default();
        let bad = Draft {
            reply_to: Some(MessageId(7)),
            ..draft("john", "hi")
        };
        assert!(story.when("jane", send_once(bad, "k", 1)).is_err());
        story.given("jane", send_once(draft("john", "hi"), "k", 2));
    }

    #[test]
    fn only_the_sender_edits_and_only_the_recipient_marks() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("john", "hi"))).message;
        assert!(matches!(
            story.when("john", edit(&sent, "ho")),
            Err(Refusal::Forbidden(_))
        ));
        assert!(matches!(
            story.when("jane", mark(&sent, true)),
            Err(Refusal::Forbidden(_))
        ));
        assert_eq!(story.when("jim", edit(&sent, "ho")), Err(Refusal::NotFound));
        assert_eq!(story.when("jim", mark(&sent, true)), Err(Refusal::NotFound));
        assert_eq!(story.when("jim", remove(&sent)), Err(Refusal::NotFound));
        let edited = story.given("jane", edit(&sent, "ho")).message;
        let content = edited.content.as_ref().unwrap();
        assert_eq!(
            content.edited,
            Some(OffsetDateTime::UNIX_EPOCH + Duration::seconds(story.drawn))
        );
        let read = story.given("john", mark(&edited, true)).message;
        assert!(read.content.as_ref().unwrap().read);
        assert_eq!(read.content.as_ref().unwrap().edited, content.edited);
    }

    #[test]
    fn an_edit_that_changes_nothing_takes_no_timestamp_however_stale() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("john", "hi"))).message;
        let edited = story.given("jane", edit(&sent, "ho")).message;
        assert_eq!(
            story.when("jane", edit(&sent, "ho")),
            Ok(Decision::Keep(Subject::Message(Arc::clone(&edited))))
        );
        assert_eq!(
            story.when("john", mark(&sent, false)),
            Ok(Decision::Keep(Subject::Message(edited)))
        );
    }

    #[test]
    fn of_two_edits_of_the_same_state_the_first_wins() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("john", "hi"))).message;
        let current = story.given("jane", edit(&sent, "one")).message.timestamp;
        assert_eq!(
            story.when("jane", edit(&sent, "two")),
            Err(Refusal::Stale { current })
        );
        assert_eq!(
            story.when("john", mark(&sent, true)),
            Err(Refusal::Stale { current })
        );
        assert_eq!(
            story.when("john", remove(&sent)),
            Err(Refusal::Stale { current })
        );
    }

    #[test]
    fn a_text_is_emptied_only_where_something_remains() {
        let mut story = Story::default();
        let bare = story.given("jane", send(draft("john", "hi"))).message;
        assert_eq!(
            story.when("jane", edit(&bare, "")),
            Err(Refusal::NothingLeft)
        );
        let filed = story
            .given("jane", send(with_files("john", "hi", &["a"])))
            .message;
        let emptied = story.given("jane", edit(&filed, "")).message;
        assert_eq!(emptied.content.as_ref().unwrap().text, None);
        story.given("jane", edit(&emptied, "text for a message of files"));
    }

    #[test]
    fn a_stale_edit_that_would_leave_nothing_is_stale_first() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("john", "hi"))).message;
        story.given("jane", edit(&sent, "ho"));
        assert!(matches!(
            story.when("jane", edit(&sent, "")),
            Err(Refusal::Stale { .. })
        ));
    }

    #[test]
    fn either_participant_deletes_and_nothing_comes_after() {
        for deleter in ["jane", "john"] {
            let mut story = Story::default();
            let sent = story
                .given("jane", send(with_files("john", "hi", &["a"])))
                .message;
            let change = story.given(deleter, remove(&sent));
            assert_eq!(change.message.content, None);
            assert!(!change.files[0].in_use);
            assert_eq!(
                story.when(deleter, remove(&change.message)),
                Err(Refusal::Gone)
            );
            assert_eq!(
                story.when("jane", edit(&change.message, "x")),
                Err(Refusal::Gone)
            );
            assert!(matches!(
                story.when("john", edit(&sent, "x")),
                Err(Refusal::Forbidden(_))
            ));
        }
    }

    /// A step of a random story between two users and a stranger about one message.
    fn steps() -> impl Strategy<Value = Vec<(u8, u8, bool)>> {
        proptest::collection::vec((0..3u8, 0..4u8, any::<bool>()), 1..40)
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_message_keeps_its_laws(steps in steps()) {
            let mut story = Story::default();
            let mut present = story.given("jane", send(with_files("john", "hi", &["a"]))).message;
            let mut uses = 1;
            for (who, what, is_current) in steps {
                let caller = ["jane", "john", "jim"][usize::from(who)];
                let seen = Message {
                    timestamp: Timestamp(if is_current { present.timestamp.0 } else { 0 }),
                    ..Message::clone(&present)
                };
                let action = match what {
                    0 => edit(&seen, "one"),
                    1 => edit(&seen, ""),
                    2 => mark(&seen, true),
                    _ => remove(&seen),
                };
                let decision = story.when(caller, action);
                match decision {
                    Ok(Decision::Change(Change::Message(change))) => {
                        prop_assert!(caller != "jim", "a stranger changed something");
                        prop_assert!(is_current, "a stale change was made");
                        prop_assert!(present.content.is_some(), "a tombstone was changed");
                        prop_assert!(change.message.timestamp > present.timestamp);
                        prop_assert!(change.message.content != present.content);
                        uses += change.files.iter().map(|used| if used.in_use { 1 } else { -1 }).sum::<i32>();
                        present = change.message;
                    }
                    Ok(Decision::Keep(Subject::Message(kept))) => prop_assert_eq!(&kept, &present),
                    Ok(other) => prop_assert!(false, "{other:?}"),
                    Err(_) => {}
                }
                prop_assert_eq!(uses, i32::from(present.content.is_some()), "uses of the file are counted");
            }
        }
    }
}
