//! The binary as a command.

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

use crate::support::{Database, Replica, SECRET, Settings, service};

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_messages"));
    command
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied());
    command.output().expect("the binary runs")
}

fn text(output: &[u8]) -> &str {
    std::str::from_utf8(output).unwrap()
}

#[tokio::test]
async fn a_printed_token_opens_the_service() {
    let (database, replica) = service().await;
    let secret = [("MESSAGES_SECRET", SECRET)];
    let output = run(&["token", "--user", "jane", "--expires-in", "60"], &secret);
    assert!(output.status.success());
    let jane = replica.with_token(text(&output.stdout).trim());
    assert_eq!(jane.send("john", "hi").await["from"], "jane");
    let link = run(
        &[
            "token",
            "--user",
            "jane",
            "--link",
            "http://localhost:8080/",
        ],
        &secret,
    );
    let (page, token) = text(&link.stdout).trim().split_once("#token=").unwrap();
    assert_eq!(page, "http://localhost:8080/");
    assert_eq!(
        replica.with_token(token).sync("").await["total"],
        1,
        "the link has a token"
    );
    database
        .execute("INSERT INTO applications (id, name) VALUES (2, 'other')")
        .await;
    let output = run(&["token", "--user", "jane", "--application", "2"], &secret);
    let other = replica.with_token(text(&output.stdout).trim());
    assert_eq!(other.sync("").await["total"], 0, "another application");
    for arguments in [
        &["token", "--user", "a b"][..],
        &["token"],
        &["token", "--user", "j", "--expires-in", "0"],
    ] {
        assert!(!run(arguments, &secret).status.success(), "{arguments:?}");
    }
}

/// Where no database is: whoever waited for it would be seen to.
const NOWHERE: (&str, &str) = ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing");

/// A setting, a value that it cannot have, and words of the one line that says so.
const REFUSED: &[(&str, &str, &str)] = &[
    ("MESSAGES_SECRET", "", "MESSAGES_SECRET must be set"),
    (
        "MESSAGES_SECRET",
        "only 31 bytes, which is too few",
        "MESSAGES_SECRET cannot be used: must be at least 32 bytes",
    ),
    (
        "MESSAGES_ADMIN_TOKEN",
        "short",
        "MESSAGES_ADMIN_TOKEN cannot be used: must be at least 32 bytes",
    ),
    ("DATABASE_URL", "", "DATABASE_URL must be set"),
    (
        "CORS_ORIGINS",
        "shop.example",
        "CORS_ORIGINS cannot be \"shop.example\": an origin is a scheme and a host",
    ),
    (
        "CORS_ORIGINS",
        ",",
        "CORS_ORIGINS cannot be \"\": an origin is",
    ),
    (
        "CORS_ORIGINS",
        "https://a.example,https://b.example/",
        "\"https://b.example/\": browsers write this origin as https://b.example",
    ),
    (
        "MESSAGES_JWKS_URL",
        "issuer.example/keys",
        "MESSAGES_JWKS_URL cannot be \"issuer.example/keys\": must be a URL",
    ),
    (
        "MESSAGES_JWKS_URL",
        "ftp://jane:hidden@issuer.example",
        "MESSAGES_JWKS_URL cannot be \"ftp://…@issuer.example\": must be a URL",
    ),
    (
        "MESSAGES_JWKS_URL",
        "https://issuer.example/keys",
        "MESSAGES_JWKS_ISSUER and MESSAGES_JWKS_AUDIENCE must be set",
    ),
    (
        "MESSAGES_JWKS_APPLICATIONS",
        "1,0",
        "MESSAGES_JWKS_APPLICATIONS cannot be \"0\": must be the id of an application",
    ),
    (
        "MESSAGES_INTROSPECTION_URL",
        "https://",
        "MESSAGES_INTROSPECTION_URL cannot be \"https://\": must be a URL",
    ),
    (
        "MESSAGES_INTROSPECTION_APPLICATIONS",
        "-1",
        "MESSAGES_INTROSPECTION_APPLICATIONS cannot be \"-1\": must be",
    ),
    (
        "AMQP_URL",
        "rabbit.example/hidden",
        "AMQP_URL cannot be used: must be amqp://",
    ),
    (
        "AMQP_URL",
        "https://guest:hidden@rabbit.example",
        "AMQP_URL cannot be used: must be amqp://",
    ),
    (
        "AMQP_URL",
        "amqp://guest:hidden@rabbit.example/%2f?heartbeat=soon",
        "AMQP_URL cannot be used: must be amqp://",
    ),
    (
        "AMQP_QUEUE_TYPE",
        "fast",
        "AMQP_QUEUE_TYPE cannot be \"fast\": must be classic or quorum",
    ),
    (
        "LISTEN_ADDR",
        "localhost",
        "LISTEN_ADDR cannot be \"localhost\": must be an address and a port",
    ),
    (
        "LISTEN_ADDR",
        "192.0.2.1:80",
        "LISTEN_ADDR cannot be 192.0.2.1:80: Cannot assign requested address",
    ),
    (
        "LOG_FORMAT",
        "xml",
        "LOG_FORMAT cannot be \"xml\": must be human or json",
    ),
    (
        "LOG_FILTER",
        "verbose",
        "LOG_FILTER cannot be \"verbose\": must be error, warn",
    ),
    (
        "LOG_FILTER",
        "messages=loud",
        "LOG_FILTER cannot be \"messages=loud\": must be error, warn",
    ),
    (
        "WRITE_QUEUE_MAX",
        "0",
        "WRITE_QUEUE_MAX cannot be \"0\": must be 1 to",
    ),
    (
        "READ_QUEUE_MAX",
        "many",
        "READ_QUEUE_MAX cannot be \"many\": must be 1 to",
    ),
    (
        "LIVE_CONNECTIONS_MAX",
        "10000",
        "LIVE_CONNECTIONS_MAX cannot be \"10000\": must be 1 to",
    ),
    (
        "LIVE_CONNECTIONS_PER_USER_MAX",
        "0",
        "LIVE_CONNECTIONS_PER_USER_MAX cannot be \"0\": must be 1 to",
    ),
];

