//! The end of a user's earlier tokens, whoever has issued them, and of the streams that they have opened.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::Algorithm;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::time::{Instant, timeout};

use crate::support::{
    Client, Database, Issuer, IssuerKey, PATIENCE, Replica, Reply, Stream, administered,
};

/// Within this time earlier tokens end on every replica, and so do their streams.
const END_TIME_MAX: Duration = Duration::from_secs(5);

/// Who issues a token.
#[derive(Clone, Copy)]
enum Source {
    /// The service: `POST /tokens`.
    Service,
    /// An issuer, whose JWK Set verifies it.
    KeySet,
    /// An issuer, whose endpoint resolves it.
    Introspection,
}

const SOURCES: [Source; 3] = [Source::Service, Source::KeySet, Source::Introspection];

/// Two replicas, whose application has a token of its own and an issuer of its users' tokens.
struct World {
    _database: Database,
    replicas: [Replica; 2],
    app: Client,
    issuer: Issuer,
    key: IssuerKey,
}

impl World {
    async fn start() -> Self {
        let issuer = Issuer::default();
        let key = IssuerKey::generate("ed", Algorithm::EdDSA);
        issuer.keys.lock().unwrap().push(key.public());
        let settings = issuer.trusted_by(administered()).await;
        let database = Database::fresh().await;
        let replicas = [
            Replica::start(&database, settings.clone()).await,
            Replica::start(&database, settings).await,
        ];
        let app = replicas[0].application().await;
        Self {
            _database: database,
            replicas,
            app,
            issuer,
            key,
        }
    }

    /// A token of a user, which is issued now and says so.
    async fn token(&self, source: Source, user: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = now.as_secs_f64();
        match source {
            Source::Service => {
                let body = json!({ "user": user });
                let minted = self.app.call(Method::POST, "/tokens", body).await;
                minted.expect(201)["token"].as_str().unwrap().to_owned()
            }
            Source::KeySet => {
                let mut claims = Issuer::claims();
                (claims["sub"], claims["iat"]) = (json!(user), json!(now));
                self.key.sign(&claims)
            }
            Source::Introspection => {
                let key = format!("session-of-{user}-{now}");
                let session = json!({ "active": true, "sub": user, "iat": now });
                self.issuer.open_session(&key, session);
                key
            }
        }
    }

    /// A token of a user from each source.
    async fn tokens(&self, user: &str) -> Vec<String> {
        let mut tokens = Vec::new();
        for source in SOURCES {
            tokens.push(self.token(source, user).await);
        }
        tokens
    }

    /// Tokens of jane that do not say when they were issued.
    fn undated_tokens(&self) -> [String; 2] {
        let session = json!({ "active": true, "sub": "jane" });
        self.issuer.open_session("an-undated-session", session);
        [
            self.key.sign(&Issuer::claims()),
            "an-undated-session".to_owned(),
        ]
    }

    /// A ticket for each token.
    async fn tickets(&self, tokens: &[String]) -> Vec<String> {
        let mut tickets = Vec::new();
        for token in tokens {
            let user = self.replicas[0].with_token(token);
            let made = Reply::of(user.request(Method::POST, "/tickets")).await;
            tickets.push(made.expect(201)["ticket"].as_str().unwrap().to_owned());
        }
        tickets
    }

    /// Streams at each replica: one by each token, and one by a ticket for it.
    async fn streams(&self, tokens: &[String]) -> Vec<Stream> {
        let mut streams = Vec::new();
        for (token, ticket) in tokens.iter().zip(self.tickets(tokens).await) {
            for replica in &self.replicas {
                let by_token = replica.with_token(token);
                let by_token = by_token.streaming("/messages?after=latest");
                let by_ticket = format!("/messages?after=latest&ticket={ticket}");
                for request in [by_token, replica.nobody().streaming(&by_ticket)] {
                    let mut stream = Stream::open(request).await;
                    stream.begin_current().await;
                    streams.push(stream);
                }
            }
        }
        streams
    }

    async fn restrict(&self, user: &str, restrictions: Value) {
        let path = format!("/users/{user}/restrictions");
        let set = self.app.call(Method::PUT, &path, restrictions).await;
        set.expect(200);
    }

    /// Ends the tokens of a user that were issued before.
    async fn end_tokens(&self, user: &str) {
        let now = OffsetDateTime::from(SystemTime::now());
        let now = now.format(&Rfc3339).unwrap();
        self.restrict(user, json!({ "tokensSince": now })).await;
    }
}

