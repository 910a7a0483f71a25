//! A person at the web client: clicks, types, and reads what is shown.

use std::{path::Path, time::Duration};

use fantoccini::wd::WindowHandle;
use serde_json::Value;

use super::{Browser, eventually, token};

/// The field in which messages are written.
const FIELD: &str = "//textarea[@aria-label='Message']";

/// The screen of a phone, in CSS pixels.
pub const PHONE: (u32, u32) = (390, 800);

/// A person with a window of their own in a browser that others may share.
pub struct Person<'a> {
    browser: &'a Browser,
    window: WindowHandle,
}

impl<'a> Person<'a> {
    /// Opens the link that signs a user in, as `make run` prints it, and waits for the copy.
    pub async fn sign_in(browser: &'a Browser, base: &str, user: &str) -> Self {
        let person = Self::opens_link(browser, base, user).await;
        person.reads_state("Up to date").await;
        person
    }

    /// The same without waiting for a copy that cannot become current.
    pub async fn opens_link(browser: &'a Browser, base: &str, user: &str) -> Self {
        Self::opens_link_with(browser, base, &token(1, user, Duration::from_secs(3600))).await
    }

    pub async fn opens_link_with(browser: &'a Browser, base: &str, token: &str) -> Self {
        Self {
            browser,
            window: browser.open_window(&format!("{base}/#token={token}")).await,
        }
    }

    /// Opens a conversation of the list.
    pub async fn opens(&self, name: &str) {
        self.click(&format!("//nav//a[.//span[@class='name'][.='{name}']]"))
            .await;
        self.is_at(name).await;
    }

    /// Opens a conversation of the list in which this person may not write.
    pub async fn looks_into(&self, name: &str) {
        self.click(&format!("//nav//a[.//span[@class='name'][.='{name}']]"))
            .await;
        self.until(&format!(
            "document.querySelector('#title').textContent === '{name}'"
        ))
        .await;
    }

    /// Begins a conversation with somebody.
    pub async fn begins_with(&self, user: &str) {
        self.presses("New message").await;
        self.types_into_field("To", user).await;
        self.presses("Write").await;
        self.is_at(user).await;
    }

    /// Waits until a conversation is open and what is typed goes there.
    async fn is_at(&self, name: &str) {
        self.until(&format!(
            "document.querySelector('#title').textContent === '{name}'
             && document.activeElement === document.querySelector('#text')"
        ))
        .await;
    }

    /// Writes a message and sends it with the Enter key.
    pub async fn writes(&self, text: &str) {
        self.types(&format!("{text}\n")).await;
    }

    /// Types where messages are written.
    pub async fn types(&self, keys: &str) {
        self.browser.show(&self.window).await;
        self.browser.type_into(FIELD, keys).await;
    }

    /// Types into a field of the dialog that is open.
    pub async fn types_into_field(&self, label: &str, keys: &str) {
        self.browser.show(&self.window).await;
        let field = format!("//dialog//label[span='{label}']//input");
        self.browser.type_into(&field, keys).await;
    }

    /// Presses keys wherever the focus is.
    pub async fn presses_keys(&self, keys: &str) {
        self.browser.show(&self.window).await;
        self.browser.press(keys).await;
    }

    /// Presses a button, by its text or what a screen reader says of it.
    pub async fn presses(&self, label: &str) {
        self.click(&format!(
            "//button[@aria-label='{label}' or normalize-space()='{label}']"
        ))
        .await;
    }

    /// Chooses a message and an action of it.
    pub async fn acts_on(&self, text: &str, action: &str) {
        let message = format!("//article[.//p[contains(@class, 'text')][.='{text}']]");
        self.click(&message).await;
        self.click(&format!("{message}//button[@aria-label='{action}']"))
            .await;
    }

