//! A real browser: headless Chromium, driven over WebDriver.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use fantoccini::{Client, ClientBuilder};
use serde_json::{Value, json};

use super::eventually;

/// A browser with one page, closed when it is dropped.
pub struct Browser {
    page: Client,
    _driver: Driver,
}

/// The process that drives the browser and closes it when it ends.
struct Driver {
    process: Child,
    port: u16,
}

impl Browser {
    /// Starts a browser and opens a page.
    pub async fn open(url: &str) -> Self {
        let driver = tokio::task::spawn_blocking(Driver::start).await.unwrap();
        // Whoever runs the tests as root, or in a container, has no sandbox and little shared memory.
        let arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"];
        let capabilities = json!({ "goog:chromeOptions": { "args": arguments } });
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(capabilities.as_object().unwrap().clone());
        let page =
            builder.connect(&format!("http://127.0.0.1:{}", driver.port)).await.expect("a browser");
        page.goto(url).await.expect("the page opens");
        Self { page, _driver: driver }
    }

    /// Runs a script in the page; gives what it returns.
    pub async fn run(&self, script: &str) -> Value {
        self.page.execute(script, Vec::new()).await.expect(script)
    }

    /// Waits until an expression in the page is true.
    pub async fn until(&self, expression: &str) {
        let script = format!("return Boolean({expression})");
        eventually(expression, async || (self.run(&script).await == true).then_some(())).await;
    }
}

impl Driver {
    fn start() -> Self {
        let process = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed: run `make test`");
        let mut driver = Self { process, port: 0 };
        let mut lines = BufReader::new(driver.process.stdout.take().expect("it was piped")).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        driver.port = port.expect("chromedriver tells its port");
        // What it says later must go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        driver
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It closes its browser when it is asked to end, and not when it is killed.
        match TcpStream::connect(("127.0.0.1", self.port)) {
            Ok(mut connection) => {
                let shutdown = b"GET /shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n";
                let _ = connection.write_all(shutdown);
            }
            Err(_) => drop(self.process.kill()),
        }
        let _ = self.process.wait();
    }
}