/// Waits until all of the streams have ended in order.
async fn end(streams: &mut [Stream]) {
    let ending = async {
        for stream in streams {
            while stream.try_block().await.unwrap().is_some() {}
        }
    };
    let ended = timeout(PATIENCE, ending).await;
    ended.expect("streams of earlier tokens end");
}

async fn write(replica: &Replica, token: &str) -> Reply {
    let user = replica.with_token(token);
    user.post(json!({ "to": "john", "text": "hi" })).await
}

/// Checks that a request is refused since the token was issued too early.
async fn is_revoked(request: RequestBuilder) {
    let refused = Reply::of(request.timeout(PATIENCE)).await;
    let problem = refused.expect_problem(401, "unauthorized");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("no earlier tokens"), "{problem}");
}

#[tokio::test]
async fn earlier_tokens_of_a_user_end_on_every_replica_and_their_streams_with_them() {
    let world = World::start().await;
    let old = world.tokens("jane").await;
    let mut streams = world.streams(&old).await;
    let mut untouched = world.streams(&world.tokens("john").await).await;
    let undated = world.undated_tokens();
    for token in &undated {
        let jane = world.replicas[1].with_token(token);
        jane.get("/messages").await.expect(200);
    }
    let tickets = world.tickets(&old).await;
    world.end_tokens("jane").await;
    // Where it was set, it counts at once.
    for token in &old {
        let jane = world.replicas[0].with_token(token);
        is_revoked(jane.request(Method::GET, "/messages")).await;
    }
    end(&mut streams).await;
    for replica in &world.replicas {
        for token in old.iter().chain(&undated) {
            let jane = replica.with_token(token);
            is_revoked(jane.streaming("/messages")).await;
            is_revoked(jane.request(Method::POST, "/tickets")).await;
        }
        for ticket in &tickets {
            let path = format!("/messages?ticket={ticket}");
            is_revoked(replica.nobody().streaming(&path)).await;
        }
    }
    // What is issued from now on opens streams again.
    world.streams(&world.tokens("jane").await).await;
    // The application acts for her all the same, and others have noticed nothing.
    let sent = world.app.acting_as("jane").send("john", "hi").await;
    for stream in &mut untouched {
        assert_eq!(stream.update().await.data["id"], sent["id"]);
    }
    // What is lifted counts again.
    world.restrict("jane", json!({})).await;
    for token in old.iter().chain(&undated) {
        let jane = world.replicas[0].with_token(token);
        jane.get("/messages").await.expect(200);
    }
}

/// A machine that is busy with other tests may delay one try, and not all of them.
#[tokio::test]
async fn streams_of_earlier_tokens_end_within_five_seconds() {
    let (world, mut taken) = (World::start().await, Vec::new());
    for _ in 0..3 {
        let mut streams = world.streams(&world.tokens("jane").await).await;
        world.end_tokens("jane").await;
        let start = Instant::now();
        end(&mut streams).await;
        taken.push(start.elapsed());
        if start.elapsed() < END_TIME_MAX {
            return;
        }
    }
    panic!("it took {taken:?}");
}

/// A suspension ends neither tokens nor streams: who is suspended reads.
#[tokio::test]
async fn a_suspended_user_follows_everywhere_and_writes_nowhere_whoever_has_issued_its_tokens() {
    let world = World::start().await;
    let tokens = world.tokens("jane").await;
    let mut streams = world.streams(&tokens).await;
    let mut others = world.streams(&world.tokens("kim").await).await;
    let suspended = json!({ "suspendedUntil": "2999-01-01T00:00:00Z" });
    world.restrict("jane", suspended).await;
    for replica in &world.replicas {
        for token in &tokens {
            let refused = write(replica, token).await;
            refused.expect_problem(403, "suspended");
        }
    }
    // When the tokens of somebody else have ended, each replica has read the suspension before, too.
    world.end_tokens("kim").await;
    end(&mut others).await;
    let sent = world.app.acting_as("john").send("jane", "hello").await;
    for stream in &mut streams {
        assert_eq!(stream.update().await.data["id"], sent["id"]);
    }
    world.streams(&tokens).await;
    world.restrict("jane", json!({})).await;
    for replica in &world.replicas {
        for token in &tokens {
            write(replica, token).await.expect(201);
        }
    }
}
