//! Messages to be sent.

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{collect, parse_mentions};
use crate::{
    domain::{Attributes, Conversation, FileId, Files, Invalid, Mentions, MessageId, Text, UserId},
    http::{
        answer::{
            openapi::schemas::{FileIdSchema, UserIdSchema, new_attributes},
            problem::{FieldError, Problem},
        },
        extract::{
            body::{RequestBody, parse},
            media,
        },
    },
    timeline::commands::Draft,
};

/// A personal message to be sent: `to`, and at least one of `text`, `files` and `attributes`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewPersonalMessage, example = json!({ "to": "john", "text": "Hello, John!" }))]
pub struct NewPersonalMessageJson {
    /// The user who receives it. Sending to oneself is allowed.
    #[schema(value_type = UserIdSchema, required)]
    to: Option<String>,
    /// 1 to 20,000 characters (Unicode scalar values in Normalization Form C) after blanks at both
    /// ends are removed. It comes back as it was sent.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 20000)]
    text: Option<String>,
    /// Ids of files that another service stores; none twice.
    #[schema(value_type = Option<Vec<FileIdSchema>>, max_items = 100)]
    files: Option<Vec<String>>,
    #[schema(schema_with = new_attributes, required = false)]
    attributes: Option<Box<RawValue>>,
    /// The members of the conversation whom it names, each once.
    #[schema(value_type = Option<Vec<UserIdSchema>>, max_items = 50)]
    mentions: Option<Vec<String>>,
    /// Whether it names all members.
    mentions_all: Option<bool>,
    /// The id of a message in the same conversation.
    #[schema(minimum = 1, maximum = 9007199254740991_i64)]
    reply_to: Option<i64>,
}

impl RequestBody for NewPersonalMessageJson {
    type Valid = (UserId, NewContent);

    const MEDIA_TYPES: &'static [&'static str] = &[media::NEW_PERSONAL_MESSAGE, media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<(UserId, NewContent)> {
        let to = self
            .to
            .ok_or(Invalid("is required"))
            .and_then(|to| UserId::parse(&to));
        let to = collect(errors, "to", to);
        let Self {
            text,
            files,
            attributes,
            mentions,
            mentions_all,
            reply_to,
            ..
        } = self;
        let message = NewChatMessageJson {
            text,
            files,
            attributes,
            mentions,
            mentions_all,
            reply_to,
        };
        to.zip(message.validate(errors))
    }
}

/// A message to be sent into a chat: at least one of `text`, `files` and `attributes`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewChatMessage, example = json!({ "text": "Hello, everybody!" }))]
pub struct NewChatMessageJson {
    /// 1 to 20,000 characters (Unicode scalar values in Normalization Form C) after blanks at both
    /// ends are removed. It comes back as it was sent.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 20000)]
    text: Option<String>,
    /// Ids of files that another service stores; none twice.
    #[schema(value_type = Option<Vec<FileIdSchema>>, max_items = 100)]
    files: Option<Vec<String>>,
    #[schema(schema_with = new_attributes, required = false)]
    attributes: Option<Box<RawValue>>,
    /// The members of the chat whom it names, each once.
    #[schema(value_type = Option<Vec<UserIdSchema>>, max_items = 50)]
    mentions: Option<Vec<String>>,
    /// Whether it names all members.
    mentions_all: Option<bool>,
    /// The id of a message in the same chat.
    #[schema(minimum = 1, maximum = 9007199254740991_i64)]
    reply_to: Option<i64>,
}

impl RequestBody for NewChatMessageJson {
    type Valid = NewContent;

    const MEDIA_TYPES: &'static [&'static str] = &[media::NEW_CHAT_MESSAGE, media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<NewContent> {
        let is_empty = self.text.is_none()
            && self.files.as_ref().is_none_or(Vec::is_empty)
            && self.attributes.is_none();
        if is_empty {
            let nothing = Invalid("or files or attributes must be given");
            collect::<()>(errors, "text", Err(nothing));
        }
        let text = self
            .text
            .and_then(|text| collect(errors, "text", Text::parse(&text)));
        let files = collect(errors, "files", parse_files(self.files.unwrap_or_default()));
        let attributes = self
            .attributes
            .and_then(|raw| collect(errors, "attributes", Attributes::parse(raw)));
        let named = self.mentions.unwrap_or_default();
        let mentions = parse_mentions(&named, self.mentions_all.unwrap_or(false));
        let mentions = collect(errors, "mentions", mentions);
        let reply_to = self
            .reply_to
            .and_then(|id| collect(errors, "replyTo", parse_message_id(id)));
        Some(NewContent {
            text,
            files: files?,
            attributes,
            mentions: mentions?,
            reply_to,
        })
    }
}

/// The content of a new message, for a user or for a chat.
pub struct NewContent {
    text: Option<Text>,
    files: Files,
    attributes: Option<Attributes>,
    mentions: Mentions,
    reply_to: Option<MessageId>,
}

impl NewContent {
    /// The draft of a message in a conversation.
    pub fn to(self, conversation: Conversation) -> Draft {
        Draft {
            conversation,
            text: self.text,
            files: self.files,
            attributes: self.attributes,
            mentions: self.mentions,
            reply_to: self.reply_to,
        }
    }
}

