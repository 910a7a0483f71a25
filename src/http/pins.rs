//! Messages that are pinned in a chat.

use axum::{extract::State, http::StatusCode, response::IntoResponse};

use super::{
    Answer, Service,
    answer::{
        openapi::{
            AsUser, ChatNumberPath, ListInsideProblems, MessageIdPath, PinPage, SettableProblems,
        },
        representation::{self, Json, ListPage, PinListJson, json_bytes},
    },
    extract::{caller::Caller, checks::Checks, media::PlainJson, params::PinsParams},
};
use crate::{
    store::pins::{self, ListedPin},
    timeline::commands::PinMessage,
};

/// Lists what is pinned in a chat, the newest pin first.
///
/// Each with the message as it is now. A deleted message is not pinned any more.
#[utoipa::path(
    get,
    path = "/chats/{number}/pins",
    tag = "chats",
    params(AsUser, ChatNumberPath, PinPage),
    responses(
        (status = 200, description = "A page",
            body = PinListJson, content_type = "application/json"),
        ListInsideProblems,
    ),
)]
pub async fn list_pins(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let (chat, params) = (checks.path(), checks.query::<PinsParams>());
    let passed = checks.finish(|| chat.zip(params))?;
    let (number, PinsParams { before, limit }) = passed.input;
    let visible = service.visible_chat(&passed.caller, number).await?;
    let (application, reads_after) = (passed.caller.application, visible.reads_after);
    let reading = service.query(async |connection| {
        pins::list(
            connection,
            application,
            number,
            reads_after,
            before,
            limit + 1,
        )
        .await
    });
    let size = |pin: &ListedPin| json_bytes(&pin.message);
    let page = ListPage::cut_at(reading.await?, limit, size, |pin| pin.timestamp.get());
    Ok(Json(passed.media_type, PinListJson::from(&page)).into_response())
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
        SettableProblems,
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
        SettableProblems,
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
