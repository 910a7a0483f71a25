//! Edits of messages.

use std::sync::Arc;

use axum::http::header;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::{
    domain::{Message, MessageId, Text},
    http::{
        Service,
        answer::problem::{FieldError, Problem},
        extract::{
            body::{RequestBody, parse},
            caller::{Authenticate, Caller},
            checks::Checks,
            media,
        },
    },
    timeline::commands::{EditText, Expected, MarkRead},
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

/// Distinguishes a member that is `null` from one that is absent.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// The edit that a PATCH requests.
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
    /// The versions of the message that the edit may be based on: those of `If-Match`. A new text
    /// without it is refused. A read mark changes no message, so it needs none.
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

    /// Carries out the edit. Returns the message as the edit leaves it.
    pub async fn submit(
        self,
        service: &Service,
        caller: &Caller,
        id: MessageId,
        expected: Option<Expected>,
    ) -> Result<Arc<Message>, Problem> {
        let outcome = match self {
            Self::Text(text) => {
                let expected = expected.expect("a new text without If-Match was refused");
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
            let _ = Edit::from_json(media::JSON, &body);
        }
    }
}
