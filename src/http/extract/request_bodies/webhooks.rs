//! Webhooks to be created and changed.

use serde::Deserialize;
use utoipa::ToSchema;

use super::{collect, present};
use crate::{
    callbacks::CallbackUrl,
    domain::{Invalid, Timestamp},
    http::{
        answer::problem::{FieldError, Problem},
        extract::{
            body::{RequestBody, parse},
            feed_params::{parse_include, parse_kinds},
            media,
        },
    },
    store::{
        feed::{FeedInclude, Kinds},
        webhooks::{NewWebhook, WebhookPatch},
    },
};

/// A webhook to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhook, example = json!({
    "url": "https://shop.example/hook", "kinds": ["message.created"], "include": ["message"]
}))]
pub struct NewWebhookJson {
    /// Where requests are posted: http or https, up to 2,000 characters, without a user or a password, and
    /// with a public address.
    #[schema(value_type = String, required, max_length = 2000)]
    url: Option<String>,
    /// Only these kinds of changes; absent: all.
    #[schema(value_type = Option<Vec<String>>)]
    kinds: Option<Names>,
    /// `message`, `recipients`: as for the feed.
    #[schema(value_type = Option<Vec<String>>)]
    include: Option<Names>,
    /// It gets the changes after this timestamp; absent: those from now on.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    after: Option<i64>,
}

/// What is to be changed of a webhook. What is absent stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookPatch, example = json!({ "paused": false, "after": 41 }))]
pub struct WebhookPatchJson {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, max_length = 2000)]
    url: Option<String>,
    /// `null`: all.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>)]
    kinds: Option<Option<Names>>,
    /// `null`: nothing.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>)]
    include: Option<Option<Names>>,
    /// Nothing is sent to it, until it is not paused any more.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<bool>)]
    paused: Option<Option<bool>>,
    /// It gets the changes after this timestamp: again, or without those in between.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = i64, required = false, minimum = 0, maximum = 9007199254740991_i64)]
    after: Option<i64>,
}

/// Names in a list, or in a text as the query of the feed has them.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "must be a list of names, or names separated by commas"
)]
enum Names {
    List(Vec<String>),
    Text(String),
}

impl RequestBody for NewWebhookJson {
    /// With its URL, which is yet to be resolved.
    type Valid = (CallbackUrl, NewWebhook);

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<Self::Valid> {
        let url = self.url.ok_or(Invalid("is required"));
        let url = url.and_then(|url| CallbackUrl::parse(&url));
        let url = collect(errors, "url", url);
        let kinds = collect(errors, "kinds", kinds_of(self.kinds));
        let include = collect(errors, "include", include_of(self.include));
        let after = self.after.map(timestamp).transpose();
        let after = collect(errors, "after", after);
        let url = url?;
        let new = NewWebhook {
            url: url.as_str().to_owned(),
            kinds: kinds?,
            include: include?,
            after: after?,
        };
        Some((url, new))
    }
}

impl RequestBody for WebhookPatchJson {
    /// With its URL, which is yet to be resolved.
    type Valid = (Option<CallbackUrl>, WebhookPatch);

    const MEDIA_TYPES: &'static [&'static str] = &[media::MERGE_PATCH, media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<Self::Valid> {
        let url = self.url.map(|url| CallbackUrl::parse(&url)).transpose();
        let url = collect(errors, "url", url);
        let kinds = self.kinds.map(kinds_of).transpose();
        let kinds = collect(errors, "kinds", kinds);
        let include = self.include.map(include_of).transpose();
        let include = collect(errors, "include", include);
        let after = self.after.map(timestamp).transpose();
        let after = collect(errors, "after", after);
        let url = url?;
        let patch = WebhookPatch {
            url: url.as_ref().map(|url| url.as_str().to_owned()),
            kinds: kinds?,
            include: include?,
            paused: self.paused.map(Option::unwrap_or_default),
            after: after?,
        };
        Some((url, patch))
    }
}

fn kinds_of(names: Option<Names>) -> Result<Kinds, Invalid> {
    names.map_or(Ok(Kinds::all()), |names| {
        parse_kinds(names.iter()).ok_or(Invalid("must be kinds of changes that the feed tells of"))
    })
}

