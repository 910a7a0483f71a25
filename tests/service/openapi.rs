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
    let fresh = messages::http::openapi_text();
    assert!(
        committed().trim() == fresh.trim(),
        "openapi/openapi.json is stale: run `make prepare`"
    );
}

/// The responses of an operation, by their status.
fn responses<'a>(document: &'a Value, operation: &'a Value) -> Vec<(&'a str, &'a Value)> {
    let responses = operation["responses"].as_object().unwrap().iter();
    responses
        .map(|(status, response)| (status.as_str(), resolved(document, response)))
        .collect()
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

/// Calls `look` with every object of the document and its place.
fn walk<'a>(value: &'a Value, place: &str, look: &mut impl FnMut(&str, &'a Value)) {
    match value {
        Value::Object(members) => {
            look(place, value);
            for (name, member) in members {
                walk(member, &format!("{place}/{name}"), look);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{place}/{index}"), look);
            }
        }
        _ => {}
    }
}

#[test]
fn the_document_is_small_enough_to_read() {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.values().map(|path| path.as_object().unwrap().len());
    let operations: usize = operations.sum();
    let bytes = committed().len() / operations;
    assert!(bytes < 3_450, "{bytes} bytes an operation");
}

#[test]
fn the_document_says_whose_it_is_and_where_it_is_served() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        document["info"]["license"]["identifier"],
        "MIT OR Apache-2.0"
    );
    assert_eq!(document["servers"][0]["url"], "/");
    let tags: Vec<_> = document["tags"].as_array().unwrap().iter().collect();
    assert!(tags.iter().all(|tag| tag["description"].is_string()));
    for (method, path, operation) in operations(&document) {
        let tag = &operation["tags"][0];
        let is_described = tags.iter().any(|described| described["name"] == *tag);
        assert!(is_described, "{method} {path} has the tag {tag}");
    }
}

#[test]
fn every_operation_is_named_and_described() {
    let document = document();
    for (method, path, operation) in operations(&document) {
        for member in ["operationId", "summary", "description"] {
            assert!(operation[member].is_string(), "{method} {path}: {member}");
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let parameter = resolved(&document, parameter);
            let what = format!("{method} {path}: {parameter}");
            assert!(parameter["description"].is_string(), "{what}");
            let is_in_path = parameter["in"] == "path";
            assert!(parameter["required"] == true || !is_in_path, "{what}");
        }
    }
}

#[test]
fn every_operation_says_whose_token_it_needs() {
    let document = document();
    let scheme = &document["components"]["securitySchemes"]["bearer"]["scheme"];
    assert_eq!(scheme, "bearer");
    assert_eq!(document["security"], json!([{ "bearer": [] }]));
    for (method, path, operation) in operations(&document) {
        let needed = match (method.as_str(), path.as_str()) {
            ("get", "/messages") => json!([{ "bearer": [] }, { "ticket": [] }]),
            (_, "/health/live" | "/health/ready" | "/metrics") => json!([]),
            _ => Value::Null,
        };
        assert_eq!(operation["security"], needed, "{method} {path}");
    }
}

#[test]
fn every_answer_names_its_headers() {
    let document = document();
    for (method, path, operation) in operations(&document) {
        for (status, response) in responses(&document, operation) {
            let headers = response["headers"].as_object().unwrap();
            assert!(
                headers.contains_key("X-Request-Id"),
                "{method} {path} {status}"
            );
            for (name, header) in headers {
                let header = resolved(&document, header);
                assert!(
                    header["description"].is_string(),
                    "{method} {path} {status}: {name}"
                );
            }
        }
    }
}

