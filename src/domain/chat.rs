//! A group conversation.

use time::OffsetDateTime;

use super::{
    Attributes, ChatNumber, ConversationId, Import, Invalid, MessageNumber, Position, Rank,
    RetentionDays, Role, Timestamp, UserId, names::names, text::is_longer,
};

/// The most members of a chat in which everybody is told how far the others have read.
pub const READS_TOLD_MAX: usize = 50;

/// The most members of a chat. Each of its changes writes an update for each of them.
pub const MEMBERS_MAX: usize = 1000;

/// The most messages that are pinned in a chat.
pub const PINS_MAX: usize = 100;

/// The longest name of a chat or an application, in characters of its composed form after trimming:
/// see [`is_longer`].
pub const TITLE_CHARS_MAX: usize = 200;

/// The longest wait between two messages of a member that a chat may require: a day, in seconds.
pub const SLOW_MODE_SECONDS_MAX: u32 = 24 * 60 * 60;

/// A chat as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Chat {
    pub id: ConversationId,
    pub number: ChatNumber,
    /// Its creation, or the last change of its name, its members or its rules; also its entity tag.
    pub timestamp: Timestamp,
    pub name: Title,
    /// `None` if the application has created it, and once it has no members.
    pub owner: Option<UserId>,
    pub created: OffsetDateTime,
    /// The number of its newest message, and so the count of its messages, with the deleted ones.
    pub messages: MessageNumber,
    /// Messages with smaller numbers have expired.
    pub first: MessageNumber,
    /// The change that has created its newest message; its own creation, if it has none.
    pub last: Timestamp,
    /// The count of its present members.
    pub members: i32,
    pub attributes: Option<Attributes>,
    pub rules: ChatRules,
    /// While it is imported it has no members, and nobody but the application sees it.
    pub import: Import,
}

/// What a chat allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChatRules {
    pub posting: Posting,
    /// Nobody posts but the application.
    pub frozen: bool,
    pub history: History,
    /// How many seconds a member waits between two messages; 0 for none. Moderators and the owner do not
    /// wait.
    pub slow_mode: u32,
    /// Nobody adds a reaction.
    pub reactions_off: bool,
    /// After how many days its messages expire; `None`: as those of its application.
    pub retention: Option<RetentionDays>,
}

/// Who posts into a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Posting {
    #[default]
    Members,
    /// Announcements: moderators, the owner and the application.
    Moderators,
}

/// What a member reads of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum History {
    #[default]
    All,
    /// What came after the member has joined.
    Joined,
}

/// A user's membership of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Since when.
    pub joined: Timestamp,
    /// The number of the newest message at that time.
    pub since: MessageNumber,
    /// How far it has read.
    pub position: Position,
    pub role: Role,
    /// Until when it does not post.
    pub muted_until: Option<OffsetDateTime>,
    /// When it has posted last. It is known on the write path alone.
    pub posted: Option<OffsetDateTime>,
}

impl Member {
    /// A new member of a chat whose newest message is `newest`.
    pub fn new(joined: Timestamp, newest: MessageNumber) -> Self {
        Self {
            joined,
            since: newest,
            position: Position::at_newest(newest),
            role: Role::default(),
            muted_until: None,
            posted: None,
        }
    }

    pub fn is_muted(&self, now: OffsetDateTime) -> bool {
        self.muted_until.is_some_and(|until| until > now)
    }

    /// The number after which the member reads the messages of a chat with this history.
    pub fn reads_after(&self, history: History) -> MessageNumber {
        match history {
            History::All => MessageNumber::ZERO,
            History::Joined => self.since,
        }
    }
}

impl Chat {
    /// Whether every member is told how far the others have read.
    pub fn tells_positions(&self) -> bool {
        usize::try_from(self.members).is_ok_and(|members| members <= READS_TOLD_MAX)
    }

    /// Who one of its members is there.
    pub fn rank(&self, user: &UserId, member: &Member) -> Rank {
        if self.owner.as_ref() == Some(user) {
            Rank::Owner
        } else {
            member.role.into()
        }
    }
}

names!(Posting: Members = "members", Moderators = "moderators");
names!(History: All = "all", Joined = "joined");

/// The name of a chat or an application, or the reason of a report: 1 to 200 characters without blanks at its ends and without
/// NUL, which PostgreSQL cannot store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title(String);

impl Title {
    /// Trims `value` at both ends and checks what remains.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        let trimmed = value.trim();
        if trimmed.is_empty() || is_longer(trimmed, TITLE_CHARS_MAX) {
            return Err(Invalid("must be 1 to 200 characters"));
        }
        if trimmed.contains('\0') {
            return Err(Invalid("must not contain U+0000"));
        }
        Ok(Self(trimmed.to_owned()))
    }

    /// A name that was checked before it was stored.
    pub fn trusted(value: String) -> Self {
        Self(value)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_trimmed_and_short() {
        assert_eq!(Title::parse(" Team\n").unwrap().as_str(), "Team");
        assert!(Title::parse(&"日".repeat(TITLE_CHARS_MAX)).is_ok());
        assert!(Title::parse(&"n\u{303}".repeat(TITLE_CHARS_MAX)).is_ok());
        for bad in ["", " ", "a\0b", &"a".repeat(TITLE_CHARS_MAX + 1)] {
            assert!(Title::parse(bad).is_err(), "{bad:?}");
        }
    }
}
