//! The attributes of a message, a chat or a conversation: JSON of its own, which the service does not
//! interpret.

use std::{collections::BTreeMap, sync::Arc};

use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};

use super::Invalid;

/// The largest attributes, in bytes of their JSON text as it was sent.
pub const ATTRIBUTES_BYTES_MAX: usize = 16 * 1024;

/// The deepest nesting of objects and arrays. Common parsers, such as PostgreSQL's, recurse and
/// fail on deep nesting. Whatever is accepted here must be readable by every receiver.
pub const ATTRIBUTES_DEPTH_MAX: usize = 100;

/// A JSON object of at most 16 KiB. Its text is kept unchanged: order, whitespace and numbers.
#[derive(Debug, Clone)]
pub struct Attributes(Arc<RawValue>);

impl Attributes {
    /// Refuses what is not an object, what is too large, and what PostgreSQL or other parsers of
    /// JSON cannot read.
    pub fn parse(raw: Box<RawValue>) -> Result<Self, Invalid> {
        let json = raw.get();
        if !json.starts_with('{') {
            return Err(Invalid("must be a JSON object"));
        }
        if json.len() > ATTRIBUTES_BYTES_MAX {
            return Err(Invalid("must be at most 16 KiB of JSON"));
        }
        check_readable(json)?;
        Ok(Self(raw.into()))
    }

    /// The attributes `before`, if any, with the changes of a JSON merge patch (RFC 7396): members that
    /// are `null` are removed, and objects are merged.
    #[must_use]
    pub fn merged(before: Option<&Self>, patch: &Self) -> Self {
        Self(merged(before.map(Self::as_json), patch.as_json()).into())
    }

    /// Attributes that were checked before they were stored.
    pub fn trusted(raw: Box<RawValue>) -> Self {
        Self(raw.into())
    }

    /// Whether they are the same JSON, however blanks, escapes and the order of members are written. Numbers
    /// are the same if their texts are.
    pub fn is_same_json(&self, other: &Self) -> bool {
        is_same(&self.0, &other.0)
    }

    /// Whether they have no members.
    pub fn is_empty(&self) -> bool {
        members(&self.0).is_some_and(|members| members.is_empty())
    }

    /// Whether they are larger than allowed, as they may be once they are merged.
    pub fn is_too_large(&self) -> bool {
        self.0.get().len() > ATTRIBUTES_BYTES_MAX
    }

    /// The JSON text as it was sent.
    pub fn as_json(&self) -> &RawValue {
        &self.0
    }
}

fn is_same(one: &RawValue, other: &RawValue) -> bool {
    if let (Some(one), Some(other)) = (members(one), members(other)) {
        let mut pairs = one.iter().zip(&other);
        return one.len() == other.len()
            && pairs.all(|(one, other)| one.0 == other.0 && is_same(one.1, other.1));
    }
    if let (Some(one), Some(other)) = (
        parsed::<Vec<Box<RawValue>>>(one),
        parsed::<Vec<Box<RawValue>>>(other),
    ) {
        let mut pairs = one.iter().zip(&other);
        return one.len() == other.len() && pairs.all(|(one, other)| is_same(one, other));
    }
    match (parsed::<String>(one), parsed::<String>(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one.get() == other.get(),
    }
}

fn parsed<T: DeserializeOwned>(json: &RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}

type Members = BTreeMap<String, Box<RawValue>>;

fn merged(before: Option<&RawValue>, patch: &RawValue) -> Box<RawValue> {
    let Some(changes) = members(patch) else {
        return patch.to_owned();
    };
    let mut members = before.and_then(members).unwrap_or_default();
    for (name, change) in changes {
        if change.get() == "null" {
            members.remove(&name);
        } else {
            let before = members.get(&name).map(AsRef::as_ref);
            let after = merged(before, &change);
            members.insert(name, after);
        }
    }
    to_raw_value(&members).expect("its members are JSON")
}

/// The members of an object; of those with the same name, the last one.
fn members(json: &RawValue) -> Option<Members> {
    let is_object = json.get().starts_with('{');
    is_object
        .then(|| serde_json::from_str(json.get()).ok())
        .flatten()
}

impl PartialEq for Attributes {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

/// Checks text that a parser has accepted as JSON.
fn check_readable(json: &str) -> Result<(), Invalid> {
    let mut depth = 0;
    let mut rest = json.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => rest = check_string(rest)?,
            _ => {}
        }
        if depth > ATTRIBUTES_DEPTH_MAX {
            return Err(Invalid("must not be nested deeper than 100 levels"));
        }
    }
    Ok(())
}

