//! The OpenAPI document: what the operations do not say of themselves.

mod params;
mod problems;

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, Modify, OpenApi, ToSchema,
    openapi::{
        Content, ContentBuilder, Header, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder,
        Type,
        schema::ObjectBuilder,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

pub use params::{
    AsUser, ChatNumberPath, HistoryPage, MessageNumberPath, NumberPage, Repeatable, SearchPage,
    UserIdPath, UserPage,
};
pub use problems::{
    ApplicationCreateProblems, ApplicationListProblems, ApplicationReadProblems,
    ApplicationRenameProblems, CreateInsideProblems, CreateProblems, DeleteProblems, EditProblems,
    ListInsideProblems, ListProblems, ReadProblems, RenameProblems, SyncProblems,
};

use super::{
    problem::{self, ProblemDocument},
    representation::{Chat, Message},
};
use crate::http::extract::media;

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

/// The headers that every answer has.
const COMMON_HEADERS: [(&str, &str); 3] = [
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
];

fn add_common_headers(response: &mut RefOr<Response>) {
    if let RefOr::T(response) = response {
        for (name, _) in COMMON_HEADERS {
            let header = Ref::new(format!("#/components/headers/{name}"));
            response.headers.insert(name.to_owned(), RefOr::Ref(header));
        }
    }
}

/// What the document says beside the operations.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Completes the document of all operations: with the problems that they name, and with the headers that
/// every answer has.
pub fn complete(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let components = document.components.get_or_insert_default();
    components.responses.extend(problems::components());
    let headers = COMMON_HEADERS.map(|(name, description)| {
        let header = RefOr::T(header(description));
        (name.to_owned(), header)
    });
    components.headers.extend(headers);
    components
        .responses
        .values_mut()
        .for_each(add_common_headers);
    let items = document.paths.paths.values_mut();
    let operations = items.flat_map(|item| {
        [
            &mut item.get,
            &mut item.post,
            &mut item.put,
            &mut item.patch,
            &mut item.delete,
        ]
    });
    operations
        .flatten()
        .flat_map(|operation| operation.responses.responses.values_mut())
        .for_each(add_common_headers);
    document
}
