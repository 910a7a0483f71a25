//! HTTP: every route on one page, and what all of them share.
//!
//! A handler checks the request ([`extract::checks`]), calls one function and shapes the answer.
//! Every failure becomes a [`Problem`], in one place. No handler opens a transaction, so a caller
//! who goes away never leaves one behind.
//!
//! # Limits of time
//! Nothing waits without end. A request's head may take 20 s, its body 10 s, reading its answer
//! 60 s, waiting for a batch 5 s, and waiting for the hook of an application 5 s; a batch and a query
//! have limits of their own. A held answer
//! and a stream end with the caller's token, and when the service shuts down.

mod answer;
mod applications;
mod bans;
mod chat_messages;
mod chats;
mod conversations;
mod erasure;
mod export;
mod extract;
mod feed;
mod history;
mod hook;
mod import;
mod importer;
mod included;
mod live;
mod members;
mod messages;
mod operations;
mod personal_messages;
mod pins;
mod rates;
mod reactions;
mod replies;
mod reports;
mod restrictions;
mod screening;
mod search;
mod server;
mod signals;
mod tokens;
mod web;
mod webhooks;

use std::{ops::Deref, sync::Arc};

use axum::{Router, middleware, response::Response, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{
    auth::{Authenticator, Rates, Signer, Tickets, Validity},
    callbacks::Callbacks,
    domain::{ApplicationId, ChatNumber, Clock, Subject, UserId},
    followers::PublisherStatus,
    live::{Live, Signals},
    store::{
        self, PgConnection, Pool,
        chats::VisibleChat,
        conversations::{SeenConversation, SeenRequest},
    },
    sync::SyncHandle,
    timeline::{Outcome, Requester, Timeline, commands::Command},
};
use answer::{openapi, problem};
use extract::caller::Caller;
use server::{cors, envelope};

pub use answer::problem::Problem;
pub use answer::representation::{render_batch, render_entry, render_message};
pub use extract::{
    idempotency::Digester,
    request_bodies::{IMPORT_BYTES_MAX, IMPORT_LINES_MAX},
};
pub use importer::{Importer, LineResult, SortedLines};
pub use screening::Screening;
pub use server::{
    Acceptor, Address, BadAddress, BadOrigin, Budget, BudgetLimits, HttpTimeLimits, Origin, serve,
};
pub use web::{FilesUrl, Page};

/// The state of the handlers of one thread. It is cloned several times a request, which costs a
/// reference count.
#[derive(Clone)]
pub struct Service(Arc<WorkerState>);

struct WorkerState {
    sync: SyncHandle,
    app: Arc<AppState>,
}

/// The parts of the service that all threads share.
pub struct AppState {
    pub timeline: Timeline,
    pub live: Live,
    pub signals: Arc<Signals>,
    pub authenticator: Arc<Authenticator>,
    pub signer: Signer,
    pub tickets: Arc<Tickets>,
    pub digester: Arc<Digester>,
    pub reads: Pool,
    pub searches: Pool,
    pub callbacks: Arc<Callbacks>,
    pub screening: Screening,
    pub publisher: PublisherStatus,
    pub budget: Arc<Budget>,
    /// Imports take turns.
    pub imports: Semaphore,
    pub rates: Rates,
    pub metrics: PrometheusHandle,
    pub page: Page,
    pub clock: Clock,
    pub times: HttpTimeLimits,
    /// Ends held answers and streams.
    pub stop: CancellationToken,
}

impl Deref for Service {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.0.app
    }
}

type Answer = Result<Response, Problem>;

impl Service {
    pub fn new(app: Arc<AppState>, sync: SyncHandle) -> Self {
        Self(Arc::new(WorkerState { sync, app }))
    }

    /// Reads of the timeline.
    fn sync(&self) -> &SyncHandle {
        &self.0.sync
    }

    /// Carries out a command of the caller.
    async fn submit<C: Command>(
        &self,
        caller: &Caller,
        command: C,
    ) -> Result<Outcome<C::Output>, Problem> {
        let requester = Requester {
            application: caller.application,
            user: caller.user.clone(),
        };
        Ok(self.timeline.submit(requester, command).await?)
    }

    /// Carries out a command of an application for itself.
    async fn submit_for<C: Command>(
        &self,
        application: ApplicationId,
        command: C,
    ) -> Result<Outcome<C::Output>, Problem> {
        let requester = Requester {
            application,
            user: None,
        };
        Ok(self.timeline.submit(requester, command).await?)
    }

    /// Runs a read that is not coalesced, on a pooled connection.
    async fn query<T>(
        &self,
        statements: impl AsyncFnOnce(&mut PgConnection) -> store::Result<T>,
    ) -> Result<T, Problem> {
        Ok(self.reads.query(statements).await?)
    }

