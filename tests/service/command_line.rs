//! The binary as a command.

use std::process::{Command, Output};

use crate::support::{Database, Replica, SECRET, Settings, service};

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_messages"));
    command.args(arguments).env_clear().envs(environment.iter().copied());
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
    database.execute("INSERT INTO applications (id, name) VALUES (2, 'other')").await;
    let output = run(&["token", "--user", "jane", "--application", "2"], &secret);
    let other = replica.with_token(text(&output.stdout).trim());
    assert_eq!(other.sync("").await["total"], 0, "another application");
    for arguments in
        [&["token", "--user", "a b"][..], &["token"], &["token", "--user", "j", "--expires-in", "0"]]
    {
        assert!(!run(arguments, &secret).status.success(), "{arguments:?}");
    }
}

#[test]
fn the_service_does_not_start_without_a_secret_that_is_long_enough() {
    let database = ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing");
    let missing = run(&["serve"], &[database]);
    assert!(!missing.status.success());
    assert!(text(&missing.stderr).contains("secret"), "{}", text(&missing.stderr));
    let short = run(&["serve"], &[database, ("MESSAGES_SECRET", "only 31 bytes, which is too few")]);
    assert!(!short.status.success());
    assert!(text(&short.stderr).contains("32 bytes"), "{}", text(&short.stderr));
}

#[test]
fn help_explains_every_setting_and_shows_no_secret() {
    let output = run(
        &["serve", "--help"],
        &[("MESSAGES_SECRET", SECRET), ("DATABASE_URL", "postgres://u:hidden@h/d")],
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
        let mut process =
            command.env("LOG_FORMAT", format).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let line =
            lines.into_iter().find(|line| line.contains("AMQP_URL is not set")).expect("the line");
        process.kill().unwrap();
        process.wait().unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), is_json, "{line}");
        assert!(!line.contains('\u{1b}'), "no colours where nobody looks: {line}");
    }
}

#[tokio::test]
async fn replicas_that_start_together_on_an_empty_database_agree_on_its_schema() {
    let database = Database::fresh().await;
    let start = || Replica::start(&database, Settings::default());
    let replicas = tokio::join!(start(), start(), start(), start());
    let sent = replicas.0.user("jane").send("john", "hi").await;
    assert_eq!(replicas.3.user("john").sync("").await["next"], sent["timestamp"]);
    let url = [("DATABASE_URL", database.url.as_str())];
    assert!(run(&["migrate"], &url).status.success(), "again changes nothing");
    assert_eq!(database.count("SELECT count(*) FROM applications").await, 1);
}

#[tokio::test]
async fn the_timeline_is_lifted_after_a_restore() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let before = jane.send("john", "before the restore").await;
    let held = before["timestamp"].as_i64().unwrap() + 500;
    jane.get(&format!("/messages?after={held}")).await.expect_problem(410, "cursor-ahead");
    let url = [("DATABASE_URL", database.url.as_str())];
    let output = run(&["timeline", "advance", "--by", "1000"], &url);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("advanced from 1 to 1001"), "{}", text(&output.stdout));
    assert_eq!(jane.sync(&format!("after={held}")).await["total"], 0, "the cursor is valid again");
    let after = jane.send("john", "after the restore").await;
    assert!(after["timestamp"].as_i64().unwrap() > 1000 && after["id"].as_i64().unwrap() > 1000);
    let page = jane.sync(&format!("after={held}")).await;
    assert_eq!(page["messages"][0]["id"], after["id"]);
}