    /// Waits until the open conversation shows exactly these texts.
    pub async fn sees_all(&self, texts: &[&str]) {
        self.browser.show(&self.window).await;
        let expected: Vec<_> = texts.iter().map(|text| Value::from(*text)).collect();
        let mut seen = Value::Null;
        eventually(&format!("{texts:?} are shown"), async || {
            let now = self.texts().await;
            if now != seen {
                seen = now;
                eprintln!("shown: {seen}");
            }
            (seen == Value::from(expected.clone())).then_some(())
        })
        .await;
    }

    /// Waits until the open conversation shows a text once, among others.
    pub async fn sees(&self, text: &str) {
        let text = Value::from(text);
        self.until(&format!(
            "[...document.querySelectorAll('#log .text')].filter((shown) => shown.textContent === {text}).length === 1"
        ))
        .await;
    }

    /// The texts of the open conversation.
    pub async fn texts(&self) -> Value {
        self.browser.show(&self.window).await;
        self.browser
            .run("return [...document.querySelectorAll('#log .text')].map((text) => text.textContent)")
            .await
    }

    /// Waits until the message says a word of its state: Sent, Read, edited.
    pub async fn sees_that(&self, text: &str, state: &str) {
        let (text, state) = (Value::from(text), Value::from(state));
        self.until(&format!(
            "[...document.querySelectorAll('#log article')].some((message) =>
                 message.querySelector('.text').textContent === {text}
                 && message.querySelector('.meta')?.textContent.includes({state}))"
        ))
        .await;
    }

    /// Waits for the line below the conversations.
    pub async fn reads_state(&self, state: &str) {
        let state = Value::from(state);
        self.until(&format!(
            "document.querySelector('#state').textContent.startsWith({state})"
        ))
        .await;
    }

    /// Chooses an item of the menu of the open conversation.
    pub async fn chooses(&self, item: &str) {
        self.presses("Conversation menu").await;
        self.click(&format!("//div[@role='menu']//button[.='{item}']"))
            .await;
    }

    /// Chooses an item of the menu of a member, in the dialog of a chat.
    pub async fn acts_on_member(&self, member: &str, item: &str) {
        self.presses(&format!("What to do with {member}")).await;
        self.click(&format!("//div[@role='menu']//button[.='{item}']"))
            .await;
    }

    /// Waits until the list has these conversations, from the top, the unread ones with their
    /// number.
    pub async fn lists(&self, conversations: &[&str]) {
        let expected = Value::from(conversations.to_vec());
        self.until(&format!(
            "JSON.stringify([...document.querySelectorAll('#conversations a')].map((row) =>
                 [row.querySelector('.name'), row.querySelector('.count .unseen')]
                     .filter(Boolean).map((part) => part.textContent).join(', '))) === JSON.stringify({expected})"
        ))
        .await;
    }

    /// Takes a screen of another size.
    pub async fn takes_screen(&self, size: (u32, u32)) {
        self.browser.show(&self.window).await;
        self.browser.resize(size).await;
    }

    /// Closes the window.
    pub async fn closes(&self) {
        self.browser.close(&self.window).await;
    }

    pub async fn reloads(&self) {
        self.browser.show(&self.window).await;
        self.browser.reload().await;
    }

    pub async fn click(&self, xpath: &str) {
        self.browser.show(&self.window).await;
        self.browser.click(xpath).await;
    }

    pub async fn picks(&self, selector: &str, file: &Path) {
        self.browser.show(&self.window).await;
        self.browser.pick(selector, file).await;
    }

    pub async fn until(&self, expression: &str) {
        self.browser.show(&self.window).await;
        self.browser.until(expression).await;
    }

    /// What this person sees in the place of an element, as a PNG.
    pub async fn picture_of(&self, selector: &str) -> Vec<u8> {
        self.browser.show(&self.window).await;
        self.browser.picture_of(selector).await
    }

    pub async fn run(&self, script: &str) -> Value {
        self.browser.show(&self.window).await;
        self.browser.run(script).await
    }
}
