//! A wire between a replica and its database that can fall silent, or lead to another server.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::proxy::{address, by_way_of};

/// What happens to the connections that are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// They stay open, and nothing arrives on them any more.
    Silent,
    Closed,
}

/// Forwards connections, each until its fate.
pub struct Wire {
    port: u16,
    target: Arc<Mutex<String>>,
    fates: watch::Sender<Option<Fate>>,
}

impl Wire {
    /// A wire to the server of `database_url`.
    pub async fn to(database_url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = Arc::new(Mutex::new(address(database_url)));
        let wire = Self {
            port,
            target: Arc::clone(&target),
            fates: watch::Sender::new(None),
        };
        let fates = wire.fates.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, mut fate) = (target.lock().unwrap().clone(), fates.subscribe());
                fate.mark_unchanged();
                tokio::spawn(async move { carry(client, &target, fate).await });
            }
        });
        wire
    }

    /// The database's URL by way of the wire, without TLS.
    pub fn url(&self, database_url: &str) -> String {
        by_way_of(self.port, database_url)
    }

    /// Nothing arrives any more on the connections that are open, without a sign of it. New ones
    /// work.
    pub fn silence(&self) {
        self.fates.send_replace(Some(Fate::Silent));
    }

    /// Closes the connections that are open; new ones lead to the server of `database_url`.
    pub fn lead_to(&self, database_url: &str) {
        *self.target.lock().unwrap() = address(database_url);
        self.fates.send_replace(Some(Fate::Closed));
    }
}

async fn carry(
    mut client: TcpStream,
    target: &str,
    mut fate: watch::Receiver<Option<Fate>>,
) -> io::Result<()> {
    let mut server = TcpStream::connect(target).await?;
    tokio::select! {
        result = copy_bidirectional(&mut client, &mut server) => result.map(|_| ()),
        _ = fate.changed() => {
            if *fate.borrow_and_update() == Some(Fate::Silent) {
                // Both ends stay open until the wire is gone, or closes them.
                let _ = fate.changed().await;
            }
            Ok(())
        }
    }
}
