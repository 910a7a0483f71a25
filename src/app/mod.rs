//! Connects the parts: the only module that imports every other.

mod background;
mod commands;
mod database;
mod import;
mod memory;
mod meter;
mod serve;

use std::{error::Error, time::SystemTime};

pub use commands::{
    advance_timeline, create_application, migrate, print_feed, print_openapi, print_token,
    rebuild_search,
};
pub use import::import;
pub use serve::serve;

type CommandResult = Result<(), Box<dyn Error>>;

/// The one place that reads the wall clock.
#[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
fn now() -> SystemTime {
    SystemTime::now()
}
