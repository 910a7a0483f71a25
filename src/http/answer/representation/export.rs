//! The export of a user: lines of JSON.

use std::ops::Not;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{MessageJson, ReportJson, SettingsJson, UserRestrictionsJson, conversations::RoleJson};
use crate::{
    domain::{ChatNumber, MessageId, ReactionKey, Restrictions, Subject, UserId},
    http::answer::{
        instant,
        openapi::schemas::{ChatNumberSchema, MessageIdSchema, UserIdSchema},
    },
    store::{
        conversations::{SeenConversation, SeenKind},
        export::OwnPin,
    },
};

/// A line of an export: one of these members.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExportLine, example = json!({ "reaction": { "message": 17, "key": "👍" } }))]
pub enum ExportLineJson<'a> {
    /// The user, first of all.
    User(ExportedUserJson<'a>),
    /// A conversation that the user is in or was in, or into which messages of the user were imported. The user's
    /// messages in it follow.
    Conversation(ExportedConversationJson<'a>),
    /// A message that the user has sent and that is not deleted.
    Message(MessageJson<'a>),
    /// A reaction of the user.
    Reaction(ExportedReactionJson<'a>),
    /// A message that the user has pinned in a chat.
    Pin(ExportedPinJson),
    /// A report that the user has made.
    Report(ReportJson),
    /// A chat that the user is kept from joining.
    Ban(ExportedBanJson),
    /// The last line, unless everything was read: the `after` of the next page.
    Next(String),
}

#[derive(Serialize, ToSchema)]
#[schema(as = ExportedUser)]
pub struct ExportedUserJson<'a> {
    #[schema(value_type = UserIdSchema)]
    id: &'a str,
    #[serde(flatten)]
    restrictions: UserRestrictionsJson,
}

/// A conversation as the user names it, with what is stored there for the user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExportedConversation)]
pub struct ExportedConversationJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ChatNumberSchema, required = false)]
    chat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = UserIdSchema, required = false)]
    with: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    name: Option<&'a str>,
    /// The user is not in the chat any more, or never was: nothing but its number is here.
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    departed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = RoleJson, required = false)]
    role: Option<RoleJson>,
    /// Until then the user does not post.
    #[serde(
        serialize_with = "instant::serialize_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = String, format = DateTime, required = false)]
    muted_until: Option<OffsetDateTime>,
    /// The number of the last message that the user has read; 0 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 9007199254740991_i64, required = false)]
    read: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = SettingsJson<'static>, required = false)]
    settings: Option<SettingsJson<'a>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ExportedReaction)]
pub struct ExportedReactionJson<'a> {
    #[schema(value_type = MessageIdSchema)]
    message: i64,
    #[schema(value_type = String)]
    key: &'a str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ExportedPin)]
pub struct ExportedPinJson {
    #[schema(value_type = ChatNumberSchema)]
    chat: i64,
    #[schema(value_type = MessageIdSchema)]
    message: i64,
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created: OffsetDateTime,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ExportedBan)]
pub struct ExportedBanJson {
    #[schema(value_type = ChatNumberSchema)]
    chat: i64,
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created: OffsetDateTime,
}

impl<'a> ExportLineJson<'a> {
    pub fn user(user: &'a UserId, restrictions: Restrictions) -> Self {
        Self::User(ExportedUserJson {
            id: user.as_str(),
            restrictions: restrictions.into(),
        })
    }

    /// `seen` is the conversation as the user sees it, if it does.
    pub fn conversation(subject: &'a Subject, seen: Option<&'a SeenConversation>) -> Self {
        let (name, role, muted_until) = match seen.map(|seen| &seen.kind) {
            Some(SeenKind::Chat {
                chat,
                rank,
                member_muted_until,
            }) => (
                Some(chat.name.as_str()),
                Some((*rank).into()),
                *member_muted_until,
            ),
            Some(SeenKind::With(_)) | None => (None, None, None),
        };
        let chat = subject.chat();
        Self::Conversation(ExportedConversationJson {
            chat: chat.map(|chat| chat.get()),
            with: subject.with().map(UserId::as_str),
            name,
            departed: chat.is_some() && seen.is_none(),
            role,
            muted_until,
            read: seen.map(|seen| seen.read.get()),
            settings: seen.map(|seen| SettingsJson::of(&seen.settings, seen.blocked)),
        })
    }

    pub fn reaction(message: MessageId, key: &'a ReactionKey) -> Self {
        Self::Reaction(ExportedReactionJson {
            message: message.get(),
            key: key.as_str(),
        })
    }

    pub fn pin(pin: &OwnPin) -> Self {
        Self::Pin(ExportedPinJson {
            chat: pin.chat.get(),
            message: pin.message.get(),
            created: pin.created,
        })
    }

    pub fn ban(chat: ChatNumber, created: OffsetDateTime) -> Self {
        Self::Ban(ExportedBanJson {
            chat: chat.get(),
            created,
        })
    }
}

/// Lines of JSON, each of which ends with a line feed.
#[derive(Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    pub fn push(&mut self, line: &impl Serialize) {
        serde_json::to_writer(&mut self.0, line)
            .expect("strings and numbers can be written as JSON");
        self.0.push(b'\n');
    }

    pub fn answer(self, media_type: &'static str) -> Response {
        ([(header::CONTENT_TYPE, media_type)], self.0).into_response()
    }
}
