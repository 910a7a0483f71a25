//! What callers send: messages to be and edits, checked field by field.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    body::{RequestBody, parse},
    caller::Caller,
    media,
};
use crate::{
    domain::{
        Attributes, Conversation, FileId, Files, Invalid, MEMBERS_MAX, Message, MessageId, Text,
        Title, UserId,
    },
    http::{
        Service,
        answer::{
            openapi::schemas::{FileIdSchema, UserIdSchema, new_attributes},
            problem::{FieldError, Problem},
        },
    },
    timeline::commands::{Draft, EditText, Expected, MarkRead},
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
            reply_to,
            ..
        } = self;
        let message = NewChatMessageJson {
            text,
            files,
            attributes,
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
        let reply_to = self
            .reply_to
            .and_then(|id| collect(errors, "replyTo", parse_message_id(id)));
        Some(NewContent {
            text,
            files: files?,
            attributes,
            reply_to,
        })
    }
}

/// What is to be sent, wherever it goes.
pub struct NewContent {
    text: Option<Text>,
    files: Files,
    attributes: Option<Attributes>,
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
            reply_to: self.reply_to,
        }
    }
}

/// A chat to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewChat, example = json!({ "name": "Team", "members": ["john", "jim"] }))]
pub struct NewChatJson {
    /// 1 to 200 characters (in Normalization Form C) after blanks at both ends are removed.
    #[schema(value_type = String, required, min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Its members, beside the user who creates it.
    #[schema(value_type = Option<Vec<UserIdSchema>>, max_items = 1000)]
    members: Option<Vec<String>>,
}

impl RequestBody for NewChatJson {
    type Valid = (Title, Vec<UserId>);

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<(Title, Vec<UserId>)> {
        let name = self
            .name
            .ok_or(Invalid("is required"))
            .and_then(|name| Title::parse(&name));
        let name = collect(errors, "name", name);
        let members = collect(
            errors,
            "members",
            parse_members(&self.members.unwrap_or_default()),
        );
        Some((name?, members?))
    }
}

/// The name of an application or a chat.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Name, example = json!({ "name": "shop" }))]
pub struct NameJson {
    /// 1 to 200 characters (in Normalization Form C) after blanks at both ends are removed.
    #[schema(value_type = String, required, min_length = 1, max_length = 200)]
    name: Option<String>,
}

/// The name of an application to be created.
pub struct NewNameJson(pub NameJson);

impl RequestBody for NewNameJson {
    type Valid = Title;

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json).map(Self)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<Title> {
        self.0.validate(errors)
    }
}

impl RequestBody for NameJson {
    type Valid = Title;

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON, media::MERGE_PATCH];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<Title> {
        let name = self.name.ok_or(Invalid("is required"));
        collect(errors, "name", name.and_then(|name| Title::parse(&name)))
    }
}

/// The members in their order by name, each once.
fn parse_members(members: &[String]) -> Result<Vec<UserId>, Invalid> {
    let members = members
        .iter()
        .map(|user| UserId::parse(user))
        .collect::<Result<BTreeSet<_>, _>>()?;
    if members.len() > MEMBERS_MAX {
        return Err(Invalid("must have at most 1,000 entries"));
    }
    Ok(members.into_iter().collect())
}

fn parse_files(files: Vec<String>) -> Result<Files, Invalid> {
    let files = files
        .iter()
        .map(|file| FileId::parse(file))
        .collect::<Result<_, _>>()?;
    Files::new(files)
}

fn parse_message_id(id: i64) -> Result<MessageId, Invalid> {
    (id > 0)
        .then_some(MessageId(id))
        .ok_or(Invalid("must be the id of a message"))
}

/// The value, or a note of what is wrong with it.
pub fn collect<T>(
    errors: &mut Vec<FieldError>,
    field: &str,
    parsed: Result<T, Invalid>,
) -> Option<T> {
    parsed
        .map_err(|invalid| {
            errors.push(FieldError::new(field, invalid.to_string()));
        })
        .ok()
}

/// A new text for a message of one's own; empty only where files or attributes remain.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EditedMessageText, example = json!({ "text": "Hello, dear John!" }))]
pub struct EditedMessageTextJson {
    #[schema(max_length = 20000)]
    text: String,
}

/// Whether one has read a message that one has received.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MessageReadMark, example = json!({ "read": true }))]
pub struct MessageReadMarkJson {
    read: bool,
}

/// Exactly one of a new text and a read mark, as a JSON merge patch (RFC 7396): `null` removes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(
    as = MessagePatch,
    min_properties = 1,
    max_properties = 1,
    example = json!({ "text": "Hello, dear John!" })
)]
pub struct MessagePatchJson {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 20000)]
    text: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<bool>)]
    read: Option<Option<bool>>,
}

