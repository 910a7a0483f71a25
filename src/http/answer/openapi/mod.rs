//! The OpenAPI document: what the operations do not say of themselves.
//!
//! The operations describe their parameters and answers whole. What several of them have is
//! described once: [`complete`] moves it to the document's components.

mod answers;
mod headers;
mod outcomes;
mod params;
mod problems;
pub mod schemas;
mod webhooks;

use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::{
        Ref, RefOr, Schema,
        extensions::Extensions,
        path::{Operation, Parameter, PathItem},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

pub use answers::{
    ChatAnswer, ChatCreated, ChatMessageSent, MessageAnswer, MessageUnchanged, PersonalMessageSent,
};
pub use outcomes::{
    ApplicationChangeProblems, ApplicationCreateProblems, ApplicationListProblems,
    ApplicationReadProblems, ChatChangeProblems, ChatDeleteProblems, CreateInsideProblems,
    CreateProblems, DeletableProblems, DeleteProblems, EditProblems, ErasureReadProblems,
    FeedProblems, ListInsideProblems, ListProblems, MessageReadProblems, MoveProblems,
    OpenProblems, OwnListProblems, ReadProblems, SettableProblems, SettingsProblems, SyncProblems,
};
pub use params::{
    ApplicationIdPath, AsUser, ChatNumberPath, ConversationPage, EditIfMatchHeader, ErasureParams,
    ExportPage, FeedPageParams, HistoryPage, IfMatchHeader, IfNoneMatchHeader, IncludeInList,
    IncludeWithMessage, MessageIdPath, MessageNumberPath, NamedUsersQuery, NumberPage, OpenReports,
    PairPath, PinPage, ReactionKeyPath, ReactionsOfKey, Repeatable, ReportIdPath, Resumed,
    SearchPage, SearchedConversation, SyncPage, UserIdPath, UserPage, WebhookIdPath,
};

use super::{
    problem::{self, ProblemJson},
    representation::{ChatJson, MessageJson, MessageUpdateJson, SignalJson, WebhookBatchJson},
};
use crate::http::screening::{HookQuestionJson, HookVerdictJson};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "messages",
        description = "\
A message service: every change has a place on one timeline, and a client that repeats \
`GET /messages?after=<last>` never misses one.

Integers are at most 2^53 - 1, so a double holds them. Times are RFC 3339 in UTC. An absent member \
is none, empty or false. A client ignores members that it does not expect.

Every error is a problem document (RFC 9457), and its `type` says which; a request whose target is \
longer than 32 KiB gets 414. Every answer has `Cache-Control` (`private, no-cache`; `no-store` for \
secrets, `no-store, no-transform` for streams and held answers) and `Vary` (`Accept, \
Accept-Encoding, Authorization, As-User`, and what else it depends on).",
        contact(name = "The maintainers of messages"),
    ),
    servers((url = "/", description = "This replica")),
    security(("bearer" = [])),
    tags(
        (name = "messages", description = "Send, sync, follow, read, edit and delete messages"),
        (name = "conversations",
            description = "The first screen: newest messages, counts of what is unread, positions, settings"),
        (name = "chats", description = "Group conversations: members, messages, history"),
        (name = "feed", description = "Every change of an application, for its servers: to be read, or brought to webhooks"),
        (name = "applications", description = "Tenants and their tokens"),
        (name = "operations", description = "For whoever runs the service"),
    ),
    components(schemas(
        ChatJson,
        HookQuestionJson,
        HookVerdictJson,
        MessageJson,
        ProblemJson,
        problem::FieldError,
        schemas::ApplicationIdSchema,
        schemas::ChatNumberSchema,
        schemas::FeedStreamSchema,
        schemas::FileIdSchema,
        schemas::MessageIdSchema,
        schemas::MessageNumberSchema,
        schemas::MessageStreamSchema,
        schemas::ProblemTypeSchema,
        schemas::TimestampSchema,
        schemas::UserIdSchema,
        schemas::WebhookIdSchema,
        SignalJson,
        WebhookBatchJson,
    )),
    modifiers(&SecuritySchemes),
)]
struct Document;

struct SecuritySchemes;

impl Modify for SecuritySchemes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let description = "A user's token (`messages token --user jane` prints one), an \
                           application's, or the administrator's";
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some(description))
            .build();
        let ticket = ApiKeyValue::with_description(
            "ticket",
            "A ticket of `POST /tickets`; it opens streams alone",
        );
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        components.add_security_scheme("ticket", SecurityScheme::ApiKey(ApiKey::Query(ticket)));
    }
}

/// What the document says beside the operations.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Completes the document of all operations: with what they refer to, and with the header that
/// every answer has.
pub fn complete(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    document.webhooks = Some(webhooks::webhooks());
    let components = document.components.get_or_insert_default();
    let shared = params::components();
    let named = shared.iter().cloned();
    let parameters = named.map(|(name, parameter)| (name.to_owned(), parameter.into()));
    components.parameters.extend(parameters);
    components.headers.extend(headers::components());
    let responses = answers::components()
        .into_iter()
        .chain(problems::components());
    let responses = responses.map(|(name, response)| (name, response.into()));
    components.responses.extend(responses);
    components
        .responses
        .values_mut()
        .for_each(headers::add_common);
    if let Some(RefOr::T(Schema::Object(stream))) = components.schemas.get_mut("MessageStream") {
        stream.extensions = Some(event_data());
    }
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let responses = operation.responses.responses.values_mut();
        responses.for_each(headers::add_common);
        for parameter in operation.parameters.iter_mut().flatten() {
            share(parameter, &shared);
        }
    }
    document
}

/// What the `data` of the events of a stream are, since OpenAPI itself does not describe streams.
fn event_data() -> Extensions {
    let reference = |name| Ref::from_schema_name(name);
    let data = serde_json::json!({
        "update": reference(MessageUpdateJson::name()),
        "signal": reference(SignalJson::name()),
    });
    Extensions::builder().add("x-event-data", data).build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.post,
        &mut item.put,
        &mut item.patch,
        &mut item.delete,
    ]
    .into_iter()
    .flatten()
}

/// Refers to the component in place of a parameter that is the same.
fn share(parameter: &mut RefOr<Parameter>, shared: &[(&'static str, Parameter)]) {
    let RefOr::T(described) = &*parameter else {
        return;
    };
    if let Some((name, _)) = shared.iter().find(|(_, shared)| shared == described) {
        *parameter = RefOr::Ref(Ref::new(format!("#/components/parameters/{name}")));
    }
}
