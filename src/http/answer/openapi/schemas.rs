//! The words of the document: schemas that others refer to.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, Ref, RefOr, Schema, Type,
        schema::{AdditionalProperties, AnyOfBuilder, SchemaType},
    },
};

use crate::http::answer::{
    problem::kinds,
    representation::{ChatJson, ConversationJson, MessageListJson, MessageUpdatesJson},
};

/// A user: an id that is given by whoever signs people up. It is neither `.` nor `..`.
#[derive(ToSchema)]
#[schema(
    as = UserId,
    min_length = 1,
    max_length = 64,
    pattern = "^(\\.{0,2}[A-Za-z0-9_@:|-]|\\.{3})[A-Za-z0-9_.@:|-]*$"
)]
#[expect(dead_code, reason = "it describes a value")]
// It has no example: Swagger UI would send that as `As-User`.
pub struct UserIdSchema(String);

/// A file, which another service stores. It is neither `.` nor `..`.
#[derive(ToSchema)]
#[schema(
    as = FileId,
    min_length = 1,
    max_length = 64,
    pattern = "^(\\.{0,2}[A-Za-z0-9_-]|\\.{3})[A-Za-z0-9_.-]*$"
)]
#[expect(dead_code, reason = "it describes a value")]
pub struct FileIdSchema(String);

/// A point on the timeline: greater than that of every earlier change, and shared by no two. It is
/// no clock.
#[derive(ToSchema)]
#[schema(as = Timestamp, minimum = 1, maximum = 9007199254740991_i64)]
#[expect(dead_code, reason = "it describes a value")]
pub struct TimestampSchema(i64);

/// The id of a message, unique in the service.
#[derive(ToSchema)]
#[schema(as = MessageId, minimum = 1, maximum = 9007199254740991_i64)]
#[expect(dead_code, reason = "it describes a value")]
pub struct MessageIdSchema(i64);

/// The number of a message in its conversation: 1, 2, 3 … without gaps.
#[derive(ToSchema)]
#[schema(as = MessageNumber, minimum = 1, maximum = 9007199254740991_i64)]
#[expect(dead_code, reason = "it describes a value")]
pub struct MessageNumberSchema(i64);

/// The number of a chat in its application: 1, 2, 3 …
#[derive(ToSchema)]
#[schema(as = ChatNumber, minimum = 1, maximum = 9007199254740991_i64)]
#[expect(dead_code, reason = "it describes a value")]
pub struct ChatNumberSchema(i64);

/// The id of an application, unique in the service.
#[derive(ToSchema)]
#[schema(as = ApplicationId, minimum = 1, maximum = 9007199254740991_i64)]
#[expect(dead_code, reason = "it describes a value")]
pub struct ApplicationIdSchema(i64);

/// The id of a webhook in its application.
#[derive(ToSchema)]
#[schema(as = WebhookId, minimum = 1, maximum = 9007199254740991_i64)]
#[expect(dead_code, reason = "it describes a value")]
pub struct WebhookIdSchema(i64);

/// Events as `text/event-stream` has them:
///
/// - `update`: one change. Its `id` is the timestamp, its `data` an entry as in a page's
///   `messages`,
/// - `current`: you have caught up. Its `data` is `{"latest": …}`,
/// - `signal`, only with `signals=1`: something that happens at the moment (see `Signal`). It has no `id`,
/// - `reset`, the last one, in place of a 410: its `data` is the problem, and the timeline goes on
///   after its `id`, if it has one.
///
/// The first block is the cursor as an `id` alone; comments keep the stream open.
#[derive(ToSchema)]
#[schema(
    as = MessageStream,
    example = "id: 41\n\n\
        event: update\nid: 42\ndata: {\"id\":17,\"timestamp\":42}\n\n\
        event: current\ndata: {\"latest\":42}\n\n"
)]
#[expect(dead_code, reason = "it describes a stream")]
pub struct MessageStreamSchema(String);

/// Events as `text/event-stream` has them, like those of `MessageStream`: the `data` of an `update` is
/// an entry as in a page's `entries`. Where only some kinds are asked for and the others go on, an `id`
/// alone now and then says how far the stream has come.
#[derive(ToSchema)]
#[schema(
    as = FeedStream,
    example = "id: 41\n\n\
        event: update\nid: 42\n\
        data: {\"timestamp\":42,\"kind\":\"message.created\",\"id\":17,\"with\":\"john\",\"number\":3,\
        \"actor\":\"jane\",\"created\":\"2026-11-20T09:30:00.123456Z\"}\n\n\
        event: current\ndata: {\"latest\":42}\n\n"
)]
#[expect(dead_code, reason = "it describes a stream")]
pub struct FeedStreamSchema(String);

