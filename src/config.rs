//! The command line and the environment: every setting, with its default.

mod reading;
mod serving;
mod time_limits;
mod values;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    domain::{ApplicationId, Timestamp, Title, UserId},
    store::{BadUrl, Database},
};

pub use reading::{BadSetting, read};
pub use serving::{
    CallersConfig, EventsConfig, HttpConfig, LimitsConfig, LogConfig, ServeConfig, WebhooksConfig,
};
pub use time_limits::TimeLimitsConfig;

/// A message service: one timeline of changes, and no client ever misses one.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    pub command: CliCommand,
}

#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Run the service.
    Serve(Box<ServeConfig>),
    /// Bring the database's schema up to date (the service does it at start as well).
    Migrate(DatabaseConfig),
    /// Print a token for a user.
    Token(TokenConfig),
    /// Manage applications.
    #[command(subcommand)]
    Application(ApplicationCommand),
    /// Maintain the timeline.
    #[command(subcommand)]
    Timeline(TimelineCommand),
    /// Print the feed of an application, every change with its message as it is now, as lines of JSON.
    Feed(FeedConfig),
    /// Import conversations from a file of lines of JSON, as `POST /import` has them, beside the running
    /// service. A run that was broken is repeated as it was.
    Import(ImportConfig),
    /// Maintain the index of search.
    #[command(subcommand)]
    Search(SearchCommand),
    /// Print the OpenAPI document.
    Openapi,
}

#[derive(Debug, Subcommand)]
pub enum ApplicationCommand {
    /// Create an application, and print its id and its token.
    Create(CreateApplicationConfig),
}

#[derive(Debug, Args)]
pub struct CreateApplicationConfig {
    #[command(flatten)]
    pub database: DatabaseConfig,
    /// Its name: 1 to 200 characters.
    #[arg(value_parser = values::title)]
    pub name: Title,
}

#[derive(Debug, Subcommand)]
pub enum SearchCommand {
    /// Drop the index. The running service builds it again from the messages; until then searches
    /// find everything, but are slower.
    Rebuild(DatabaseConfig),
}

#[derive(Debug, Subcommand)]
pub enum TimelineCommand {
    /// After a restore from a backup: raise the sequences above every number that was used after
    /// the backup, so that clients' cursors are valid and no timestamp is used twice.
    Advance(AdvanceConfig),
}

#[derive(Debug, Args)]
pub struct DatabaseConfig {
    /// PostgreSQL, as postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: SecretString,
}

impl DatabaseConfig {
    pub fn open(&self) -> Result<Database, BadUrl> {
        Database::at(self.database_url.expose_secret())
    }
}

#[derive(Debug, Args)]
pub struct SecretConfig {
    /// Signs user tokens (HS256) and tickets, and keys the digests of requests: at least 32 bytes.
    #[arg(long = "secret", env = "MESSAGES_SECRET", hide_env_values = true, value_parser = values::secret)]
    pub messages_secret: SecretString,
}

#[derive(Debug, Args)]
pub struct TokenConfig {
    #[command(flatten)]
    pub secret: SecretConfig,
    /// The user's id.
    #[arg(long, value_parser = values::user_id)]
    pub user: UserId,
    /// The application's id.
    #[arg(long, default_value = "1", value_parser = values::application)]
    pub application: ApplicationId,
    /// The token's lifetime in seconds.
    #[arg(long, default_value = "86400", value_parser = values::seconds)]
    pub expires_in: Duration,
    /// The URL of the service, such as http://localhost:8080. Prints a link that opens the web
    /// client as the user.
    #[arg(long)]
    pub link: Option<String>,
}

#[derive(Debug, Args)]
pub struct FeedConfig {
    #[command(flatten)]
    pub database: DatabaseConfig,
    /// The application's id.
    #[arg(long, default_value = "1", value_parser = values::application)]
    pub application: ApplicationId,
    /// The timestamp after which it begins: that of the last line, to go on where an earlier run has
    /// ended.
    #[arg(long, default_value = "0", value_parser = values::timestamp)]
    pub after: Timestamp,
}

#[derive(Debug, Args)]
pub struct ImportConfig {
    #[command(flatten)]
    pub database: DatabaseConfig,
    #[command(flatten)]
    pub secret: SecretConfig,
    /// The application's id.
    #[arg(long, default_value = "1", value_parser = values::application)]
    pub application: ApplicationId,
    /// The file.
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct AdvanceConfig {
    #[command(flatten)]
    pub database: DatabaseConfig,
    /// More than the requests to change something since the backup, those included that have changed
    /// nothing; 1,000,000 at least. Timestamps and ids advance by 32 for each; they end at 2^53 - 1.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(i64).range(1..))]
    pub by: i64,
}
