//! Messages that are pinned in a chat.

use std::collections::HashMap;

use axum::{extract::State, http::StatusCode, response::IntoResponse};

use super::{
    Answer, Service,
    answer::{
        openapi::{AsUser, ChatNumberPath, DeletableProblems, ListInsideProblems, MessageIdPath},
        representation::{self, Json, PinListJson},
    },
    extract::{caller::Caller, checks::Checks, media::PlainJson},
};
use crate::{store, timeline::commands::PinMessage};

/// Lists what is pinned in a chat, the newest pin first.
///
/// It is the whole list: up to 100 messages, as they are now. A deleted message is pinned no more.
#[utoipa::path(
    get,
    path = "/chats/{number}/pins",
    tag = "chats",
    params(AsUser, ChatNumberPath),
    responses(
        (status = 200, description = "What is pinned",
            body = PinListJson, content_type = "application/json"),
        ListInsideProblems,
    ),
)]
pub async fn list_pins(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let chat = checks.path();
    let passed = checks.finish(|| chat)?;
    let visible = service.visible_chat(&passed.caller, passed.input).await?;
    let (application, number) = (passed.caller.application, passed.input);
    let reading = service.query(async |connection| {
        let pins = store::pins::list(&mut *connection, application, number).await?;
        let ids: Vec<_> = pins.iter().map(|pin| pin.message).collect();
        let messages = store::messages::load(connection, application, &ids).await?;
        Ok((pins, messages))
    });
    let (pins, messages) = reading.await?;
    let readable = messages
        .iter()
        .filter(|message| message.number > visible.reads_after && message.content.is_some());
    let messages: HashMap<_, _> = readable.map(|message| (message.id, message)).collect();
    let pins = pins
        .iter()
        .filter_map(|pin| Some((pin, &***messages.get(&pin.message)?)));
    Ok(Json(passed.media_type, PinListJson::of(pins)).into_response())
}

/// Pins a message in its chat.
///
/// Moderators may, the owner and the application; up to 100 messages of a chat. It is a change of the chat:
/// the members find `{"chat": number}` on their timelines.
#[utoipa::path(
    put,
    path = "/chats/{number}/pins/{id}",
    tag = "chats",
    params(AsUser, ChatNumberPath, MessageIdPath),
    responses(
        (status = 201, description = "The message is pinned now"),
        (status = 204, description = "The message was pinned"),
        DeletableProblems,
    ),
)]
pub async fn pin_message(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let command = named(&mut checks, true);
    let passed = checks.finish(|| command)?;
    let pinned = service.submit(&passed.caller, passed.input).await?;
    Ok(representation::put(pinned.effect))
}

/// Removes a pin.
///
/// Moderators may, the owner and the application. The message stays as it is.
#[utoipa::path(
    delete,
    path = "/chats/{number}/pins/{id}",
    tag = "chats",
    params(AsUser, ChatNumberPath, MessageIdPath),
    responses(
        (status = 204, description = "The message is not pinned"),
        DeletableProblems,
    ),
)]
pub async fn unpin_message(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let command = named(&mut checks, false);
    let passed = checks.finish(|| command)?;
    service.submit(&passed.caller, passed.input).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The pin that the path names.
fn named<A>(checks: &mut Checks<Caller, A>, pinned: bool) -> Option<PinMessage> {
    let (chat, id) = (checks.path(), checks.path());
    Some(PinMessage {
        chat: chat?,
        id: id?,
        pinned,
    })
}
