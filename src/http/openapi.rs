//! The OpenAPI document: what the operations do not say of themselves.

use std::collections::BTreeMap;

use utoipa::{
    IntoParams, IntoResponses, Modify, OpenApi, ToSchema,
    openapi::{
        Content, ContentBuilder, Header, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder,
        Type,
        schema::ObjectBuilder,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{
    media,
    problem::{self, Kind, ProblemDocument, kinds},
    representation::{Chat, Message},
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "messages",
        description = "A message service: it numbers every change on one timeline, and a client that \
                       repeats `GET /messages?after=<last>` never misses one.",
    ),
    tags(
        (name = "messages", description = "Send, sync, follow, read, edit and delete messages"),
        (name = "chats", description = "Group conversations: members, messages, history"),
        (name = "applications", description = "Tenants and their tokens"),
        (name = "operations", description = "For whoever runs the service"),
    ),
    components(schemas(ProblemDocument, problem::FieldError)),
    modifiers(&SecuritySchemes),
)]
struct Document;

struct SecuritySchemes;

impl Modify for SecuritySchemes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("A user's token (`messages token --user jane` prints one), an application's, or the administrator's"))
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
        let ticket = "A ticket of `POST /tickets`, for streams alone";
        let ticket = SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description(
            "ticket", ticket,
        )));
        components.add_security_scheme("ticket", ticket);
    }
}

/// A problem that an operation can end in: its kind, what it means there, and the header that
/// comes with it.
type Problem = (
    &'static Kind,
    &'static str,
    Option<(&'static str, &'static str)>,
);

const UNAUTHORIZED: Problem = (
    &kinds::UNAUTHORIZED,
    "The token is missing, badly signed or expired",
    Some(("WWW-Authenticate", "`Bearer`, with the reason")),
);
const NOT_ACCEPTABLE: Problem = (
    &kinds::NOT_ACCEPTABLE,
    "No media type of the answer is acceptable",
    None,
);
const BODY_TOO_SLOW: Problem = (
    &kinds::BODY_TOO_SLOW,
    "The body did not arrive within 10 s",
    None,
);
const BODY_TOO_LARGE: Problem = (
    &kinds::BODY_TOO_LARGE,
    "The body is larger than 512 KiB",
    None,
);
const MALFORMED: Problem = (&kinds::MALFORMED, "The request cannot be read", None);
const NOT_FOUND: Problem = (
    &kinds::NOT_FOUND,
    "There is no such thing, or it is not yours",
    None,
);
const FORBIDDEN: Problem = (
    &kinds::FORBIDDEN,
    "The caller is known and may not do this",
    None,
);
const GONE: Problem = (&kinds::DELETED, "The message is deleted", None);
const STALE: Problem = (
    &kinds::STALE,
    "It has changed: `current` is its timestamp",
    Some(("ETag", "The present timestamp in quotes")),
);
const UNSUPPORTED: Problem = (
    &kinds::UNSUPPORTED_MEDIA_TYPE,
    "The body's media type is not supported",
    Some(("Accept-Post", "What is supported")),
);
const UNSUPPORTED_PATCH: Problem = (
    &kinds::UNSUPPORTED_MEDIA_TYPE,
    "The body's media type is not supported",
    Some(("Accept-Patch", "What is supported")),
);
const INVALID: Problem = (
    &kinds::INVALID,
    "Fields are not acceptable: `errors` names each",
    None,
);
const PRECONDITION_REQUIRED: Problem = (
    &kinds::PRECONDITION_REQUIRED,
    "If-Match is missing or `*`",
    None,
);
const TOO_MANY_REQUESTS: Problem = (
    &kinds::TOO_MANY_REQUESTS,
    "The user has too many requests under way",
    Some(("Retry-After", "Seconds until it is worth trying again")),
);
const FAILED: Problem = (
    &kinds::INTERNAL,
    "The service failed; nothing was changed",
    None,
);
const UNAVAILABLE: Problem = (
    &kinds::OVERLOADED,
    "The service is overloaded, shutting down, or its database is away. Nothing was changed and \
     nothing will be, with one exception: the problem `outcome-unknown`",
    Some(("Retry-After", "Seconds until it is worth trying again")),
);

/// As whom an application acts.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes a header")]
pub struct AsUser {
    /// For an application: the user as whom it acts
    #[param(
        rename = "As-User",
        min_length = 1,
        max_length = 64,
        pattern = "^(\\.{0,2}[A-Za-z0-9_@:|-]|\\.{3})[A-Za-z0-9_.@:|-]*$"
    )]
    as_user: Option<String>,
}

/// What makes a POST safe to repeat, and its answer short.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes headers")]
pub struct Repeatable {
    /// 1 to 64 visible characters that stand for this request
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 64)]
    idempotency_key: Option<String>,
    /// `return=minimal`: an answer without a body
    #[param(rename = "Prefer")]
    prefer: Option<String>,
}

