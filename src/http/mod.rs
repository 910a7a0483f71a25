//! HTTP: every route on one page, and what all of them share.
//!
//! A handler extracts, calls one function and shapes the answer. Whatever goes wrong becomes a
//! [`Problem`](problem::Problem), in one place. No handler opens a transaction, so a caller who
//! goes away never leaves one behind.
//!
//! # Limits of time
//! Nothing waits without end: half a request's head 20 s, a body 10 s, an answer that nobody takes
//! 60 s, a place in a batch 5 s, and a batch or a query as long as their own limits allow. A held
//! answer and a stream end with the caller's token, and when the service shuts down.

mod answer;
mod applications;
mod chat_messages;
mod chats;
mod extract;
mod history;
mod live;
mod messages;
mod operations;
mod search;
mod server;
mod tokens;
mod web;

use std::{ops::Deref, sync::Arc, time::Duration};

use axum::{Router, middleware, response::Response, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{
    auth::{Authenticator, Signer, Tickets, Validity},
    domain::{Chat, Clock},
    live::Live,
    outbox::PublisherStatus,
    store::{self, PgConnection, Pool},
    sync::Sync,
    timeline::{Outcome, Requester, Timeline, commands::Command},
};
use answer::{
    openapi,
    problem::{self, Problem},
};
use extract::{caller::Caller, params::ChatPath};
use server::{cors, envelope};

pub use extract::idempotency::Digester;
pub use live::HELD_TIME_MAX;
pub use server::{
    Acceptor, Address, BadAddress, BadOrigin, Budget, BudgetLimits, Origin, WRITE_TIME_MAX, serve,
};

/// What the handlers of one thread work with. It is cloned several times a request, and costs a count
/// each time.
#[derive(Clone)]
pub struct Service(Arc<WorkerState>);

struct WorkerState {
    sync: Sync,
    app: Arc<AppState>,
}

/// What the service is made of, for all threads.
pub struct AppState {
    pub timeline: Timeline,
    pub live: Live,
    pub authenticator: Arc<Authenticator>,
    pub signer: Signer,
    pub tickets: Arc<Tickets>,
    pub digester: Arc<Digester>,
    pub reads: Pool,
    pub searches: Pool,
    pub publisher: PublisherStatus,
    pub budget: Arc<Budget>,
    pub metrics: PrometheusHandle,
    pub clock: Clock,
    /// The longest that an answer is held: [`HELD_TIME_MAX`], but for tests.
    pub held_time_max: Duration,
    /// Ends what would go on for ever: held answers and streams.
    pub stop: CancellationToken,
}

impl Deref for Service {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.0.app
    }
}

/// What a handler comes to.
type Answer = Result<Response, Problem>;

impl Service {
    pub fn new(app: Arc<AppState>, sync: Sync) -> Self {
        Self(Arc::new(WorkerState { sync, app }))
    }

    /// The way to what happened on the timeline.
    fn sync(&self) -> &Sync {
        &self.0.sync
    }

    /// Carries out what the caller wants to be changed.
    async fn submit<C: Command>(
        &self,
        caller: &Caller,
        command: C,
    ) -> Result<Outcome<C::Output>, Problem> {
        let requester = Requester {
            application: caller.application,
            user: caller.actor()?,
        };
        Ok(self.timeline.submit(requester, command).await?)
    }

    /// Does what is neither on the timeline nor coalesced, on a connection that is shared.
    async fn query<T>(
        &self,
        statements: impl AsyncFnOnce(&mut PgConnection) -> store::Result<T>,
    ) -> Result<T, Problem> {
        Ok(self.reads.query(statements).await?)
    }

    /// The chat that a path names, if the caller may know of it.
    async fn visible_chat(&self, caller: &Caller, number: &ChatPath) -> Result<Chat, Problem> {
        let (application, member) = (caller.application, caller.actor()?);
        let number = number.known()?;
        let reading = self.query(async |connection| {
            store::chats::find(connection, application, member.as_ref(), number).await
        });
        reading.await?.ok_or_else(Problem::not_found)
    }

    /// Waits until what was opened under a token must end.
    async fn until_end(&self, validity: &Validity) {
        self.stop
            .run_until_cancelled(self.authenticator.until_end(validity))
            .await;
    }
}

/// Every operation, with its documentation.
fn routes() -> OpenApiRouter<Service> {
    OpenApiRouter::with_openapi(openapi::document())
        .routes(routes!(messages::send_message, messages::sync_messages))
        .routes(routes!(search::search_messages))
        .routes(routes!(
            messages::get_message,
            messages::edit_message,
            messages::delete_message
        ))
        .routes(routes!(history::list_personal_messages))
        .routes(routes!(tokens::create_ticket))
        .routes(routes!(chats::create_chat, chats::list_chats))
        .routes(routes!(chats::get_chat, chats::rename_chat))
        .routes(routes!(chats::list_members))
        .routes(routes!(chats::add_member, chats::remove_member))
        .routes(routes!(
            chat_messages::send_chat_message,
            history::list_chat_messages
        ))
        .routes(routes!(search::search_chat))
        .routes(routes!(
            chat_messages::get_chat_message,
            chat_messages::edit_chat_message,
            chat_messages::delete_chat_message
        ))
        .routes(routes!(tokens::create_token))
        .routes(routes!(
            applications::create_application,
            applications::list_applications
        ))
        .routes(routes!(
            applications::get_own_application,
            applications::rename_own_application
        ))
        .routes(routes!(
            applications::get_application,
            applications::rename_application
        ))
        .routes(routes!(applications::replace_application_token))
        .routes(routes!(operations::get_liveness))
        .routes(routes!(operations::get_readiness))
        .routes(routes!(operations::get_metrics))
}

/// The OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    openapi::complete(routes().into_openapi())
}

/// The web client, which is no part of the documented interface.
fn pages() -> Router<Service> {
    Router::new()
        .route("/", get(web::get_page))
        .route("/web/{file}", get(web::get_file))
}

/// The whole of what is served. The layers, from the outside: the frame of every request, with its
/// encoding; CORS; panics. To the router they are one: it boxes each layer, and clones the boxes of all for
/// every request.
pub fn router(service: Service, origins: &[Origin]) -> Router {
    let (router, _) = routes().split_for_parts();
    let swagger = SwaggerUi::new("/swagger-ui")
        .url("/openapi.json", openapi())
        .config(
            Config::default()
                .try_it_out_enabled(true)
                .persist_authorization(true),
        );
    let layers = ServiceBuilder::new()
        .layer(middleware::from_fn_with_state(
            Arc::clone(&service.budget),
            envelope::envelope,
        ))
        .option_layer(cors::layer(origins))
        .layer(CatchPanicLayer::custom(problem::panicked));
    router
        .merge(pages())
        .with_state(service)
        .merge(swagger)
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(layers)
}
