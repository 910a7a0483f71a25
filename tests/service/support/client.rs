//! A caller of the service.

use std::time::Duration;

use reqwest::{
    Method, RequestBuilder,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, IF_MATCH},
};
use serde_json::{Value, json};

use super::{PATIENCE, Stream};

/// A caller with a token, or without one.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    as_user: Option<String>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Client {
    pub fn new(base: &str, token: Option<String>) -> Self {
        // The client needs a provider even where it speaks no TLS; one is enough for all.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            // The service closes a connection that was idle for 20 s, and a request that crosses that is lost.
            .pool_idle_timeout(Duration::from_secs(10))
            // It speaks no TLS, and to read the certificates of the system takes long.
            .tls_certs_only([])
            .build()
            .unwrap();
        Self {
            http,
            base: base.to_owned(),
            token,
            as_user: None,
        }
    }

    /// The same caller, an application, acting as one of its users.
    pub fn acting_as(&self, user: &str) -> Self {
        Self {
            as_user: Some(user.to_owned()),
            ..self.clone()
        }
    }

    /// The same caller, at another replica.
    pub fn at(&self, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            ..self.clone()
        }
    }

    /// Another caller of the same replica.
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            as_user: None,
            ..self.clone()
        }
    }

    pub fn token(&self) -> &str {
        self.token.as_deref().expect("a caller with a token")
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(user) = &self.as_user {
            request = request.header("As-User", user);
        }
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    /// A GET of a stream.
    pub fn streaming(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
            .header(ACCEPT, "text/event-stream")
            .timeout(Duration::MAX)
    }

    /// A stream of the timeline.
    pub async fn stream(&self, query: &str) -> Stream {
        Stream::open(self.streaming(&format!("/messages?{query}"))).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        Reply::of(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, body: Value) -> Reply {
        Reply::of(self.posting(body)).await
    }

    /// A POST of a message that can still be changed.
    pub fn posting(&self, body: Value) -> RequestBuilder {
        self.request(Method::POST, "/messages").json(&body)
    }

    /// Blocks another user, or lets that one write again.
    pub async fn blocks(&self, other: &str, blocked: bool) {
        let path = format!("/users/{other}/settings");
        let settings = json!({ "blocked": blocked });
        self.call(Method::PATCH, &path, settings).await.expect(200);
    }

    /// Sends a text and returns the message.
    pub async fn send(&self, to: &str, text: &str) -> Value {
        self.post(json!({ "to": to, "text": text }))
            .await
            .expect(201)
    }

    pub async fn patch(&self, id: &Value, if_match: &Value, body: Value) -> Reply {
        Reply::of(
            self.patching(id, body)
                .header(IF_MATCH, format!("\"{if_match}\"")),
        )
        .await
    }

    /// Marks a message as read or unread.
    pub async fn marks(&self, id: &Value, read: bool) -> Reply {
        Reply::of(self.patching(id, serde_json::json!({ "read": read }))).await
    }

    pub fn patching(&self, id: &Value, body: Value) -> RequestBuilder {
        self.request(Method::PATCH, &format!("/messages/{id}"))
            .json(&body)
    }

    pub async fn delete(&self, id: &Value, if_match: &Value) -> Reply {
        Reply::of(
            self.deleting(id)
                .header(IF_MATCH, format!("\"{if_match}\"")),
        )
        .await
    }

    pub fn deleting(&self, id: &Value) -> RequestBuilder {
        self.request(Method::DELETE, &format!("/messages/{id}"))
    }

    /// The request with a body, if there is one: a line where the operation takes lines, or else JSON.
    pub fn with_body(request: RequestBuilder, path: &str, body: &Value) -> RequestBuilder {
        match path {
            _ if body.is_null() => request,
            "/import" => request
                .header(CONTENT_TYPE, "application/x-ndjson")
                .body(body.to_string()),
            _ => request.json(body),
        }
    }

    /// A request of any method with a body.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> Reply {
        Reply::of(self.request(method, path).json(&body)).await
    }

    /// A request without a body, but perhaps with a state of what it changes.
    pub async fn ask(&self, method: Method, path: &str, if_match: Option<&Value>) -> Reply {
        let request = self.request(method, path);
        Reply::of(match if_match {
            Some(tag) => request.header(IF_MATCH, tag.to_string()),
            None => request,
        })
        .await
    }

    /// Creates a chat with members; returns its number.
    pub async fn chat(&self, name: &str, members: &[&str]) -> i64 {
        let body = json!({ "name": name, "members": members });
        self.call(Method::POST, "/chats", body).await.expect(201)["number"]
            .as_i64()
            .unwrap()
    }

    /// Sends a text into a chat and returns the message.
    pub async fn post_into(&self, chat: i64, text: &str) -> Value {
        let path = format!("/chats/{chat}/messages");
        self.call(Method::POST, &path, json!({ "text": text }))
            .await
            .expect(201)
    }

    /// A page of the timeline.
    pub async fn sync(&self, query: &str) -> Value {
        self.get(&format!("/messages?{query}")).await.expect(200)
    }
}

impl Reply {
    pub async fn of(request: RequestBuilder) -> Self {
        Self::try_of(request).await.expect("an answer")
    }

    /// An answer, or none where the connection broke.
    pub async fn try_of(request: RequestBuilder) -> Result<Self, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self {
            status,
            headers,
            text: response.text().await?,
        })
    }

    /// The body, after a check of the status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// A problem document of this status and name.
    pub fn expect_problem(&self, status: u16, name: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(
            self.header(CONTENT_TYPE.as_str()),
            "application/problem+json"
        );
        assert_eq!(problem["type"], format!("/problems/{name}"), "{problem}");
        assert_eq!(problem["status"], status);
        assert!(
            problem["title"].is_string() && problem["detail"].is_string(),
            "{problem}"
        );
        assert_eq!(problem["requestId"], self.header("x-request-id"));
        problem
    }

    /// The fields that a 422 names.
    pub fn wrong_fields(&self) -> Vec<String> {
        let problem = self.expect_problem(422, "invalid");
        let errors = problem["errors"]
            .as_array()
            .expect("422 names fields")
            .iter();
        errors
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}
