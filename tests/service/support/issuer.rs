//! A service that signs people in: a JWK Set and a token introspection endpoint, behind a real HTTP
//! server.

use std::{
    collections::HashMap,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::Settings;

const ISSUER: &str = "https://issuer.example";

/// A service that signs people in, which may be away.
#[derive(Clone, Default)]
pub struct Issuer {
    /// As the JWK Set has them.
    pub keys: Arc<Mutex<Vec<Value>>>,
    /// What is answered for session keys.
    sessions: Arc<Mutex<HashMap<String, Value>>>,
    is_away: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
    /// Requests for each session key.
    requests_for: Arc<Mutex<HashMap<String, usize>>>,
}

impl Issuer {
    /// Starts it. A replica with these settings trusts its keys and its sessions.
    pub async fn trusted_by(&self, settings: Settings) -> Settings {
        let router = Router::new()
            .route("/jwks", get(jwks))
            .route("/introspect", post(introspect))
            .with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        settings
            .with("MESSAGES_JWKS_URL", format!("{base}/jwks"))
            .with("MESSAGES_JWKS_ISSUER", ISSUER)
            .with("MESSAGES_JWKS_AUDIENCE", "messages")
            .with("MESSAGES_INTROSPECTION_URL", format!("{base}/introspect"))
            .with("MESSAGES_INTROSPECTION_CLIENT_SECRET", "secret")
    }

    /// What a token says of jane, for ten minutes.
    pub fn claims() -> Value {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        json!({ "sub": "jane", "exp": now + 600, "iss": ISSUER, "aud": ["messages", "other"] })
    }

    fn answer(&self, answer: Value) -> Result<Json<Value>, StatusCode> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        if self.is_away.load(Ordering::SeqCst) {
            return Err(StatusCode::INTERNAL_SERVER_ERROR);
        }
        Ok(Json(answer))
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub fn requests_for(&self, key: &str) -> usize {
        self.requests_for
            .lock()
            .unwrap()
            .get(key)
            .copied()
            .unwrap_or_default()
    }

    pub fn open_session(&self, key: &str, session: Value) {
        self.sessions
            .lock()
            .unwrap()
            .insert(key.to_owned(), session);
    }

    pub fn go_away(&self) {
        self.is_away.store(true, Ordering::SeqCst);
    }
}

async fn jwks(State(issuer): State<Issuer>) -> Result<Json<Value>, StatusCode> {
    let keys = issuer.keys.lock().unwrap().clone();
    issuer.answer(json!({ "keys": keys }))
}

#[derive(serde::Deserialize)]
struct Question {
    token: String,
}

async fn introspect(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    Form(question): Form<Question>,
) -> Result<Json<Value>, StatusCode> {
    // "messages:secret"
    if headers["authorization"] != "Basic bWVzc2FnZXM6c2VjcmV0" {
        return Err(StatusCode::UNAUTHORIZED);
    }
    *issuer
        .requests_for
        .lock()
        .unwrap()
        .entry(question.token.clone())
        .or_default() += 1;
    let session = issuer
        .sessions
        .lock()
        .unwrap()
        .get(&question.token)
        .cloned();
    issuer.answer(session.unwrap_or_else(|| json!({ "active": false })))
}

/// A key pair of the issuer.
pub struct IssuerKey {
    pub id: &'static str,
    pub algorithm: Algorithm,
    pub encoding: EncodingKey,
}

impl IssuerKey {
    pub fn generate(id: &'static str, algorithm: Algorithm) -> Self {
        let arguments: &[&str] = match algorithm {
            Algorithm::RS256 => &["-algorithm", "RSA"],
            Algorithm::ES256 => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            _ => &["-algorithm", "ED25519"],
        };
        let output = Command::new("openssl")
            .arg("genpkey")
            .args(arguments)
            .output()
            .unwrap();
        let pem = output.stdout;
        let encoding = match algorithm {
            Algorithm::RS256 => EncodingKey::from_rsa_pem(&pem),
            Algorithm::ES256 => EncodingKey::from_ec_pem(&pem),
            _ => EncodingKey::from_ed_pem(&pem),
        };
        Self {
            id,
            algorithm,
            encoding: encoding.expect("openssl writes keys"),
        }
    }

    pub fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.encoding, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.to_owned());
        serde_json::to_value(jwk).unwrap()
    }

    pub fn sign(&self, claims: &Value) -> String {
        let header = Header {
            kid: Some(self.id.to_owned()),
            ..Header::new(self.algorithm)
        };
        encode(&header, claims, &self.encoding).unwrap()
    }
}
