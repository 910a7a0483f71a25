//! Changing a chat: its name, its attributes, its rules, and who owns it.

use std::sync::Arc;

use super::{
    Announcement, Announcing, Command, Context, Decision, Expected, Needs, changed_chat, ensure,
};
use crate::domain::{
    Action, Attributes, Chat, ChatNumber, ChatRules, History, Posting, Refusal, RetentionDays,
    Title, UserId,
};

/// Changes a chat.
#[derive(Debug, Clone)]
pub struct ChangeChat {
    pub chat: ChatNumber,
    pub patch: ChatPatch,
    pub expected: Expected,
    pub announcement: Option<Announcement>,
}

/// Changes of a chat: what is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChatPatch {
    pub name: Option<Title>,
    /// Changes of the attributes, as a JSON merge patch; an inner `None` removes them all.
    pub attributes: Option<Option<Attributes>>,
    pub posting: Option<Posting>,
    pub frozen: Option<bool>,
    pub history: Option<History>,
    pub slow_mode: Option<u32>,
    pub reactions: Option<bool>,
    /// An inner `None` keeps messages as long as the application does.
    pub retention: Option<Option<RetentionDays>>,
    /// Hands the chat on to one of its members. The former owner has the role that it had before it owned
    /// the chat.
    pub owner: Option<UserId>,
}

impl Announcing for ChangeChat {
    fn announcement_mut(&mut self) -> Option<(ChatNumber, &mut Announcement)> {
        Some((self.chat, self.announcement.as_mut()?))
    }
}

impl Command for ChangeChat {
    type Output = Arc<Chat>;

    fn needs(&self) -> Needs<'_> {
        Needs {
            owner: self.patch.owner.as_ref(),
            ..Needs::of_chat(self.chat)
        }
    }

    fn rows(&self, members: usize) -> usize {
        // Another history is noted down for each member.
        members + self.patch.history.map_or(0, |_| members)
    }

    fn announcement(&self) -> Option<&Announcement> {
        self.announcement.as_ref()
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Arc<Chat>>, Refusal> {
        let inside = context.inside(self.chat)?;
        let otherwise = "only the chat's owner and the application may change it";
        let chat = inside.require(Action::Manage, otherwise)?;
        let changed = self.patch.of(chat);
        if changed == **chat {
            return Ok(Decision::Keep(Arc::clone(chat)));
        }
        if changed.rules.retention != chat.rules.retention {
            let otherwise = "only the application may say for how long messages are kept";
            inside.require(Action::SetRetention, otherwise)?;
        }
        self.expected.require(chat.timestamp)?;
        let attributes = changed.attributes.as_ref();
        let is_too_large = attributes.is_some_and(Attributes::is_too_large);
        ensure(!is_too_large, Refusal::AttributesTooLarge)?;
        if let Some(owner) = &self.patch.owner {
            let no_member = Refusal::NoMember { field: "owner" };
            ensure(context.member(self.chat, owner).is_some(), no_member)?;
        }
        Ok(changed_chat(context.chat_change(chat, changed)))
    }
}

impl ChatPatch {
    /// The attributes of the chat with the changes: as they are, unless something changes.
    fn attributes_of(&self, chat: &Chat) -> Option<Attributes> {
        let before = chat.attributes.as_ref();
        let after = match &self.attributes {
            None => return before.cloned(),
            Some(None) => None,
            Some(Some(changes)) => Some(Attributes::merged(before, changes)),
        };
        let after = after.filter(|after| !after.is_empty());
        match (before, &after) {
            (Some(before), Some(after)) if before.is_same_json(after) => Some(before.clone()),
            _ => after,
        }
    }