#[test]
fn every_operation_has_its_problems() {
    let document = document();
    for (method, path, operation) in operations(&document) {
        let what = format!("{method} {path}");
        let responses = responses(&document, operation);
        let find = |wanted: &str| {
            let found = responses.iter().find(|(status, _)| *status == wanted);
            found.unwrap_or_else(|| panic!("{what} has no {wanted}")).1
        };
        find("400");
        find("431");
        let needs_token = operation["security"] != json!([]);
        if needs_token {
            for status in ["401", "403", "406", "500"] {
                find(status);
            }
            assert!(find("503")["headers"]["Retry-After"].is_object(), "{what}");
            assert!(
                find("401")["headers"]["WWW-Authenticate"].is_object(),
                "{what}"
            );
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            match resolved(&document, parameter)["name"].as_str().unwrap() {
                "If-Match" => assert!(find("412")["headers"]["ETag"].is_object(), "{what}"),
                "If-None-Match" => assert!(find("304")["headers"]["ETag"].is_object(), "{what}"),
                "number" | "id" | "n" => assert!(find("404").is_object()),
                _ => {}
            }
        }
        if operation["requestBody"].is_object() {
            for status in ["408", "413", "415", "422"] {
                find(status);
            }
        }
        let problems = responses.iter().filter(|(status, _)| *status >= "400");
        for (status, problem) in problems.filter(|_| needs_token) {
            let content = &problem["content"]["application/problem+json"];
            let schema = "#/components/schemas/ProblemDocument";
            assert_eq!(content["schema"]["$ref"], schema, "{what} {status}");
            let example = &content["example"];
            assert_eq!(example["status"].to_string(), *status, "{what}");
            let kinds = &document["components"]["schemas"]["ProblemType"]["enum"];
            assert!(
                kinds.as_array().unwrap().contains(&example["type"]),
                "{what}"
            );
        }
    }
}

#[test]
fn a_program_can_switch_on_the_type_of_a_problem() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let kind = &schemas["ProblemDocument"]["properties"]["type"];
    assert_eq!(*resolved(&document, kind), schemas["ProblemType"]);
    let kinds = schemas["ProblemType"]["enum"].as_array().unwrap();
    for name in ["stale", "cursor-ahead", "outcome-unknown", "overloaded"] {
        assert!(
            kinds.contains(&json!(format!("/problems/{name}"))),
            "{name}"
        );
    }
}

#[test]
fn no_schema_is_empty() {
    let document = document();
    let mut count = 0;
    walk(&document, "", &mut |place, value| {
        let is_schema = place.ends_with("/schema")
            || place.ends_with("/items")
            || place.rsplit('/').nth(1) == Some("properties")
            || place.starts_with("/components/schemas/") && place.matches('/').count() == 3;
        if is_schema && !place.contains("/example") {
            count += 1;
            let has_type = ["type", "$ref", "oneOf", "anyOf", "allOf"]
                .iter()
                .any(|member| !value[member].is_null());
            assert!(has_type, "{place} allows anything");
        }
    });
    assert!(count > 100, "{count}");
}

#[test]
fn attributes_are_an_object_of_anything() {
    let document = document();
    for (schema, schema_type) in [
        ("Message", json!("object")),
        ("NewPersonalMessage", json!(["object", "null"])),
        ("NewChatMessage", json!(["object", "null"])),
    ] {
        let attributes = &document["components"]["schemas"][schema]["properties"]["attributes"];
        assert_eq!(attributes["type"], schema_type, "{schema}");
        assert_eq!(attributes["additionalProperties"], true, "{schema}");
    }
}

#[test]
fn the_stream_is_told_apart_from_the_page() {
    let document = document();
    let content = &document["paths"]["/messages"]["get"]["responses"]["200"]["content"];
    let types: Vec<_> = content.as_object().unwrap().keys().collect();
    assert_eq!(types.len(), 3);
    let schema = |media_type: &str| content[media_type]["schema"]["$ref"].as_str().unwrap();
    let page = "#/components/schemas/MessageUpdates";
    assert_eq!(
        schema("application/json"),
        "#/components/schemas/UpdatesOrMessages"
    );
    assert_eq!(schema("application/vnd.messageUpdates.v1+json"), page);
    assert_eq!(
        schema("text/event-stream"),
        "#/components/schemas/MessageStream"
    );
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let document = document();
    let mut used = std::collections::BTreeSet::new();
    walk(&document, "", &mut |place, value| {
        if let Some(reference) = value["$ref"].as_str() {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{place}: {reference}");
            used.insert(pointer.to_owned());
        }
    });
    for (kind, components) in document["components"].as_object().unwrap() {
        if kind == "securitySchemes" {
            continue;
        }
        for name in components.as_object().unwrap().keys() {
            let pointer = format!("/components/{kind}/{name}");
            assert!(used.contains(&pointer), "{pointer} is used nowhere");
        }
    }
}

#[test]
fn every_64_bit_number_has_its_maximum() {
    walk(&document(), "", &mut |place, value| {
        if value["format"] == "int64" {
            let maximum = value["maximum"].as_i64();
            let is_exact = maximum.is_some_and(|maximum| maximum < 1 << 53);
            assert!(is_exact, "{place} has a maximum of {maximum:?}");
        }
    });
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
        .map(|parameter| resolved(&served, parameter))
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
        if operation["security"] == json!([]) {
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