/// The number of a chat in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub struct ChatNumberPath {
    /// The chat's number
    #[param(minimum = 1, maximum = 9007199254740991_i64)]
    number: i64,
}

/// The number of a message in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub struct MessageNumberPath {
    /// The message's number in the chat
    #[param(minimum = 1, maximum = 9007199254740991_i64)]
    n: i64,
}

/// A user in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub struct UserIdPath {
    /// The user's id
    #[param(
        min_length = 1,
        max_length = 64,
        pattern = "^(\\.{0,2}[A-Za-z0-9_@:|-]|\\.{3})[A-Za-z0-9_.@:|-]*$"
    )]
    user: String,
}

/// Which page of a list by numbers.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct NumberPage {
    /// The `next` of the page before
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    after: Option<i64>,
    /// The most items of the page (default 50)
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// Which page of a list by users.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct UserPage {
    /// The `next` of the page before
    after: Option<String>,
    /// The most items of the page (default 50)
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// Which page of a conversation.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct HistoryPage {
    /// What came before this one, the newest first (the default, from the newest on)
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    before: Option<i64>,
    /// What came after this one, the oldest first; not together with `before`
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    after: Option<i64>,
    /// The most items of the page (default 50)
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// What is searched for, and which page of it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct SearchPage {
    /// What is searched for: all words must occur, in any order and case; the last one may be the
    /// beginning of a word; "quoted words" follow each other; text without blanks is found by any part
    #[param(min_length = 1, max_length = 200)]
    q: String,
    /// Messages with smaller ids: the `next` of the page before
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    before: Option<i64>,
    /// The most hits of the page (default 50)
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// Declares the problems of an operation.
macro_rules! problems {
    ($($name:ident = [$($problem:expr),+ $(,)?];)+) => {$(
        #[doc = concat!("The responses of `", stringify!($name), "` in the document.")]
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                [$($problem),+].into_iter().map(response).collect()
            }
        }
    )+};
}

problems! {
    SendProblems = [
        MALFORMED, UNAUTHORIZED, FORBIDDEN, NOT_ACCEPTABLE, BODY_TOO_SLOW, BODY_TOO_LARGE, UNSUPPORTED,
        INVALID, TOO_MANY_REQUESTS, FAILED, UNAVAILABLE,
    ];
    SyncProblems = [
        MALFORMED, UNAUTHORIZED, FORBIDDEN, NOT_ACCEPTABLE,
        (&kinds::CURSOR_AHEAD, "`cursor-ahead`: the cursor lies beyond the timeline, since a backup was restored", None),
        INVALID,
        (&kinds::TOO_MANY_CONNECTIONS, "The user has too many streams and held answers open, or (`too-many-requests`) requests under way", Some(("Retry-After", "Seconds until it is worth trying again"))),
        FAILED, UNAVAILABLE,
    ];
    TicketProblems = [
        UNAUTHORIZED, FORBIDDEN, NOT_ACCEPTABLE, INVALID, TOO_MANY_REQUESTS, FAILED, UNAVAILABLE,
    ];
    TokenProblems = [
        MALFORMED, UNAUTHORIZED, FORBIDDEN, NOT_ACCEPTABLE, BODY_TOO_SLOW, BODY_TOO_LARGE, UNSUPPORTED,
        INVALID, FAILED, UNAVAILABLE,
    ];
    ReadProblems = [
        UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ACCEPTABLE, INVALID, TOO_MANY_REQUESTS, FAILED,
        UNAVAILABLE,
    ];
    ChatProblems = [
        UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ACCEPTABLE, INVALID, TOO_MANY_REQUESTS, FAILED,
        UNAVAILABLE,
    ];
    MemberProblems = [
        MALFORMED, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ACCEPTABLE, INVALID, TOO_MANY_REQUESTS,
        FAILED, UNAVAILABLE,
    ];
    ListProblems = [
        MALFORMED, UNAUTHORIZED, FORBIDDEN, NOT_ACCEPTABLE, INVALID, TOO_MANY_REQUESTS, FAILED,
        UNAVAILABLE,
    ];
    PersonalHistoryProblems = [
        MALFORMED, UNAUTHORIZED, FORBIDDEN, NOT_ACCEPTABLE, INVALID, TOO_MANY_REQUESTS, FAILED,
        UNAVAILABLE,
    ];
    HistoryProblems = [
        MALFORMED, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ACCEPTABLE, INVALID, TOO_MANY_REQUESTS,
        FAILED, UNAVAILABLE,
    ];
    SearchProblems = [
        MALFORMED, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ACCEPTABLE, INVALID, TOO_MANY_REQUESTS,
        FAILED, UNAVAILABLE,
    ];
    NewChatProblems = [
        MALFORMED, UNAUTHORIZED, FORBIDDEN, NOT_ACCEPTABLE, BODY_TOO_SLOW, BODY_TOO_LARGE, UNSUPPORTED,
        INVALID, TOO_MANY_REQUESTS, FAILED, UNAVAILABLE,
    ];
    SendIntoChatProblems = [
        MALFORMED, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ACCEPTABLE, BODY_TOO_SLOW, BODY_TOO_LARGE,
        UNSUPPORTED, INVALID, TOO_MANY_REQUESTS, FAILED, UNAVAILABLE,
    ];
    RenameChatProblems = [
        MALFORMED, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ACCEPTABLE, BODY_TOO_SLOW, STALE,
        BODY_TOO_LARGE, UNSUPPORTED_PATCH, INVALID, PRECONDITION_REQUIRED, TOO_MANY_REQUESTS, FAILED,
        UNAVAILABLE,
    ];
    NewApplicationProblems = [
        MALFORMED, UNAUTHORIZED, FORBIDDEN, NOT_ACCEPTABLE, BODY_TOO_SLOW, BODY_TOO_LARGE, UNSUPPORTED,
        INVALID, FAILED, UNAVAILABLE,
    ];
    ListApplicationsProblems = [
        MALFORMED, UNAUTHORIZED, FORBIDDEN, NOT_ACCEPTABLE, INVALID, FAILED, UNAVAILABLE,
    ];
    ApplicationProblems = [UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ACCEPTABLE, FAILED, UNAVAILABLE];
    RenameApplicationProblems = [
        MALFORMED, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ACCEPTABLE, BODY_TOO_SLOW, BODY_TOO_LARGE,
        UNSUPPORTED_PATCH, INVALID, FAILED, UNAVAILABLE,
    ];
    EditProblems = [
        MALFORMED, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ACCEPTABLE, BODY_TOO_SLOW, GONE, STALE,
        BODY_TOO_LARGE, UNSUPPORTED_PATCH, INVALID, PRECONDITION_REQUIRED, TOO_MANY_REQUESTS, FAILED,
        UNAVAILABLE,
    ];
    DeleteProblems = [
        MALFORMED, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ACCEPTABLE, GONE, STALE, INVALID,
        PRECONDITION_REQUIRED, TOO_MANY_REQUESTS, FAILED, UNAVAILABLE,
    ];
}