/// Starts the service with a setting that it refuses; returns the only line that it prints.
fn refused(name: &str, value: &str) -> String {
    let environment = [
        NOWHERE,
        ("MESSAGES_SECRET", SECRET),
        ("LISTEN_ADDR", "127.0.0.1:0"),
        (name, value),
    ];
    let output = run(&["serve"], &environment);
    assert!(!output.status.success(), "{name}={value} is taken");
    assert_eq!(text(&output.stdout), "", "{name}={value}");
    let lines: Vec<_> = text(&output.stderr).lines().collect();
    let [line] = lines[..] else {
        panic!("{name}={value}: {lines:#?}")
    };
    line.to_owned()
}

#[test]
fn a_setting_that_is_wrong_ends_the_start_with_one_line_that_names_it_and_shows_no_secret() {
    for (name, value, words) in REFUSED {
        let line = refused(name, value);
        assert!(
            line.starts_with("messages: ") && line.contains(words),
            "{name}={value}: {line}"
        );
        assert!(
            !line.contains("hidden") && !line.contains(SECRET),
            "{name}={value}: {line}"
        );
    }
}

#[test]
fn an_address_in_use_is_named_with_its_setting_before_anything_else_is_started() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let line = refused("LISTEN_ADDR", &address);
    let words = format!("messages: LISTEN_ADDR cannot be {address}: Address already in use");
    assert!(line.starts_with(&words), "{line}");
}

#[tokio::test]
async fn make_run_is_not_satisfied_by_another_server_on_its_port() {
    let (_database, other) = service().await;
    let address = other.base.trim_start_matches("http://").to_owned();
    let running = tokio::task::spawn_blocking(move || {
        let kept = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"];
        let kept = kept
            .into_iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut command = Command::new("scripts/run");
        command
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_clear()
            .envs(kept);
        // What these tests were built with is not built anew.
        let binary = Path::new(env!("CARGO_BIN_EXE_messages"));
        let folder = binary.parent().unwrap();
        let profile = match folder.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            profile => profile,
        };
        command
            .env("INSTANCE", "test")
            .env("LISTEN_ADDR", address)
            .env("CARGO_TARGET_DIR", folder.parent().unwrap())
            .env("PROFILE", profile)
            .output()
            .unwrap()
    });
    let output = running.await.unwrap();
    assert!(!output.status.success(), "{}", text(&output.stdout));
    let line = text(&output.stderr).lines().last().unwrap();
    assert!(line.contains("LISTEN_ADDR cannot be"), "{line}");
}

