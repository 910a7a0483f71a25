//! The model: messages, chats, users and changes, as values that are always valid.
//!
//! Every value is parsed once, at the edge, and never validated again. Nothing here waits, reads a
//! clock, or depends on the database or on HTTP.

mod attributes;
mod change;
mod change_kind;
mod chat;
mod conversation;
mod erased;
mod erasure;
mod hook;
mod ids;
mod import;
mod mentions;
mod message;
mod names;
mod numbers;
mod personal;
mod policy;
mod position;
mod reaction;
mod refusal;
mod report;
mod restrictions;
mod retention;
mod rights;
mod settings;
mod signal;
mod text;
mod timestamp;
mod update;

/// Reads the wall clock. Time is an argument, which `app` passes.
pub type Clock = fn() -> std::time::SystemTime;

pub use attributes::{ATTRIBUTES_BYTES_MAX, ATTRIBUTES_DEPTH_MAX, Attributes};
pub use change::{
    ApplicationChange, Change, ChatChange, ClearingChange, Created, ErasureChange, Expiring,
    ExpiryChange, Idempotency, Marked, MessageChange, OpeningChange, Place, PositionsChange,
    ReactionsChange, RenamingChange, ReportChange, RestrictionsChange, SettingsChange,
};
pub use change_kind::ChangeKind;
pub use chat::{
    Chat, ChatRules, History, MEMBERS_MAX, Member, PINS_MAX, Posting, READS_TOLD_MAX,
    SLOW_MODE_SECONDS_MAX, Title,
};
pub use conversation::{Conversation, Pair, SearchScope};
pub use erased::{Cache, ErasedUsers};
pub use erasure::{Erasure, ErasureEvent, OthersMessages, UserDigest};
pub use hook::OnFailure;
pub use ids::{
    ApplicationId, ChatNumber, ConversationId, Digest, FileId, IDEMPOTENCY_KEY_CHARS_MAX,
    IdempotencyKey, MessageId, MessageNumber, NAME_CHARS_MAX, UserId, WebhookId,
};
pub use import::{
    IMPORTED_REACTIONS_MAX, Import, Imported, ImportedMembers, ImportedMessage, ImportedReactions,
    ImportingMember,
};
pub use mentions::{MENTIONS_MAX, Mentions, Named};
pub use message::{Content, FILES_MAX, Files, Message};
pub use numbers::{DrawnNumbers, NextNumbers};
pub use personal::{Each, PersonalConversation};
pub use policy::{AddMembers, CreateChats, Personal, Policy, PolicyPatch, SENDS_PER_MINUTE_MAX};
pub use position::Position;
pub use reaction::{
    KEYS_OF_MESSAGE_MAX, KEYS_OF_USER_MAX, KeySummary, LISTED_USERS_MAX, REACTION_KEY_CHARS_MAX,
    ReactionKey, ReactionNumber, ReactionSummary, Reactions,
};
pub use refusal::{Invalid, Refusal};
pub use report::Report;
pub use restrictions::Restrictions;
pub use retention::{OverdueMessages, RETENTION_DAYS_MAX, RetentionDays};
pub use rights::{Action, Rank, Role, require_accepted, require_posting, require_reacting};
pub use settings::{SETTINGS_ATTRIBUTES_BYTES_MAX, Settings, SettingsPatch};
pub use signal::{
    NewSignal, SIGNAL_DATA_BYTES_MAX, SIGNAL_MEMBERS_MAX, SIGNAL_TTL_SECONDS_DEFAULT,
    SIGNAL_TTL_SECONDS_MAX, Signal, SignalData, SignalKind,
};
pub use text::{TEXT_CHARS_MAX, Text, is_longer};
pub use timestamp::Timestamp;
pub use update::{Cursor, Subject, Update};
