//! The OpenAPI document: what the operations do not say of themselves.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, Modify, OpenApi, ToSchema,
    openapi::{
        Content, ContentBuilder, Header, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder, Type,
        schema::ObjectBuilder,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{
    media,
    problem::{self, Kind, ProblemDocument, kinds},
    representation::PersonalMessage,
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
        (name = "operations", description = "For whoever runs the service"),
    ),
    components(schemas(ProblemDocument, problem::FieldError)),
    modifiers(&Bearer),
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("A user's token: `messages token --user jane` prints one"))
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
        let ticket = "A ticket of `POST /tickets`, for streams alone";
        let ticket =
            SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description("ticket", ticket)));
        components.add_security_scheme("ticket", ticket);
    }
}

/// A problem that an operation can end in: its kind, what it means there, and the header that
/// comes with it.
type Problem = (&'static Kind, &'static str, Option<(&'static str, &'static str)>);

const UNAUTHORIZED: Problem = (
    &kinds::UNAUTHORIZED,
    "The token is missing, badly signed or expired",
    Some(("WWW-Authenticate", "`Bearer`, with the reason")),
);
const NOT_ACCEPTABLE: Problem =
    (&kinds::NOT_ACCEPTABLE, "No media type of the answer is acceptable", None);
const BODY_TOO_SLOW: Problem = (&kinds::BODY_TOO_SLOW, "The body did not arrive within 10 s", None);
const BODY_TOO_LARGE: Problem = (&kinds::BODY_TOO_LARGE, "The body is larger than 256 KiB", None);
const MALFORMED: Problem = (&kinds::MALFORMED, "The request cannot be read", None);
const NOT_FOUND: Problem = (&kinds::NOT_FOUND, "There is no such message, or it is not yours", None);
const FORBIDDEN: Problem =
    (&kinds::FORBIDDEN, "The message is not yours to edit, or not yours to mark", None);
const GONE: Problem = (&kinds::DELETED, "The message is deleted", None);
const STALE: Problem = (
    &kinds::STALE,
    "The message has changed: `current` is its timestamp",
    Some(("ETag", "The present timestamp in quotes")),
);
const INVALID: Problem = (&kinds::INVALID, "Fields are not acceptable: `errors` names each", None);
const PRECONDITION_REQUIRED: Problem =
    (&kinds::PRECONDITION_REQUIRED, "If-Match is missing or `*`", None);
const FAILED: Problem = (&kinds::INTERNAL, "The service failed; nothing was changed", None);
const UNAVAILABLE: Problem = (
    &kinds::OVERLOADED,
    "The service is overloaded, shutting down, or its database is away. Nothing was changed and \
     nothing will be, with one exception: the problem `outcome-unknown`",
    Some(("Retry-After", "Seconds until it is worth trying again")),
);

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
        MALFORMED, UNAUTHORIZED, NOT_ACCEPTABLE, BODY_TOO_SLOW, BODY_TOO_LARGE,
        (&kinds::UNSUPPORTED_MEDIA_TYPE, "The body's media type is not supported", Some(("Accept-Post", "What is supported"))),
        INVALID, FAILED, UNAVAILABLE,
    ];
    SyncProblems = [
        MALFORMED, UNAUTHORIZED, NOT_ACCEPTABLE,
        (&kinds::CURSOR_AHEAD, "`cursor-ahead`: the cursor lies beyond the timeline, since a backup was restored", None),
        INVALID,
        (&kinds::TOO_MANY_CONNECTIONS, "The user has too many streams and held answers open", Some(("Retry-After", "Seconds until it is worth trying again"))),
        FAILED, UNAVAILABLE,
    ];
    TicketProblems = [UNAUTHORIZED, NOT_ACCEPTABLE, FAILED, UNAVAILABLE];
    ReadProblems = [UNAUTHORIZED, NOT_FOUND, NOT_ACCEPTABLE, FAILED, UNAVAILABLE];
    EditProblems = [
        MALFORMED, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ACCEPTABLE, BODY_TOO_SLOW, GONE, STALE,
        BODY_TOO_LARGE,
        (&kinds::UNSUPPORTED_MEDIA_TYPE, "The body's media type is not supported", Some(("Accept-Patch", "What is supported"))),
        INVALID, PRECONDITION_REQUIRED, FAILED, UNAVAILABLE,
    ];
    DeleteProblems = [
        MALFORMED, UNAUTHORIZED, NOT_FOUND, NOT_ACCEPTABLE, GONE, STALE, PRECONDITION_REQUIRED,
        FAILED, UNAVAILABLE,
    ];
}

/// The answer of the operations on one message.
pub struct MessageAnswer;

impl IntoResponses for MessageAnswer {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let description = "The message as it is now; a deleted one as a tombstone";
        let answer = ResponseBuilder::new()
            .description(description)
            .content(media::PERSONAL_MESSAGE, content::<PersonalMessage>())
            .content(media::JSON, content::<PersonalMessage>())
            .header("ETag", header("The timestamp in quotes"))
            .build();
        BTreeMap::from([("200".to_owned(), answer.into())])
    }
}

fn response((kind, description, extra): Problem) -> (String, RefOr<Response>) {
    let mut content = content::<ProblemDocument>();
    content.example = Some(problem::example(kind, description));
    let mut response =
        ResponseBuilder::new().description(description).content(problem::MEDIA_TYPE, content);
    if let Some((name, description)) = extra {
        response = response.header(name, header(description));
    }
    (kind.status.as_u16().to_string(), response.build().into())
}

fn content<T: ToSchema>() -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(T::name()))).build()
}

fn header(description: &str) -> Header {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    HeaderBuilder::new().schema(Some(text)).description(Some(description)).build()
}

/// Adds to every response the headers that every answer has.
struct CommonHeaders;

impl Modify for CommonHeaders {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let items = openapi.paths.paths.values_mut();
        let operations =
            items.flat_map(|item| [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete]);
        let responses =
            operations.flatten().flat_map(|operation| operation.responses.responses.values_mut());
        for response in responses {
            let RefOr::T(response) = response else { continue };
            for (name, description) in [
                ("X-Request-Id", "The request's id, taken or made; its log lines have it"),
                (
                    "Cache-Control",
                    "`private, no-cache`; `no-store` for tickets, streams and held answers",
                ),
                ("Vary", "`Accept, Authorization, As-User`, and what else the answer depends on"),
            ] {
                response.headers.insert(name.to_owned(), RefOr::T(header(description)));
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
