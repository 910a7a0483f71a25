//! The problems that operations can end in, each described once, and put together by what an operation does.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{Ref, RefOr, Response, ResponseBuilder},
};

use super::{content, header};
use crate::http::answer::problem::{self, Kind, ProblemDocument, kinds};

/// A response of the document.
#[derive(Clone, Copy)]
struct Problem {
    /// Its name among the document's components.
    name: &'static str,
    kind: &'static Kind,
    description: &'static str,
    /// The header that comes with it.
    header: Option<(&'static str, &'static str)>,
}

const fn problem(name: &'static str, kind: &'static Kind, description: &'static str) -> Problem {
    Problem {
        name,
        kind,
        description,
        header: None,
    }
}

const fn with_header(problem: Problem, name: &'static str, description: &'static str) -> Problem {
    Problem {
        header: Some((name, description)),
        ..problem
    }
}

const RETRY_AFTER: &str = "Seconds until it is worth trying again";

/// What every operation can end in that needs a caller.
const ALWAYS: &[Problem] = &[
    with_header(
        problem(
            "Unauthorized",
            &kinds::UNAUTHORIZED,
            "The token is missing, badly signed or expired",
        ),
        "WWW-Authenticate",
        "`Bearer`, with the reason",
    ),
    problem(
        "Forbidden",
        &kinds::FORBIDDEN,
        "The caller is known and may not do this",
    ),
    problem(
        "NotAcceptable",
        &kinds::NOT_ACCEPTABLE,
        "No media type of the answer is acceptable",
    ),
    problem(
        "Failed",
        &kinds::INTERNAL,
        "The service failed; nothing was changed",
    ),
    with_header(
        problem(
            "Unavailable",
            &kinds::OVERLOADED,
            "The service is overloaded, shutting down, or its database is away. Nothing was changed \
             and nothing will be, with one exception: the problem `outcome-unknown`",
        ),
        "Retry-After",
        RETRY_AFTER,
    ),
];

/// What operations of users can end in.
const USER: &[Problem] = &[with_header(
    problem(
        "TooManyRequests",
        &kinds::TOO_MANY_REQUESTS,
        "The user has too many requests under way",
    ),
    "Retry-After",
    RETRY_AFTER,
)];

const MALFORMED: Problem = problem("Malformed", &kinds::MALFORMED, "The request cannot be read");
const INVALID: Problem = problem(
    "Invalid",
    &kinds::INVALID,
    "Fields are not acceptable: `errors` names each",
);
const BODY_TOO_SLOW: Problem = problem(
    "BodyTooSlow",
    &kinds::BODY_TOO_SLOW,
    "The body did not arrive within 10 s",
);
const BODY_TOO_LARGE: Problem = problem(
    "BodyTooLarge",
    &kinds::BODY_TOO_LARGE,
    "The body is larger than 512 KiB",
);
const UNSUPPORTED: Problem = problem(
    "UnsupportedMediaType",
    &kinds::UNSUPPORTED_MEDIA_TYPE,
    "The body's media type is not supported",
);

/// With parameters.
const PARAMETERS: &[Problem] = &[MALFORMED, INVALID];

/// With a body that creates something.
const BODY: &[Problem] = &[
    MALFORMED,
    INVALID,
    BODY_TOO_SLOW,
    BODY_TOO_LARGE,
    with_header(UNSUPPORTED, "Accept-Post", "What is supported"),
];

/// With a body that changes something.
const PATCH_BODY: &[Problem] = &[
    MALFORMED,
    INVALID,
    BODY_TOO_SLOW,
    BODY_TOO_LARGE,
    with_header(
        Problem {
            name: "UnsupportedPatch",
            ..UNSUPPORTED
        },
        "Accept-Patch",
        "What is supported",
    ),
];

/// With a path that names something.
const OBJECT: &[Problem] = &[problem(
    "NotFound",
    &kinds::NOT_FOUND,
    "There is no such thing, or the caller may not know of it",
)];

