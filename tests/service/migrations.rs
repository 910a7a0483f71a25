//! Databases whose schema is another one.

use std::process::Command;

use crate::support::Database;

/// What a start says about a database to which these migrations were applied.
async fn refusal(applied: &[i64]) -> String {
    let database = Database::fresh().await;
    let versions: Vec<_> = applied
        .iter()
        .map(|version| format!("({version}, '', now(), TRUE, '', 0)"))
        .collect();
    database
        .execute(&format!(
            "CREATE TABLE _sqlx_migrations (
                 version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMPTZ NOT NULL,
                 success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL
             );
             INSERT INTO _sqlx_migrations VALUES {}",
            versions.join(", ")
        ))
        .await;
    let output = Command::new(env!("CARGO_BIN_EXE_messages"))
        .arg("migrate")
        .env("DATABASE_URL", &database.url)
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert_eq!(
        database
            .count("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
            .await,
        1,
        "nothing was created"
    );
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn a_database_from_before_the_first_release_is_refused_and_what_to_do_is_said() {
    let said = refusal(&[1, 2, 3, 4, 5, 6, 7, 8]).await;
    assert!(said.contains("before the first release"), "{said}");
    assert!(said.contains("new, empty database"), "{said}");
}

#[tokio::test]
async fn a_database_whose_migrations_had_another_text_is_refused() {
    let first = messages::store::MIGRATIONS.iter().next().unwrap().version;
    let said = refusal(&[first]).await;
    assert!(said.contains("another text of migration"), "{said}");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let said = refusal(&[99_991_231_000_000]).await;
    assert!(said.contains("newer version"), "{said}");
}
