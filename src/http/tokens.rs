//! Tokens that are made here: users' tokens for applications, and tickets for opening streams from
//! a browser, whose EventSource cannot set headers.

use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    Answer, Service,
    answer::{
        instant,
        openapi::{ApplicationCreateProblems, AsUser, ListProblems, schemas::UserIdSchema},
        problem::{FieldError, Problem},
        representation::secret,
    },
    extract::{
        body::{RequestBody, parse},
        caller::{Caller, OwnApplication},
        checks::Checks,
        media::{self, PlainJson},
        request_bodies::collect,
    },
};
use crate::{
    auth::Ticket,
    domain::{Invalid, UserId},
};

/// The shortest and the longest life of a token that an application makes, in seconds.
const LIFETIME_SECONDS_MIN: i64 = 60;
const LIFETIME_SECONDS_MAX: i64 = 30 * 86_400;

/// How long a token lives if the application does not say, in seconds.
const LIFETIME_SECONDS_DEFAULT: i64 = 3600;

/// For whom a token is to be made, and for how long.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewToken, example = json!({ "user": "jane", "expiresIn": 3600 }))]
pub struct NewTokenJson {
    #[schema(value_type = UserIdSchema, required)]
    user: Option<String>,
    /// Its life in seconds; an hour by default.
    #[schema(value_type = Option<i64>, minimum = 60, maximum = 2592000)]
    expires_in: Option<i64>,
}

impl RequestBody for NewTokenJson {
    type Valid = (UserId, Duration);

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<(UserId, Duration)> {
        let user = self.user.ok_or(Invalid("is required"));
        let user = collect(errors, "user", user.and_then(|user| UserId::parse(&user)));
        let seconds = self.expires_in.unwrap_or(LIFETIME_SECONDS_DEFAULT);
        let lifetime = if (LIFETIME_SECONDS_MIN..=LIFETIME_SECONDS_MAX).contains(&seconds) {
            Ok(Duration::from_secs(seconds.unsigned_abs()))
        } else {
            Err(Invalid("must be 60 to 2592000 seconds"))
        };
        user.zip(collect(errors, "expiresIn", lifetime))
    }
}

/// A user's token.
#[derive(Serialize, ToSchema)]
#[schema(as = UserToken, example = json!({
    "token": "eyJ0eXAiOiJKV1Qi…", "expires": "2026-11-20T10:30:00.000000Z"
}))]
pub struct UserTokenJson {
    token: String,
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    expires: OffsetDateTime,
}

/// Makes a token for a user of the application.
///
/// It lives from a minute to 30 days.
#[utoipa::path(
    post,
    path = "/tokens",
    tag = "applications",
    request_body(content((NewTokenJson = "application/json"))),
    responses(
        (status = 201, description = "A token",
            body = UserTokenJson, content_type = "application/json"),
        ApplicationCreateProblems,
    ),
)]
pub async fn create_token(
    State(service): State<Service>,
    mut checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let token = checks.body::<NewTokenJson>().await?;
    let passed = checks.finish(|| token)?;
    let (application, (user, lifetime)) = (passed.caller, passed.input);
    let issued = (service.clock)();
    let expires = OffsetDateTime::from(issued + lifetime);
    let expires = expires
        .replace_nanosecond(0)
        .expect("a second has a beginning");
    let token = service
        .signer
        .sign(application, &user, issued, expires.into());
    Ok(secret(passed.media_type, UserTokenJson { token, expires }))
}

/// A ticket for opening streams.
#[derive(Serialize, ToSchema)]
#[schema(as = StreamTicket, example = json!({
    "ticket": "eyJ0eXAiOiJKV1Qi…", "expires": "2026-11-20T09:30:30.000000Z"
}))]
pub struct StreamTicketJson {
    /// The value of `?ticket=`.
    ticket: String,
    /// When it stops to open streams.
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    expires: OffsetDateTime,
}

/// Makes a ticket that opens streams for 30 seconds, on every replica.
///
/// For `new EventSource("/messages?ticket=…")`. The stream lasts as long as the token that the
/// ticket was made with.
#[utoipa::path(
    post,
    path = "/tickets",
    tag = "messages",
    params(AsUser),
    responses(
        (status = 201, description = "A ticket",
            body = StreamTicketJson, content_type = "application/json"),
        ListProblems,
    ),
)]
pub async fn create_ticket(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let user = checks.user();
    let passed = checks.finish(|| user)?;
    let Caller {
        application,
        validity,
        ..
    } = &passed.caller;
    let Ticket { ticket, expires } = service.tickets.issue(*application, &passed.input, validity);
    let ticket = StreamTicketJson {
        ticket,
        expires: expires.into(),
    };
    Ok(secret(passed.media_type, ticket))
}