    fn of(&self, chat: &Chat) -> Chat {
        let rules = chat.rules;
        Chat {
            name: self.name.clone().unwrap_or_else(|| chat.name.clone()),
            owner: self.owner.clone().or_else(|| chat.owner.clone()),
            attributes: self.attributes_of(chat),
            rules: ChatRules {
                posting: self.posting.unwrap_or(rules.posting),
                frozen: self.frozen.unwrap_or(rules.frozen),
                history: self.history.unwrap_or(rules.history),
                slow_mode: self.slow_mode.unwrap_or(rules.slow_mode),
                reactions_off: self.reactions.map_or(rules.reactions_off, |on| !on),
                retention: self.retention.unwrap_or(rules.retention),
            },
            ..chat.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{Story, alter, change_chat, create, edit, rename, send_to, user},
        *,
    };
    use crate::domain::{MessageNumber, Role};

    fn posting(posting: Posting) -> ChatPatch {
        ChatPatch {
            posting: Some(posting),
            ..ChatPatch::default()
        }
    }

    #[test]
    fn a_stale_change_is_refused_unless_there_is_nothing_to_do() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&[]));
        let renamed = story.given("jane", rename(&chat, "Crew"));
        let current = renamed.timestamp;
        let stale = story.when("jane", rename(&chat, "Gang")).err();
        assert_eq!(stale, Some(Refusal::Stale { current }));
        assert_eq!(
            story.when("jane", rename(&chat, "Crew")),
            Ok(Decision::Keep(renamed))
        );
    }

    #[test]
    fn attributes_are_the_same_however_they_are_written() {
        let attributes = |json: &str| {
            let raw = serde_json::value::RawValue::from_string(json.to_owned()).unwrap();
            ChatPatch {
                attributes: Some(Some(Attributes::parse(raw).unwrap())),
                ..ChatPatch::default()
            }
        };
        let mut story = Story::default();
        let first = story.given("jane", create(&[]));
        let nothing = story.when("jane", change_chat(&first, attributes(r#"{"x":null}"#)));
        assert_eq!(nothing, Ok(Decision::Keep(Arc::clone(&first))));
        let set = attributes(r#"{ "b": {"d":1,"c":2}, "a": 2 }"#);
        let chat = story.given("jane", change_chat(&first, set));
        let other = story.when("jane", change_chat(&chat, attributes(r#"{"a":2.0}"#)));
        assert!(
            matches!(other, Ok(Decision::Change(..))),
            "its text is another one"
        );
        let chat = story.chat(chat.number);
        for same in [r#"{"b":{"c":2}}"#, r#"{"a":2.0,"b":{}}"#, "{}"] {
            let same = story.when("jane", change_chat(&first, attributes(same)));
            assert_eq!(same, Ok(Decision::Keep(Arc::clone(&chat))));
        }
        let removed = attributes(r#"{"a":null,"b":null}"#);
        let removed = story.given("jane", change_chat(&chat, removed));
        assert_eq!(removed.attributes, None);
    }

    #[test]
    fn announcements_are_posted_by_moderators() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john", "kim"]));
        story.given("jane", alter(&chat, "kim", Role::Moderator));
        let sent = story.given("john", send_to(&chat));
        let chat = story.chat(chat.number);
        let chat = story.given("jane", change_chat(&chat, posting(Posting::Moderators)));
        for refused in [
            story.when("john", send_to(&chat)).err(),
            story.when("john", edit(&sent, "more")).err(),
        ] {
            assert!(
                matches!(refused, Some(Refusal::MayNotPost(_))),
                "{refused:?}"
            );
        }
        for poster in [Some("kim"), Some("jane"), None] {
            assert!(story.send_into(poster, &chat).is_ok());
        }
    }

    #[test]
    fn into_a_frozen_chat_the_application_posts_alone() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        let frozen = ChatPatch {
            frozen: Some(true),
            ..ChatPatch::default()
        };
        let chat = story.given("jane", change_chat(&chat, frozen));
        for poster in ["jane", "john"] {
            let refused = story.send_into(Some(poster), &chat).err();
            assert!(
                matches!(refused, Some(Refusal::MayNotPost(_))),
                "{refused:?}"
            );
        }
        assert_eq!(story.send_into(None, &chat), Ok(MessageNumber::new(1)));
    }

    #[test]
    fn a_slow_chat_lets_members_wait_to_the_second() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        assert!(story.send_into(Some("john"), &chat).is_ok());
        let slow = ChatPatch {
            slow_mode: Some(4),
            ..ChatPatch::default()
        };
        let chat = story.given("jane", change_chat(&chat, slow));
        // Each command takes a second of a story: this is the second one after the message.
        let refused = story.send_into(Some("john"), &chat).err();
        assert_eq!(refused, Some(Refusal::SlowMode { seconds: 2 }));
        let refused = story.send_into(Some("john"), &chat).err();
        assert_eq!(refused, Some(Refusal::SlowMode { seconds: 1 }));
        assert!(story.send_into(Some("john"), &chat).is_ok());
        assert!(story.send_into(Some("jane"), &chat).is_ok());
        assert!(
            story.send_into(Some("jane"), &chat).is_ok(),
            "the owner never waits"
        );
    }

    #[test]
    fn a_chat_is_handed_on_to_a_member() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        let hand_on = |chat: &Arc<Chat>, whom: &str| {
            let owner = ChatPatch {
                owner: Some(user(whom)),
                ..ChatPatch::default()
            };
            change_chat(chat, owner)
        };
        let refused = story.when("jane", hand_on(&chat, "eve")).err();
        assert_eq!(refused, Some(Refusal::NoMember { field: "owner" }));
        let chat = story.given("jane", alter(&chat, "john", Role::Reader));
        let chat = story.given("jane", hand_on(&chat, "john"));
        assert_eq!(chat.owner, Some(user("john")));
        assert!(
            story.send_into(Some("john"), &chat).is_ok(),
            "the owner writes, whatever it was before"
        );
        let refused = story.when("jane", rename(&chat, "Mine")).err();
        assert!(
            matches!(refused, Some(Refusal::Forbidden(_))),
            "{refused:?}"
        );
    }
}
