//! A replica: the real binary as a process.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, mpsc},
    time::{Duration, SystemTime},
};

use messages::{
    auth::Signer,
    domain::{ApplicationId, UserId},
};
use reqwest::Method;
use serde_json::Value;

use super::{Client, Database, PATIENCE, watch::Log};

pub const SECRET: &str = "a secret for tests that is long enough";

/// The administrator's token.
pub const ADMIN_TOKEN: &str = "the administrator's token, long enough";

/// Settings with an administrator.
pub fn administered() -> Settings {
    Settings::default().with("MESSAGES_ADMIN_TOKEN", ADMIN_TOKEN)
}

/// What a replica is started with beside its database.
#[derive(Default, Clone)]
pub struct Settings {
    pub environment: Vec<(&'static str, String)>,
}

impl Settings {
    /// With hooks and webhooks on this machine, where the servers of tests are.
    pub fn calling_loopback(self) -> Self {
        self.with("WEBHOOK_NETWORKS", "127.0.0.0/8")
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }
}

/// A running process, killed when it is dropped.
pub struct Replica {
    process: Child,
    pub base: String,
    log: Arc<Log>,
}

impl Replica {
    /// Starts a replica and waits until it listens.
    pub async fn start(database: &Database, settings: Settings) -> Self {
        let url = database.url.clone();
        tokio::task::spawn_blocking(move || Self::launch(&url, &settings, "127.0.0.1:0"))
            .await
            .unwrap()
    }

    /// Starts a replica where another one was.
    pub async fn start_again_at(base: &str, database: &Database, settings: Settings) -> Self {
        let (url, address) = (
            database.url.clone(),
            base.trim_start_matches("http://").to_owned(),
        );
        tokio::task::spawn_blocking(move || Self::launch(&url, &settings, &address))
            .await
            .unwrap()
    }

    /// The command that would start a replica, with nothing from the environment of the tests.
    pub fn command(database_url: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_messages"));
        command
            .arg("serve")
            .env_clear()
            .env("DATABASE_URL", database_url)
            .env("MESSAGES_SECRET", SECRET)
            .env("LISTEN_ADDR", "127.0.0.1:0")
            // A lane that a test holds is held for long where the machine is busy.
            .env("WRITE_WAIT_MS_MAX", "60000")
            .env("ERASURE_SECONDS_MIN", "0")
            .env("LOG_FORMAT", "json");
        command
    }

    /// The one line that a replica says that cannot start on a database, at once: one that waits
    /// says so.
    pub async fn refused_to_start(database_url: &str) -> String {
        let said = Self::started_in_vain(database_url).await;
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    }

    /// What a replica says that cannot start on a database.
    pub async fn started_in_vain(database_url: &str) -> String {
        let mut command = tokio::process::Command::from(Self::command(database_url));
        let ending = command.stderr(Stdio::piped()).kill_on_drop(true).output();
        let ended = tokio::time::timeout(super::PATIENCE, ending).await;
        let output = ended.expect("it ends").expect("the binary starts");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{said}");
        said
    }

    fn launch(database_url: &str, settings: &Settings, address: &str) -> Self {
        let mut process = Self::command(database_url)
            .env("LISTEN_ADDR", address)
            .envs(
                settings
                    .environment
                    .iter()
                    .map(|(name, value)| (*name, value)),
            )
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stderr = BufReader::new(process.stderr.take().expect("it was piped"));
        let log = Log::watched();
        let (listening, address) = mpsc::channel();
        std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in stderr.lines().map_while(Result::ok) {
                    if let Some(address) = address_in(&line) {
                        let _ = listening.send(address);
                    }
                    log.push(line);
                }
                log.close();
            }
        });
        let address = address.recv_timeout(PATIENCE);
        let replica = Self {
            base: format!("http://{}", address.as_deref().unwrap_or_default()),
            process,
            log,
        };
        assert!(
            address.is_ok(),
            "the replica does not listen: {:#?}",
            replica.log()
        );
        replica
    }

    /// Who manages applications, where the replica was started with [`administered`].
    pub fn administrator(&self) -> Client {
        self.with_token(ADMIN_TOKEN)
    }

    /// The application 1, which has a new token.
    pub async fn application(&self) -> Client {
        let administrator = self.administrator();
        let path = "/applications/1/token";
        let made = administrator.call(Method::POST, path, Value::Null).await;
        self.with_token(made.json()["token"].as_str().unwrap())
    }

    /// A user of application 1 who calls this replica.
    pub fn user(&self, id: &str) -> Client {
        self.user_of(1, id)
    }

    pub fn user_of(&self, application: i64, id: &str) -> Client {
        Client::new(
            &self.base,
            Some(token(application, id, Duration::from_secs(3600))),
        )
    }

    pub fn nobody(&self) -> Client {
        Client::new(&self.base, None)
    }

    pub fn with_token(&self, token: &str) -> Client {
        Client::new(&self.base, Some(token.to_owned()))
    }

    /// The log lines so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// The value of a metric, the sum over all its labels that hold `label`.
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        let text = self.nobody().get("/metrics").await.text;
        let lines = text
            .lines()
            .filter(|line| line.starts_with(name) && line.contains(label));
        lines
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    }

    /// The memory that the process holds at present.
    pub fn resident_bytes(&self) -> u64 {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status).expect("the process runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Waits until `count` requests wait in a queue, and none of them is processed yet.
    pub async fn until_waiting(&self, queue: &str, count: f64) {
        let label = format!("queue=\"{queue}\"");
        super::eventually("the requests wait", async || {
            (self.metric("messages_queue_waiting", &label).await == count).then_some(())
        })
        .await;
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.log.expect_close();
        self.process.kill().expect("the process can be killed");
        self.process.wait().expect("the process ends");
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> ExitStatus {
        self.log.expect_close();
        super::eventually("the process ends", async || {
            self.process.try_wait().unwrap()
        })
        .await
    }

    /// SIGTERM.
    pub fn signal_to_stop(&self) {
        self.log.expect_close();
        self.signal("-TERM");
    }

    /// SIGSTOP: its connections stay open and say nothing.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.process.id().to_string()])
            .status();
        assert!(status.expect("kill runs").success());
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.log.expect_close();
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- log of {}:\n{}", self.base, self.log.tail());
        }
    }
}

fn address_in(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    (line["message"] == "listening").then(|| line["address"].as_str().map(str::to_owned))?
}

pub fn token(application: i64, user: &str, lifetime: Duration) -> String {
    token_signed_by(SECRET, application, user, lifetime)
}

/// A token of a service that has this secret.
pub fn token_signed_by(secret: &str, application: i64, user: &str, lifetime: Duration) -> String {
    let user = UserId::parse(user).expect("a user id");
    let signer = Signer::new(&secret.to_owned().into()).unwrap();
    let now = SystemTime::now();
    signer.sign(ApplicationId::new(application), &user, now, now + lifetime)
}