/// The answer of the operations on one message.
pub struct MessageAnswer;

impl IntoResponses for MessageAnswer {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let description = "The message as it is now; a deleted one as a tombstone";
        let answer = ResponseBuilder::new()
            .description(description)
            .content(media::PERSONAL_MESSAGE, content::<Message>())
            .content(media::CHAT_MESSAGE, content::<Message>())
            .content(media::JSON, content::<Message>())
            .header("ETag", header("The timestamp in quotes"))
            .build();
        BTreeMap::from([("200".to_owned(), answer.into())])
    }
}

/// The answer of the operations on one chat.
pub struct ChatAnswer;

impl IntoResponses for ChatAnswer {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let answer = ResponseBuilder::new()
            .description("The chat as it is now")
            .content(media::JSON, content::<Chat>())
            .header("ETag", header("The timestamp in quotes"))
            .build();
        BTreeMap::from([("200".to_owned(), answer.into())])
    }
}

fn response((kind, description, extra): Problem) -> (String, RefOr<Response>) {
    let mut content = content::<ProblemDocument>();
    content.example = Some(problem::example(kind, description));
    let mut response = ResponseBuilder::new()
        .description(description)
        .content(problem::MEDIA_TYPE, content);
    if let Some((name, description)) = extra {
        response = response.header(name, header(description));
    }
    (kind.status.as_u16().to_string(), response.build().into())
}

fn content<T: ToSchema>() -> Content {
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(T::name())))
        .build()
}

fn header(description: &str) -> Header {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    HeaderBuilder::new()
        .schema(Some(text))
        .description(Some(description))
        .build()
}

/// Adds to every response the headers that every answer has.
struct CommonHeaders;

impl Modify for CommonHeaders {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let items = openapi.paths.paths.values_mut();
        let operations = items.flat_map(|item| {
            [
                &mut item.get,
                &mut item.post,
                &mut item.put,
                &mut item.patch,
                &mut item.delete,
            ]
        });
        let responses = operations
            .flatten()
            .flat_map(|operation| operation.responses.responses.values_mut());
        for response in responses {
            let RefOr::T(response) = response else {
                continue;
            };
            for (name, description) in [
                (
                    "X-Request-Id",
                    "The request's id, taken or made; its log lines have it",
                ),
                (
                    "Cache-Control",
                    "`private, no-cache`; `no-store` for secrets, `no-store, no-transform` for streams and held answers",
                ),
                (
                    "Vary",
                    "`Accept, Accept-Encoding, Authorization, As-User`, and what else the answer depends on",
                ),
            ] {
                response
                    .headers
                    .insert(name.to_owned(), RefOr::T(header(description)));
            }
        }
    }
}

/// What the document says beside the operations.
pub(super) fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The whole document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut openapi = super::routes().into_openapi();
    CommonHeaders.modify(&mut openapi);
    openapi
}