/// The `type` of a problem document.
pub struct ProblemTypeSchema;

impl PartialSchema for ProblemTypeSchema {
    fn schema() -> RefOr<Schema> {
        let uris = kinds::ALL.iter().map(|kind| kind.uri());
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "What went wrong, for programs: a URI relative to the service",
            ))
            .enum_values(Some(uris))
            .into()
    }
}

impl ToSchema for ProblemTypeSchema {
    fn name() -> Cow<'static, str> {
        "ProblemType".into()
    }
}

/// Attributes of a message: any JSON object.
pub fn attributes() -> Schema {
    free_form(Type::Object.into(), "As the sender gave them.")
}

/// Attributes of a message that is sent; `null` is none.
pub fn new_attributes() -> Schema {
    free_form(
        SchemaType::from_iter([Type::Object, Type::Null]),
        "Any JSON object of up to 16 KiB and 100 levels. It comes back as it was sent.",
    )
}

/// Data of a signal: any JSON object.
pub fn signal_data() -> Schema {
    free_form(Type::Object.into(), "As the sender gave them.")
}

/// Data of a signal that is sent; `null` is none.
pub fn new_signal_data() -> Schema {
    free_form(
        SchemaType::from_iter([Type::Object, Type::Null]),
        "Any JSON object of up to 2 KiB and 100 levels. It arrives as it was sent.",
    )
}

/// The attributes of a chat that are changed; `null` removes them all.
pub fn patched_attributes() -> Schema {
    free_form(
        SchemaType::from_iter([Type::Object, Type::Null]),
        "Changes of the attributes, as a JSON merge patch (RFC 7396): members that are null are removed, objects are merged. The result is a JSON object of up to 16 KiB.",
    )
}

/// Declares schemas of texts that are one of some names.
macro_rules! one_of {
    ($($schema:ident = $name:literal, $names:expr;)+) => {$(
        pub struct $schema;

        impl PartialSchema for $schema {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .enum_values(Some($names))
                    .into()
            }
        }

        impl ToSchema for $schema {
            fn name() -> Cow<'static, str> {
                $name.into()
            }
        }
    )+};
}

one_of! {
    PostingSchema = "Posting", ["members", "moderators"];
    HistorySchema = "History", ["all", "joined"];
    GivenRoleSchema = "GivenRole", ["reader", "member", "moderator"];
    PersonalSchema = "PersonalPolicy", ["anyone", "opened", "nobody"];
    CreateChatsSchema = "CreateChatsPolicy", ["users", "application"];
    AddMembersSchema = "AddMembersPolicy", ["moderators", "owner", "application"];
    HookQuestionSchema = "HookQuestionType", ["message.create", "message.edit"];
    OnFailureSchema = "OnFailure", ["accept", "reject"];
}

/// Declares schemas of answers that are of one of two kinds.
macro_rules! either {
    ($($(#[$doc:meta])* $schema:ident = $name:literal, $one:ty, $other:ty;)+) => {$(
        $(#[$doc])*
        pub struct $schema;

        impl PartialSchema for $schema {
            fn schema() -> RefOr<Schema> {
                let reference = |name: Cow<'static, str>| Ref::from_schema_name(name);
                AnyOfBuilder::new()
                    .item(reference(<$one>::name()))
                    .item(reference(<$other>::name()))
                    .into()
            }
        }

        impl ToSchema for $schema {
            fn name() -> Cow<'static, str> {
                $name.into()
            }

            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                schemas.push((<$one>::name().into(), <$one>::schema()));
                schemas.push((<$other>::name().into(), <$other>::schema()));
                <$one>::schemas(schemas);
                <$other>::schemas(schemas);
            }
        }
    )+};
}

either! {
    /// A chat: for one of its members as a conversation.
    AnyChatSchema = "AnyChat", ConversationJson<'static>, ChatJson<'static>;
    /// A page of the timeline, or the messages that were asked for by their ids.
    UpdatesOrMessagesSchema = "UpdatesOrMessages",
        MessageUpdatesJson<'static>, MessageListJson<'static>;
}

/// The attributes of settings; `null` is none.
pub fn new_settings_attributes() -> Schema {
    free_form(
        SchemaType::from_iter([Type::Object, Type::Null]),
        "Changes of the attributes, as a JSON merge patch (RFC 7396): members that are null are removed, objects are merged. The result is a JSON object of up to 4 KiB and 100 levels.",
    )
}

/// Any text.
pub fn text() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).into()
}

fn free_form(schema_type: SchemaType, description: &str) -> Schema {
    ObjectBuilder::new()
        .schema_type(schema_type)
        .description(Some(description))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .into()
}