pub(super) fn parse_files(files: Vec<String>) -> Result<Files, Invalid> {
    let files = files
        .iter()
        .map(|file| FileId::parse(file))
        .collect::<Result<_, _>>()?;
    Files::new(files)
}

pub(super) fn parse_message_id(id: i64) -> Result<MessageId, Invalid> {
    (id > 0)
        .then_some(MessageId::new(id))
        .ok_or(Invalid("must be the id of a message"))
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use proptest::prelude::*;

    use super::*;

    /// The draft, the fields that are not acceptable, or the status of what cannot be read.
    fn draft(json: &str) -> Result<NewContent, (StatusCode, Vec<String>)> {
        let mut errors = Vec::new();
        let body = NewPersonalMessageJson::from_json(media::JSON, json.as_bytes())
            .map_err(|problem| (problem.status(), problem.fields()))?;
        let draft = body.validate(&mut errors);
        if errors.is_empty() {
            return Ok(draft.expect("a draft without errors is complete").1);
        }
        let fields = errors.into_iter().map(|error| error.field).collect();
        Err((StatusCode::UNPROCESSABLE_ENTITY, fields))
    }

    fn wrong_fields(json: &str) -> Vec<String> {
        let (status, fields) = draft(json).err().expect(json);
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{json}");
        fields
    }

    #[test]
    fn a_draft_has_a_recipient_and_something_to_say() {
        for json in [
            r#"{"to":"john","text":" hello "}"#,
            r#"{"to":"john","files":["a","b"]}"#,
            r#"{"to":"john","attributes":{}}"#,
            r#"{"to":"john","text":"hello","files":[],"attributes":null,"replyTo":null}"#,
        ] {
            assert!(draft(json).is_ok(), "{json}");
        }
        let text = draft(r#"{"to":"john","text":" hello "}"#).unwrap().text;
        assert_eq!(text.unwrap().as_str(), "hello");
    }

    #[test]
    fn every_field_that_is_not_acceptable_is_named() {
        assert_eq!(wrong_fields("{}"), ["to", "text"]);
        assert_eq!(
            wrong_fields(
                r#"{"to":"a b","text":" ","files":["x","x"],"attributes":[],"replyTo":0}"#
            ),
            ["to", "text", "files", "attributes", "replyTo"]
        );
        assert_eq!(wrong_fields(r#"{"to":"john","text":"a\u0000b"}"#), ["text"]);
        assert_eq!(wrong_fields(r#"{"to":"john","files":["a/b"]}"#), ["files"]);
        assert_eq!(wrong_fields(r#"{"to":"john","text":1}"#), ["text"]);
        let mentions = r#"{"to":"john","text":"x","mentions":["a b"]}"#;
        assert_eq!(wrong_fields(mentions), ["mentions"]);
        assert_eq!(
            wrong_fields(r#"{"to":"john","files":["a",2]}"#),
            ["files[1]"]
        );
        assert_eq!(
            wrong_fields(r#"{"to":"john","text":"x","replyTo":1.5}"#),
            ["replyTo"]
        );
        assert_eq!(
            wrong_fields(r#"{"to":"john","text":"x","colour":"red"}"#),
            ["colour"]
        );
        assert_eq!(wrong_fields(r#"{"to":"john","text":"\ud800"}"#), ["text"]);
        assert_eq!(
            wrong_fields(&format!(r#"{{"to":"john","replyTo":{}}}"#, "9".repeat(400))),
            ["replyTo"]
        );
        for json in ["[]", r#"["john","hi",null,null,null]"#, "7", "null"] {
            assert_eq!(wrong_fields(json), ["body"], "{json}");
        }
    }

    #[test]
    fn what_is_no_json_cannot_be_read_whatever_else_is_wrong() {
        for json in [
            r#"{"to":5,"#,
            r#"{"to":"a","to":"b" oops"#,
            r#"[["#,
            "",
            "{",
            "{\"to\":\"john\",\"text\":\"x\"} x",
            "nonsense",
        ] {
            assert_eq!(
                draft(json).err().unwrap().0,
                StatusCode::BAD_REQUEST,
                "{json}"
            );
        }
        let invalid_utf8 = b"{\"to\":\"john\",\"text\":\"\xff\"}";
        let parsed = NewPersonalMessageJson::from_json(media::JSON, invalid_utf8);
        assert_eq!(parsed.err().unwrap().status(), StatusCode::BAD_REQUEST);
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = NewPersonalMessageJson::from_json(media::JSON, &body);
        }

        #[test]
        fn every_text_without_nul_arrives_trimmed(text in "\\PC{1,40}") {
            let json = serde_json::json!({ "to": "john", "text": text }).to_string();
            match draft(&json) {
                Ok(draft) => {
                    let arrived = draft.text.unwrap();
                    prop_assert_eq!(arrived.as_str(), text.trim());
                }
                Err((_, fields)) => prop_assert!(text.trim().is_empty(), "{:?}", fields),
            }
        }
    }
}
