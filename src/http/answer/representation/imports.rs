//! What has become of the lines of an import.

use std::ops::Not;

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    domain::{ChatNumber, IdempotencyKey, ImportedMessage},
    http::answer::{
        openapi::schemas::{ChatNumberSchema, MessageIdSchema},
        problem::ProblemJson,
    },
    timeline::Effect,
};

/// What has become of a line of an import.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ImportResult, example = json!({
    "line": 2, "key": "m-1", "status": 201, "id": 17, "number": 1
}))]
pub struct ImportResultJson<'a> {
    /// The place of the line in the request: 1, 2, 3 …
    line: usize,
    key: &'a str,
    /// 201: it is stored; 200: there was nothing to do; or else the status of the problem.
    status: u16,
    /// The line was stored before.
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    replayed: bool,
    /// The number of the chat that the line has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ChatNumberSchema, required = false)]
    chat: Option<i64>,
    /// The id of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = MessageIdSchema, required = false)]
    id: Option<i64>,
    /// The number of the message in its conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, minimum = 1, maximum = 9007199254740991_i64)]
    number: Option<i64>,
    /// Why nothing was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ProblemJson<'static>, required = false)]
    problem: Option<ProblemJson<'a>>,
}

/// What is answered of a line that was carried out.
pub enum Stored {
    Chat(ChatNumber),
    Message(ImportedMessage),
    Conversation,
}

impl<'a> ImportResultJson<'a> {
    /// The result of a line that was carried out.
    pub fn stored(line: usize, key: &'a IdempotencyKey, effect: Effect, stored: &Stored) -> Self {
        let status = match effect {
            Effect::Changed | Effect::Replayed => StatusCode::CREATED,
            Effect::Unchanged => StatusCode::OK,
        };
        let chat = match stored {
            Stored::Chat(number) => Some(number.get()),
            Stored::Message(_) | Stored::Conversation => None,
        };
        let message = match stored {
            Stored::Message(message) => Some(message),
            Stored::Chat(_) | Stored::Conversation => None,
        };
        Self {
            line,
            key: key.as_str(),
            status: status.as_u16(),
            replayed: effect == Effect::Replayed,
            chat,
            id: message.map(|message| message.id.get()),
            number: message.map(|message| message.number.get()),
            problem: None,
        }
    }

    /// The result of a line that has changed nothing.
    pub fn refused(line: usize, key: &'a IdempotencyKey, problem: ProblemJson<'a>) -> Self {
        Self {
            line,
            key: key.as_str(),
            status: problem.status(),
            replayed: false,
            chat: None,
            id: None,
            number: None,
            problem: Some(problem),
        }
    }
}
