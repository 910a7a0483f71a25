//! The OpenAPI document: fresh, complete, and true where it gives examples.

use serde_json::{Value, json};

use crate::support::{Reply, service};

fn committed() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.json");
    std::fs::read_to_string(path).expect("the document is committed")
}

fn document() -> Value {
    serde_json::from_str(&committed()).expect("the document is JSON")
}

/// Every operation as (method, path, operation).
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (method.clone(), path.clone(), operation))
        })
        .collect()
}

#[test]
fn the_committed_document_is_fresh() {
    let fresh = messages::http::openapi().to_pretty_json().unwrap();
    assert!(
        committed().trim() == fresh.trim(),
        "openapi/openapi.json is stale: run `make prepare`"
    );
}

#[test]
fn every_operation_is_named_described_and_complete() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(
        document["components"]["securitySchemes"]["bearer"]["scheme"],
        "bearer"
    );
    for (method, path, operation) in operations(&document) {
        let what = format!("{method} {path}");
        assert!(
            operation["operationId"].is_string() && operation["summary"].is_string(),
            "{what}"
        );
        let responses: serde_json::Map<_, _> = operation["responses"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(status, response)| (status.clone(), resolved(&document, response).clone()))
            .collect();
        for (status, response) in &responses {
            for header in ["X-Request-Id", "Cache-Control", "Vary"] {
                assert!(
                    response["headers"][header].is_object(),
                    "{what} {status} has no {header}"
                );
            }
        }
        if path.starts_with("/health") || path == "/metrics" {
            continue;
        }
        let mut security = vec![json!({ "bearer": [] })];
        if what == "get /messages" {
            security.push(json!({ "ticket": [] }));
        }
        assert_eq!(operation["security"], json!(security), "{what}");
        for status in ["401", "406", "500", "503"] {
            assert!(responses.contains_key(status), "{what} has no {status}");
        }
        let problems = responses
            .iter()
            .filter(|(status, _)| status.as_str() >= "400");
        for (status, problem) in problems {
            let schema = &problem["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(
                schema, "#/components/schemas/ProblemDocument",
                "{what} {status}"
            );
            let example = &problem["content"]["application/problem+json"]["example"];
            assert_eq!(example["status"].to_string(), *status, "{what}");
        }
        assert!(
            responses["503"]["headers"]["Retry-After"].is_object(),
            "{what}"
        );
        assert!(
            responses["401"]["headers"]["WWW-Authenticate"].is_object(),
            "{what}"
        );
    }
}

/// What a reference to a component leads to; anything else is itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.trim_start_matches('#'))
            .unwrap_or_else(|| panic!("{reference} leads nowhere")),
        None => value,
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let text = document.to_string();
    let references = text
        .split("\"$ref\":\"#")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let mut count = 0;
    for reference in references {
        count += 1;
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    assert!(count > 20);
}

#[test]
fn every_64_bit_number_has_its_maximum() {
    fn look(value: &Value, place: &str) {
        match value {
            Value::Object(members) => {
                if members.get("format") == Some(&json!("int64")) {
                    assert!(members.contains_key("maximum"), "{place} has no maximum");
                }
                members
                    .iter()
                    .for_each(|(name, member)| look(member, &format!("{place}/{name}")));
            }
            Value::Array(items) => items.iter().for_each(|item| look(item, place)),
            _ => {}
        }
    }
    look(&document(), "");
}

#[tokio::test]
async fn the_examples_work_as_they_stand() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let served = replica.nobody().get("/openapi.json").await.expect(200);
    assert_eq!(served, document());
    let example = &served["components"]["schemas"]["NewPersonalMessage"]["example"];
    let sent = jane.post(example.clone()).await.expect(201);
    let query: Vec<_> = served["paths"]["/messages"]["get"]["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|parameter| parameter["in"] == "query" && !parameter["example"].is_null())
        .map(|parameter| {
            let example = &parameter["example"];
            let example = example.as_str().map_or(example.to_string(), str::to_owned);
            format!("{}={example}", parameter["name"].as_str().unwrap())
        })
        .collect();
    assert_eq!(query, ["after=0", "limit=50"]);
    assert_eq!(
        jane.sync(&query.join("&")).await["messages"][0]["id"],
        sent["id"]
    );
    for (schema, user) in [
        ("EditedMessageText", &jane),
        ("MessageReadMark", &replica.user("john")),
    ] {
        let example = served["components"]["schemas"][schema]["example"].clone();
        let now = jane
            .get(&format!("/messages/{}", sent["id"]))
            .await
            .expect(200);
        user.patch(&sent["id"], &now["timestamp"], example)
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn swagger_ui_is_served_from_the_binary() {
    let (_database, replica) = service().await;
    let page = replica.nobody().get("/swagger-ui").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("swagger-ui"));
    let script = Reply::of(
        replica
            .nobody()
            .request(reqwest::Method::GET, "/swagger-ui/swagger-ui-bundle.js"),
    )
    .await;
    assert_eq!(script.status, 200);
    let start = replica
        .nobody()
        .get("/swagger-ui/swagger-initializer.js")
        .await;
    assert!(start.text.contains("/openapi.json"));
}

#[tokio::test]
async fn every_operation_that_asks_for_a_token_needs_one() {
    let (_database, replica) = service().await;
    let document = document();
    let mut tried = 0;
    for (method, path, operation) in operations(&document) {
        if operation["security"].is_null() {
            continue;
        }
        tried += 1;
        let path = path.replace("{user}", "jane").replace(['{', '}'], "");
        let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        for caller in [replica.nobody(), replica.with_token("nonsense")] {
            let reply = Reply::of(caller.request(method.clone(), &path)).await;
            reply.expect_problem(401, "unauthorized");
            assert!(reply.header("www-authenticate").starts_with("Bearer"));
        }
    }
    assert!(tried >= 25, "{tried}");
}
