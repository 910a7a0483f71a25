//! What the service itself requests: the webhooks of the document.

use utoipa::openapi::{
    HttpMethod, PathItem, Paths, PathsBuilder, Required, ResponseBuilder,
    path::{OperationBuilder, ParameterBuilder, ParameterIn},
    request_body::RequestBodyBuilder,
    security::SecurityRequirement,
};

use super::answers::content;
use crate::http::answer::representation::WebhookBatchJson;

/// The headers of a request, with what they have.
const HEADERS: [(&str, &str); 3] = [
    (
        "webhook-id",
        "The first and the last timestamp, as `41-42`: the same if the request comes again",
    ),
    (
        "webhook-timestamp",
        "When it was sent, in seconds since 1970",
    ),
    (
        "webhook-signature",
        "`v1,` and HMAC-SHA-256 over `ID.TIMESTAMP.BODY` in Base64; several are separated by blanks",
    ),
];

pub fn webhooks() -> Paths {
    let operation = OperationBuilder::new()
        .operation_id(Some("take_webhook_batch"))
        .tag("feed")
        .summary(Some("Takes entries of the feed."))
        .description(Some(
            "The service posts to the URL of a webhook, and goes on when the answer is 2xx. Verify the \
             signature with a library of Standard Webhooks, and skip entries up to the last timestamp that you \
             have handled: what was answered too late comes again.",
        ))
        .securities(Some([SecurityRequirement::default()]))
        .request_body(Some(
            RequestBodyBuilder::new()
                .content("application/json", content::<WebhookBatchJson>())
                .required(Some(Required::True))
                .build(),
        ))
        .response("2XX", ResponseBuilder::new().description("Taken").build());
    let operation = HEADERS
        .into_iter()
        .fold(operation, |operation, (name, description)| {
            let header = ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Header)
                .required(Required::True)
                .description(Some(description))
                .schema(Some(super::schemas::text()));
            operation.parameter(header)
        });
    let item = PathItem::new(HttpMethod::Post, operation);
    PathsBuilder::new().path("feed", item).build()
}