#[tokio::test]
async fn a_variable_that_is_empty_is_one_that_is_not_set() {
    let database = Database::fresh().await;
    let kept = [
        "DATABASE_URL",
        "MESSAGES_SECRET",
        "LISTEN_ADDR",
        "LOG_FORMAT",
    ];
    let others = settings()
        .into_iter()
        .filter(|name| !kept.contains(&name.as_str()));
    let empty = others.fold(Settings::default(), |empty, name| {
        empty.with(name.leak(), "")
    });
    assert!(empty.environment.len() > 15, "{:?}", empty.environment);
    let replica = Replica::start(&database, empty).await;
    assert_eq!(
        replica.user("jane").send("john", "hi").await["from"],
        "jane"
    );
    assert!(
        replica
            .log()
            .iter()
            .any(|line| line.contains("AMQP_URL is not set"))
    );
    let help = run(&["serve", "--help"], &[("AMQP_QUEUE", "")]);
    assert!(
        text(&help.stdout).contains("AMQP_QUEUE="),
        "the help names it all the same"
    );
}

/// The settings of the service, as its help has them.
fn settings() -> Vec<String> {
    let help = run(&["serve", "--help"], &[]);
    let named = text(&help.stdout).split("[env: ").skip(1);
    named
        .map(|rest| rest.split(['=', ']']).next().unwrap().to_owned())
        .collect()
}

#[test]
fn compose_passes_every_setting_on() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docker-compose.yml");
    let file = std::fs::read_to_string(path).unwrap();
    for name in settings() {
        let line = file
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{name}: ")));
        assert!(line.is_some(), "docker-compose.yml does not name {name}");
    }
}

#[test]
fn help_explains_every_setting_and_shows_no_secret() {
    let output = run(
        &["serve", "--help"],
        &[
            ("MESSAGES_SECRET", SECRET),
            ("DATABASE_URL", "postgres://u:hidden@h/d"),
        ],
    );
    let help = text(&output.stdout);
    for name in [
        "DATABASE_URL",
        "AMQP_URL",
        "AMQP_QUEUE",
        "LISTEN_ADDR",
        "MESSAGES_SECRET",
        "CORS_ORIGINS",
        "LOG_FORMAT",
    ] {
        assert!(help.contains(name), "{name}");
    }
    assert!(!help.contains(SECRET) && !help.contains("hidden"));
}

#[tokio::test]
async fn log_lines_are_for_people_or_for_machines() {
    use std::io::{BufRead, BufReader};

    let database = Database::fresh().await;
    for (format, is_json) in [("human", false), ("json", true)] {
        let mut command = Replica::command(&database.url);
        let mut process = command
            .env("LOG_FORMAT", format)
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let line = lines
            .into_iter()
            .find(|line| line.contains("AMQP_URL is not set"))
            .expect("the line");
        process.kill().unwrap();
        process.wait().unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&line).is_ok(),
            is_json,
            "{line}"
        );
        assert!(
            !line.contains('\u{1b}'),
            "no colours where no person reads: {line}"
        );
    }
}

#[tokio::test]
async fn replicas_that_start_together_on_an_empty_database_agree_on_its_schema() {
    let database = Database::fresh().await;
    let start = || Replica::start(&database, Settings::default());
    let replicas = tokio::join!(start(), start(), start(), start());
    let sent = replicas.0.user("jane").send("john", "hi").await;
    assert_eq!(
        replicas.3.user("john").sync("").await["next"],
        sent["timestamp"]
    );
    let url = [("DATABASE_URL", database.url.as_str())];
    assert!(
        run(&["migrate"], &url).status.success(),
        "again changes nothing"
    );
    assert_eq!(database.count("SELECT count(*) FROM applications").await, 1);
}

#[tokio::test]
async fn the_timeline_is_lifted_after_a_restore() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let before = jane.send("john", "before the restore").await;
    let held = before["timestamp"].as_i64().unwrap() + 500;
    jane.get(&format!("/messages?after={held}"))
        .await
        .expect_problem(410, "cursor-ahead");
    let url = [("DATABASE_URL", database.url.as_str())];
    let output = run(&["timeline", "advance"], &url);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("advanced from 1 to 32000001"),
        "{}",
        text(&output.stdout)
    );
    assert_eq!(
        jane.sync(&format!("after={held}")).await["total"],
        0,
        "the cursor is valid again"
    );
    let after = jane.send("john", "after the restore").await;
    assert!(
        after["timestamp"].as_i64().unwrap() > 1_000_000
            && after["id"].as_i64().unwrap() > 1_000_000
    );
    let page = jane.sync(&format!("after={held}")).await;
    assert_eq!(page["messages"][0]["id"], after["id"]);
}