    /// A chat, if the caller is a member of it or its application.
    async fn visible_chat(
        &self,
        caller: &Caller,
        number: ChatNumber,
    ) -> Result<VisibleChat, Problem> {
        let (application, member) = (caller.application, caller.user.as_ref());
        let reading = self.query(async |connection| {
            store::chats::find(connection, application, member, number).await
        });
        reading.await?.ok_or_else(Problem::not_found)
    }

    /// Conversations as one of their members sees them, without those that the user does not see.
    async fn seen(
        &self,
        application: ApplicationId,
        user: &UserId,
        named: Vec<Subject>,
    ) -> Result<Vec<SeenConversation>, Problem> {
        let user = user.clone();
        let reading = self
            .sync()
            .conversations(application, SeenRequest { user, named });
        Ok(reading.await?)
    }

    /// Waits until a stream or held answer of a token must end.
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
        .routes(routes!(conversations::list_conversations))
        .routes(routes!(
            conversations::get_personal_conversation,
            erasure::erase_user
        ))
        .routes(routes!(erasure::get_erasure))
        .routes(routes!(conversations::move_personal_position))
        .routes(routes!(conversations::change_personal_settings))
        .routes(routes!(conversations::move_chat_position))
        .routes(routes!(conversations::change_chat_settings))
        .routes(routes!(conversations::list_unread))
        .routes(routes!(signals::send_personal_signal))
        .routes(routes!(signals::send_chat_signal))
        .routes(routes!(signals::list_presence))
        .routes(routes!(history::list_personal_messages))
        .routes(routes!(
            personal_messages::get_personal_message,
            personal_messages::edit_personal_message,
            personal_messages::delete_personal_message
        ))
        .routes(routes!(tokens::create_ticket))
        .routes(routes!(chats::create_chat, chats::list_chats))
        .routes(routes!(
            chats::get_chat,
            chats::change_chat,
            chats::delete_chat
        ))
        .routes(routes!(members::list_members, members::change_members))
        .routes(routes!(
            members::add_member,
            members::alter_member,
            members::remove_member
        ))
        .routes(routes!(bans::list_bans))
        .routes(routes!(bans::ban_user, bans::unban_user))
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
        .routes(routes!(reactions::list_reactions))
        .routes(routes!(reactions::add_reaction, reactions::remove_reaction))
        .routes(routes!(pins::list_pins))
        .routes(routes!(pins::pin_message, pins::unpin_message))
        .routes(routes!(replies::list_replies))
        .routes(routes!(reports::report_message))
        .routes(routes!(reports::list_reports))
        .routes(routes!(reports::resolve_report))
        .routes(routes!(feed::get_feed))
        .routes(routes!(webhooks::create_webhook, webhooks::list_webhooks))
        .routes(routes!(
            webhooks::get_webhook,
            webhooks::change_webhook,
            webhooks::delete_webhook
        ))
        .routes(routes!(webhooks::replace_webhook_secret))
        .routes(routes!(tokens::create_token))
        .routes(routes!(
            applications::create_application,
            applications::list_applications
        ))
        .routes(routes!(
            applications::get_own_application,
            applications::change_own_application
        ))
        .routes(routes!(hook::get_hook, hook::set_hook, hook::delete_hook))
        .routes(routes!(
            applications::get_application,
            applications::change_application
        ))
        .routes(routes!(applications::replace_application_token))
        .routes(routes!(
            restrictions::get_restrictions,
            restrictions::set_restrictions
        ))
        .routes(routes!(export::export_user))
        .routes(routes!(import::import))
        .routes(routes!(
            restrictions::open_conversation,
            restrictions::close_conversation
        ))
        .routes(routes!(operations::get_liveness))
        .routes(routes!(operations::get_readiness))
        .routes(routes!(operations::get_metrics))
}

/// The OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    openapi::complete(routes().into_openapi())
}

/// The OpenAPI document as it is committed: with the smallest indentation.
pub fn openapi_text() -> String {
    let mut json = Vec::new();
    let formatter = PrettyFormatter::with_indent(b" ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, formatter);
    openapi()
        .serialize(&mut serializer)
        .expect("the document can be written as JSON");
    String::from_utf8(json).expect("JSON is UTF-8")
}

/// The messenger and the client package, which are not part of the documented interface.
fn pages() -> Router<Service> {
    Router::new()
        .route("/", get(web::get_page))
        .route("/web/{file}", get(web::get_file))
        .route("/client/{file}", get(web::get_package_file))
}

/// Everything that is served. The layers, from the outside: the envelope of every request, which
/// also encodes the answer; CORS; panics. They are one layer for the router, which boxes each layer
/// and clones the boxes for every request.
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
