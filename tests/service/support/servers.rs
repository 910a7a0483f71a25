//! PostgreSQL and RabbitMQ: the shared ones, or ones that a test may stop.

use std::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/services");

/// Servers that belong to one test; removed with their data when it ends.
pub struct Servers {
    name: String,
    pub database_url: String,
    pub amqp_url: String,
}

/// The URLs of the servers that all tests share.
pub fn shared() -> (String, String) {
    let url = |name: &str| {
        std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test`"))
    };
    (url("DATABASE_URL"), url("AMQP_URL"))
}

impl Servers {
    /// Starts `service`: postgres, rabbitmq or both.
    pub fn start(service: &str) -> Self {
        Self::made_by("start", service)
    }

    /// Starts a standby of this PostgreSQL.
    pub fn standby(&self) -> Self {
        Self::made_by("standby", &self.name)
    }

    fn made_by(verb: &str, argument: &str) -> Self {
        let name = format!("test-{}", uuid::Uuid::new_v4().simple());
        run(verb, &name, argument);
        let (database_url, amqp_url) = (setting(&name, "DATABASE_URL"), setting(&name, "AMQP_URL"));
        Self {
            name,
            database_url,
            amqp_url,
        }
    }

    /// Makes a standby a primary.
    pub fn promote(&self) {
        run("promote", &self.name, "");
    }

    /// Sets up TLS with a certificate: `v1` or that of an `authority`. Returns the file's path.
    pub fn certify(&self, kind: &str) -> String {
        run("certificate", &self.name, kind);
        let directory = setting(&self.name, "DATA");
        format!("{directory}/server.crt")
    }

    /// Starts pgbouncer before this PostgreSQL, in `session` or `transaction` mode; returns the
    /// URL.
    pub fn pooler(&self, mode: &str) -> String {
        run("pooler", &self.name, mode);
        setting(&self.name, "POOLER_URL")
    }

    pub fn start_again(&self, service: &str) {
        run("start", &self.name, service);
    }

    pub fn stop(&self, service: &str) {
        run("stop", &self.name, service);
    }

    /// Stops without a chance to tidy up (`pg_ctl stop -m immediate`, SIGKILL for the broker).
    pub fn crash(&self, service: &str) {
        run("crash", &self.name, service);
    }
}

impl Servers {
    /// Runs a command of the broker's own command line.
    pub fn rabbitmqctl(&self, arguments: &[&str]) {
        let status = Command::new(SCRIPT)
            .args(["rabbitmqctl", &self.name])
            .args(arguments)
            .status();
        assert!(
            status.expect("scripts/services runs").success(),
            "rabbitmqctl {arguments:?}"
        );
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        run("remove", &self.name, "both");
    }
}

fn setting(name: &str, key: &str) -> String {
    let path = format!("{}/.local/{name}/env", env!("CARGO_MANIFEST_DIR"));
    let settings = std::fs::read_to_string(path).expect("the servers have settings");
    let line = settings
        .lines()
        .find_map(|line| line.strip_prefix(&format!("export {key}=")));
    line.expect("the setting is there").to_owned()
}

fn run(verb: &str, name: &str, service: &str) {
    let status = Command::new(SCRIPT)
        .args([verb, name, service])
        .env("FSYNC", "off")
        .status();
    assert!(
        status.expect("scripts/services runs").success(),
        "scripts/services {verb} {name} {service}"
    );
}
