//! The command line.

use std::{error::Error, process::ExitCode};

use messages::{
    app,
    config::{self, ApplicationCommand, CliCommand, SearchCommand, TimelineCommand},
};

/// See Cargo.toml for the reason.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let command = match config::read() {
        Ok(cli) => cli.command,
        Err(error) => return failed(&error),
    };
    let outcome = match command {
        CliCommand::Serve(config) => app::serve(*config).await,
        CliCommand::Migrate(config) => app::migrate(&config).await,
        CliCommand::Token(config) => app::print_token(&config),
        CliCommand::Application(ApplicationCommand::Create(config)) => {
            app::create_application(&config).await
        }
        CliCommand::Timeline(TimelineCommand::Advance(config)) => {
            app::advance_timeline(&config).await
        }
        CliCommand::Feed(config) => app::print_feed(&config).await,
        CliCommand::Import(config) => app::import(&config).await,
        CliCommand::Search(SearchCommand::Rebuild(config)) => app::rebuild_search(&config).await,
        CliCommand::Openapi => app::print_openapi(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

fn failed(error: &dyn Error) -> ExitCode {
    eprintln!("messages: {error}");
    ExitCode::FAILURE
}
