//! `DATABASE_URL`: one server, or several of which one is the primary.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

/// A URL that names no PostgreSQL server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("DATABASE_URL {0}")]
pub struct BadUrl(String);

/// The accepted values of `target_session_attrs`. The service always uses the primary.
/// <https://www.postgresql.org/docs/current/libpq-connect.html>
const TARGETS: [&str; 3] = ["any", "primary", "read-write"];

/// Reads a URL as libpq does: `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?…`. There are
/// options for each host, in the order of the URL.
///
/// No error repeats any part of the URL that may hold a secret.
pub fn parse(url: &str) -> Result<Vec<PgConnectOptions>, BadUrl> {
    let bad = |what: &str| BadUrl(what.to_owned());
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    if !matches!(scheme, "postgres" | "postgresql") {
        return Err(bad("must begin with postgres:// or postgresql://"));
    }
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let query = kept_parameters(query)?;
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    hosts
        .split(',')
        .map(|host| {
            let of_host = format!("{scheme}://{user}@{host}{path}?{query}");
            PgConnectOptions::from_str(&of_host).map_err(|error| {
                let error = match error {
                    sqlx::Error::Configuration(error) => error.to_string(),
                    error => error.to_string(),
                };
                BadUrl(format!("cannot be read: {error}"))
            })
        })
        .collect()
}

/// Whether the driver reads a parameter. It would log the values of all others, which may be
/// secrets.
fn is_read(name: &str) -> bool {
    const READ: [&str; 18] = [
        "sslmode",
        "ssl-mode",
        "sslrootcert",
        "ssl-root-cert",
        "ssl-ca",
        "sslcert",
        "ssl-cert",
        "sslkey",
        "ssl-key",
        "statement-cache-capacity",
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "application_name",
        "options",
    ];
    READ.contains(&name) || name.starts_with("options[") || name.starts_with("options%5B")
}

/// The parameters that the driver reads. Parameters that it would ignore are accepted, logged or
/// refused here.
fn kept_parameters(query: &str) -> Result<String, BadUrl> {
    let mut kept = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=').unwrap_or((parameter, "")) {
            ("target_session_attrs", target) if TARGETS.contains(&target) => {}
            ("target_session_attrs", target) => {
                return Err(BadUrl(format!(
                    "asks for target_session_attrs={target}: the service works on the primary alone"
                )));
            }
            ("host" | "hostaddr" | "port", value)
                if value.contains(',') || value.contains("%2C") =>
            {
                return Err(BadUrl(
                    "names several hosts in a parameter: write them before the database, as \
                     HOST:PORT,HOST:PORT"
                        .to_owned(),
                ));
            }
            (name, _) if !is_read(name) => {
                tracing::warn!(
                    parameter = name,
                    "DATABASE_URL has a parameter that is not used"
                );
            }
            _ => kept.push(parameter),
        }
    }
    Ok(kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(url: &str) -> Result<Vec<(String, u16)>, String> {
        let options = parse(url).map_err(|error| error.to_string())?;
        Ok(options
            .iter()
            .map(|host| (host.get_host().to_owned(), host.get_port()))
            .collect())
    }

    #[test]
    fn a_url_names_one_host_or_several() {
        let one = hosts("postgres://u:p@db:6000/messages?sslmode=disable").unwrap();
        assert_eq!(one, [("db".to_owned(), 6000)]);
        let several =
            hosts("postgresql://u:p%40@a:6001,[::1]:6002,c/m?target_session_attrs=read-write")
                .unwrap();
        assert_eq!(
            several,
            [
                ("a".to_owned(), 6001),
                ("[::1]".to_owned(), 6002),
                ("c".to_owned(), 5432)
            ]
        );
    }

    #[test]
    fn what_cannot_work_is_refused_in_one_sentence() {
        for (url, words) in [
            ("", "must begin with postgres://"),
            ("localhost:5432", "must begin with postgres://"),
            ("mysql://u@db/m", "must begin with postgres://"),
            ("postgres://u:secret@db:port/m", "invalid port number"),
            ("postgres://u:secret@a,b:x/m", "invalid port number"),
            (
                "postgres://u@db/m?target_session_attrs=standby",
                "works on the primary alone",
            ),
            (
                "postgres://u@db/m?target_session_attrs=prefer-standby",
                "works on the primary alone",
            ),
            (
                "postgres://u@/m?host=a,b",
                "names several hosts in a parameter",
            ),
            ("postgres://u@db/m?sslmode=sometimes", "cannot be read"),
        ] {
            let error = hosts(url).unwrap_err();
            assert!(
                error.starts_with("DATABASE_URL ") && error.contains(words),
                "{url}: {error}"
            );
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
