//! What callers receive: representations, problem documents, and the description of both in the
//! OpenAPI document.

pub mod instant;
pub mod openapi;
pub mod problem;
pub mod representation;
pub mod sse;
