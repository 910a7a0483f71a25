//! Users whom somebody else signs in: a JWK Set and a token introspection endpoint, both behind a
//! real HTTP server.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{
    Client, Database, Issuer, IssuerKey, Replica, Reply, SECRET, Settings, eventually,
};

fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = Issuer::claims();
    claims[name] = value.into();
    claims
}

async fn start(issuer: &Issuer) -> (Database, Replica) {
    start_with(issuer, Settings::default()).await
}

async fn start_with(issuer: &Issuer, settings: Settings) -> (Database, Replica) {
    let settings = issuer.trusted_by(settings).await;
    let database = Database::fresh().await;
    let replica = Replica::start(&database, settings).await;
    database
        .execute("INSERT INTO applications (id, name) VALUES (2, 'other')")
        .await;
    (database, replica)
}

async fn sync(client: &Client) -> u16 {
    client.get("/messages").await.status
}

#[tokio::test]
async fn an_issuers_tokens_are_verified_by_its_keys() {
    let issuer = Issuer::default();
    let keys = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
    let keys = ["rsa", "ec", "ed"]
        .into_iter()
        .zip(keys)
        .map(|(id, algorithm)| IssuerKey::generate(id, algorithm));
    let keys: Vec<_> = keys.collect();
    *issuer.keys.lock().unwrap() = keys.iter().map(IssuerKey::public).collect();
    let (_database, replica) = start(&issuer).await;
    for key in &keys {
        let jane = replica.with_token(&key.sign(&Issuer::claims()));
        assert_eq!(jane.send("john", "hi").await["from"], "jane", "{}", key.id);
    }
    assert_eq!(issuer.requests(), 1, "the set is read once");
    for (claims, why) in [
        (with("iss", "https://other.example"), "issuer or audience"),
        (with("aud", "other"), "issuer or audience"),
        (with("exp", 1), "expired"),
        (with("sub", "a b"), "sub"),
        (with("app", 2), "application that its issuer speaks for"),
        (
            json!({ "sub": "jane", "exp": Issuer::claims()["exp"] }),
            "JSON Web Token",
        ),
    ] {
        let problem = replica
            .with_token(&keys[1].sign(&claims))
            .get("/messages")
            .await;
        let problem = problem.expect_problem(401, "unauthorized");
        assert!(
            problem["detail"].as_str().unwrap().contains(why),
            "{problem}"
        );
    }
    // The service's own tokens go on.
    assert_eq!(sync(&replica.user("jane")).await, 200);
}

#[tokio::test]
async fn the_algorithm_is_the_keys_and_not_the_tokens() {
    let issuer = Issuer::default();
    let key = IssuerKey::generate("rsa", Algorithm::RS256);
    let public = key.public();
    *issuer.keys.lock().unwrap() = vec![public.clone()];
    let (_database, replica) = start(&issuer).await;
    let forged = |algorithm: Algorithm| {
        // The public key as the secret of an HMAC: the classic confusion.
        let header = Header {
            kid: Some("rsa".to_owned()),
            ..Header::new(algorithm)
        };
        let secret = EncodingKey::from_secret(public["n"].as_str().unwrap().as_bytes());
        encode(&header, &Issuer::claims(), &secret).unwrap()
    };
    for algorithm in [Algorithm::HS256, Algorithm::HS384] {
        assert_eq!(sync(&replica.with_token(&forged(algorithm))).await, 401);
    }
    let stranger = IssuerKey::generate("rsa", Algorithm::RS256);
    assert_eq!(
        sync(&replica.with_token(&stranger.sign(&Issuer::claims()))).await,
        401
    );
    let other_kind = IssuerKey::generate("rsa", Algorithm::ES256);
    assert_eq!(
        sync(&replica.with_token(&other_kind.sign(&Issuer::claims()))).await,
        401
    );
}

#[tokio::test]
async fn a_new_key_is_found_at_a_limited_rate_and_old_ones_outlive_an_outage() {
    let issuer = Issuer::default();
    let (old, new) = (
        IssuerKey::generate("old", Algorithm::EdDSA),
        IssuerKey::generate("new", Algorithm::EdDSA),
    );
    *issuer.keys.lock().unwrap() = vec![old.public()];
    let (_database, replica) = start(&issuer).await;
    let (by_old, by_new) = (
        replica.with_token(&old.sign(&Issuer::claims())),
        replica.with_token(&new.sign(&Issuer::claims())),
    );
    assert_eq!(sync(&by_old).await, 200);
    for _ in 0..20 {
        assert_eq!(sync(&by_new).await, 401);
    }
    assert_eq!(
        issuer.requests(),
        1,
        "an unknown key is no reason to read the set again and again"
    );
    issuer.keys.lock().unwrap().push(new.public());
    eventually("the new key is found", async || {
        (sync(&by_new).await == 200).then_some(())
    })
    .await;
    assert_eq!(issuer.requests(), 2);
    issuer.go_away();
    let unknown =
        replica.with_token(&IssuerKey::generate("third", Algorithm::EdDSA).sign(&Issuer::claims()));
    eventually("the outage is noticed", async || {
        (sync(&unknown).await == 503).then_some(())
    })
    .await;
    assert_eq!(
        (sync(&by_old).await, sync(&by_new).await),
        (200, 200),
        "the keys of before are kept"
    );
}

