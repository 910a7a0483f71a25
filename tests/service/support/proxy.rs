//! A wire between a replica and PostgreSQL that can be cut at the worst moment: around a COMMIT.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::oneshot,
};

/// What is lost with the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The COMMIT itself: it never reaches the server.
    Commit,
    /// Only its answer: the server commits.
    Answer,
}

/// Forwards every connection; an armed one is cut at the writer's next COMMIT.
pub struct Proxy {
    port: u16,
    /// Whether the next COMMIT is cut.
    armed: Arc<AtomicBool>,
    cuts: Arc<AtomicUsize>,
    /// Whether new connections are refused once one was cut.
    closes: Arc<AtomicBool>,
}

impl Proxy {
    /// A proxy before the server of `database_url`.
    pub async fn start(database_url: &str, cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = address(database_url);
        let proxy = Self {
            port,
            armed: Arc::default(),
            cuts: Arc::default(),
            closes: Arc::default(),
        };
        let (armed, cuts) = (Arc::clone(&proxy.armed), Arc::clone(&proxy.cuts));
        let closes = Arc::clone(&proxy.closes);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if closes.load(Ordering::SeqCst) && cuts.load(Ordering::SeqCst) > 0 {
                    continue;
                }
                let server = TcpStream::connect(&target)
                    .await
                    .expect("the server answers");
                tokio::spawn(carry(
                    client,
                    server,
                    cut,
                    Arc::clone(&armed),
                    Arc::clone(&cuts),
                ));
            }
        });
        proxy
    }

    /// The database's URL by way of the proxy, without TLS.
    pub fn url(&self, database_url: &str) -> String {
        by_way_of(self.port, database_url)
    }

    /// Cuts one connection at its next COMMIT.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Refuses new connections once one was cut: the server stays out of reach.
    pub fn close_after_cut(&self) {
        self.closes.store(true, Ordering::SeqCst);
    }

    /// Lets connections through again.
    pub fn open(&self) {
        self.closes.store(false, Ordering::SeqCst);
    }

    /// How often a connection was cut.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

/// The URL of a database by way of a port of this host, without TLS.
pub fn by_way_of(port: u16, database_url: &str) -> String {
    let through = format!("127.0.0.1:{port}");
    format!(
        "{}?sslmode=disable",
        database_url.replace(&address(database_url), &through)
    )
}

/// Where the server of a database is.
pub fn address(database_url: &str) -> String {
    let (_, rest) = database_url.split_once('@').expect("the URL has a user");
    rest.split('/')
        .next()
        .expect("the URL has a host")
        .to_owned()
}

/// What a writer calls its connection.
const WRITER: &[u8] = b"messages writer";

async fn carry(
    client: TcpStream,
    server: TcpStream,
    cut: Cut,
    armed: Arc<AtomicBool>,
    cuts: Arc<AtomicUsize>,
) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (committing, committed) = oneshot::channel();
    let answers = tokio::spawn(carry_answers(
        from_server,
        to_client,
        committed,
        cuts.clone(),
    ));
    carry_requests(from_client, to_server, cut, &armed, committing, &cuts).await;
    if cut == Cut::Commit {
        answers.abort();
    }
}

/// Forwards what the client says. It names itself in its first packet; a COMMIT is a simple query
/// of its own, so it begins a packet.
async fn carry_requests(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    cut: Cut,
    armed: &AtomicBool,
    committing: oneshot::Sender<()>,
    cuts: &AtomicUsize,
) {
    let (mut committing, mut is_writer) = (Some(committing), false);
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = client.read(&mut buffer).await {
        let packet = &buffer[..length];
        is_writer = is_writer || packet.windows(WRITER.len()).any(|word| word == WRITER);
        let is_commit = packet.first() == Some(&b'Q') && packet.ends_with(b"COMMIT\0");
        if is_writer && is_commit && armed.swap(false, Ordering::SeqCst) {
            match cut {
                Cut::Commit => {
                    cuts.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                Cut::Answer => drop(committing.take().map(|committing| committing.send(()))),
            }
        }
        if server.write_all(packet).await.is_err() {
            return;
        }
    }
}

/// Forwards what the server says, until it answers the COMMIT that was to be cut.
async fn carry_answers(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    mut committed: oneshot::Receiver<()>,
    cuts: Arc<AtomicUsize>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = server.read(&mut buffer).await {
        if committed.try_recv().is_ok() {
            assert!(
                buffer[..length].windows(6).any(|word| word == b"COMMIT"),
                "the server has committed"
            );
            cuts.fetch_add(1, Ordering::SeqCst);
            return;
        }
        if client.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
