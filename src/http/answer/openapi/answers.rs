//! The answers that several operations have, or that have headers of their own.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, ToSchema,
    openapi::{Content, ContentBuilder, Ref, RefOr, Response, ResponseBuilder},
};

use super::{headers, schemas::AnyChatSchema};
use crate::http::{answer::representation::MessageJson, extract::media};

/// A media type of an answer, and its content.
type TypedContent = (&'static str, fn() -> Content);

/// Declares the answers of operations: a status and a response.
macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident = $status:literal $response:expr;)+) => {$(
        $(#[$doc])*
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                BTreeMap::from([($status.to_owned(), $response.into())])
            }
        }
    )+};
}

answers! {
    /// Of the operations on one message.
    MessageAnswer = "200" Ref::from_response_name("Message");
    /// Of reading a message that the caller has already.
    MessageUnchanged = "304" Ref::from_response_name("MessageUnchanged");
    /// Of the operations on one chat.
    ChatAnswer = "200" Ref::from_response_name("Chat");
    /// Of sending a message to a user.
    PersonalMessageSent = "201" sent(media::PERSONAL_MESSAGE);
    /// Of sending a message into a chat.
    ChatMessageSent = "201" sent(media::CHAT_MESSAGE);
    /// Of creating a chat.
    ChatCreated = "201" created(
        "Created; or the chat as it is now, where the key was used for the same request before",
        &[(media::JSON, content::<AnyChatSchema>)],
    );
}

/// The answers that several operations have, by their names among the document's components.
pub fn components() -> [(String, Response); 3] {
    let message = response(
        "The message as it is now; a deleted one as a tombstone",
        &[
            (media::JSON, content::<MessageJson>),
            (media::PERSONAL_MESSAGE, content::<MessageJson>),
            (media::CHAT_MESSAGE, content::<MessageJson>),
        ],
        &["ETag", "RateLimit-Policy", "RateLimit"],
    );
    let unchanged = response("The message has not changed", &[], &["ETag"]);
    let chat = response(
        "The chat as it is now; for a member as a conversation",
        &[(media::JSON, content::<AnyChatSchema>)],
        &["ETag"],
    );
    [
        ("Message".to_owned(), message),
        ("MessageUnchanged".to_owned(), unchanged),
        ("Chat".to_owned(), chat),
    ]
}

fn sent(media_type: &'static str) -> Response {
    let mut response = created(
        "Sent; or the message as it is now, where the key was used for the same request before",
        &[
            (media::JSON, content::<MessageJson>),
            (media_type, content::<MessageJson>),
        ],
    );
    for name in ["RateLimit-Policy", "RateLimit"] {
        headers::add(&mut response, name);
    }
    response
}

fn created(description: &str, contents: &[TypedContent]) -> Response {
    let names = [
        "Location",
        "ETag",
        "Idempotent-Replayed",
        "Preference-Applied",
    ];
    response(description, contents, &names)
}

fn response(description: &str, contents: &[TypedContent], names: &[&str]) -> Response {
    let builder = ResponseBuilder::new().description(description);
    let mut response = contents
        .iter()
        .fold(builder, |builder, (media_type, content)| {
            builder.content(*media_type, content())
        })
        .build();
    for name in names {
        headers::add(&mut response, name);
    }
    response
}

/// What has the schema of `T`.
pub fn content<T: ToSchema>() -> Content {
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(T::name())))
        .build()
}
