//! Changing what one has set for a conversation.

use std::sync::Arc;

use super::{Command, Context, Decision, Needs, ensure};
use crate::domain::{
    Change, Conversation, ConversationId, Pair, PersonalConversation, Refusal, Settings,
    SettingsChange, SettingsPatch, Timestamp, UserId,
};

/// Changes the caller's own settings of a conversation. They may be set for a personal conversation
/// before it has a message.
#[derive(Debug, Clone)]
pub struct ChangeSettings {
    pub conversation: Conversation,
    pub patch: SettingsPatch,
}

/// What a member has set, as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct PresentSettings {
    pub settings: Settings,
    pub blocked: bool,
}

/// The conversation whose settings are changed, as the caller sees it.
struct Place {
    id: ConversationId,
    last: Timestamp,
    personal: Option<PersonalConversation>,
    is_new: bool,
}

impl Command for ChangeSettings {
    type Output = PresentSettings;

    const WHILE_SUSPENDED: bool = true;

    fn needs(&self) -> Needs<'_> {
        Needs {
            conversation: Some(self.conversation.clone()),
            settings: true,
            ..Needs::default()
        }
    }

    fn rows(&self, _: usize) -> usize {
        0
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<PresentSettings>, Refusal> {
        let user = context.caller.ok_or(Refusal::NotFound)?;
        let mut place = self.place(context, user)?;
        let (timestamp, now) = (context.next.timestamp, context.next.now);
        let before = context.state.settings(user, place.id);
        let before = before.cloned().unwrap_or_default().at(place.last, now);
        let settings = before.patched(&self.patch, place.last, timestamp);
        ensure(!settings.is_too_large(), Refusal::SettingsTooLarge)?;
        let was_blocked = place.blocked(user);
        let blocked = self.patch.blocked.unwrap_or(was_blocked);
        let present = PresentSettings {
            settings: settings.clone().at(place.last, now),
            blocked,
        };
        if settings == before && blocked == was_blocked {
            return Ok(Decision::Keep(present));
        }
        place.block(user, blocked);
        let stored = place
            .personal
            .filter(|_| place.is_new || blocked != was_blocked);
        let change = SettingsChange {
            timestamp,
            user: user.clone(),
            conversation: place.id,
            subject: self.conversation.named_by(user),
            after: settings,
            personal: stored.map(Arc::new),
        };
        Ok(Decision::Change(Change::Settings(change), present))
    }
}

impl ChangeSettings {
    fn place(&self, context: &Context<'_>, user: &UserId) -> Result<Place, Refusal> {
        match &self.conversation {
            Conversation::Chat(number) => {
                let chat = context.inside(*number)?.chat;
                let unblockable = Refusal::NotBlockable("chats cannot be blocked");
                ensure(self.patch.blocked != Some(true), unblockable)?;
                Ok(Place {
                    id: chat.id,
                    last: chat.last,
                    personal: None,
                    is_new: false,
                })
            }
            Conversation::Personal(pair) => self.personal_place(context, user, pair),
        }
    }

    fn personal_place(
        &self,
        context: &Context<'_>,
        user: &UserId,
        pair: &Pair,
    ) -> Result<Place, Refusal> {
        ensure(pair.contains(user), Refusal::NotFound)?;
        let unblockable = Refusal::NotBlockable("nobody can block oneself");
        ensure(
            self.patch.blocked != Some(true) || pair.other_of(user) != user,
            unblockable,
        )?;
        let existing = context.state.personal(pair);
        let is_imported = existing.is_some_and(|existing| existing.import.is_running());
        ensure(!is_imported, Refusal::NotFound)?;
        let next = context.next;
        let personal = match existing {
            Some(existing) => PersonalConversation::clone(existing),
            None => PersonalConversation::created_at(next.timestamp, next.now, pair),
        };
        Ok(Place {
            id: personal.id,
            last: personal.last,
            personal: Some(personal),
            is_new: existing.is_none(),
        })
    }
}

impl Place {
    /// Whether `user` wants no messages from the other one.
    fn blocked(&self, user: &UserId) -> bool {
        let personal = self.personal.as_ref();
        personal.is_some_and(|personal| *personal.blocks.of(&personal.pair, user))
    }

