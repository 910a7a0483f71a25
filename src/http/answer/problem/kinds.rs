//! Every kind of problem: its status, its name in `type`, and its title.

use axum::http::StatusCode;

#[derive(Debug)]
pub struct Kind {
    pub status: StatusCode,
    pub name: &'static str,
    pub title: &'static str,
}

const fn kind(status: StatusCode, name: &'static str, title: &'static str) -> Kind {
    Kind {
        status,
        name,
        title,
    }
}

pub static MALFORMED: Kind = kind(
    StatusCode::BAD_REQUEST,
    "malformed",
    "The request cannot be read",
);
pub static UNAUTHORIZED: Kind = kind(
    StatusCode::UNAUTHORIZED,
    "unauthorized",
    "The caller is not known",
);
pub static FORBIDDEN: Kind = kind(StatusCode::FORBIDDEN, "forbidden", "You may not do this");
pub static NOT_FOUND: Kind = kind(StatusCode::NOT_FOUND, "not-found", "There is nothing here");
pub static NO_SUCH_RESOURCE: Kind = kind(
    StatusCode::NOT_FOUND,
    "no-such-resource",
    "There is nothing here",
);
pub static METHOD_NOT_ALLOWED: Kind = kind(
    StatusCode::METHOD_NOT_ALLOWED,
    "method-not-allowed",
    "The method is not allowed",
);
pub static NOT_ACCEPTABLE: Kind = kind(
    StatusCode::NOT_ACCEPTABLE,
    "not-acceptable",
    "No media type is acceptable",
);
pub static BODY_TOO_SLOW: Kind = kind(
    StatusCode::REQUEST_TIMEOUT,
    "body-too-slow",
    "The request took too long",
);
pub static DELETED: Kind = kind(StatusCode::GONE, "deleted", "The message is deleted");
pub static CURSOR_AHEAD: Kind = kind(
    StatusCode::GONE,
    "cursor-ahead",
    "The cursor lies beyond the timeline",
);
pub static STALE: Kind = kind(StatusCode::PRECONDITION_FAILED, "stale", "It has changed");
pub static BODY_TOO_LARGE: Kind = kind(
    StatusCode::PAYLOAD_TOO_LARGE,
    "body-too-large",
    "The body is too large",
);
pub static UNSUPPORTED_MEDIA_TYPE: Kind = kind(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "unsupported-media-type",
    "The body's media type is not supported",
);
pub static TARGET_TOO_LONG: Kind = kind(
    StatusCode::URI_TOO_LONG,
    "target-too-long",
    "The request's target is too long",
);
pub static HEAD_TOO_LARGE: Kind = kind(
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    "head-too-large",
    "The head of the request is too large",
);
pub static INVALID: Kind = kind(
    StatusCode::UNPROCESSABLE_ENTITY,
    "invalid",
    "The request is not acceptable",
);
pub static PRECONDITION_REQUIRED: Kind = kind(
    StatusCode::PRECONDITION_REQUIRED,
    "precondition-required",
    "The request must be conditional",
);
pub static TOO_MANY_CONNECTIONS: Kind = kind(
    StatusCode::TOO_MANY_REQUESTS,
    "too-many-live-connections",
    "The user has too many live connections",
);
pub static TOO_MANY_REQUESTS: Kind = kind(
    StatusCode::TOO_MANY_REQUESTS,
    "too-many-requests",
    "The user has too many requests under way",
);
pub static INTERNAL: Kind = kind(
    StatusCode::INTERNAL_SERVER_ERROR,
    "internal",
    "The service failed",
);
pub static OVERLOADED: Kind = kind(
    StatusCode::SERVICE_UNAVAILABLE,
    "overloaded",
    "The service is not available",
);
pub static SHUTTING_DOWN: Kind = kind(
    StatusCode::SERVICE_UNAVAILABLE,
    "shutting-down",
    "The service is not available",
);
pub static ISSUER_UNAVAILABLE: Kind = kind(
    StatusCode::SERVICE_UNAVAILABLE,
    "issuer-unavailable",
    "The service is not available",
);
pub static DATABASE_UNAVAILABLE: Kind = kind(
    StatusCode::SERVICE_UNAVAILABLE,
    "database-unavailable",
    "The service is not available",
);
pub static SEARCH_OVERDUE: Kind = kind(
    StatusCode::SERVICE_UNAVAILABLE,
    "search-overdue",
    "The search took too long",
);
pub static OUTCOME_UNKNOWN: Kind = kind(
    StatusCode::SERVICE_UNAVAILABLE,
    "outcome-unknown",
    "It is not known whether the change was made",
);
