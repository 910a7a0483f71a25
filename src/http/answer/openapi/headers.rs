//! The headers of answers, each described once.

use utoipa::openapi::{
    Header, HeaderBuilder, Object, Ref, RefOr, Response, Type, schema::ObjectBuilder,
};

/// Every header with its description.
const HEADERS: [(&str, &str); 11] = [
    (
        "X-Request-Id",
        "The request's id, as it was sent or a new one; its log lines have it",
    ),
    ("ETag", "The timestamp in quotes, for `If-Match`"),
    ("Location", "The path of what was created"),
    (
        "Idempotent-Replayed",
        "`true` where the key was used for the same request before, and nothing was created again",
    ),
    (
        "Preference-Applied",
        "`return=minimal` where the answer has no body",
    ),
    ("Retry-After", "Seconds until it is worth trying again"),
    (
        "RateLimit-Policy",
        "Where sends and edits are limited: how many a minute, for the `user` and the `application`",
    ),
    (
        "RateLimit",
        "What is left of them (`r`), and in how many seconds all are there again (`t`)",
    ),
    ("WWW-Authenticate", "`Bearer`, with the reason"),
    ("Accept-Post", "The media types that are supported"),
    ("Accept-Patch", "The media types that are supported"),
];

/// Every header by its name, for the document's components.
pub fn components() -> impl Iterator<Item = (String, RefOr<Header>)> {
    HEADERS.iter().map(|(name, description)| {
        let header = HeaderBuilder::new()
            .schema(Some(schema(name)))
            .description(Some(*description))
            .build();
        ((*name).to_owned(), RefOr::T(header))
    })
}

fn schema(name: &str) -> Object {
    let schema_type = match name {
        "Retry-After" => Type::Integer,
        "Idempotent-Replayed" => Type::Boolean,
        _ => Type::String,
    };
    ObjectBuilder::new().schema_type(schema_type).build()
}

/// Adds a header to a response. `name` may be in lower case.
pub fn add(response: &mut Response, name: &str) {
    let (name, _) = HEADERS
        .iter()
        .find(|(described, _)| described.eq_ignore_ascii_case(name))
        .expect("every header is described");
    let reference = RefOr::Ref(Ref::new(format!("#/components/headers/{name}")));
    response.headers.insert((*name).to_owned(), reference);
}

/// Adds the header that every answer has.
pub fn add_common(response: &mut RefOr<Response>) {
    if let RefOr::T(response) = response {
        add(response, "X-Request-Id");
    }
}
