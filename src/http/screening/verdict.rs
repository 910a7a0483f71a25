//! What a hook says.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::domain::{Attributes, Invalid, Text};

/// The longest reason that is shown to a user, in characters.
const DETAIL_CHARS_MAX: usize = 500;

/// What a hook says of a message.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    Accept,
    Replace(Replacement),
    /// With what the sender is told.
    Reject(Option<String>),
}

/// What is put in place of parts of a message. What is `None` stays as it is.
#[derive(Debug, PartialEq, Default)]
pub struct Replacement {
    pub text: Option<Text>,
    pub attributes: Option<Attributes>,
}

/// Why an answer is no verdict.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Unreadable {
    #[error("the answer is not as it should be: {0}")]
    Json(String),
    #[error("the answer must have one of accept, replace and reject")]
    NoVerdict,
    #[error("the answer's {0} {1}")]
    Replacement(&'static str, Invalid),
}

/// What a hook answers; an empty answer accepts. `{"replace": {"text": …}}` is the same as
/// `{"action": "replace", "text": …}`.
#[derive(Deserialize, ToSchema)]
#[schema(as = HookVerdict, example = json!({ "action": "replace", "text": "Hello, J***!" }))]
pub struct HookVerdictJson {
    /// `accept`, `replace`, `reject`
    action: Option<Action>,
    /// With `replace`: the text instead.
    #[schema(min_length = 1, max_length = 20000)]
    text: Option<String>,
    /// With `replace`: the attributes instead, as a whole.
    #[schema(value_type = Option<Object>)]
    attributes: Option<Box<RawValue>>,
    /// With `reject`: what the sender is told, cut to 500 characters.
    #[schema(max_length = 500)]
    detail: Option<String>,
    #[schema(ignore)]
    accept: Option<IgnoredAny>,
    #[schema(ignore)]
    replace: Option<ReplacementJson>,
    #[schema(ignore)]
    reject: Option<RejectionJson>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Accept,
    Replace,
    Reject,
}

#[derive(Deserialize)]
struct ReplacementJson {
    text: Option<String>,
    attributes: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct RejectionJson {
    detail: Option<String>,
}

impl Replacement {
    pub fn put_into(self, text: &mut Option<Text>, attributes: &mut Option<Attributes>) {
        *text = self.text.or(text.take());
        *attributes = self.attributes.or(attributes.take());
    }
}

impl Verdict {
    pub fn parse(answer: &[u8]) -> Result<Self, Unreadable> {
        if answer.trim_ascii().is_empty() {
            return Ok(Self::Accept);
        }
        let said: HookVerdictJson =
            serde_json::from_slice(answer).map_err(|error| Unreadable::Json(error.to_string()))?;
        match (said.action, said.accept, said.replace, said.reject) {
            (Some(Action::Accept), None, None, None) | (None, Some(_), None, None) => {
                Ok(Self::Accept)
            }
            (Some(Action::Replace), None, None, None) => {
                let replaced = ReplacementJson {
                    text: said.text,
                    attributes: said.attributes,
                };
                replaced.parse()
            }
            (None, None, Some(replaced), None) => replaced.parse(),
            (Some(Action::Reject), None, None, None) => Ok(Self::reject(said.detail)),
            (None, None, None, Some(rejected)) => Ok(Self::reject(rejected.detail)),
            _ => Err(Unreadable::NoVerdict),
        }
    }

    fn reject(detail: Option<String>) -> Self {
        let detail = detail.map(|detail| detail.trim().chars().take(DETAIL_CHARS_MAX).collect());
        Self::Reject(detail.filter(|detail: &String| !detail.is_empty()))
    }
}

impl ReplacementJson {
    fn parse(self) -> Result<Verdict, Unreadable> {
        let text = self.text.as_deref().map(Text::parse).transpose();
        let attributes = self.attributes.map(Attributes::parse).transpose();
        let replacement = Replacement {
            text: text.map_err(|invalid| Unreadable::Replacement("text", invalid))?,
            attributes: attributes
                .map_err(|invalid| Unreadable::Replacement("attributes", invalid))?,
        };
        if replacement == Replacement::default() {
            let nothing = Invalid("or attributes must be given");
            return Err(Unreadable::Replacement("text", nothing));
        }
        Ok(Verdict::Replace(replacement))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(json: &str) -> Result<Verdict, Unreadable> {
        Verdict::parse(json.as_bytes())
    }

    fn text(text: &str) -> Verdict {
        Verdict::Replace(Replacement {
            text: Some(Text::parse(text).unwrap()),
            attributes: None,
        })
    }

    #[test]
    fn a_verdict_is_an_action_with_what_belongs_to_it() {
        for accepted in [
            "",
            " \n",
            r#"{"action":"accept"}"#,
            r#"{"accept":true,"score":7}"#,
        ] {
            assert_eq!(parse(accepted), Ok(Verdict::Accept), "{accepted}");
        }
        for replaced in [
            r#"{"action":"replace","text":" x "}"#,
            r#"{"replace":{"text":"x","attributes":null}}"#,
        ] {
            assert_eq!(parse(replaced), Ok(text("x")), "{replaced}");
        }
        for rejected in [
            r#"{"action":"reject","detail":"no"}"#,
            r#"{"reject":{"detail":" no "}}"#,
        ] {
            let detail = Some("no".to_owned());
            assert_eq!(parse(rejected), Ok(Verdict::Reject(detail)), "{rejected}");
        }
        for rejected in [r#"{"action":"reject","detail":" "}"#, r#"{"reject":{}}"#] {
            assert_eq!(parse(rejected), Ok(Verdict::Reject(None)), "{rejected}");
        }
        let Ok(Verdict::Reject(Some(cut))) = parse(&format!(
            r#"{{"reject":{{"detail":"{}"}}}}"#,
            "ö".repeat(501)
        )) else {
            panic!("a long detail is cut");
        };
        assert_eq!(cut.chars().count(), DETAIL_CHARS_MAX);
    }

    #[test]
    fn what_is_no_verdict_is_a_failure() {
        let long = format!(r#"{{"action":"replace","text":"{}"}}"#, "x".repeat(20_001));
        for said in [
            "ok",
            "[]",
            "null",
            "{}",
            r#"{"action":"drop"}"#,
            r#"{"action":"replace"}"#,
            r#"{"action":"replace","text":" "}"#,
            r#"{"action":"replace","text":"a\u0000b"}"#,
            r#"{"action":"replace","text":7}"#,
            r#"{"action":"replace","attributes":[]}"#,
            r#"{"replace":{"text":"x","attributes":"y"}}"#,
            r#"{"accept":true,"reject":{"detail":"no"}}"#,
            r#"{"action":"accept","replace":{"text":"x"}}"#,
            &long,
        ] {
            assert!(parse(said).is_err(), "{said}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(answer in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Verdict::parse(&answer);
        }
    }
}
