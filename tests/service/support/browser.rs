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
    driver: Child,
    port: u16,
    page: Client,
}

impl Browser {
    /// Starts a browser and opens a page.
    pub async fn open(url: &str) -> Self {
        let (driver, port) = tokio::task::spawn_blocking(start_driver).await.unwrap();
        // Whoever runs the tests as root, or in a container, has no sandbox and little shared memory.
        let arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"];
        let capabilities = json!({ "goog:chromeOptions": { "args": arguments } });
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(capabilities.as_object().unwrap().clone());
        let page = builder.connect(&format!("http://127.0.0.1:{port}")).await.expect("a browser");
        page.goto(url).await.expect("the page opens");
        Self { driver, port, page }
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

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver closes its browser when it is asked to end, not when it is killed.
        if let Ok(mut connection) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = connection.write_all(b"GET /shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let _ = self.driver.wait();
        }
    }
}

fn start_driver() -> (Child, u16) {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver is installed: run `make test`");
    let mut lines = BufReader::new(driver.stdout.take().expect("it was piped")).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    // What it says later must go somewhere.
    std::thread::spawn(move || lines.for_each(drop));
    (driver, port.expect("chromedriver tells its port"))
}
