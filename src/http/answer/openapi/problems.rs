//! The problems that operations can end in, each described once.

use axum::http::Method;
use utoipa::openapi::{Ref, RefOr, Response, ResponseBuilder};

use super::{answers::content, headers};
use crate::{
    auth,
    batching::QueueError,
    domain::{Refusal, Timestamp},
    http::answer::problem::{self, Problem, ProblemJson},
    live, sync,
};

/// A problem among the document's components.
#[derive(Clone, Copy)]
pub struct Described {
    name: &'static str,
    description: &'static str,
    /// What the service answers. Its status and its headers are those of the response.
    example: fn() -> Problem,
}

/// Declares the problems, and the list of them.
macro_rules! problems {
    ($($constant:ident = $name:literal, $description:literal, $example:expr;)+) => {
        $(pub const $constant: Described = Described {
            name: $name,
            description: $description,
            example: || $example,
        };)+

        const ALL: &[Described] = &[$($constant),+];
    };
}

problems! {
    MALFORMED = "Malformed",
        "The request cannot be read",
        Problem::malformed("limit must be a whole number");
    UNAUTHORIZED = "Unauthorized",
        "The token is missing, badly signed or expired",
        auth::Error::Missing.into();
    FORBIDDEN = "Forbidden",
        "The caller may not do this. `not-accepted`: messages between the two users are not accepted. \
         `may-not-post`: the caller reads this chat and does not post into it. `suspended`: the application \
         has suspended the user. `banned`: the user is kept from joining the chat. `chat-too-large`: the chat has \
         too many members for signals",
        Problem::forbidden("only the sender may edit the message");
    NOT_FOUND = "NotFound",
        "It does not exist, or the caller may not see it",
        Problem::not_found();
    NOT_ACCEPTABLE = "NotAcceptable",
        "`Accept` allows no media type that the answer can have",
        Problem::not_acceptable("application/json");
    BODY_TOO_SLOW = "BodyTooSlow",
        "The body did not arrive within 10 s",
        Problem::body_too_slow();
    DELETED = "Deleted",
        "The message is deleted. `expired`: it is not kept any more, or was never the caller's to read",
        Refusal::Gone.into();
    EXPIRED = "Expired",
        "`expired`: the message is not kept any more, or was never the caller's to read",
        Refusal::Expired.into();
    CURSOR_AHEAD = "CursorAhead",
        "`cursor-ahead`: the cursor is beyond the end of the timeline: a backup was restored. `cursor-behind`: \
         changes after the cursor are not kept any more: start from `GET /conversations` and go on after its \
         `latest`; with the feed, go on after `trimmed`",
        sync::Error::CursorAhead { end: Timestamp::new(41) }.into();
    STALE = "Stale",
        "It has changed: `current` is its timestamp",
        Refusal::Stale { current: Timestamp::new(43) }.into();
    BODY_TOO_LARGE = "BodyTooLarge",
        "The body is larger than 512 KiB",
        Problem::body_too_large(512 * 1024);
    UNSUPPORTED_POST = "UnsupportedPost",
        "The body's media type is not supported",
        Problem::unsupported_media_type(&Method::POST, "application/json");
    UNSUPPORTED_PATCH = "UnsupportedPatch",
        "The body's media type is not supported",
        Problem::unsupported_media_type(&Method::PATCH, "application/json");
    INVALID = "Invalid",
        "Fields are not acceptable: `errors` names each. `rejected`: the hook of the application has rejected \
         the message",
        Problem::invalid_field("text", "must be at most 20,000 characters");
    PRECONDITION_REQUIRED = "PreconditionRequired",
        "`If-Match` is missing or `*`",
        Problem::precondition_required();
    TOO_MANY_REQUESTS = "TooManyRequests",
        "The user has too many requests in progress, or sends too many messages a minute, or more than one \
         signal a second. `slow-mode`: a member must wait between two messages in this chat",
        Problem::too_many_requests(256);
    TOO_MANY_LIVE_CONNECTIONS = "TooManyLiveConnections",
        "`too-many-live-connections`: the user has too many streams and held answers open. \
         `too-many-requests`: the user has too many requests in progress",
        live::Full::User.into();
    HEAD_TOO_LARGE = "HeadTooLarge",
        "The request line and the headers are over 64 KiB, or there are over 100 headers",
        Problem::head_too_large();
    FAILED = "Failed",
        "The service failed; nothing was changed",
        Problem::internal();
    UNAVAILABLE = "Unavailable",
        "`overloaded`, `shutting-down`, `database-unavailable`, `issuer-unavailable`: nothing was \
         changed, and nothing will be. `search-overdue`: the search took too long. \
         `outcome-unknown`: the change may or may not have been made",
        QueueError::Full.into();
}

impl Described {
    /// The status, and a reference to the component.
    pub fn reference(self) -> (String, RefOr<Response>) {
        let status = (self.example)().status().as_u16().to_string();
        (status, Ref::from_response_name(self.name).into())
    }

    fn response(self) -> Response {
        let problem = (self.example)();
        let document = problem.document("5f0c1c1e-9a53-4bd1-9d0f-0d6c3f6f1f2a");
        let mut content = content::<ProblemJson>();
        content.example = Some(serde_json::json!(document));
        let mut response = ResponseBuilder::new()
            .description(self.description)
            .content(problem::MEDIA_TYPE, content)
            .build();
        for (name, _) in problem.headers() {
            headers::add(&mut response, name.as_str());
        }
        response
    }
}

/// Every problem by its name, for the document's components.
pub fn components() -> impl Iterator<Item = (String, Response)> {
    ALL.iter()
        .map(|problem| (problem.name.to_owned(), problem.response()))
}
