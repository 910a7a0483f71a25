//! A real browser: headless Chromium, driven over WebDriver.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};

use fantoccini::{
    Client, ClientBuilder, Locator,
    actions::{InputSource, KeyAction, KeyActions},
    key::Key,
    wd::WindowHandle,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::eventually;

/// Chromium without the parts that draw windows: a test takes less than half the time with it.
const BROWSER: &str = "/usr/lib/chromium/chromium-headless-shell";

/// The Enter key, which is pressed on its own at the end of what is typed.
const ENTER: [char; 2] = ['\n', '\u{e007}'];

/// A screen of a desktop, in CSS pixels.
const WINDOW: &str = "--window-size=1280,800";

/// A browser with its pages, closed when it is dropped.
pub struct Browser {
    page: Client,
    driver: Driver,
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
        // Whoever runs the tests as root, or in a container, has no sandbox and little shared
        // memory.
        let arguments = [
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            WINDOW,
        ];
        let capabilities = json!({
            "goog:chromeOptions": { "binary": BROWSER, "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let mut builder =
            ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(capabilities.as_object().unwrap().clone());
        let page = builder
            .connect(&format!("http://127.0.0.1:{}", driver.port))
            .await
            .expect("a browser");
        page.goto(url).await.expect("the page opens");
        Self { page, driver }
    }

    /// Opens a page in a window of its own, which is then the one that is worked with.
    pub async fn open_window(&self, url: &str) -> WindowHandle {
        let window = self.page.new_window(false).await.expect("a window").handle;
        self.show(&window).await;
        self.page.goto(url).await.expect("the page opens");
        window
    }

    /// Goes to a window.
    pub async fn show(&self, window: &WindowHandle) {
        self.page
            .switch_to_window(window.clone())
            .await
            .expect("the window is there");
    }

    /// Closes a window.
    pub async fn close(&self, window: &WindowHandle) {
        self.show(window).await;
        self.page.close_window().await.expect("it was open");
    }

    pub async fn reload(&self) {
        self.page.refresh().await.expect("the page opens again");
    }

    /// Clicks on what an XPath leads to, as soon as it is there and can be clicked.
    pub async fn click(&self, xpath: &str) {
        eventually(xpath, async || {
            self.page
                .find(Locator::XPath(xpath))
                .await
                .ok()?
                .click()
                .await
                .ok()
        })
        .await;
    }

    /// Types into what an XPath leads to, as soon as it takes keys.
    pub async fn type_into(&self, xpath: &str, keys: &str) {
        let text = keys.strip_suffix(ENTER).unwrap_or(keys);
        // An empty text moves the focus there, too.
        eventually(xpath, async || {
            self.page
                .find(Locator::XPath(xpath))
                .await
                .ok()?
                .send_keys(text)
                .await
                .ok()
        })
        .await;
        if text != keys {
            self.press_enter().await;
        }
    }

    /// Picks a file in a field for files, which may be hidden.
    pub async fn pick(&self, selector: &str, file: &Path) {
        let field = self.page.find(Locator::Css(selector)).await;
        let field = field.expect("the field is there");
        let file = file.to_str().expect("its name is UTF-8");
        field.send_keys(file).await.expect("it takes files");
    }

    /// Types wherever the focus is.
    pub async fn press(&self, keys: &str) {
        let text = keys.strip_suffix(ENTER).unwrap_or(keys);
        if !text.is_empty() {
            let focused = self.page.active_element().await;
            let focused = focused.expect("something has the focus");
            focused.send_keys(text).await.expect("it takes keys");
        }
        if text != keys {
            self.press_enter().await;
        }
    }

    /// Presses the Enter key once, wherever the focus is. The page may remove at once what had the focus. A driver
    /// that types into an element looks at it again afterwards, and fails although the key has arrived. An action
    /// does not look.
    async fn press_enter(&self) {
        let value = char::from(Key::Enter);
        let press = KeyActions::new("keyboard".to_owned())
            .then(KeyAction::Down { value })
            .then(KeyAction::Up { value });
        let pressed = self.page.perform_actions(press).await;
        pressed.expect("the page takes the key");
    }

    /// The errors in the console of the page since the last call: those of scripts, of
    /// the policy, and of what could not be loaded.
    pub async fn errors(&self) -> Vec<String> {
        let log = self
            .ask_driver("se/log", json!({ "type": "browser" }))
            .await;
        let entries = log["value"].as_array().expect("a log").iter();
        let errors =
            entries.filter(|entry| entry["level"] == "SEVERE" || entry["source"] == "security");
        errors
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Changes the size of the screen of the window that is worked with, in CSS pixels.
    pub async fn resize(&self, (width, height): (u32, u32)) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        let command = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": size });
        self.ask_driver("goog/cdp/execute", command).await;
    }

    /// What WebDriver has no word for.
    async fn ask_driver(&self, path: &str, body: Value) -> Value {
        let session = self.page.session_id().await.unwrap().expect("a session");
        let driver = super::Client::new(&format!("http://127.0.0.1:{}", self.driver.port), None);
        driver
            .call(Method::POST, &format!("/session/{session}/{path}"), body)
            .await
            .expect(200)
    }

    /// Runs a script in the page; returns what the script does.
    pub async fn run(&self, script: &str) -> Value {
        self.page.execute(script, Vec::new()).await.expect(script)
    }

    /// What is drawn in the place of an element, as a PNG.
    pub async fn picture_of(&self, selector: &str) -> Vec<u8> {
        let element = self
            .page
            .find(Locator::Css(selector))
            .await
            .expect(selector);
        element.screenshot().await.expect("a picture")
    }

    /// Waits until an expression in the page is true.
    pub async fn until(&self, expression: &str) {
        let script = format!("return Boolean({expression})");
        eventually(expression, async || {
            (self.run(&script).await == true).then_some(())
        })
        .await;
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
        driver.port = port.expect("chromedriver prints its port");
        // What it says later must go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        driver
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It closes its browser when it ends by a request, and not when it is killed.
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
