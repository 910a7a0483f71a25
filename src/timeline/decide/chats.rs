//! What may become of a chat.
//!
//! The order of the checks is that of messages: not found, forbidden, nothing to do, stale, and last
//! what the present state makes unacceptable.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Change, ChatChange, Creation, Decision, Next, State, is_application_or, replay,
    require_current, visible_chat,
};
use crate::{
    domain::{Chat, ChatNumber, MEMBERS_MAX, Refusal, Title, UserId},
    timeline::command::{Command, Expected, Idempotency, Subject},
};

pub fn create(
    state: &State,
    command: &Command,
    name: &Title,
    members: &[UserId],
    idempotency: Option<&Idempotency>,
    next: &Next,
) -> Result<Decision, Refusal> {
    if let Some(earlier) = replay(state, command, idempotency)? {
        return Ok(Decision::Replay(earlier));
    }
    let owner = command.caller.clone();
    let members: BTreeSet<_> = members.iter().chain(&owner).cloned().collect();
    if members.len() > MEMBERS_MAX {
        return Err(Refusal::ChatFull);
    }
    let chat = Chat {
        number: state.next_chat(command.application),
        timestamp: next.timestamp,
        name: name.clone(),
        owner: owner.clone(),
        created: next.now,
        messages: 0,
        members: i32::try_from(members.len()).expect("the members were counted"),
    };
    Ok(Decision::Change(Change::Chat(ChatChange {
        chat: Arc::new(chat),
        created: Some(Creation {
            creator: owner,
            idempotency: idempotency.cloned(),
        }),
        joined: members.into_iter().collect(),
        departed: None,
    })))
}

pub fn rename(
    state: &State,
    command: &Command,
    number: ChatNumber,
    name: &Title,
    expected: &Expected,
    next: &Next,
) -> Result<Decision, Refusal> {
    let chat = managed_chat(
        state,
        command,
        number,
        "only the chat's owner may rename it",
    )?;
    if chat.name == *name {
        return Ok(keep(chat));
    }
    require_current(chat.timestamp, expected)?;
    let renamed = Chat {
        name: name.clone(),
        timestamp: next.timestamp,
        ..Chat::clone(chat)
    };
    Ok(change(renamed, Vec::new()))
}

pub fn add_member(
    state: &State,
    command: &Command,
    number: ChatNumber,
    user: &UserId,
    next: &Next,
) -> Result<Decision, Refusal> {
    let chat = managed_chat(
        state,
        command,
        number,
        "only the chat's owner may add members",
    )?;
    if state
        .member_since(command.application, number, user)
        .is_some()
    {
        return Ok(keep(chat));
    }
    if usize::try_from(chat.members).is_ok_and(|members| members >= MEMBERS_MAX) {
        return Err(Refusal::ChatFull);
    }
    let members = chat.members + 1;
    let larger = Chat {
        members,
        timestamp: next.timestamp,
        ..Chat::clone(chat)
    };
    Ok(change(larger, vec![user.clone()]))
}

/// The owner who leaves passes the chat on to the member who has been there longest.
pub fn remove_member(
    state: &State,
    command: &Command,
    number: ChatNumber,
    user: &UserId,
    next: &Next,
) -> Result<Decision, Refusal> {
    let chat = visible_chat(state, command, number)?;
    if !is_application_or(command, chat.owner.as_ref()) && command.caller.as_ref() != Some(user) {
        return Err(Refusal::Forbidden(
            "only the chat's owner may remove others",
        ));
    }
    let Some(joined) = state.member_since(command.application, number, user) else {
        return Ok(keep(chat));
    };
    let mut smaller = Chat {
        members: chat.members - 1,
        timestamp: next.timestamp,
        ..Chat::clone(chat)
    };
    if smaller.owner.as_ref() == Some(user) {
        smaller.owner = state
            .longest_member(command.application, number, user)
            .cloned();
    }
    Ok(Decision::Change(Change::Chat(ChatChange {
        chat: Arc::new(smaller),
        created: None,
        joined: Vec::new(),
        departed: Some((user.clone(), joined)),
    })))
}

