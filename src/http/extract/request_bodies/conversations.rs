//! Positions in conversations, and settings of them.

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{collect, parse_time_patch, present};
use crate::{
    domain::{Attributes, Invalid, MessageNumber, SETTINGS_ATTRIBUTES_BYTES_MAX, SettingsPatch},
    http::{
        answer::{
            openapi::schemas::new_settings_attributes,
            problem::{FieldError, Problem},
        },
        extract::{
            body::{RequestBody, parse},
            media,
        },
    },
};

/// How far the caller has read a conversation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewReadPosition, example = json!({ "number": 3 }))]
pub struct NewReadPositionJson {
    /// The number of the last message read; 0 for none.
    #[schema(value_type = i64, required, minimum = 0, maximum = 9007199254740991_i64)]
    number: Option<i64>,
    /// Whether the position may go back, which marks what comes after as unread.
    #[serde(default)]
    back: bool,
}

impl RequestBody for NewReadPositionJson {
    type Valid = (MessageNumber, bool);

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<(MessageNumber, bool)> {
        let number = self.number.ok_or(Invalid("is required"));
        let number = number.and_then(|number| {
            (number >= 0)
                .then_some(MessageNumber::new(number))
                .ok_or(Invalid("must be the number of a message, or 0"))
        });
        Some((collect(errors, "number", number)?, self.back))
    }
}

/// Changes of what the caller has set for a conversation, as a JSON merge patch (RFC 7396): what is
/// absent stays, and `null` resets.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = SettingsPatch, example = json!({
    "pinned": true, "mutedUntil": "2026-12-01T08:00:00Z"
}))]
pub struct SettingsPatchJson {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<bool>)]
    pinned: Option<Option<bool>>,
    /// Until then it is left out of the totals of unread messages (RFC 3339).
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = DateTime)]
    muted_until: Option<Option<String>>,
    /// An archived conversation comes back with the next message, unless it is muted.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<bool>)]
    archived: Option<Option<bool>>,
    /// In a personal conversation: whether the caller wants no messages from the other user.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<bool>)]
    blocked: Option<Option<bool>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = new_settings_attributes, required = false)]
    attributes: Option<Option<Box<RawValue>>>,
}

impl RequestBody for SettingsPatchJson {
    type Valid = SettingsPatch;

    const MEDIA_TYPES: &'static [&'static str] = &[media::MERGE_PATCH, media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<SettingsPatch> {
        let muted_until = parse_time_patch(self.muted_until);
        let muted_until = collect(errors, "mutedUntil", muted_until);
        let attributes = self
            .attributes
            .map(|raw| raw.map(parse_attributes).transpose());
        let attributes = collect(errors, "attributes", attributes.transpose());
        let reset = |flag: Option<Option<bool>>| flag.map(Option::unwrap_or_default);
        Some(SettingsPatch {
            pinned: reset(self.pinned),
            muted_until: muted_until?,
            archived: reset(self.archived),
            blocked: reset(self.blocked),
            attributes: attributes?,
        })
    }
}

fn parse_attributes(raw: Box<RawValue>) -> Result<Attributes, Invalid> {
    if raw.get().len() > SETTINGS_ATTRIBUTES_BYTES_MAX {
        return Err(Invalid("must be at most 4 KiB of JSON"));
    }
    Attributes::parse(raw)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use proptest::prelude::*;

    use super::*;

    /// The patch, or the fields that are not acceptable.
    fn patch(json: &str) -> Result<SettingsPatch, Vec<String>> {
        let mut errors = Vec::new();
        let body = SettingsPatchJson::from_json(media::MERGE_PATCH, json.as_bytes())
            .map_err(|problem| problem.fields())?;
        let patch = body.validate(&mut errors);
        let fields = errors.into_iter().map(|error| error.field).collect();
        patch.ok_or(fields)
    }

    #[test]
    fn what_is_absent_stays_and_null_resets() {
        assert_eq!(patch("{}"), Ok(SettingsPatch::default()));
        let reset = patch(r#"{"pinned":null,"mutedUntil":null,"attributes":null}"#).unwrap();
        assert_eq!(reset.pinned, Some(false));
        assert_eq!(reset.muted_until, Some(None));
        assert_eq!(reset.attributes, Some(None));
        let set = patch(r#"{"archived":true,"mutedUntil":"2026-12-01T09:00:00.1234567+01:00"}"#);
        let set = set.unwrap();
        assert_eq!(set.archived, Some(true));
        let until = time::macros::datetime!(2026-12-01 08:00:00.123456 UTC);
        assert_eq!(set.muted_until, Some(Some(until)));
    }

    #[test]
    fn every_field_that_is_not_acceptable_is_named() {
        let large = format!(r#"{{"attributes":{{"a":"{}"}}}}"#, "x".repeat(4096));
        assert_eq!(patch(&large), Err(vec!["attributes".to_owned()]));
        assert_eq!(
            patch(r#"{"mutedUntil":"tomorrow","attributes":[]}"#),
            Err(vec!["mutedUntil".to_owned(), "attributes".to_owned()])
        );
        // In UTC, this is the year 10000.
        assert_eq!(
            patch(r#"{"mutedUntil":"9999-12-31T23:59:59-01:00"}"#),
            Err(vec!["mutedUntil".to_owned()])
        );
        assert_eq!(patch(r#"{"pinned":1}"#), Err(vec!["pinned".to_owned()]));
        assert_eq!(patch(r#"{"loud":true}"#), Err(vec!["loud".to_owned()]));
    }

    #[test]
    fn a_position_is_a_number_from_zero_on() {
        let position = |json: &str| {
            let mut errors = Vec::new();
            let body = NewReadPositionJson::from_json(media::JSON, json.as_bytes())
                .map_err(|problem| problem.status())?;
            body.validate(&mut errors)
                .ok_or(StatusCode::UNPROCESSABLE_ENTITY)
        };
        assert_eq!(
            position(r#"{"number":3}"#),
            Ok((MessageNumber::new(3), false))
        );
        let back = position(r#"{"number":0,"back":true}"#);
        assert_eq!(back, Ok((MessageNumber::ZERO, true)));
        for json in [
            "{}",
            r#"{"number":-1}"#,
            r#"{"number":1.5}"#,
            r#"{"number":"1"}"#,
        ] {
            assert_eq!(
                position(json),
                Err(StatusCode::UNPROCESSABLE_ENTITY),
                "{json}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_time_panics(text in "[0-9TZ:+. -]{0,30}") {
            let _ = parse_time_patch(Some(Some(text)));
        }
    }
}
