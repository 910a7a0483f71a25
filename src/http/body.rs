//! Bodies: read within limits of size and time, and parsed so that the caller learns what is wrong.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
};
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::time::timeout;

use super::{media, problem::Problem};

/// The largest body, in bytes: a text of 20,000 characters however it is escaped, 100 files and
/// 16 KiB of attributes fit.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// How long a body may take to arrive.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// What an operation reads.
pub trait FromJson: Sized {
    /// The media types that it accepts.
    const MEDIA_TYPES: &'static [&'static str];

    /// Parses `json`, which came as `media_type`, one of the accepted ones.
    fn from_json(media_type: &'static str, json: &[u8]) -> Result<Self, Problem>;
}

/// A body of the right media type, size and form: else 415, 413, 400 or 422, in this order.
pub struct JsonBody<T>(pub T);

impl<T: FromJson, S: Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let media_type = media::content_type(request.headers(), T::MEDIA_TYPES).ok_or_else(|| {
            Problem::unsupported_media_type(request.method(), &T::MEDIA_TYPES.join(", "))
        })?;
        let reading = read(request.into_body());
        let json = timeout(BODY_TIME_MAX, reading).await.map_err(|_| Problem::body_too_slow())??;
        Ok(Self(T::from_json(media_type, &json)?))
    }
}

/// Reads a whole body of at most [`BODY_BYTES_MAX`].
async fn read(body: Body) -> Result<Bytes, Problem> {
    let collected = Limited::new(body, BODY_BYTES_MAX).collect().await;
    collected.map(Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            Problem::body_too_large(BODY_BYTES_MAX)
        } else {
            Problem::malformed("the body ended before it was complete")
        }
    })
}

/// Parses JSON: 400 for what is no JSON, 422 for JSON of another shape.
pub fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Problem> {
    let json = std::str::from_utf8(json).map_err(|_| Problem::malformed("the body is not UTF-8"))?;
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let field = error.path().to_string();
        let field = if field == "." { "body" } else { &field };
        describe(field, error.inner())
    })?;
    deserializer.end().map_err(|error| describe("body", &error))?;
    Ok(value)
}

fn describe(field: &str, error: &serde_json::Error) -> Problem {
    match error.classify() {
        Category::Data => Problem::invalid_field(field, error.to_string()),
        Category::Syntax | Category::Eof | Category::Io => {
            Problem::malformed(format!("the body is not JSON: {error}"))
        }
    }
}
