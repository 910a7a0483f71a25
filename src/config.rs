//! The command line and the environment: everything that can be set, each with its default.

mod reading;
mod values;

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use clap::{Args, Parser, Subcommand};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    auth::{EndpointUrl, STRANGERS_PER_SECOND_MAX},
    domain::{ApplicationId, Title, UserId},
    http::{BudgetLimits, HELD_TIME_MAX, Origin, WRITE_TIME_MAX},
    live,
    outbox::QueueType,
    store::{BadUrl, Database},
    telemetry::{LogFilter, LogFormat},
};

pub use reading::{Refused, read};

/// A message service: one timeline of changes, and no client ever misses one.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
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
    /// Drop the index; the running service builds it anew from the messages, and finds everything
    /// meanwhile, only slower.
    Rebuild(DatabaseConfig),
}

#[derive(Debug, Subcommand)]
pub enum TimelineCommand {
    /// After a restore from a backup: lift the sequences above everything that was given out since
    /// the backup was made, so that clients' cursors are valid and no timestamp is used twice.
    Advance(AdvanceConfig),
}

#[derive(Debug, Args)]
pub struct ServeConfig {
    #[command(flatten)]
    pub database: DatabaseConfig,
    #[command(flatten)]
    pub secret: SecretConfig,
    #[command(flatten)]
    pub events: EventsConfig,
    #[command(flatten)]
    pub callers: CallersConfig,
    #[command(flatten)]
    pub http: HttpConfig,
    #[command(flatten)]
    pub limits: LimitsConfig,
    #[command(flatten)]
    pub log: LogConfig,
}

#[derive(Debug, Args)]
pub struct HttpConfig {
    /// Where to listen.
    #[arg(long, env = "LISTEN_ADDR", default_value = "0.0.0.0:8080", value_parser = values::address)]
    pub listen_addr: SocketAddr,
    /// Origins whose pages may call the service, separated by commas; * allows all. None by default.
    #[arg(long, env = "CORS_ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<Origin>,
    /// The longest that an answer is held, in milliseconds: for tests, which have no minute to spare.
    #[arg(long, env = "HELD_ANSWER_MS_MAX", hide = true)]
    pub held_answer_ms_max: Option<u64>,
    /// How long a caller may take nothing of its answer, in milliseconds: for tests as well.
    #[arg(long, env = "WRITE_MS_MAX", hide = true)]
    pub write_ms_max: Option<u64>,
}

impl HttpConfig {
    pub fn held_time_max(&self) -> Duration {
        self.held_answer_ms_max
            .map_or(HELD_TIME_MAX, Duration::from_millis)
    }

    pub fn write_time_max(&self) -> Duration {
        self.write_ms_max
            .map_or(WRITE_TIME_MAX, Duration::from_millis)
    }
}

/// How much may wait, be open or be held on this replica.
#[derive(Debug, Args)]
pub struct LimitsConfig {
    /// Changes that may wait to be written; one more is answered with 503.
    #[arg(long, env = "WRITE_QUEUE_MAX", default_value_t = 4096, value_parser = values::queue_length)]
    pub write_queue_max: usize,
    /// Reads of each kind that may wait to be answered; one more is answered with 503.
    #[arg(long, env = "READ_QUEUE_MAX", default_value_t = 4096, value_parser = values::queue_length)]
    pub read_queue_max: usize,
    /// Streams and held answers that may be open on this replica; one more is answered with 503.
    #[arg(long, env = "LIVE_CONNECTIONS_MAX", default_value_t = 8000, value_parser = values::live_connections)]
    pub live_connections_max: usize,
    /// Streams and held answers that one user may have open on this replica; one more is answered
    /// with 429.
    #[arg(long, env = "LIVE_CONNECTIONS_PER_USER_MAX", default_value_t = 100, value_parser = values::live_connections)]
    pub live_connections_per_user_max: usize,
    /// Requests that one user may have under way on this replica, answers that are not taken yet included;
    /// one more is answered with 429.
    #[arg(long, env = "REQUESTS_PER_USER_MAX", default_value_t = 256, value_parser = values::requests_per_user)]
    pub requests_per_user_max: u32,
    /// Answers of more than 64 KiB that were produced and are not taken yet, in MiB; a page for which there is
    /// no room is answered with 503.
    #[arg(long, env = "PENDING_ANSWERS_MIB_MAX", default_value_t = 256, value_parser = values::pending_answers)]
    pub pending_answers_mib_max: usize,
}

#[derive(Debug, Args)]
pub struct LogConfig {
    /// How log lines look.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "human")]
    pub log_format: LogFormat,
    /// What is logged: a level (error, warn, info, debug: every request) or filter directives.
    #[arg(long, env = "LOG_FILTER", default_value = "info")]
    pub log_filter: LogFilter,
}

