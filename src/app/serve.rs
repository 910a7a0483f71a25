//! Runs the service: connects the parts and starts them.

use std::{io, sync::Arc};

use secrecy::SecretString;
use tokio::sync::Semaphore;

use super::{CommandResult, background::Background, database::make_ready, memory::Memory, now};
use crate::{
    auth::{
        Authenticator, AuthenticatorConfig, IntrospectionConfig, JwksConfig, Rates, Signer, Tickets,
    },
    callbacks::Callbacks,
    config::{CallersConfig, HttpConfig, ServeConfig},
    domain::Cache,
    http::{self, Acceptor, Address, AppState, Budget, Digester, Page, Screening, Service},
    lifecycle::Lifecycle,
    live::Live,
    sync::ThreadHandle,
    telemetry,
};

/// Runs the service until a signal stops it. If the start fails, the tasks that it has spawned are
/// ended.
pub async fn serve(config: ServeConfig) -> CommandResult {
    telemetry::log(config.log.log_format, &config.log.log_filter);
    let mut life = Lifecycle::default();
    match start(&mut life, config).await {
        Ok(()) => Ok(life.run().await?),
        Err(error) => {
            life.end().await;
            Err(error)
        }
    }
}

async fn start(life: &mut Lifecycle, config: ServeConfig) -> CommandResult {
    let ServeConfig {
        database,
        secret,
        events,
        webhooks,
        callers,
        http,
        limits,
        log: _,
    } = config;
    let address = Address::take(http.listen_addr)?;
    let metrics = telemetry::metrics()?;
    let secret = &secret.messages_secret;
    let signer = Signer::new(secret)?;
    let database = database.open()?;
    raise_descriptor_limit();
    make_ready(&database).await?;

    install_cryptography();
    let callbacks = Arc::new(Callbacks::new(webhooks.callbacks(), now)?);
    let reads = database.reads();
    let background = Background::spawn(
        life,
        &database,
        &reads,
        &limits,
        events,
        Arc::clone(&callbacks),
        metrics.clone(),
    );
    let callers = authenticator_config(callers, secret);
    let authenticator = Authenticator::new(callers, signer.clone(), reads.clone(), now)?;
    let authenticator = Arc::new(authenticator);
    let mut caches = background.caches;
    caches.push(Arc::clone(&authenticator) as Arc<dyn Cache>);
    Memory::spawn(life, &reads, caches);
    let state = AppState {
        timeline: background.timeline,
        authenticator,
        live: Live::new(background.hub, now),
        signals: background.signals,
        signer,
        tickets: Arc::new(Tickets::new(secret, now)),
        digester: Arc::new(Digester::new(secret)),
        reads,
        searches: database.searches(),
        screening: Screening::new(Arc::clone(&callbacks)),
        callbacks,
        publisher: background.publisher,
        budget: Budget::new(limits.budget()),
        imports: Semaphore::new(1),
        rates: Rates::new(limits.rates()),
        metrics,
        page: Page::new(http.files_url.as_ref()),
        clock: now,
        times: http.times.limits(),
        stop: life.stop(),
    };
    let acceptor = spawn_http_threads(life, Arc::new(state), background.handles, &http)?;
    let listener = address.listen()?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    life.spawn("acceptor", acceptor.run(listener, life.stop()));
    Ok(())
}

/// Starts a thread that serves HTTP for each handle.
fn spawn_http_threads(
    life: &mut Lifecycle,
    state: Arc<AppState>,
    handles: Vec<ThreadHandle>,
    config: &HttpConfig,
) -> io::Result<Acceptor> {
    let (acceptor, connections) = Acceptor::new(handles.len());
    for ((sync, timeline_end_reader), accepted) in handles.into_iter().zip(connections) {
        let router = http::router(Service::new(Arc::clone(&state), sync), &config.cors_origins);
        let thread = life.start_thread("http worker")?;
        life.spawn_on(
            &thread,
            "http worker",
            http::serve(accepted, router, config.times.limits()),
        );
        life.spawn_on(&thread, "timeline end reader", timeline_end_reader);
    }
    Ok(acceptor)
}

fn authenticator_config(config: CallersConfig, secret: &SecretString) -> AuthenticatorConfig {
    let CallersConfig {
        admin_token,
        jwks_url,
        jwks_issuer,
        jwks_audience,
        jwks_applications,
        introspection_url,
        introspection_client_id,
        introspection_client_secret,
        introspection_applications,
        introspection_strangers_max,
    } = config;
    let jwks = jwks_url.map(|url| JwksConfig {
        url,
        issuer: jwks_issuer.unwrap_or_default(),
        audience: jwks_audience.unwrap_or_default(),
        applications: jwks_applications,
    });
    let introspection = introspection_url.map(|url| IntrospectionConfig {
        url,
        client_id: introspection_client_id,
        client_secret: introspection_client_secret,
        applications: introspection_applications,
        strangers_per_second_max: introspection_strangers_max,
    });
    AuthenticatorConfig {
        secret: secret.clone(),
        administrator: admin_token,
        jwks,
        introspection,
    }
}

/// Clients of HTTP need a provider of cryptography. If the process has one already, that one will do.
fn install_cryptography() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Each connection takes a file descriptor, and the usual soft limit of 1,024 is too low: it is
/// raised to the hard one.
fn raise_descriptor_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "file descriptors"),
        Err(error) => tracing::warn!(%error, "the limit of file descriptors cannot be raised"),
    }
}
