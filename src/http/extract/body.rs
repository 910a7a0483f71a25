//! Bodies: read within limits of size and time, and parsed so that the caller learns what is wrong.

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::media;
use crate::http::{Service, answer::problem::Problem};

/// The largest body, in bytes. The largest message that its fields' limits allow takes 263,191: 20,000
/// characters outside the Basic Multilingual Plane escaped as ASCII (12 bytes each), 16 KiB of
/// attributes and 100 files. It fits with room for blanks.
pub const BODY_BYTES_MAX: usize = 512 * 1024;

/// What an operation reads.
pub trait FromJson: Sized {
    /// The media types that it accepts.
    const MEDIA_TYPES: &'static [&'static str];

    /// Parses `json`, which came as `media_type`, one of the accepted ones.
    fn from_json(media_type: &'static str, json: &[u8]) -> Result<Self, Problem>;
}

/// A body of the right media type and size that is JSON: else 415, 413 or 400, in this order. Its
/// shape is judged later, together with what else is 422.
pub struct JsonBody<T>(Result<T, Problem>);

impl<T> JsonBody<T> {
    /// The body, or 422.
    pub fn acceptable(self) -> Result<T, Problem> {
        self.0
    }
}

impl<T: FromJson> FromRequest<Service> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, service: &Service) -> Result<Self, Problem> {
        let media_type =
            media::content_type(request.headers(), T::MEDIA_TYPES).ok_or_else(|| {
                Problem::unsupported_media_type(request.method(), &T::MEDIA_TYPES.join(", "))
            })?;
        if is_encoded(request.headers()) {
            return Err(Problem::unsupported_encoding());
        }
        let reading = read(request.into_body());
        let json = timeout(service.times.body, reading)
            .await
            .map_err(|_| Problem::body_too_slow())??;
        match T::from_json(media_type, &json) {
            Err(problem) if problem.status() == StatusCode::BAD_REQUEST => Err(problem),
            parsed => Ok(Self(parsed)),
        }
    }
}

/// Whether the body is compressed or the like, which no operation undoes.
fn is_encoded(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Reads a whole body of at most [`BODY_BYTES_MAX`].
async fn read(body: Body) -> Result<Bytes, Problem> {
    // Who announces too much is told so before anything is read.
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(Problem::body_too_large(BODY_BYTES_MAX));
    }
    let collected = Limited::new(body, BODY_BYTES_MAX).collect().await;
    collected.map(Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            Problem::body_too_large(BODY_BYTES_MAX)
        } else {
            Problem::malformed("the body ended before it was complete")
        }
    })
}

/// Parses a JSON object: 400 for what is no JSON, and then 422 for JSON of another shape.
pub fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Problem> {
    let json =
        std::str::from_utf8(json).map_err(|_| Problem::malformed("the body is not UTF-8"))?;
    let value = serde_json::from_str::<&RawValue>(json)
        .map_err(|error| Problem::malformed(format!("the body is not JSON: {error}")))?
        .get();
    // A sequence would be taken for the members in their order.
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
