//! Which problems an operation can end in, put together by what it does.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{RefOr, Response},
};

use super::problems::*;

/// What every request can end in.
const ANY: &[Described] = &[MALFORMED, HEAD_TOO_LARGE];

/// With a caller.
const CALLER: &[Described] = &[UNAUTHORIZED, FORBIDDEN, NOT_ACCEPTABLE, FAILED, UNAVAILABLE];

/// With a user as the caller.
const USER: &[Described] = &[TOO_MANY_REQUESTS];

/// With parameters.
const PARAMETERS: &[Described] = &[INVALID];

/// With a body that creates something.
const POST: &[Described] = &[INVALID, BODY_TOO_SLOW, BODY_TOO_LARGE, UNSUPPORTED_POST];

/// With a body that changes something.
const PATCH: &[Described] = &[INVALID, BODY_TOO_SLOW, BODY_TOO_LARGE, UNSUPPORTED_PATCH];

/// With a body that sets something.
const PUT: &[Described] = &[INVALID, BODY_TOO_SLOW, BODY_TOO_LARGE, UNSUPPORTED_POST];

/// With a path that names something.
const OBJECT: &[Described] = &[NOT_FOUND];

/// With `If-Match`.
const CONDITION: &[Described] = &[STALE, PRECONDITION_REQUIRED];

/// With a message that may be deleted.
const DELETABLE: &[Described] = &[DELETED];

/// With a message that may have expired.
const KEPT: &[Described] = &[EXPIRED];

/// With a cursor, and with answers that are held.
const CURSOR: &[Described] = &[CURSOR_AHEAD, TOO_MANY_LIVE_CONNECTIONS];

/// Declares the problems of operations, by what they do.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $($set:ident)+;)+) => {$(
        $(#[$doc])*
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                [$($set),+].concat().into_iter().map(Described::reference).collect()
            }
        }
    )+};
}

operations! {
    /// Of what needs no caller.
    OpenProblems = ANY;
    /// Of creating something.
    CreateProblems = ANY CALLER USER POST;
    /// Of creating something in something else.
    CreateInsideProblems = ANY CALLER USER POST OBJECT;
    /// Of creating something that belongs to a message.
    DeletableProblems = ANY CALLER USER POST OBJECT DELETABLE;
    /// Of setting something that belongs to a message, without a body.
    SettableProblems = ANY CALLER USER PARAMETERS OBJECT DELETABLE;
    /// Of following the timeline.
    SyncProblems = ANY CALLER PARAMETERS CURSOR;
    /// Of following the feed.
    FeedProblems = ANY CALLER PARAMETERS CURSOR;
    /// Of listing what the caller has.
    ListProblems = ANY CALLER USER PARAMETERS;
    /// Of listing what is in something, and of changing who is.
    ListInsideProblems = ANY CALLER USER PARAMETERS OBJECT;
    /// Of reading one thing.
    ReadProblems = ANY CALLER USER PARAMETERS OBJECT;
    /// Of reading a message, and what belongs to it.
    MessageReadProblems = ANY CALLER USER PARAMETERS OBJECT KEPT;
    /// Of editing a message.
    EditProblems = ANY CALLER USER PATCH OBJECT CONDITION DELETABLE;
    /// Of deleting a message.
    DeleteProblems = ANY CALLER USER PARAMETERS OBJECT CONDITION DELETABLE;
    /// Of changing a chat.
    ChatChangeProblems = ANY CALLER USER PATCH OBJECT CONDITION;
    /// Of deleting a chat.
    ChatDeleteProblems = ANY CALLER USER PARAMETERS OBJECT CONDITION;
    /// Of moving a position.
    MoveProblems = ANY CALLER USER PUT OBJECT;
    /// Of changing settings.
    SettingsProblems = ANY CALLER USER PATCH OBJECT;
    /// Of an application that creates or sets something, and of creating one.
    ApplicationCreateProblems = ANY CALLER POST;
    /// Of listing what an application has, other than users, messages and chats.
    OwnListProblems = ANY CALLER;
    /// Of listing applications, and of what an application asks for by the ids of users.
    ApplicationListProblems = ANY CALLER PARAMETERS;
    /// Of reading the erasure of a user.
    ErasureReadProblems = ANY CALLER PARAMETERS OBJECT;
    /// Of reading an application.
    ApplicationReadProblems = ANY CALLER OBJECT;
    /// Of changing an application, and what it has.
    ApplicationChangeProblems = ANY CALLER PATCH OBJECT;
}