fn include_of(names: Option<Names>) -> Result<FeedInclude, Invalid> {
    names.map_or(Ok(FeedInclude::default()), |names| {
        parse_include(names.iter()).ok_or(Invalid("must be message or recipients, or both"))
    })
}

fn timestamp(after: i64) -> Result<Timestamp, Invalid> {
    let is_one = after >= 0;
    is_one
        .then(|| Timestamp::new(after))
        .ok_or(Invalid("must be a timestamp, 0 or more"))
}

impl Names {
    fn iter(&self) -> impl Iterator<Item = &str> {
        let (list, text) = match self {
            Self::List(names) => (Some(names), None),
            Self::Text(names) => (None, Some(names.split(','))),
        };
        let list = list.into_iter().flatten().map(String::as_str);
        list.chain(text.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ChangeKind;

    fn new(json: &str) -> Result<NewWebhook, Vec<String>> {
        valid::<NewWebhookJson>(media::JSON, json).map(|(_, new)| new)
    }

    fn patch(json: &str) -> Result<WebhookPatch, Vec<String>> {
        valid::<WebhookPatchJson>(media::MERGE_PATCH, json).map(|(_, patch)| patch)
    }

    /// The valid body, or the fields that are not acceptable.
    fn valid<T: RequestBody>(
        media_type: &'static str,
        json: &str,
    ) -> Result<T::Valid, Vec<String>> {
        let mut errors = Vec::new();
        let body = T::from_json(media_type, json.as_bytes()).map_err(|problem| problem.fields())?;
        let valid = body.validate(&mut errors);
        valid.ok_or(errors.into_iter().map(|error| error.field).collect())
    }

    #[test]
    fn a_webhook_gets_everything_from_now_on_unless_it_says_otherwise() {
        let all = new(r#"{"url":"https://shop.example"}"#).unwrap();
        assert_eq!(all.url, "https://shop.example/");
        assert_eq!(
            (all.kinds, all.include),
            (Kinds::all(), FeedInclude::default())
        );
        assert_eq!(all.after, None);
        for (kinds, include) in [
            (
                r#"["message.created","chat.created"]"#,
                r#"["message","recipients"]"#,
            ),
            (
                r#""message.created,chat.created""#,
                r#""message,recipients""#,
            ),
        ] {
            let json = format!(
                r#"{{"url":"http://shop.example","kinds":{kinds},"include":{include},"after":0}}"#
            );
            let some = new(&json).unwrap();
            let expected = [ChangeKind::MessageCreated, ChangeKind::ChatCreated];
            assert_eq!(some.kinds, expected.into_iter().collect());
            assert!(some.include.messages && some.include.recipients);
            assert_eq!(some.after, Some(Timestamp::new(0)));
        }
    }

    #[test]
    fn every_field_that_is_not_acceptable_is_named() {
        let fields = |json: &str| new(json).err().unwrap_or_default();
        assert_eq!(fields("{}"), ["url"]);
        assert_eq!(
            fields(r#"{"url":"shop","kinds":["message-created"],"include":["text"],"after":-1}"#),
            ["url", "kinds", "include", "after"]
        );
        assert_eq!(
            fields(r#"{"url":"https://a.example","kinds":[]}"#),
            ["kinds"]
        );
        assert_eq!(
            fields(r#"{"url":"https://a.example","secret":"x"}"#),
            ["secret"]
        );
        let fields = |json: &str| patch(json).err().unwrap_or_default();
        assert_eq!(fields(r#"{"url":"shop","after":-1}"#), ["url", "after"]);
        assert_eq!(fields(r#"{"kinds":[""]}"#), ["kinds"]);
        for name in ["url", "after"] {
            assert!(patch(&format!(r#"{{"{name}":null}}"#)).is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_absent_stays_and_null_resets() {
        let nothing = patch("{}").unwrap();
        assert_eq!(nothing, WebhookPatch::default());
        let reset = patch(r#"{"kinds":null,"include":null,"paused":null}"#).unwrap();
        assert_eq!(reset.kinds, Some(Kinds::all()));
        assert_eq!(reset.include, Some(FeedInclude::default()));
        assert_eq!(reset.paused, Some(false));
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = NewWebhookJson::from_json(media::JSON, &body);
        }
    }
}
