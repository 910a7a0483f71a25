//! Tickets: for opening streams from a browser, whose EventSource cannot set headers.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    Service,
    media::{Accept, PlainJson},
    openapi::TicketProblems,
    representation::Json,
};
use crate::auth::{Caller, Ticket};

/// A ticket for opening streams.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "ticket": "eyJ0eXAiOiJKV1Qi…", "expires": "2026-11-20T09:30:30Z" }))]
pub struct StreamTicket {
    /// The value of `?ticket=`.
    ticket: String,
    /// When it stops to open streams.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    expires: OffsetDateTime,
}

/// Gives a ticket that opens streams for 30 seconds, on every replica.
///
/// For `new EventSource("/messages?ticket=…")`. A stream that it has opened lasts until the token
/// ends that the ticket was asked for with.
#[utoipa::path(
    post,
    path = "/tickets",
    tag = "messages",
    security(("bearer" = [])),
    responses(
        (status = 201, description = "A ticket", body = StreamTicket, content_type = "application/json"),
        TicketProblems,
    ),
)]
pub async fn create_ticket(
    State(service): State<Service>,
    caller: Caller,
    accept: Accept<PlainJson>,
) -> Response {
    let Ticket { ticket, expires } = service.tickets.give(&caller);
    let ticket = StreamTicket { ticket, expires: expires.into() };
    let headers = [(header::CACHE_CONTROL, "no-store")];
    (StatusCode::CREATED, headers, Json(accept.media_type, ticket)).into_response()
}
