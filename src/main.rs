//! The command line.

use std::{error::Error, process::ExitCode};

use messages::{
    app,
    config::{self, ApplicationCommand, Command, SearchCommand, TimelineCommand},
};

/// See Cargo.toml for the reason.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let command = match config::read() {
        Ok(cli) => cli.command,
        Err(refused) => return failed(&refused),
    };
    let outcome = match command {
        Command::Serve(config) => app::serve(*config).await,
        Command::Migrate(config) => app::migrate(&config).await,
        Command::Token(config) => app::print_token(&config),
        Command::Application(ApplicationCommand::Create(config)) => {
            app::create_application(&config).await
        }
        Command::Timeline(TimelineCommand::Advance(config)) => app::advance_timeline(&config).await,
        Command::Search(SearchCommand::Rebuild(config)) => app::rebuild_search(&config).await,
        Command::Openapi => app::print_openapi(),
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