impl LimitsConfig {
    /// How many streams and held answers may be open.
    pub fn live(&self) -> live::LiveLimits {
        live::LiveLimits {
            total_max: self.live_connections_max,
            per_user_max: self.live_connections_per_user_max,
        }
    }

    /// What callers may hold.
    pub fn budget(&self) -> BudgetLimits {
        BudgetLimits {
            requests_per_user_max: self.requests_per_user_max,
            pending_bytes_max: self.pending_answers_mib_max * 1024 * 1024,
        }
    }
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

/// By what callers are known, beside the tokens that the service signs itself.
#[derive(Debug, Args)]
pub struct CallersConfig {
    /// The administrator's token, at least 32 characters; without it nobody manages applications
    /// over HTTP.
    #[arg(
        long = "admin-token",
        env = "MESSAGES_ADMIN_TOKEN",
        hide_env_values = true,
        value_parser = values::secret
    )]
    pub admin_token: Option<SecretString>,
    /// The JWK Set of an issuer of user tokens (RS256, ES256, EdDSA).
    #[arg(long, env = "MESSAGES_JWKS_URL", requires_all = ["jwks_issuer", "jwks_audience"])]
    pub jwks_url: Option<EndpointUrl>,
    /// What `iss` of its tokens must be.
    #[arg(long, env = "MESSAGES_JWKS_ISSUER")]
    pub jwks_issuer: Option<String>,
    /// What `aud` of its tokens must be or name.
    #[arg(long, env = "MESSAGES_JWKS_AUDIENCE")]
    pub jwks_audience: Option<String>,
    /// The ids of the applications that the issuer speaks for, separated by commas.
    #[arg(
        long,
        env = "MESSAGES_JWKS_APPLICATIONS",
        value_delimiter = ',',
        default_value = "1",
        value_parser = values::application
    )]
    pub jwks_applications: Vec<ApplicationId>,
    /// An endpoint of RFC 7662 that resolves opaque session keys.
    #[arg(long, env = "MESSAGES_INTROSPECTION_URL")]
    pub introspection_url: Option<EndpointUrl>,
    /// As whom to ask it (HTTP Basic).
    #[arg(
        long,
        env = "MESSAGES_INTROSPECTION_CLIENT_ID",
        default_value = "messages"
    )]
    pub introspection_client_id: String,
    #[arg(
        long,
        env = "MESSAGES_INTROSPECTION_CLIENT_SECRET",
        default_value = "",
        hide_env_values = true
    )]
    pub introspection_client_secret: SecretString,
    /// The ids of the applications that the endpoint speaks for, separated by commas.
    #[arg(
        long,
        env = "MESSAGES_INTROSPECTION_APPLICATIONS",
        value_delimiter = ',',
        default_value = "1",
        value_parser = values::application
    )]
    pub introspection_applications: Vec<ApplicationId>,
    /// Unknown session keys that may be asked for in a second: for tests, which have slow machines.
    #[arg(long, env = "INTROSPECTION_STRANGERS_MAX", hide = true, default_value_t = STRANGERS_PER_SECOND_MAX)]
    pub introspection_strangers_max: NonZeroU32,
}

#[derive(Debug, Args)]
pub struct EventsConfig {
    /// RabbitMQ, as amqp://USER:PASSWORD@HOST:PORT/VHOST (%2f is the default virtual host) or
    /// amqps://…. Without it, events wait in the database.
    #[arg(long, env = "AMQP_URL", hide_env_values = true, value_parser = values::broker_url)]
    pub amqp_url: Option<SecretString>,
    /// The exchange to publish to; it must exist. The default exchange where empty.
    #[arg(long, env = "AMQP_EXCHANGE", default_value = "")]
    pub amqp_exchange: String,
    /// The routing key of events; the queue's name where it is not set.
    #[arg(long, env = "AMQP_ROUTING_KEY")]
    pub amqp_routing_key: Option<String>,
    /// The durable queue that is declared at start.
    #[arg(long, env = "AMQP_QUEUE", default_value = "msg.files.statistics")]
    pub amqp_queue: String,
    /// How the queue is kept, if it does not exist yet.
    #[arg(long, env = "AMQP_QUEUE_TYPE", value_enum, default_value = "classic")]
    pub amqp_queue_type: QueueType,
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
    /// Where the service is, as http://localhost:8080: prints a link that opens its messenger as the
    /// user.
    #[arg(long)]
    pub link: Option<String>,
}

#[derive(Debug, Args)]
pub struct AdvanceConfig {
    #[command(flatten)]
    pub database: DatabaseConfig,
    /// By how much: more than all changes since the backup. The sequences end at 2^53 - 1.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(i64).range(1..))]
    pub by: i64,
}