/// With `If-Match`.
const CONDITION: &[Problem] = &[
    with_header(
        problem(
            "Stale",
            &kinds::STALE,
            "It has changed: `current` is its timestamp",
        ),
        "ETag",
        "The present timestamp in quotes",
    ),
    problem(
        "PreconditionRequired",
        &kinds::PRECONDITION_REQUIRED,
        "If-Match is missing or `*`",
    ),
];

/// With a message that may be deleted.
const DELETED: &[Problem] = &[problem(
    "Deleted",
    &kinds::DELETED,
    "The message is deleted",
)];

/// With a cursor, and with answers that are held.
const FOLLOWING: &[Problem] = &[
    problem(
        "CursorAhead",
        &kinds::CURSOR_AHEAD,
        "`cursor-ahead`: the cursor lies beyond the timeline, since a backup was restored",
    ),
    with_header(
        problem(
            "TooManyLiveConnections",
            &kinds::TOO_MANY_CONNECTIONS,
            "The user has too many streams and held answers open, or (`too-many-requests`) requests \
             under way",
        ),
        "Retry-After",
        RETRY_AFTER,
    ),
];

const SETS: [&[Problem]; 9] = [
    ALWAYS, USER, PARAMETERS, BODY, PATCH_BODY, OBJECT, CONDITION, DELETED, FOLLOWING,
];

/// Declares the problems of operations, by what they do.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $($set:ident)+;)+) => {$(
        $(#[$doc])*
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                [$($set),+].concat().into_iter().map(reference).collect()
            }
        }
    )+};
}

operations! {
    /// Of creating something.
    CreateProblems = ALWAYS USER BODY;
    /// Of creating something in something else.
    CreateInsideProblems = ALWAYS USER BODY OBJECT;
    /// Of following the timeline.
    SyncProblems = ALWAYS PARAMETERS FOLLOWING;
    /// Of listing what the caller has.
    ListProblems = ALWAYS USER PARAMETERS;
    /// Of listing what is in something, and of changing who is.
    ListInsideProblems = ALWAYS USER PARAMETERS OBJECT;
    /// Of reading one thing.
    ReadProblems = ALWAYS USER PARAMETERS OBJECT;
    /// Of editing a message.
    EditProblems = ALWAYS USER PATCH_BODY OBJECT CONDITION DELETED;
    /// Of deleting a message.
    DeleteProblems = ALWAYS USER PARAMETERS OBJECT CONDITION DELETED;
    /// Of renaming a chat.
    RenameProblems = ALWAYS USER PATCH_BODY OBJECT CONDITION;
    /// Of an application that creates something, and of creating one.
    ApplicationCreateProblems = ALWAYS BODY;
    /// Of listing applications.
    ApplicationListProblems = ALWAYS PARAMETERS;
    /// Of reading an application.
    ApplicationReadProblems = ALWAYS OBJECT;
    /// Of renaming an application.
    ApplicationRenameProblems = ALWAYS PATCH_BODY OBJECT;
}

fn reference(problem: Problem) -> (String, RefOr<Response>) {
    let status = problem.kind.status.as_u16().to_string();
    (status, Ref::from_response_name(problem.name).into())
}

/// Every problem by its name, for the document's components.
pub fn components() -> impl Iterator<Item = (String, RefOr<Response>)> {
    let problems = SETS.concat().into_iter();
    problems.map(|problem| (problem.name.to_owned(), response(problem).into()))
}

fn response(problem: Problem) -> Response {
    let mut content = content::<ProblemDocument>();
    content.example = Some(problem::example(problem.kind, problem.description));
    let mut response = ResponseBuilder::new()
        .description(problem.description)
        .content(problem::MEDIA_TYPE, content);
    if let Some((name, description)) = problem.header {
        response = response.header(name, header(description));
    }
    response.build()
}