    fn block(&mut self, user: &UserId, blocked: bool) {
        if let Some(personal) = &mut self.personal {
            *personal.blocks.of_mut(&personal.pair, user) = blocked;
        }
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::{
        super::story::{Story, conversation, create, draft, send, settings},
        *,
    };

    fn archive(archived: bool) -> SettingsPatch {
        SettingsPatch {
            archived: Some(archived),
            ..SettingsPatch::default()
        }
    }

    fn block(blocked: bool) -> SettingsPatch {
        SettingsPatch {
            blocked: Some(blocked),
            ..SettingsPatch::default()
        }
    }

    fn mute(story: &Story, seconds: i64) -> SettingsPatch {
        SettingsPatch {
            muted_until: Some(Some(story.now() + Duration::seconds(seconds))),
            ..SettingsPatch::default()
        }
    }

    #[test]
    fn what_is_set_already_changes_nothing() {
        let mut story = Story::default();
        story.given("jane", send(draft("jane", "john", "hi")));
        let both = conversation("jane", "john");
        let pinned = SettingsPatch {
            pinned: Some(true),
            ..SettingsPatch::default()
        };
        let set = story.given("jane", settings(&both, &pinned));
        assert!(set.settings.pinned && !set.blocked);
        let again = story.when("jane", settings(&both, &pinned));
        assert_eq!(again, Ok(Decision::Keep(set.clone())));
        let nothing = story.when("jane", settings(&both, &SettingsPatch::default()));
        assert_eq!(nothing, Ok(Decision::Keep(set)));
        let of_john = story.given("john", settings(&both, &archive(true)));
        assert!(!of_john.settings.pinned);
    }

    #[test]
    fn an_archived_conversation_comes_back_with_a_message_unless_it_is_muted() {
        let mut story = Story::default();
        story.given("jane", send(draft("jane", "john", "hi")));
        let both = conversation("jane", "john");
        story.given("john", settings(&both, &archive(true)));
        let again = story.when("john", settings(&both, &archive(true)));
        assert!(matches!(again, Ok(Decision::Keep(_))));
        story.given("jane", send(draft("jane", "john", "ho")));
        let back = story.when("john", settings(&both, &archive(false)));
        assert!(matches!(back, Ok(Decision::Keep(_))), "{back:?}");
        story.given("john", settings(&both, &archive(true)));
        let muted = mute(&story, 100);
        story.given("john", settings(&both, &muted));
        story.given("jane", send(draft("jane", "john", "hey")));
        let unmuted = SettingsPatch {
            muted_until: Some(None),
            ..SettingsPatch::default()
        };
        let back = story.given("john", settings(&both, &unmuted));
        assert_eq!(back.settings.archived, None, "it is as it will be read");
        story.given("john", settings(&both, &archive(true)));
        let muted = mute(&story, 100);
        story.given("john", settings(&both, &muted));
        story.given("jane", send(draft("jane", "john", "hey")));
        // Archived anew, it stays so when the mute ends.
        story.given("john", settings(&both, &archive(true)));
        let still = story.given("john", settings(&both, &unmuted));
        assert!(still.settings.archived.is_some());
    }

    #[test]
    fn who_blocks_or_is_blocked_sends_nothing_and_nobody_else_is_hurt() {
        let mut story = Story::default();
        let both = conversation("jane", "john");
        story.given("jane", settings(&both, &block(true)));
        for (from, to) in [("jane", "john"), ("john", "jane")] {
            let sent = story.when(from, send(draft(from, to, "hi")));
            assert_eq!(sent.err(), Some(Refusal::NotAccepted));
        }
        story.given("john", send(draft("john", "jim", "hi")));
        story.given("john", settings(&both, &block(true)));
        story.given("jane", settings(&both, &block(false)));
        let sent = story.when("jane", send(draft("jane", "john", "hi")));
        assert_eq!(sent.err(), Some(Refusal::NotAccepted));
        story.given("john", settings(&both, &block(false)));
        let first = story.given("jane", send(draft("jane", "john", "hi")));
        assert_eq!(first.number.get(), 1);
    }

    #[test]
    fn chats_and_oneself_cannot_be_blocked() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        for conversation in [
            Conversation::Chat(chat.number),
            conversation("jane", "jane"),
        ] {
            let blocked = story.when("jane", settings(&conversation, &block(true)));
            assert!(matches!(blocked, Err(Refusal::NotBlockable(_))));
        }
        let in_chat = settings(&Conversation::Chat(chat.number), &archive(true));
        let stranger = story.when("jim", in_chat);
        assert_eq!(stranger, Err(Refusal::NotFound));
    }
}
