//! Edits of messages.

use std::sync::Arc;

use axum::http::header;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{collect, parse_mentions, present};
use crate::{
    domain::{Attributes, Message, MessageId, Text},
    http::{
        Answer, Service,
        answer::{
            openapi::schemas::{UserIdSchema, new_attributes},
            problem::{FieldError, Problem},
            representation,
        },
        extract::{
            body::{RequestBody, parse},
            caller::{Authenticate, Caller},
            checks::Checks,
            media,
        },
        rates::RateFields,
    },
    timeline::commands::{EditMessage, Expected, MarkRead, MessageEdit},
};

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

/// New parts of a message of one's own, or a read mark alone, as a JSON merge patch (RFC 7396):
/// `null` removes.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(
    as = MessagePatch,
    min_properties = 1,
    example = json!({ "text": "Hello, dear John!" })
)]
pub struct MessagePatchJson {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 20000)]
    text: Option<Option<String>>,
    /// They replace the attributes as a whole. The application may set them at the messages of others, too.
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = new_attributes, required = false)]
    attributes: Option<Option<Box<RawValue>>>,
    /// The members of the conversation whom it names. Only those are told whom it did not name
    /// before.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<UserIdSchema>>, max_items = 50)]
    mentions: Option<Option<Vec<String>>>,
    /// Whether it names all members.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<bool>)]
    mentions_all: Option<Option<bool>>,
    /// Not together with others: whether the message is read.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<bool>)]
    read: Option<Option<bool>>,
}

/// The edit that a PATCH requests.
#[derive(Debug, PartialEq)]
pub enum Edit {
    Message(MessageEdit),
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
                if patch.has_nulls() {
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
    /// The versions of the message that the edit may be based on: those of `If-Match`. New parts
    /// without it are refused. A read mark changes no message, so it needs none.
    pub fn expected<C: Authenticate, A>(
        edit: Option<&Self>,
        checks: &mut Checks<C, A>,
    ) -> Option<Option<Expected>> {
        let has_none = !checks.headers().contains_key(header::IF_MATCH);
        match edit {
            Some(Self::Read(_)) if has_none => Some(None),
            Some(_) | None => checks.header().map(Some),
        }
    }

    /// Carries out the edit, unless the caller makes too many or the application rejects it. The answer is the
    /// message as the edit leaves it.
    pub async fn carry_out(
        self,
        service: &Service,
        caller: &Caller,
        id: MessageId,
        expected: Option<Expected>,
        media_type: &'static str,
    ) -> Answer {
        let fields = match &self {
            Self::Message(_) => service.limit_sends(caller).await?,
            Self::Read(_) => RateFields::default(),
        };
        let edited = self.submit(service, caller, id, expected).await;
        fields.tell(edited.map(|message| representation::message(media_type, &message)))
    }

    /// The message as the edit leaves it.
    async fn submit(
        self,
        service: &Service,
        caller: &Caller,
        id: MessageId,
        expected: Option<Expected>,
    ) -> Result<Arc<Message>, Problem> {
        let outcome = match self {
            Self::Message(edit) => {
                let expected = expected.expect("an edit without If-Match was refused");
                let edit = service.screen_edit(caller, id, edit).await?;
                let command = EditMessage { id, edit, expected };
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
        let MessagePatchJson {
            text,
            attributes,
            mentions,
            mentions_all,
            read,
        } = patch;
        let mut errors = Vec::new();
        let text = text.map(|text| Text::parse_or_empty(&text.unwrap_or_default()));
        let mentions = mentions.map(|users| parse_mentions(&users.unwrap_or_default(), false));
        let attributes = attributes.map(|raw| raw.map(Attributes::parse).transpose());
        let edit = MessageEdit {
            text: text.and_then(|text| collect(&mut errors, "text", text)),
            attributes: attributes
                .and_then(|attributes| collect(&mut errors, "attributes", attributes)),
            mentions: mentions
                .and_then(|mentions| collect(&mut errors, "mentions", mentions))
                .map(|mentions| mentions.users().to_vec()),
            mentions_all: mentions_all.map(Option::unwrap_or_default),
        };
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        match (edit == MessageEdit::default(), read) {
            (false, None) => Ok(Self::Message(edit)),
            (true, Some(read)) => Ok(Self::Read(read.unwrap_or_default())),
            _ => Err(Problem::invalid_field(
                "body",
                "must have text, attributes, mentions or mentionsAll, or else read alone",
            )),
        }
    }

    fn text(text: &str) -> Result<Self, Problem> {
        Text::parse_or_empty(text)
            .map(|text| Self::Message(MessageEdit::text(text)))
            .map_err(|invalid| Problem::invalid_field("text", invalid.to_string()))
    }
}

impl MessagePatchJson {
    fn has_nulls(&self) -> bool {
        self.text == Some(None)
            || matches!(self.attributes, Some(None))
            || self.mentions == Some(None)
            || self.mentions_all == Some(None)
            || self.read == Some(None)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::UserId;

    fn edit(media_type: &'static str, json: &str) -> Result<Edit, StatusCode> {
        Edit::from_json(media_type, json.as_bytes()).map_err(|problem| problem.status())
    }

    fn text(text: &str) -> Edit {
        Edit::Message(MessageEdit::text(Text::parse_or_empty(text).unwrap()))
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
    fn an_edit_may_have_several_parts() {
        let json = r#"{"text":"x","mentions":["john","john"],"mentionsAll":false}"#;
        let edited = MessageEdit {
            mentions: Some(vec![UserId::trusted("john")]),
            mentions_all: Some(false),
            ..MessageEdit::text(Text::parse_or_empty("x").unwrap())
        };
        assert_eq!(edit(media::JSON, json), Ok(Edit::Message(edited)));
        let nobody = MessageEdit {
            mentions: Some(Vec::new()),
            ..MessageEdit::default()
        };
        let removed = edit(media::MERGE_PATCH, r#"{"mentions":null}"#);
        assert_eq!(removed, Ok(Edit::Message(nobody)));
    }

    #[test]
    fn what_is_no_edit_is_refused() {
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
            (media::MERGE_PATCH, r#"{"mentions":["john"],"read":true}"#),
            (media::MERGE_PATCH, r#"{"mentions":["a b"]}"#),
            (media::JSON, r#"{"mentions":null}"#),
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
            let _ = Edit::from_json(media::JSON, &body);
        }
    }
}
