//! Measures a service that `scripts/bench` has started and names in the environment.
//!
//! `table ROW…` measures rows beside their limits, `live` follows streams, `search` searches among
//! many messages. For the script itself, `static` serves an answer that touches nothing, `govern` creates
//! the application of the row `governed-256`,
//! `tokens N APPLICATION` prints those of `user-1` to `user-N` of an application, and `token USER`
//! prints one of application 1.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a benchmark spawns, reads clocks and the environment, writes its own SQL, and fails by panicking"
)]

mod beside;
mod data;
mod feed;
mod generators;
mod governed;
mod import_file;
mod live;
mod members;
mod newcomer;
mod one_at_a_time;
mod processors;
mod read_by_all;
mod rows;
mod search;
mod service;
mod statements;
mod table;

use std::{sync::Arc, thread};

use axum::{Router, http::header, routing::get};
use messages::{domain::ApplicationId, http::Acceptor, lifecycle::Lifecycle};
use service::{Service, setting, token};
use tokio::net::TcpListener;

/// An answer of 200 bytes.
const STATIC: &str = concat!(
    r#"{"id":1000000,"timestamp":2000000,"from":"user-1000","to":"user-1001","#,
    r#""created":"2026-11-20T09:30:00.123456Z","text":""#,
    "measure it measure it measure it measure it measure it measure it measure it xx\"}",
);

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let service = || Arc::new(Service::from_environment());
    match arguments.next().as_deref() {
        Some("table") => {
            let names: Vec<_> = arguments.collect();
            table::measure(&service(), &names).await;
        }
        Some("live") => live::measure(service()).await,
        Some("search") => search::measure(service()).await,
        Some("govern") => governed::prepare(&Service::from_environment()).await,
        Some("static") => serve_static().await,
        Some("tokens") => {
            let mut number = || arguments.next().unwrap().parse::<i64>().unwrap();
            let (count, application) = (number(), ApplicationId::new(number()));
            (1..=count)
                .for_each(|user| println!("{}", token(application, &format!("user-{user}"))));
        }
        Some("token") => {
            let user = arguments.next().unwrap();
            println!("{}", token(ApplicationId::DEFAULT, &user));
        }
        // What `cargo bench` gives where nobody asks for anything.
        _ => println!("see scripts/bench"),
    }
}

/// The same server as that of the service, on as many threads, without anything behind it.
async fn serve_static() {
    let answer = || async { ([(header::CONTENT_TYPE, "application/json")], STATIC) };
    let listener = TcpListener::bind(setting("LISTEN_ADDR")).await.unwrap();
    let mut life = Lifecycle::default();
    let (acceptor, intakes) = Acceptor::new(thread::available_parallelism().unwrap().get());
    for intake in intakes {
        let router = Router::new().route("/", get(answer));
        let thread = life.start_thread("http worker").unwrap();
        life.spawn_on(
            &thread,
            "http worker",
            messages::http::serve(intake, router, messages::http::HttpTimeLimits::default()),
        );
    }
    life.spawn("acceptor", acceptor.run(listener, life.stop()));
    life.run().await.unwrap();
}
