//! The settings of `serve`.

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use clap::Args;
use ipnet::IpNet;
use secrecy::SecretString;

use super::{DatabaseConfig, SecretConfig, TimeLimitsConfig, values};
use crate::{
    auth::{EndpointUrl, RateLimits, STRANGERS_PER_SECOND_MAX},
    callbacks::CallbacksConfig,
    domain::ApplicationId,
    followers::file_events::QueueType,
    http::{BudgetLimits, FilesUrl, Origin},
    live::LiveLimits,
    telemetry::{LogFilter, LogFormat},
};

#[derive(Debug, Args)]
pub struct ServeConfig {
    #[command(flatten)]
    pub database: DatabaseConfig,
    #[command(flatten)]
    pub secret: SecretConfig,
    #[command(flatten)]
    pub events: EventsConfig,
    #[command(flatten)]
    pub webhooks: WebhooksConfig,
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
    /// Origins whose pages may call the service, separated by commas; * allows all. None by
    /// default.
    #[arg(long, env = "CORS_ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<Origin>,
    /// Where the messenger uploads files: the URL of a service of the application that accepts its users'
    /// tokens. Without it, nobody attaches files there.
    #[arg(long, env = "FILES_URL")]
    pub files_url: Option<FilesUrl>,
    #[command(flatten)]
    pub times: TimeLimitsConfig,
}

/// How much may wait or be open on this replica.
#[derive(Debug, Args)]
pub struct LimitsConfig {
    /// Changes of an application that may wait to be written; one more is answered with 503.
    #[arg(long, env = "WRITE_QUEUE_MAX", default_value_t = 4096, value_parser = values::queue_length)]
    pub write_queue_max: usize,
    /// How long a change may wait to be written, in milliseconds. To be set for tests alone.
    #[arg(long, env = "WRITE_WAIT_MS_MAX", hide = true, default_value_t = 5000)]
    pub write_wait_ms_max: u64,
    /// How long the erasure of a user lasts at the least, in seconds. To be set for tests alone.
    #[arg(long, env = "ERASURE_SECONDS_MIN", hide = true, default_value_t = 30)]
    pub erasure_seconds_min: u32,
    /// Reads of each kind that may wait to be answered, of each application; one more is answered with
    /// 503.
    #[arg(long, env = "READ_QUEUE_MAX", default_value_t = 4096, value_parser = values::queue_length)]
    pub read_queue_max: usize,
    /// Streams and held answers that may be open on this replica; one more is answered with 503.
    #[arg(long, env = "LIVE_CONNECTIONS_MAX", default_value_t = 8000, value_parser = values::live_connections)]
    pub live_connections_max: usize,
    /// Streams and held answers that one user may have open on this replica; one more is answered
    /// with 429.
    #[arg(long, env = "LIVE_CONNECTIONS_PER_USER_MAX", default_value_t = 100, value_parser = values::live_connections)]
    pub live_connections_per_user_max: usize,
    /// Requests of one user that this replica serves at the same time, until their answers are
    /// received; one more is answered with 429.
    #[arg(long, env = "REQUESTS_PER_USER_MAX", default_value_t = 256, value_parser = values::requests_per_user)]
    pub requests_per_user_max: u32,
    /// Memory for answers of more than 64 KiB that their callers have yet to receive, in MiB; a
    /// page that exceeds it is answered with 503.
    #[arg(long, env = "PENDING_ANSWERS_MIB_MAX", default_value_t = 256, value_parser = values::pending_answers)]
    pub pending_answers_mib_max: usize,
    /// Messages that each user may send and edit within a minute on this replica; one more is answered with
    /// 429. No limit by default; the policy of an application may set a smaller one.
    #[arg(long, env = "USER_SENDS_PER_MINUTE", value_parser = values::sends_per_minute)]
    pub user_sends_per_minute: Option<NonZeroU32>,
    /// The same for each application, with all its users.
    #[arg(long, env = "APPLICATION_SENDS_PER_MINUTE", value_parser = values::sends_per_minute)]
    pub application_sends_per_minute: Option<NonZeroU32>,
    /// How often messages are looked for that are older than they are kept, in seconds.
    #[arg(long, env = "RETENTION_PERIOD", default_value_t = 3600, value_parser = values::period)]
    pub retention_period: u64,
}

#[derive(Debug, Args)]
pub struct LogConfig {
    /// The format of log lines.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "human")]
    pub log_format: LogFormat,
    /// What is logged: a level (error, warn, info, debug: every request) or filter directives.
    #[arg(long, env = "LOG_FILTER", default_value = "info")]
    pub log_filter: LogFilter,
}

