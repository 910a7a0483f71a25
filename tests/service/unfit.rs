//! Databases that the service cannot work with: it does not start, and says why.

use crate::support::{Database, Replica, Servers};

/// The URL of the shared server with another part.
fn changed(part: impl Fn(&str, &str, &str) -> String) -> String {
    let url = Database::at_shared_server().url.clone();
    let (user, place) = url.rsplit_once('@').unwrap();
    let (host, database) = place.split_once('/').unwrap();
    part(user, host, database)
}

#[tokio::test]
async fn what_waiting_does_not_mend_ends_the_start_at_once() {
    let wrong_password =
        changed(|_, host, database| format!("postgres://messages:wrong@{host}/{database}"));
    let no_database = changed(|user, host, _| format!("{user}@{host}/nothing"));
    for (url, words) in [
        (
            "http://localhost/",
            "DATABASE_URL must begin with postgres://",
        ),
        (
            "postgres://u:hidden@localhost:port/m",
            "DATABASE_URL cannot be read: invalid port number",
        ),
        (
            "postgres://u:hidden@a,b/m?target_session_attrs=standby",
            "works on the primary alone",
        ),
        (&wrong_password, "password authentication failed for user"),
        (&no_database, "database \"nothing\" does not exist"),
    ] {
        let said = Replica::refused_to_start(url).await;
        assert!(said.contains(words) && !said.contains("hidden"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_accepted_ends_the_start_with_what_to_set() {
    let servers = tokio::task::spawn_blocking(|| Servers::start("postgres"))
        .await
        .unwrap();
    for (kind, mode, advice) in [
        ("authority", "verify-full", "or set sslmode=require"),
        ("v1", "prefer", "or set sslmode=disable"),
    ] {
        let certificate = tokio::task::block_in_place(|| servers.certify(kind));
        let url = servers.database_url.replace("127.0.0.1", "localhost");
        let url = format!("{url}?sslmode={mode}&sslrootcert={certificate}");
        let said = Replica::refused_to_start(&url).await;
        assert!(
            said.contains("certificate") && said.contains(advice),
            "{said}"
        );
    }
}