/// Checks the escapes of a string and returns what follows its closing quote.
fn check_string(mut rest: &[u8]) -> Result<&[u8], Invalid> {
    loop {
        rest = match rest {
            [b'"', tail @ ..] => return Ok(tail),
            [b'\\', b'u', hex @ ..] => check_unicode_escape(hex)?,
            [b'\\', _, tail @ ..] | [_, tail @ ..] => tail,
            [] => return Ok(rest),
        };
    }
}

/// Checks the four digits of a `\u` escape, and the second escape of a surrogate pair; returns the
/// rest.
fn check_unicode_escape(rest: &[u8]) -> Result<&[u8], Invalid> {
    const UNPAIRED: Invalid = Invalid("must not contain unpaired surrogates");
    match hex4(rest) {
        Some((0, _)) => Err(Invalid("must not contain U+0000")),
        Some((0xD800..=0xDBFF, [b'\\', b'u', low @ ..])) => match hex4(low) {
            Some((0xDC00..=0xDFFF, tail)) => Ok(tail),
            _ => Err(UNPAIRED),
        },
        Some((0xD800..=0xDFFF, _)) => Err(UNPAIRED),
        Some((_, tail)) => Ok(tail),
        None => Ok(&[]),
    }
}

fn hex4(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, tail) = bytes.split_at_checked(4)?;
    let digits = std::str::from_utf8(digits).ok()?;
    Some((u16::from_str_radix(digits, 16).ok()?, tail))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(json: &str) -> Result<Attributes, Invalid> {
        Attributes::parse(RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn attributes_keep_their_text() {
        for json in [
            "{}",
            r#"{ "b" : 1.50e+400, "a": [ null ] , "a": true }"#,
            r#"{"emoji":"\ud83d\ude00 \\u0000 \"","path":"C:\\"}"#,
        ] {
            assert_eq!(parse(json).unwrap().as_json().get(), json);
        }
    }

    /// The examples of RFC 7396, appendix A, whose results are objects.
    #[test]
    fn a_merge_patch_adds_replaces_and_removes_members() {
        for (before, patch, after) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (
                r#"{"a":{"b":"c"}}"#,
                r#"{"a":{"b":"d","c":null}}"#,
                r#"{"a":{"b":"d"}}"#,
            ),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
            (
                r#"{ "n" : 1.50e+400 }"#,
                r#"{"m": 2}"#,
                r#"{"m":2,"n":1.50e+400}"#,
            ),
        ] {
            let merged = Attributes::merged(Some(&parse(before).unwrap()), &parse(patch).unwrap());
            assert_eq!(merged.as_json().get(), after);
        }
        let first = Attributes::merged(None, &parse(r#"{"a":null,"b":1}"#).unwrap());
        assert_eq!(first.as_json().get(), r#"{"b":1}"#);
    }

    #[test]
    fn only_objects_are_attributes() {
        for json in ["[]", "1", "\"{}\"", "true"] {
            assert!(parse(json).is_err(), "{json}");
        }
    }

    #[test]
    fn what_other_parsers_cannot_read_is_refused() {
        for json in [
            r#"{"a":"\u0000"}"#,
            r#"{"\u0000":1}"#,
            r#"{"a":{"b":["x\\\u0000"]}}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\ud800\u0041"}"#,
            r#"{"a":"\udc00"}"#,
        ] {
            assert!(parse(json).is_err(), "{json}");
        }
    }

    #[test]
    fn size_and_depth_end_at_their_limits() {
        let sized = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        assert!(parse(&sized(ATTRIBUTES_BYTES_MAX)).is_ok());
        assert!(parse(&sized(ATTRIBUTES_BYTES_MAX + 1)).is_err());
        let nested = |depth: usize| {
            let inner = depth - 1;
            format!("{{\"a\":{}{}}}", "[".repeat(inner), "]".repeat(inner))
        };
        assert!(parse(&nested(ATTRIBUTES_DEPTH_MAX)).is_ok());
        assert!(parse(&nested(ATTRIBUTES_DEPTH_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn every_string_without_nul_is_accepted_however_it_is_escaped(text in any::<String>()) {
            let json = serde_json::json!({ "a": text }).to_string();
            prop_assert_eq!(parse(&json).is_ok(), !text.contains('\0'));
            let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            prop_assert_eq!(parse(&format!("{{\"a\":\"{escaped}\"}}")).is_ok(), !text.contains('\0'));
        }
    }
}
