//! Every kind of problem: its name in `type`, its status, and its title.

use axum::http::StatusCode;

#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    pub status: StatusCode,
    pub title: &'static str,
}

impl Kind {
    /// The `type` of a problem document: a URI relative to the service.
    pub fn uri(&self) -> String {
        format!("/problems/{}", self.name)
    }
}

/// Declares the kinds, and the list of them.
macro_rules! kinds {
    ($($kind:ident: $name:literal, $status:ident, $title:literal;)+) => {
        $(pub static $kind: Kind = Kind {
            name: $name,
            status: StatusCode::$status,
            title: $title,
        };)+

        /// Every kind, by status.
        pub static ALL: &[&Kind] = &[$(&$kind),+];
    };
}

kinds! {
    MALFORMED: "malformed", BAD_REQUEST, "The request cannot be read";
    UNAUTHORIZED: "unauthorized", UNAUTHORIZED, "A valid token is required";
    FORBIDDEN: "forbidden", FORBIDDEN, "You may not do this";
    NOT_ACCEPTED: "not-accepted", FORBIDDEN, "Messages between these users are not accepted";
    MAY_NOT_POST: "may-not-post", FORBIDDEN, "You read this chat and do not post into it";
    CHAT_TOO_LARGE: "chat-too-large", FORBIDDEN, "The chat has too many members for signals";
    SUSPENDED: "suspended", FORBIDDEN, "The user is suspended";
    BANNED: "banned", FORBIDDEN, "The user is banned from this chat";
    IMPORTING: "importing", FORBIDDEN, "The conversation is being imported";
    NOT_FOUND: "not-found", NOT_FOUND, "There is nothing here";
    NO_SUCH_RESOURCE: "no-such-resource", NOT_FOUND, "There is nothing here";
    METHOD_NOT_ALLOWED: "method-not-allowed", METHOD_NOT_ALLOWED, "The method is not allowed";
    NOT_ACCEPTABLE: "not-acceptable", NOT_ACCEPTABLE, "No media type is acceptable";
    BODY_TOO_SLOW: "body-too-slow", REQUEST_TIMEOUT, "The request took too long";
    NOT_IMPORTING: "not-importing", CONFLICT, "The conversation is not being imported";
    INCOMPLETE: "incomplete", CONFLICT, "Messages of the conversation were refused";
    DELETED: "deleted", GONE, "The message is deleted";
    EXPIRED: "expired", GONE, "The message is not kept any more";
    CURSOR_AHEAD: "cursor-ahead", GONE, "The cursor lies beyond the timeline";
    CURSOR_BEHIND: "cursor-behind", GONE, "The timeline is not kept from this cursor on";
    STALE: "stale", PRECONDITION_FAILED, "It has changed";
    BODY_TOO_LARGE: "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large";
    TARGET_TOO_LONG: "target-too-long", URI_TOO_LONG, "The request's target is too long";
    UNSUPPORTED_MEDIA_TYPE: "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE,
        "The body's media type is not supported";
    INVALID: "invalid", UNPROCESSABLE_ENTITY, "The request is not acceptable";
    REJECTED: "rejected", UNPROCESSABLE_ENTITY, "The application has rejected the message";
    PRECONDITION_REQUIRED: "precondition-required", PRECONDITION_REQUIRED,
        "The request must be conditional";
    TOO_MANY_CONNECTIONS: "too-many-live-connections", TOO_MANY_REQUESTS,
        "The user has too many live connections";
    TOO_MANY_REQUESTS: "too-many-requests", TOO_MANY_REQUESTS,
        "There are too many requests";
    SLOW_MODE: "slow-mode", TOO_MANY_REQUESTS, "You must wait between two messages in this chat";
    HEAD_TOO_LARGE: "head-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE,
        "The head of the request is too large";
    INTERNAL: "internal", INTERNAL_SERVER_ERROR, "The service failed";
    OVERLOADED: "overloaded", SERVICE_UNAVAILABLE, "The service is not available";
    SHUTTING_DOWN: "shutting-down", SERVICE_UNAVAILABLE, "The service is not available";
    ISSUER_UNAVAILABLE: "issuer-unavailable", SERVICE_UNAVAILABLE, "The service is not available";
    DATABASE_UNAVAILABLE: "database-unavailable", SERVICE_UNAVAILABLE,
        "The service is not available";
    SEARCH_OVERDUE: "search-overdue", SERVICE_UNAVAILABLE, "The search took too long";
    OUTCOME_UNKNOWN: "outcome-unknown", SERVICE_UNAVAILABLE, "The outcome is unknown";
}
