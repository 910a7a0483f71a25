//! What a hook says.

use serde::Deserialize;
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
    /// With what the sender is shown.
    Reject(Option<String>),
}

/// What is put in place of parts of a message. What is `None` stays as it is.
#[derive(Debug, PartialEq, Default)]
pub struct Replacement {
    pub text: Option<Text>,
    pub attributes: Option<Attributes>,
}

/// Why an answer is no verdict. What it says is not repeated: it may contain what a user has written.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Unreadable {
    #[error("the answer is not JSON of the right shape: see line {line}, column {column}")]
    Json { line: usize, column: usize },
    #[error("the answer must be one verdict: accept, replace or reject")]
    NoVerdict,
    #[error("the answer's {0} {1}")]
    Replacement(&'static str, Invalid),
}

/// What a hook answers; an empty answer accepts.
#[derive(Deserialize, ToSchema)]
#[schema(as = HookVerdict, example = json!({ "action": "replace", "text": "Hello, J***!" }))]
pub struct HookVerdictJson {
    /// Or else one of `accept`, which is true, `replace` and `reject`, with what belongs to it.
    action: Option<ActionJson>,
    /// With `replace`: the text in its place.
    #[schema(min_length = 1, max_length = 20000)]
    text: Option<String>,
    /// With `replace`: the attributes in place of all that it has.
    #[schema(value_type = Option<Object>)]
    attributes: Option<Box<RawValue>>,
    /// With `reject`: what the sender is shown, cut to 500 characters.
    #[schema(max_length = 500)]
    detail: Option<String>,
    #[schema(ignore)]
    accept: Option<bool>,
    #[schema(ignore)]
    replace: Option<ReplacementJson>,
    #[schema(ignore)]
    reject: Option<RejectionJson>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = HookAction)]
enum ActionJson {
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
        let answer = answer.trim_ascii();
        if answer.is_empty() {
            return Ok(Self::Accept);
        }
        // A list would be taken for the members in their order.
        if !answer.starts_with(b"{") {
            return Err(Unreadable::NoVerdict);
        }
        let said: HookVerdictJson =
            serde_json::from_slice(answer).map_err(|error| Unreadable::Json {
                line: error.line(),
                column: error.column(),
            })?;
        said.parse()
    }
}

impl HookVerdictJson {
    /// What belongs to another verdict contradicts it.
    fn parse(self) -> Result<Verdict, Unreadable> {
        let replaced =
            (self.text.is_some() || self.attributes.is_some()).then_some(ReplacementJson {
                text: self.text,
                attributes: self.attributes,
            });
        let named = (self.accept, self.replace, self.reject);
        match (self.action, replaced, self.detail, named) {
            (Some(ActionJson::Accept), None, None, (None, None, None))
            | (None, None, None, (Some(true), None, None)) => Ok(Verdict::Accept),
            (Some(ActionJson::Replace), Some(replaced), None, (None, None, None))
            | (None, None, None, (None, Some(replaced), None)) => replaced.parse(),
            (Some(ActionJson::Reject), None, detail, (None, None, None))
            | (None, None, None, (None, None, Some(RejectionJson { detail }))) => {
                Ok(Verdict::Reject(detail.and_then(shown)))
            }
            _ => Err(Unreadable::NoVerdict),
        }
    }
}

/// A reason as it is shown to the sender, if it says anything.
fn shown(detail: String) -> Option<String> {
    let shown: String = detail.trim().chars().take(DETAIL_CHARS_MAX).collect();
    (!shown.is_empty()).then_some(shown)
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
            r#"{"accept":false}"#,
            r#"{"accept":"no"}"#,
            r#"["accept",null,null,null,null,null,null]"#,
            r#""accept""#,
            r#"{"action":"accept","text":"x"}"#,
            r#"{"action":"reject","text":"x"}"#,
            r#"{"accept":true,"reject":{"detail":"no"}}"#,
            r#"{"action":"accept","replace":{"text":"x"}}"#,
            &long,
        ] {
            assert!(parse(said).is_err(), "{said}");
        }
    }

    proptest! {
        #[test]
        fn nothing_but_these_accepts(
            action in prop_oneof![Just("accept"), Just("allow"), Just("")],
            other in prop_oneof![Just("text"), Just("accept"), Just("reject"), Just("score")],
            value in prop_oneof![Just("null"), Just("true"), Just("false"), Just("1"), Just("\"x\""), Just("{}")],
        ) {
            let json = format!(r#"{{"action":"{action}","{other}":{value}}}"#);
            let accepts = action == "accept" && (value == "null" || other == "score");
            prop_assert_eq!(parse(&json) == Ok(Verdict::Accept), accepts, "{}", json);
        }
    }
}
