//! What the service itself requests: the webhooks of the document.

use utoipa::openapi::{
    HttpMethod, PathItem, Paths, PathsBuilder, Required, ResponseBuilder,
    path::{OperationBuilder, ParameterBuilder, ParameterIn},
    request_body::RequestBodyBuilder,
    security::SecurityRequirement,
};

use super::answers::content;
use crate::http::{
    answer::representation::WebhookBatchJson,
    screening::{HookQuestionJson, HookVerdictJson},
};

const JSON: &str = "application/json";

/// The headers of a request, with what they have.
const HEADERS: [(&str, &str); 3] = [
    (
        "webhook-id",
        "The same if the request comes again: of entries of the feed the first and the last timestamp, as \
         `41-42`; of a question to a hook a random id",
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
    let taken = OperationBuilder::new()
        .operation_id(Some("take_webhook_batch"))
        .tag("feed")
        .summary(Some("Takes entries of the feed."))
        .description(Some(
            "The service posts to the URL of a webhook, and goes on when the answer is 2xx. Verify the \
             signature with a library of Standard Webhooks, and skip entries up to the last timestamp that you \
             have handled: what was answered too late comes again.",
        ))
        .request_body(Some(
            RequestBodyBuilder::new()
                .content(JSON, content::<WebhookBatchJson>())
                .required(Some(Required::True))
                .build(),
        ))
        .response("2XX", ResponseBuilder::new().description("Taken").build());
    let judged = OperationBuilder::new()
        .operation_id(Some("judge_message"))
        .tag("applications")
        .summary(Some("Judges a message before it is sent."))
        .description(Some(
            "The service posts to the URL of the hook what a user is about to send or edit, and does what is \
             answered: nothing at all accepts, and `{\"accept\": true}`, `{\"replace\": {…}}` and \
             `{\"reject\": {…}}` are verdicts, too. An answer that is not 2xx, late, longer than 256 KiB or no verdict is a failure.",
        ))
        .request_body(Some(
            RequestBodyBuilder::new()
                .content(JSON, content::<HookQuestionJson>())
                .required(Some(Required::True))
                .build(),
        ))
        .response(
            "2XX",
            ResponseBuilder::new()
                .description("What becomes of the message")
                .content(JSON, content::<HookVerdictJson>())
                .build(),
        );
    PathsBuilder::new()
        .path("feed", posted(taken))
        .path("hook", posted(judged))
        .build()
}

/// A request of the service, which is signed and has no token.
fn posted(operation: OperationBuilder) -> PathItem {
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
    let operation = operation.securities(Some([SecurityRequirement::default()]));
    PathItem::new(HttpMethod::Post, operation)
}