#[tokio::test]
async fn a_session_key_is_resolved_and_an_outage_lets_nobody_in() {
    let issuer = Issuer::default();
    issuer.open_session("session-key", json!({ "active": true, "sub": "jane" }));
    let (_database, replica) = start(&issuer).await;
    let jane = replica.with_token("session-key");
    assert_eq!(jane.send("john", "hi").await["from"], "jane");
    assert_eq!(sync(&jane).await, 200);
    assert_eq!(issuer.requests(), 1, "the answer is cached for a moment");
    replica
        .with_token("another-key")
        .get("/messages")
        .await
        .expect_problem(401, "unauthorized");
    issuer.go_away();
    let unknown = replica.with_token("a-third-key").get("/messages").await;
    unknown.expect_problem(503, "issuer-unavailable");
    assert!(!unknown.header("retry-after").is_empty());
    assert!(
        !replica.log().iter().any(|line| line.contains("third-key")),
        "keys are not logged"
    );
    eventually("the cached answer expires", async || {
        (sync(&jane).await == 503).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_and_speaks_for_its_applications_alone() {
    let issuer = Issuer::default();
    let (_database, replica) = start(&issuer).await;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    for (session, why) in [
        (json!({ "active": false, "sub": "jane" }), "unknown"),
        (
            json!({ "active": true, "sub": "jane", "exp": now - 1 }),
            "expired",
        ),
        (json!({ "active": true, "sub": "a b" }), "sub"),
        (json!({ "active": true }), "sub"),
        (
            json!({ "active": true, "sub": "jane", "app": 2 }),
            "application",
        ),
    ] {
        let key = session.to_string().replace(['"', ' '], "-");
        issuer.open_session(&key, session);
        let problem = replica.with_token(&key).get("/messages").await;
        let problem = problem.expect_problem(401, "unauthorized");
        assert!(
            problem["detail"].as_str().unwrap().contains(why),
            "{problem}"
        );
    }
    issuer.open_session(
        "short",
        json!({ "active": true, "sub": "jane", "exp": now + 10 }),
    );
    let jane = replica.with_token("short");
    let mut stream = jane.stream("").await;
    let ended = async { while stream.try_block().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(120), ended)
        .await
        .expect("the stream ends with the session");
}

#[tokio::test]
async fn a_critical_extension_that_is_not_understood_is_refused() {
    let issuer = Issuer::default();
    let key = IssuerKey::generate("ed", Algorithm::EdDSA);
    *issuer.keys.lock().unwrap() = vec![key.public()];
    let (_database, replica) = start(&issuer).await;
    let own = EncodingKey::from_secret(SECRET.as_bytes());
    for (algorithm, id, signing) in [
        (Algorithm::HS256, None, &own),
        (key.algorithm, Some("ed"), &key.encoding),
    ] {
        for crit in [
            Some(vec!["exp".to_owned()]),
            Some(vec!["x".to_owned()]),
            Some(Vec::new()),
            None,
        ] {
            let is_refused = crit.is_some();
            let header = Header {
                kid: id.map(str::to_owned),
                crit,
                ..Header::new(algorithm)
            };
            let reply = replica
                .with_token(&encode(&header, &Issuer::claims(), signing).unwrap())
                .get("/messages")
                .await;
            if is_refused {
                let problem = reply.expect_problem(401, "unauthorized");
                assert!(
                    problem["detail"].as_str().unwrap().contains("crit"),
                    "{problem}"
                );
            } else {
                reply.expect(200);
            }
        }
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_read_spoils_no_other_and_is_logged_once() {
    let odd = [
        json!(null),
        json!(7),
        json!({}),
        json!({ "kty": "XYZ", "kid": "other" }),
        json!({ "kty": "RSA", "kid": "other", "n": "***", "e": "AQAB" }),
        json!({ "kty": "RSA", "kid": "other", "e": "AQAB" }),
        json!({ "kty": "RSA", "kid": 7, "n": "AQAB", "e": 65537 }),
        json!({ "kty": "EC", "kid": "other", "crv": "P-999", "x": "AQAB", "y": "AQAB" }),
        json!({ "kty": "EC", "kid": "other", "crv": "P-256" }),
        json!({ "kty": "OKP", "kid": "other", "crv": "Ed25519", "x": [7] }),
        json!({ "kty": "oct", "kid": "other", "k": "c2VjcmV0" }),
    ];
    let issuer = Issuer::default();
    let key = IssuerKey::generate("good", Algorithm::ES256);
    let mut keys = odd.to_vec();
    keys.insert(odd.len() / 2, key.public());
    *issuer.keys.lock().unwrap() = keys;
    let (_database, replica) = start(&issuer).await;
    assert_eq!(
        sync(&replica.with_token(&key.sign(&Issuer::claims()))).await,
        200
    );
    let unknown = replica
        .with_token(&IssuerKey::generate("unknown", Algorithm::ES256).sign(&Issuer::claims()));
    eventually("the set is read again", async || {
        assert_eq!(sync(&unknown).await, 401);
        (issuer.requests() > 1).then_some(())
    })
    .await;
    let log = replica.log();
    let lines = log
        .iter()
        .filter(|line| line.contains("of the JWK Set is passed over"));
    assert_eq!(lines.count(), odd.len(), "{log:#?}");
}

#[tokio::test]
async fn a_claim_of_another_type_is_401_and_logged_once() {
    let issuer = Issuer::default();
    let (_database, replica) = start(&issuer).await;
    for turn in 0..2 {
        for (claim, answer) in [
            ("active", json!({ "sub": "jane" })),
            ("active", json!({ "active": "yes", "sub": "jane" })),
            ("sub", json!({ "active": true, "sub": 7 })),
            (
                "exp",
                json!({ "active": true, "sub": "jane", "exp": "soon" }),
            ),
            ("app", json!({ "active": true, "sub": "jane", "app": "1" })),
            ("app", json!({ "active": true, "sub": "jane", "app": 1.5 })),
        ] {
            let key = format!("{turn}{}", answer.to_string().replace(['"', ' '], "-"));
            issuer.open_session(&key, answer);
            let problem = replica.with_token(&key).get("/messages").await;
            let problem = problem.expect_problem(401, "unauthorized");
            assert!(
                problem["detail"].as_str().unwrap().contains(claim),
                "{problem}"
            );
        }
    }
    let log = replica.log();
    assert_eq!(
        log.iter()
            .filter(|line| line.contains("claim that cannot be read"))
            .count(),
        4,
        "{log:#?}"
    );
    let nothing_of_note =
        json!({ "active": true, "sub": "jane", "exp": null, "app": null, "scope": 7 });
    issuer.open_session("null", nothing_of_note);
    assert_eq!(sync(&replica.with_token("null")).await, 200);
}

#[tokio::test]
async fn unknown_session_keys_load_the_endpoint_within_a_limit_and_hold_up_no_known_one() {
    let issuer = Issuer::default();
    issuer.open_session("janes-key", json!({ "active": true, "sub": "jane" }));
    let settings = Settings::default().with("INTROSPECTION_STRANGERS_MAX", "2");
    let (_database, replica) = start_with(&issuer, settings).await;
    let jane = replica.with_token("janes-key");
    assert_eq!(sync(&jane).await, 200);
    for _ in 0..5 {
        assert_eq!(sync(&replica.with_token("guess")).await, 401);
    }
    assert_eq!(
        issuer.requests_for("guess"),
        1,
        "a refusal is kept like any answer"
    );
    let began = std::time::Instant::now();
    let mut flood = tokio::task::JoinSet::new();
    for lane in 0..20 {
        let stranger = replica.nobody();
        flood.spawn(async move {
            for number in 0..500 {
                let request = stranger.request(reqwest::Method::GET, "/messages");
                let reply = Reply::of(request.bearer_auth(format!("guess-{lane}-{number}"))).await;
                if reply.status == 503 {
                    reply.expect_problem(503, "overloaded");
                    assert!(reply.header("retry-after").parse::<u32>().unwrap() > 0);
                    return true;
                }
                reply.expect_problem(401, "unauthorized");
            }
            false
        });
    }
    let refused = flood.join_all().await;
    assert!(refused.contains(&true));
    let allowed = 10.0 + 2.0 * began.elapsed().as_secs_f64() + 2.0;
    assert!(
        (issuer.requests() as f64) < allowed,
        "{} of {allowed}",
        issuer.requests()
    );
    // A session that was resolved before is resolved again, also when the cached answer has
    // expired.
    let stranger = replica.nobody();
    let mut number = 0;
    eventually("the session is resolved again", async || {
        for _ in 0..20 {
            number += 1;
            let request = stranger.request(reqwest::Method::GET, "/messages");
            let reply = Reply::of(request.bearer_auth(format!("another-guess-{number}"))).await;
            assert!([401, 503].contains(&reply.status), "{}", reply.text);
        }
        assert_eq!(sync(&jane).await, 200);
        (issuer.requests_for("janes-key") > 1).then_some(())
    })
    .await;
}
