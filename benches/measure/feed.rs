//! The feed: how fast a server that was away catches up, and what those who follow it cost those who
//! send.

use std::fs;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt},
    task::JoinSet,
};

use super::{
    generators::{self, FOLDER, Found, Requests},
    newcomer,
    service::Service,
};

/// The token of application 1, as `scripts/bench` has made it.
fn token() -> String {
    let token = fs::read_to_string(format!("{FOLDER}/application")).unwrap();
    token.trim().to_owned()
}

/// Reads the feed from its beginning.
pub async fn read(service: &Service) -> Found {
    let count = |page: &str| page.matches("\"kind\":").count() as u64;
    newcomer::pages(service, "/feed?", &token(), count).await
}

/// Copies the same rows out of PostgreSQL.
pub async fn copy(service: &Service) -> Found {
    let rows = "SELECT timestamp, kind, message_id, chat_number, with_user, number, members, actor, created
        FROM changes WHERE application_id = 1 ORDER BY timestamp";
    newcomer::copies(service, rows).await
}

/// Sends, while so many streams of the feed are open.
pub async fn sends(service: &Service, requests: Requests, streams: u32) -> Found {
    let mut open = JoinSet::new();
    for _ in 0..streams {
        let mut connection = service.connect().await;
        let request = format!(
            "GET /feed?after=latest HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\
             Authorization: Bearer {}\r\n\r\n",
            token()
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        open.spawn(async move {
            let mut line = Vec::new();
            while connection.read_until(b'\n', &mut line).await.unwrap() > 0 {
                line.clear();
            }
        });
    }
    let found = generators::requests_meanwhile(service, requests).await;
    assert_eq!(open.len(), streams as usize, "a stream has ended");
    open.shutdown().await;
    found
}
