//! What a member has set for a conversation, for itself alone.

use time::OffsetDateTime;

use super::{Attributes, Timestamp};

/// The largest attributes of settings, in bytes of their JSON text.
pub const SETTINGS_ATTRIBUTES_BYTES_MAX: usize = 4 * 1024;

/// What a member has set for a conversation. Blocking is part of the
/// [conversation](super::PersonalConversation), since it concerns both users.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    pub pinned: bool,
    /// Until when it is left out of the totals of unread messages.
    pub muted_until: Option<OffsetDateTime>,
    /// When it was archived.
    pub archived: Option<Timestamp>,
    pub attributes: Option<Attributes>,
}

impl Settings {
    /// Whether the attributes are larger than allowed.
    pub fn is_too_large(&self) -> bool {
        let attributes = self.attributes.as_ref();
        attributes.is_some_and(|it| it.as_json().get().len() > SETTINGS_ATTRIBUTES_BYTES_MAX)
    }

    pub fn is_muted(&self, now: OffsetDateTime) -> bool {
        self.muted_until.is_some_and(|until| until > now)
    }

    /// The settings without an archiving that has ended. It holds until a message comes that is
    /// newer, unless the conversation is muted. `last` is the change that has created the newest
    /// message.
    #[must_use]
    pub fn at(mut self, last: Timestamp, now: OffsetDateTime) -> Self {
        let is_muted = self.is_muted(now);
        self.archived = self
            .archived
            .filter(|archived| last <= *archived || is_muted);
        self
    }

    /// The settings with the changes of `patch`, which is made at `timestamp`. `last` is the change that
    /// has created the newest message.
    #[must_use]
    pub fn patched(&self, patch: &SettingsPatch, last: Timestamp, timestamp: Timestamp) -> Self {
        let archived_since_last = self.archived.filter(|archived| last <= *archived);
        Self {
            pinned: patch.pinned.unwrap_or(self.pinned),
            muted_until: patch.muted_until.unwrap_or(self.muted_until),
            archived: match patch.archived {
                Some(true) => archived_since_last.or(Some(timestamp)),
                Some(false) => None,
                None => self.archived,
            },
            attributes: match &patch.attributes {
                Some(Some(changes)) => Some(Attributes::merged(self.attributes.as_ref(), changes)),
                Some(None) => None,
                None => self.attributes.clone(),
            },
        }
    }
}

/// Changes of [`Settings`]: what is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SettingsPatch {
    pub pinned: Option<bool>,
    pub muted_until: Option<Option<OffsetDateTime>>,
    pub archived: Option<bool>,
    /// Whether the user wants no messages from the other one: in a personal conversation alone.
    pub blocked: Option<bool>,
    /// Changes of the attributes, as a JSON merge patch; an inner `None` removes them all.
    pub attributes: Option<Option<Attributes>>,
}
