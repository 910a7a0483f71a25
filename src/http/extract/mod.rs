//! What is read from a request. Everything is parsed here, once, in the order that [`checks`]
//! defines.

pub mod body;
pub mod caller;
pub mod checks;
pub mod conditional;
pub mod export_params;
pub mod feed_params;
pub mod idempotency;
pub mod include;
pub mod media;
pub mod params;
pub mod prefer;
pub mod request_bodies;
pub mod search_params;
pub mod sync_params;