impl LimitsConfig {
    /// The limits of streams and held answers.
    pub fn live(&self) -> LiveLimits {
        LiveLimits {
            total_max: self.live_connections_max,
            per_user_max: self.live_connections_per_user_max,
        }
    }

    /// What may be sent within a minute.
    pub fn rates(&self) -> RateLimits {
        RateLimits {
            user: self.user_sends_per_minute,
            application: self.application_sends_per_minute,
        }
    }

    /// The limits of each caller, and of large answers.
    pub fn budget(&self) -> BudgetLimits {
        BudgetLimits {
            requests_per_user_max: self.requests_per_user_max,
            pending_bytes_max: self.pending_answers_mib_max * 1024 * 1024,
        }
    }
}

/// How callers are identified, apart from the tokens that the service signs itself.
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
    /// The `iss` that its tokens must have.
    #[arg(long, env = "MESSAGES_JWKS_ISSUER")]
    pub jwks_issuer: Option<String>,
    /// The audience that `aud` of its tokens must be or contain.
    #[arg(long, env = "MESSAGES_JWKS_AUDIENCE")]
    pub jwks_audience: Option<String>,
    /// The ids of the applications that the issuer may speak for, separated by commas.
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
    /// The service's client id at that endpoint (HTTP Basic).
    #[arg(
        long,
        env = "MESSAGES_INTROSPECTION_CLIENT_ID",
        default_value = "messages"
    )]
    pub introspection_client_id: String,
    /// The service's client secret at that endpoint.
    #[arg(
        long,
        env = "MESSAGES_INTROSPECTION_CLIENT_SECRET",
        default_value = "",
        hide_env_values = true
    )]
    pub introspection_client_secret: SecretString,
    /// The ids of the applications that the endpoint may speak for, separated by commas.
    #[arg(
        long,
        env = "MESSAGES_INTROSPECTION_APPLICATIONS",
        value_delimiter = ',',
        default_value = "1",
        value_parser = values::application
    )]
    pub introspection_applications: Vec<ApplicationId>,
    /// The most requests to the endpoint about new session keys per second: for tests on slow
    /// machines.
    #[arg(long, env = "INTROSPECTION_STRANGERS_MAX", hide = true, default_value_t = STRANGERS_PER_SECOND_MAX)]
    pub introspection_strangers_max: NonZeroU32,
}

#[derive(Debug, Args)]
pub struct EventsConfig {
    /// RabbitMQ, as amqp://USER:PASSWORD@HOST:PORT/VHOST (%2f is the default virtual host) or
    /// amqps://…. Without it, events wait in the database.
    #[arg(long, env = "AMQP_URL", hide_env_values = true, value_parser = values::broker_url)]
    pub amqp_url: Option<SecretString>,
    /// The exchange to publish to; it must exist. Empty: the default exchange.
    #[arg(long, env = "AMQP_EXCHANGE", default_value = "")]
    pub amqp_exchange: String,
    /// The routing key of events; by default the queue's name.
    #[arg(long, env = "AMQP_ROUTING_KEY")]
    pub amqp_routing_key: Option<String>,
    /// The durable queue; it is declared at the start if it is missing.
    #[arg(long, env = "AMQP_QUEUE", default_value = "msg.files.statistics")]
    pub amqp_queue: String,
    /// The type of the queue, if it does not exist yet.
    #[arg(long, env = "AMQP_QUEUE_TYPE", value_enum, default_value = "classic")]
    pub amqp_queue_type: QueueType,
    /// A topic exchange that gets every entry of the feeds of all applications, from the first one that is kept;
    /// it is declared at the start if it is missing. Empty: the feeds are not published.
    #[arg(long, env = "AMQP_FEED_EXCHANGE", default_value = "")]
    pub amqp_feed_exchange: String,
}

#[derive(Debug, Args)]
pub struct WebhooksConfig {
    /// Networks whose addresses webhooks and hooks may have although they are not public, separated by commas, as
    /// 10.1.0.0/16,fd00::/8. None by default.
    #[arg(long, env = "WEBHOOK_NETWORKS", value_delimiter = ',', value_parser = values::network)]
    pub webhook_networks: Vec<IpNet>,
    /// How long a webhook may take to answer, in milliseconds. To be set for tests alone.
    #[arg(
        long,
        env = "WEBHOOK_ANSWER_MS_MAX",
        hide = true,
        default_value_t = 10_000
    )]
    pub webhook_answer_ms_max: u64,
}

impl WebhooksConfig {
    pub fn callbacks(self) -> CallbacksConfig {
        CallbacksConfig {
            networks: self.webhook_networks,
            answer_time_max: Duration::from_millis(self.webhook_answer_ms_max),
        }
    }
}
