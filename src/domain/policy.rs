//! What an application allows its users.

use std::num::NonZeroU32;

use super::{RetentionDays, names::names};

/// The largest limit of sends within a minute.
pub const SENDS_PER_MINUTE_MAX: u32 = 1_000_000;

/// What the users of an application may do. At first they may do everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    pub personal: Personal,
    pub create_chats: CreateChats,
    pub add_members: AddMembers,
    /// The most messages that a user may send and edit within a minute.
    pub sends_per_minute: Option<NonZeroU32>,
    /// After how many days messages expire, where a chat does not say otherwise; `None`: never.
    pub retention: Option<RetentionDays>,
}

/// Who may write to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Personal {
    #[default]
    Anyone,
    /// Those whose conversation the application has opened.
    Opened,
    Nobody,
}

/// Who may create chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CreateChats {
    #[default]
    Users,
    Application,
}

/// Who may add members to a chat, beside those of a higher rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddMembers {
    #[default]
    Moderators,
    Owner,
    Application,
}

names!(Personal: Anyone = "anyone", Opened = "opened", Nobody = "nobody");
names!(CreateChats: Users = "users", Application = "application");
names!(AddMembers: Moderators = "moderators", Owner = "owner", Application = "application");

/// Changes of a [`Policy`]: what is `None` stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicyPatch {
    pub personal: Option<Personal>,
    pub create_chats: Option<CreateChats>,
    pub add_members: Option<AddMembers>,
    /// An inner `None` ends the limit.
    pub sends_per_minute: Option<Option<NonZeroU32>>,
    /// An inner `None` keeps messages for ever.
    pub retention: Option<Option<RetentionDays>>,
}

impl Policy {
    /// A policy by the names of its values. `None` if one of them is no name.
    pub fn named(
        personal: &str,
        create_chats: &str,
        add_members: &str,
        sends_per_minute: Option<NonZeroU32>,
        retention: Option<RetentionDays>,
    ) -> Option<Self> {
        Some(Self {
            personal: Personal::named(personal)?,
            create_chats: CreateChats::named(create_chats)?,
            add_members: AddMembers::named(add_members)?,
            sends_per_minute,
            retention,
        })
    }

    #[must_use]
    pub fn patched(self, patch: &PolicyPatch) -> Self {
        Self {
            personal: patch.personal.unwrap_or(self.personal),
            create_chats: patch.create_chats.unwrap_or(self.create_chats),
            add_members: patch.add_members.unwrap_or(self.add_members),
            sends_per_minute: patch.sends_per_minute.unwrap_or(self.sends_per_minute),
            retention: patch.retention.unwrap_or(self.retention),
        }
    }
}