/// The chat, if the caller may know of it and may manage it.
fn managed_chat<'s>(
    state: &'s State,
    command: &Command,
    number: ChatNumber,
    otherwise: &'static str,
) -> Result<&'s Arc<Chat>, Refusal> {
    let chat = visible_chat(state, command, number)?;
    let may = is_application_or(command, chat.owner.as_ref());
    may.then_some(chat).ok_or(Refusal::Forbidden(otherwise))
}

fn keep(chat: &Arc<Chat>) -> Decision {
    Decision::Keep(Subject::Chat(Arc::clone(chat)))
}

fn change(chat: Chat, joined: Vec<UserId>) -> Decision {
    let chat = Arc::new(chat);
    Decision::Change(Change::Chat(ChatChange {
        chat,
        created: None,
        joined,
        departed: None,
    }))
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};

    use super::*;
    use crate::{
        domain::{ApplicationId, Files, MessageId, MessageNumber, Recipient, Text, Timestamp},
        timeline::{
            command::{Action, Draft, Target},
            decide::decide,
        },
    };

    const APPLICATION: ApplicationId = ApplicationId::DEFAULT;

    /// A state and the next next: given what was done, when a command comes, then this follows.
    #[derive(Default)]
    struct Story {
        state: State,
        drawn: i64,
    }

    impl Story {
        /// `None` is the application itself.
        fn when(&mut self, caller: Option<&str>, action: Action) -> Result<Decision, Refusal> {
            self.drawn += 1;
            let next = Next {
                timestamp: Timestamp(self.drawn),
                id: MessageId(self.drawn + 1000),
                now: OffsetDateTime::UNIX_EPOCH + Duration::seconds(self.drawn),
            };
            let command = Command {
                application: APPLICATION,
                caller: caller.map(user),
                action,
            };
            let decision = decide(&self.state, &command, &next);
            if let Ok(Decision::Change(change)) = &decision {
                self.state.apply(APPLICATION, change);
            }
            decision
        }

        /// As `when`, for what must change a chat.
        fn given(&mut self, caller: Option<&str>, action: Action) -> ChatChange {
            match self.when(caller, action) {
                Ok(Decision::Change(Change::Chat(change))) => change,
                other => panic!("no change of a chat but {other:?}"),
            }
        }

        /// Sends into a chat; gives the message's number.
        fn send(
            &mut self,
            caller: Option<&str>,
            chat: ChatNumber,
        ) -> Result<MessageNumber, Refusal> {
            let (text, files) = (Text::parse("hi").ok(), Files::default());
            let draft = Draft {
                to: Target::Chat(chat),
                text,
                files,
                attributes: None,
                reply_to: None,
            };
            match self.when(
                caller,
                Action::Send {
                    draft,
                    idempotency: None,
                },
            )? {
                Decision::Change(Change::Message(change)) => match change.message.to {
                    Recipient::Chat(_, number) => Ok(number),
                    Recipient::User(_) => panic!("it was sent into a chat"),
                },
                other => panic!("no message but {other:?}"),
            }
        }
    }

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    fn create(members: &[&str]) -> Action {
        let members = members.iter().map(|member| user(member)).collect();
        Action::CreateChat {
            name: Title::parse("Team").unwrap(),
            members,
            idempotency: None,
        }
    }

    fn add(chat: &Chat, member: &str) -> Action {
        Action::AddMember {
            chat: chat.number,
            user: user(member),
        }
    }

    fn remove(chat: &Chat, member: &str) -> Action {
        Action::RemoveMember {
            chat: chat.number,
            user: user(member),
        }
    }

    fn rename(chat: &Chat, name: &str) -> Action {
        let expected = Expected(vec![chat.timestamp]);
        Action::RenameChat {
            chat: chat.number,
            name: Title::parse(name).unwrap(),
            expected,
        }
    }

    #[test]
    fn chats_and_their_messages_are_numbered_from_one_without_gaps() {
        let mut story = Story::default();
        let first = story.given(Some("jane"), create(&["john"])).chat;
        assert!(story.when(Some("jim"), rename(&first, "x")).is_err());
        let second = story.given(None, create(&[])).chat;
        assert_eq!(
            (first.number, second.number),
            (ChatNumber(1), ChatNumber(2))
        );
        assert_eq!(story.send(Some("john"), first.number), Ok(MessageNumber(1)));
        assert_eq!(
            story.send(Some("jim"), first.number),
            Err(Refusal::NotFound)
        );
        assert_eq!(story.send(None, first.number), Ok(MessageNumber(2)));
    }

    #[test]
    fn a_user_owns_what_it_creates_and_an_application_does_not() {
        let mut story = Story::default();
        let change = story.given(Some("jane"), create(&["john", "jane"]));
        assert_eq!(
            (change.chat.owner.clone(), change.chat.members),
            (Some(user("jane")), 2)
        );
        let change = story.given(None, create(&["john"]));
        assert_eq!((change.chat.owner.clone(), change.chat.members), (None, 1));
    }

    #[test]
    fn only_the_owner_and_the_application_manage_a_chat() {
        let mut story = Story::default();
        let chat = story.given(Some("jane"), create(&["john"])).chat;
        for action in [rename(&chat, "x"), add(&chat, "jim"), remove(&chat, "jane")] {
            let refusal = story.when(Some("john"), action.clone());
            assert!(matches!(refusal, Err(Refusal::Forbidden(_))), "{refusal:?}");
            assert_eq!(story.when(Some("jim"), action), Err(Refusal::NotFound));
        }
        story.given(None, add(&chat, "jim"));
        story.given(Some("john"), remove(&chat, "john"));
    }

    #[test]
    fn adding_and_removing_are_idempotent() {
        let mut story = Story::default();
        let chat = story.given(Some("jane"), create(&[])).chat;
        let larger = story.given(Some("jane"), add(&chat, "john")).chat;
        let again = story.when(Some("jane"), add(&chat, "john"));
        assert_eq!(again, Ok(Decision::Keep(Subject::Chat(larger))));
        let smaller = story.given(Some("jane"), remove(&chat, "john")).chat;
        let again = story.when(Some("jane"), remove(&chat, "john"));
        assert_eq!(again, Ok(Decision::Keep(Subject::Chat(smaller))));
    }

    #[test]
    fn ownership_passes_to_whoever_has_been_there_longest() {
        let mut story = Story::default();
        let chat = story.given(Some("jane"), create(&["john"])).chat;
        story.given(Some("jane"), add(&chat, "adam"));
        story.given(Some("jane"), remove(&chat, "john"));
        story.given(Some("jane"), add(&chat, "john"));
        let owner = |change: ChatChange| change.chat.owner.clone();
        assert_eq!(
            owner(story.given(Some("jane"), remove(&chat, "jane"))),
            Some(user("adam"))
        );
        assert_eq!(
            owner(story.given(None, remove(&chat, "adam"))),
            Some(user("john"))
        );
        let last = story.given(Some("john"), remove(&chat, "john"));
        assert_eq!((last.chat.members, owner(last)), (0, None));
        assert_eq!(
            story.send(None, chat.number),
            Ok(MessageNumber(1)),
            "it stays with the application"
        );
    }

    #[test]
    fn a_stale_rename_is_refused_unless_there_is_nothing_to_do() {
        let mut story = Story::default();
        let chat = story.given(Some("jane"), create(&[])).chat;
        let renamed = story.given(Some("jane"), rename(&chat, "Crew")).chat;
        let current = renamed.timestamp;
        assert_eq!(
            story.when(Some("jane"), rename(&chat, "Gang")),
            Err(Refusal::Stale { current })
        );
        let again = story.when(Some("jane"), rename(&chat, "Crew"));
        assert_eq!(again, Ok(Decision::Keep(Subject::Chat(renamed))));
    }

    #[test]
    fn a_chat_has_room_for_a_thousand() {
        let mut story = Story::default();
        let members: Vec<_> = (0..999).map(|number| format!("user-{number}")).collect();
        let members: Vec<_> = members.iter().map(String::as_str).collect();
        let chat = story.given(Some("jane"), create(&members)).chat;
        assert_eq!(
            story.when(Some("jane"), add(&chat, "one-more")),
            Err(Refusal::ChatFull)
        );
        story.given(Some("jane"), remove(&chat, "user-7"));
        story.given(Some("jane"), add(&chat, "one-more"));
    }
}
