//! What a hook is asked.

use std::ops::Not;

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    domain::{ApplicationId, Attributes, ChatNumber, MessageId, Text, UserId},
    http::answer::openapi::schemas::{
        ApplicationIdSchema, ChatNumberSchema, FileIdSchema, HookQuestionSchema, MessageIdSchema,
        UserIdSchema,
    },
    timeline::commands::{Announcement, Draft, MessageEdit},
};

/// What a user is about to do.
#[derive(Clone, Copy)]
pub enum Proposal<'a> {
    Message(&'a Draft),
    Edit(MessageId, &'a MessageEdit),
    Announcement(ChatNumber, &'a Announcement),
}

/// What is posted to a hook: a message that a user is about to send (`message.create`), or the new parts of
/// one that it is about to edit (`message.edit`).
#[derive(Serialize, ToSchema, Default)]
#[serde(rename_all = "camelCase")]
#[schema(as = HookQuestion, example = json!({
    "type": "message.create", "application": 1, "user": "jane", "to": "john", "text": "Hello, John!"
}))]
pub struct HookQuestionJson<'a> {
    #[schema(value_type = HookQuestionSchema)]
    r#type: &'static str,
    #[schema(value_type = ApplicationIdSchema)]
    application: i64,
    /// Who is about to do it.
    #[schema(value_type = UserIdSchema)]
    user: &'a str,
    /// Of an edit: the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = MessageIdSchema, required = false)]
    id: Option<i64>,
    /// Of a personal message: its recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = UserIdSchema, required = false)]
    to: Option<&'a str>,
    /// Of a message in a chat: the chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ChatNumberSchema, required = false)]
    chat: Option<i64>,
    /// The message comes with a change of the chat.
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    system: bool,
    /// Of an edit: empty where the text is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<FileIdSchema>, required = false)]
    files: Vec<&'a str>,
    /// Of an edit: `null` where they are removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, required = false)]
    attributes: Option<Option<&'a RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<UserIdSchema>, required = false)]
    mentions: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = bool, required = false)]
    mentions_all: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = MessageIdSchema, required = false)]
    reply_to: Option<i64>,
}

impl<'a> Proposal<'a> {
    pub fn question(self, application: ApplicationId, user: &'a UserId) -> HookQuestionJson<'a> {
        let asked = HookQuestionJson {
            r#type: "message.create",
            application: application.get(),
            user: user.as_str(),
            ..HookQuestionJson::default()
        };
        match self {
            Self::Message(draft) => HookQuestionJson {
                to: draft
                    .conversation
                    .pair()
                    .map(|pair| pair.other_of(user).as_str()),
                chat: draft.conversation.chat().map(ChatNumber::get),
                text: draft.text.as_ref().map(Text::as_str),
                files: draft.files.iter().map(|file| file.as_str()).collect(),
                attributes: draft.attributes.as_ref().map(|set| Some(set.as_json())),
                mentions: Some(names(draft.mentions.users())).filter(|names| !names.is_empty()),
                mentions_all: draft.mentions.all.then_some(true),
                reply_to: draft.reply_to.map(|id| id.get()),
                ..asked
            },
            Self::Edit(id, edit) => HookQuestionJson {
                r#type: "message.edit",
                id: Some(id.get()),
                text: edit.text.as_ref().map(|text| or_empty(text.as_ref())),
                attributes: edit
                    .attributes
                    .as_ref()
                    .map(|set| set.as_ref().map(Attributes::as_json)),
                mentions: edit.mentions.as_deref().map(names),
                mentions_all: edit.mentions_all,
                ..asked
            },
            Self::Announcement(chat, announcement) => HookQuestionJson {
                chat: Some(chat.get()),
                system: true,
                text: announcement.text.as_ref().map(Text::as_str),
                attributes: announcement
                    .attributes
                    .as_ref()
                    .map(|set| Some(set.as_json())),
                ..asked
            },
        }
    }
}

fn or_empty(text: Option<&Text>) -> &str {
    text.map_or("", Text::as_str)
}

fn names(users: &[UserId]) -> Vec<&str> {
    users.iter().map(UserId::as_str).collect()
}

impl HookQuestionJson<'_> {
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers can be written as JSON")
    }
}
