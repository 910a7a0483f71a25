//! Why a request is refused.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{IdempotencyKey, MessageId, MessageNumber, SIGNAL_MEMBERS_MAX, Timestamp, UserId};

/// What is wrong with a value, as a phrase that follows the name of its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);

/// The answer to one caller whose command the present state does not allow. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A restore has lost the application.
    #[error("the application does not exist")]
    UnknownApplication,
    /// There is no such message or chat, or the caller may not see it.
    #[error("there is no such message or chat")]
    NotFound,
    /// The caller may see it but may not do this to it.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The application has suspended the user.
    #[error("the user is suspended until {}", rfc3339(.until))]
    Suspended { until: OffsetDateTime },
    /// The caller reads this conversation, and does not post into it.
    #[error("{0}")]
    MayNotPost(&'static str),
    /// The user is kept from joining the chat.
    #[error("{} is banned from this chat", .0.as_str())]
    Banned(UserId),
    /// The user is being erased, so nothing new may name it.
    #[error("{} is being erased", .0.as_str())]
    Erased(UserId),
    /// A member must wait between two messages in this chat.
    #[error("this chat is slow: wait for {seconds} s")]
    SlowMode { seconds: u32 },
    /// The message is deleted.
    #[error("the message is deleted")]
    Gone,
    /// The message is older than messages are kept.
    #[error("the message has expired, or was never the caller's to read")]
    Expired,
    /// The message or chat has changed since the caller last saw it.
    #[error("it has changed: its timestamp is {current}")]
    Stale { current: Timestamp },
    /// The edit would leave nothing of the message.
    #[error("the text of a message without files or attributes must not be empty")]
    NothingLeft,
    /// The message that is replied to is not in the same conversation.
    #[error("message {0} is not in this conversation")]
    ReplyElsewhere(MessageId),
    /// The message names somebody who is not in its conversation.
    #[error("{} is not in this conversation", .0.as_str())]
    MentionElsewhere(UserId),
    /// There is no message with this number yet.
    #[error("must not be beyond the last message, {}", .last.get())]
    BeyondLast { last: MessageNumber },
    /// Messages between the two users are not accepted.
    #[error("messages between these users are not accepted")]
    NotAccepted,
    /// The conversation cannot be blocked.
    #[error("{0}")]
    NotBlockable(&'static str),
    /// With this change, what is set for the conversation would be too large.
    #[error("must be at most 4 KiB of JSON")]
    SettingsTooLarge,
    /// With this change, the attributes of the chat would be too large.
    #[error("must be at most 16 KiB of JSON")]
    AttributesTooLarge,
    /// The user who is to do something in the chat is no member of it.
    #[error("must be a member of the chat")]
    NoMember { field: &'static str },
    /// The owner is above all roles.
    #[error("the owner of a chat has no other role: hand the chat on first")]
    OwnersRole,
    /// The chat has as many members as a chat may have.
    #[error("the chat is full")]
    ChatFull,
    /// The chat has as many pinned messages as a chat may have.
    #[error("a chat has 100 pinned messages at the most")]
    TooManyPins,
    /// The user has reacted with as many keys as one may, or the message has as many as it may have.
    #[error("{0}")]
    TooManyReactions(&'static str),
    /// The chat has too many members for signals.
    #[error("signals are sent in chats of at most {SIGNAL_MEMBERS_MAX} members")]
    ChatTooLarge,
    /// The draft is not that of a message that the sender has sent in this conversation.
    #[error("must have, for a draft, a message that you have sent in this conversation")]
    DraftElsewhere,
    /// Nobody but the import writes into the conversation for now.
    #[error("the conversation is being imported")]
    Importing,
    /// Messages are imported into conversations that are being imported alone.
    #[error("the conversation is not being imported")]
    NotImporting,
    /// A conversation that has messages is not imported any more.
    #[error("the conversation has messages already")]
    HasMessages,
    /// Messages of the conversation were refused, so its import is not done.
    #[error("messages of this conversation were refused")]
    Incomplete,
    /// The line before it in the same conversation is not stored yet.
    #[error("the line before it is not stored yet")]
    OutOfOrder,
    /// A message cannot be from later than now.
    #[error("must not be in the future")]
    InFuture,
    /// No message of the conversation was imported under this key.
    #[error("no message of this conversation was imported under the key {}", .0.as_str())]
    UnknownReply(IdempotencyKey),
    /// The idempotency key was used for another request.
    #[error("this key was used for another request")]
    KeyReused,
}

/// A time as callers write it.
fn rfc3339(time: &OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
}
