//! What changes do, and the names of that in the database and in the feed.

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    MessageCreated,
    /// As created, long ago and elsewhere. No user is told of it.
    MessageImported,
    MessageEdited,
    MessageDeleted,
    MessageReported,
    ChatCreated,
    ChatChanged,
    ChatDeleted,
    MemberAdded,
    MemberRemoved,
    MembersChanged,
    PositionsMoved,
    ReactionsChanged,
    UserErased,
    MessagesExpired,
    SettingsChanged,
    ConversationOpened,
    UserRestricted,
    ApplicationChanged,
    MessagesCleared,
    /// The numbers of the timeline go on from a larger one, since some may have been lost.
    TimelineRaised,
}

impl ChangeKind {
    pub const ALL: [Self; 21] = [
        Self::MessageCreated,
        Self::MessageImported,
        Self::MessageEdited,
        Self::MessageDeleted,
        Self::MessageReported,
        Self::ChatCreated,
        Self::ChatChanged,
        Self::ChatDeleted,
        Self::MemberAdded,
        Self::MemberRemoved,
        Self::MembersChanged,
        Self::PositionsMoved,
        Self::ReactionsChanged,
        Self::UserErased,
        Self::MessagesExpired,
        Self::SettingsChanged,
        Self::ConversationOpened,
        Self::UserRestricted,
        Self::ApplicationChanged,
        Self::MessagesCleared,
        Self::TimelineRaised,
    ];

    /// The kind of this name in the database.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name in the feed of the application; `None` for what concerns its user alone, for what the
    /// application has set for itself, for what clears messages that have expired, and for what raises numbers.
    pub fn feed_name(self) -> Option<&'static str> {
        match self {
            Self::MessageCreated => Some("message.created"),
            Self::MessageImported => Some("message.imported"),
            Self::MessageEdited => Some("message.edited"),
            Self::MessageDeleted => Some("message.deleted"),
            Self::MessageReported => Some("message.reported"),
            Self::ChatCreated => Some("chat.created"),
            Self::ChatChanged => Some("chat.changed"),
            Self::ChatDeleted => Some("chat.deleted"),
            Self::MemberAdded => Some("member.added"),
            Self::MemberRemoved => Some("member.removed"),
            Self::MembersChanged => Some("member.changed"),
            Self::PositionsMoved => Some("conversation.read"),
            Self::ReactionsChanged => Some("reactions.changed"),
            Self::UserErased => Some("user.erased"),
            Self::MessagesExpired => Some("messages.expired"),
            Self::SettingsChanged
            | Self::ConversationOpened
            | Self::UserRestricted
            | Self::ApplicationChanged
            | Self::MessagesCleared
            | Self::TimelineRaised => None,
        }
    }

    /// Its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::MessageCreated => "message-created",
            Self::MessageImported => "message-imported",
            Self::MessageEdited => "message-edited",
            Self::MessageDeleted => "message-deleted",
            Self::MessageReported => "message-reported",
            Self::ChatCreated => "chat-created",
            Self::ChatChanged => "chat-changed",
            Self::ChatDeleted => "chat-deleted",
            Self::MemberAdded => "member-added",
            Self::MemberRemoved => "member-removed",
            Self::MembersChanged => "members-changed",
            Self::PositionsMoved => "positions-moved",
            Self::ReactionsChanged => "reactions-changed",
            Self::UserErased => "user-erased",
            Self::MessagesExpired => "messages-expired",
            Self::SettingsChanged => "settings-changed",
            Self::ConversationOpened => "conversation-opened",
            Self::UserRestricted => "user-restricted",
            Self::ApplicationChanged => "application-changed",
            Self::MessagesCleared => "messages-cleared",
            Self::TimelineRaised => "raised",
        }
    }
}
