//! Bodies: read within limits of size and time, and parsed so that the caller learns what is wrong.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, header, request::Parts},
};
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::media;
use crate::http::answer::problem::{FieldError, Problem};

/// The largest body, in bytes. The largest message that its fields' limits allow takes 263,191:
/// 20,000 characters outside the Basic Multilingual Plane escaped as ASCII (12 bytes each), 16 KiB
/// of attributes and 100 files. It fits with room for blanks.
pub const BODY_BYTES_MAX: usize = 512 * 1024;

/// What an operation reads from its body.
pub trait RequestBody: Sized {
    /// What it is once every field has passed.
    type Valid;

    /// The media types that it accepts.
    const MEDIA_TYPES: &'static [&'static str];

    /// The largest body, in bytes.
    const BYTES_MAX: usize = BODY_BYTES_MAX;

    /// Parses `json`, which was sent as `media_type`, one of the accepted ones. Fails with 400 if
    /// it is not JSON, and with 422 if it is JSON of another shape.
    fn from_json(media_type: &'static str, json: &[u8]) -> Result<Self, Problem>;

    /// Checks every field and adds what is wrong to `errors`. `None` if anything is wrong.
    fn validate(self, errors: &mut Vec<FieldError>) -> Option<Self::Valid>;
}

/// The media type of a request's body, one of those that `T` accepts. Fails with 415 otherwise.
pub fn media_type<T: RequestBody>(head: &Parts) -> Result<&'static str, Problem> {
    let media_type = media::content_type(&head.headers, T::MEDIA_TYPES)
        .ok_or_else(|| Problem::unsupported_media_type(&head.method, &T::MEDIA_TYPES.join(", ")))?;
    if is_encoded(&head.headers) {
        return Err(Problem::unsupported_encoding());
    }
    Ok(media_type)
}

/// Reads a whole body. Fails with 413 above `bytes_max`, and with 408 after `time_max`.
pub async fn read(body: Body, bytes_max: usize, time_max: Duration) -> Result<Bytes, Problem> {
    // A length that is announced and too large is refused before anything is read.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(Problem::body_too_large(bytes_max));
    }
    let reading = Limited::new(body, bytes_max).collect();
    let read = timeout(time_max, reading)
        .await
        .map_err(|_| Problem::body_too_slow())?;
    read.map(Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            Problem::body_too_large(bytes_max)
        } else {
            Problem::malformed("the body ended before it was complete")
        }
    })
}

/// Whether the body has a content encoding. The service decodes none.
fn is_encoded(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Parses a JSON object. Fails with 400 if this is not JSON, and with 422 if it is JSON of another
/// shape.
pub fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Problem> {
    parse_named(json, "the body")
}

/// The same for a part of the body of this name.
pub fn parse_named<T: DeserializeOwned>(json: &[u8], name: &str) -> Result<T, Problem> {
    let json = std::str::from_utf8(json)
        .map_err(|_| Problem::malformed(format!("{name} is not UTF-8")))?;
    let value = serde_json::from_str::<&RawValue>(json)
        .map_err(|error| Problem::malformed(format!("{name} is not JSON: {error}")))?
        .get();
    // serde would accept an array as the members in their order.
    if !value.starts_with('{') {
        return Err(Problem::invalid_field("body", "must be a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(value);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let field = error.path().to_string();
        let field = if field == "." { "body" } else { &field };
        Problem::invalid_field(field, error.inner().to_string())
    })
}
