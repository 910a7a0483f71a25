//! Tokens that are made here: users' tokens for applications, and tickets for opening streams from a
//! browser, whose EventSource cannot set headers.

use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    Answer, Service,
    answer::{
        instant,
        openapi::{ApplicationCreateProblems, ListProblems},
        problem::Problem,
        representation::secret,
    },
    extract::{
        body::{FromJson, JsonBody, parse},
        caller::{Caller, OwnApplication},
        media::{self, Accept, PlainJson},
        request_bodies::keep,
    },
};
use crate::{
    auth::Ticket,
    domain::{Invalid, UserId},
};

/// The shortest and the longest life of a token that an application makes, in seconds.
const LIFETIME_SECONDS_MIN: i64 = 60;
const LIFETIME_SECONDS_MAX: i64 = 30 * 86_400;

/// How long a token lives where the application does not say, in seconds.
const LIFETIME_SECONDS_DEFAULT: i64 = 3600;

/// For whom a token is to be made, and for how long.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "user": "jane", "expiresIn": 3600 }))]
pub struct NewToken {
    #[schema(value_type = String, required, min_length = 1, max_length = 64, pattern = "^(\\.{0,2}[A-Za-z0-9_@:|-]|\\.{3})[A-Za-z0-9_.@:|-]*$")]
    user: Option<String>,
    /// Its life in seconds; an hour by default.
    #[schema(value_type = Option<i64>, minimum = 60, maximum = 2592000)]
    expires_in: Option<i64>,
}

impl FromJson for NewToken {
    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }
}

impl NewToken {
    fn checked(self) -> Result<(UserId, Duration), Problem> {
        let mut errors = Vec::new();
        let user = self
            .user
            .ok_or(Invalid("is required"))
            .and_then(|user| UserId::parse(&user));
        let user = keep(&mut errors, "user", user);
        let seconds = self.expires_in.unwrap_or(LIFETIME_SECONDS_DEFAULT);
        let seconds = (LIFETIME_SECONDS_MIN..=LIFETIME_SECONDS_MAX)
            .contains(&seconds)
            .then_some(seconds);
        let lifetime = seconds.ok_or(Invalid("must be 60 to 2592000 seconds"));
        let lifetime = keep(&mut errors, "expiresIn", lifetime);
        let (Some(user), Some(lifetime)) = (user, lifetime) else {
            return Err(Problem::invalid(errors));
        };
        Ok((user, Duration::from_secs(lifetime.unsigned_abs())))
    }
}

/// A user's token.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "token": "eyJ0eXAiOiJKV1Qi…", "expires": "2026-11-20T10:30:00.000000Z" }))]
pub struct UserToken {
    token: String,
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    expires: OffsetDateTime,
}

/// Makes a token for a user of the application.
#[utoipa::path(
    post,
    path = "/tokens",
    tag = "applications",
    security(("bearer" = [])),
    request_body(content((NewToken = "application/json"))),
    responses(
        (status = 201, description = "A token", body = UserToken, content_type = "application/json"),
        ApplicationCreateProblems,
    ),
)]
pub async fn create_token(
    State(service): State<Service>,
    OwnApplication(application): OwnApplication,
    accept: Accept<PlainJson>,
    body: JsonBody<NewToken>,
) -> Answer {
    let (user, lifetime) = body.acceptable()?.checked()?;
    let expires = OffsetDateTime::from((service.clock)() + lifetime);
    let expires = expires
        .replace_nanosecond(0)
        .expect("a second has a beginning");
    let token = service.signer.sign(application, &user, expires.into());
    Ok(secret(accept.media_type, UserToken { token, expires }))
}

/// A ticket for opening streams.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "ticket": "eyJ0eXAiOiJKV1Qi…", "expires": "2026-11-20T09:30:30.000000Z" }))]
pub struct StreamTicket {
    /// The value of `?ticket=`.
    ticket: String,
    /// When it stops to open streams.
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    expires: OffsetDateTime,
}

/// Gives a ticket that opens streams for 30 seconds, on every replica.
///
/// For `new EventSource("/messages?ticket=…")`. A stream that it has opened lasts until the token
/// ends that the ticket was asked for with.
#[utoipa::path(
    post,
    path = "/tickets",
    tag = "messages",
    security(("bearer" = [])),
    params(crate::http::answer::openapi::AsUser),
    responses(
        (status = 201, description = "A ticket", body = StreamTicket, content_type = "application/json"),
        ListProblems,
    ),
)]
pub async fn create_ticket(
    State(service): State<Service>,
    caller: Caller,
    accept: Accept<PlainJson>,
) -> Answer {
    let Ticket { ticket, expires } =
        service
            .tickets
            .issue(caller.application, &caller.user()?, &caller.validity);
    Ok(secret(
        accept.media_type,
        StreamTicket {
            ticket,
            expires: expires.into(),
        },
    ))
}