/// Tells a member that is `null` from one that is absent.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// What a PATCH asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Edit {
    /// `None` empties the text.
    Text(Option<Text>),
    Read(bool),
}

impl RequestBody for Edit {
    type Valid = Self;

    const MEDIA_TYPES: &'static [&'static str] = &[
        media::EDITED_TEXT,
        media::READ_MARK,
        media::MERGE_PATCH,
        media::JSON,
    ];

    fn from_json(media_type: &'static str, json: &[u8]) -> Result<Self, Problem> {
        match media_type {
            media::EDITED_TEXT => Self::text(&parse::<EditedMessageTextJson>(json)?.text),
            media::READ_MARK => Ok(Self::Read(parse::<MessageReadMarkJson>(json)?.read)),
            media::MERGE_PATCH => Self::from_patch(parse(json)?),
            _ => {
                let patch: MessagePatchJson = parse(json)?;
                if patch.text == Some(None) || patch.read == Some(None) {
                    return Err(Problem::invalid_field("body", "must not have null members"));
                }
                Self::from_patch(patch)
            }
        }
    }

    fn validate(self, _: &mut Vec<FieldError>) -> Option<Self> {
        Some(self)
    }
}

impl Edit {
    /// Carries it out; returns the message as it leaves it.
    pub async fn submit(
        self,
        service: &Service,
        caller: &Caller,
        id: MessageId,
        expected: Expected,
    ) -> Result<Arc<Message>, Problem> {
        let outcome = match self {
            Self::Text(text) => {
                let command = EditText { id, text, expected };
                service.submit(caller, command).await?
            }
            Self::Read(read) => {
                let command = MarkRead { id, read, expected };
                service.submit(caller, command).await?
            }
        };
        Ok(outcome.output)
    }

    fn from_patch(patch: MessagePatchJson) -> Result<Self, Problem> {
        match (patch.text, patch.read) {
            (Some(text), None) => Self::text(&text.unwrap_or_default()),
            (None, Some(read)) => Ok(Self::Read(read.unwrap_or_default())),
            _ => Err(Problem::invalid_field(
                "body",
                "must have exactly one of text and read",
            )),
        }
    }

    fn text(text: &str) -> Result<Self, Problem> {
        Text::parse_or_empty(text)
            .map(Self::Text)
            .map_err(|invalid| Problem::invalid_field("text", invalid.to_string()))
    }
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

    fn edit(media_type: &'static str, json: &str) -> Result<Edit, StatusCode> {
        Edit::from_json(media_type, json.as_bytes()).map_err(|problem| problem.status())
    }

    fn text(text: &str) -> Edit {
        Edit::Text(Text::parse_or_empty(text).unwrap())
    }

    #[test]
    fn an_edit_is_what_its_media_type_says() {
        assert_eq!(edit(media::EDITED_TEXT, r#"{"text":"x"}"#), Ok(text("x")));
        assert_eq!(
            edit(media::READ_MARK, r#"{"read":false}"#),
            Ok(Edit::Read(false))
        );
        for media_type in [media::JSON, media::MERGE_PATCH] {
            assert_eq!(edit(media_type, r#"{"text":" "}"#), Ok(text("")));
            assert_eq!(edit(media_type, r#"{"read":true}"#), Ok(Edit::Read(true)));
        }
        assert_eq!(edit(media::MERGE_PATCH, r#"{"text":null}"#), Ok(text("")));
        assert_eq!(
            edit(media::MERGE_PATCH, r#"{"read":null}"#),
            Ok(Edit::Read(false))
        );
    }

    #[test]
    fn an_edit_is_exactly_one_thing() {
        for (media_type, json) in [
            (media::EDITED_TEXT, r#"{"read":true}"#),
            (media::EDITED_TEXT, r#"{"text":null}"#),
            (media::READ_MARK, r#"{"read":"yes"}"#),
            (media::READ_MARK, r#"{"read":true,"text":"x"}"#),
            (media::JSON, "{}"),
            (media::JSON, r#"{"text":"x","read":true}"#),
            (media::JSON, r#"{"text":"x","read":null}"#),
            (media::JSON, r#"{"text":null}"#),
            (media::JSON, r#"{"read":null}"#),
            (media::EDITED_TEXT, r#"["x"]"#),
            (media::MERGE_PATCH, r#"{"files":[]}"#),
        ] {
            assert_eq!(
                edit(media_type, json),
                Err(StatusCode::UNPROCESSABLE_ENTITY),
                "{json}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = NewPersonalMessageJson::from_json(media::JSON, &body);
            let _ = Edit::from_json(media::JSON, &body);
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
