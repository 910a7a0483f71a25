//! Files at the web client. They are stored by the example of a service for files.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::header;
use serde_json::json;
use tokio::process::{Child, Command};

use crate::support::{Browser, Database, Person, Replica, Settings, eventually, service, token};

/// The service for files of one test: an address and a folder of its own.
struct Store {
    host: &'static str,
    folder: PathBuf,
}

impl Store {
    fn make(host: &'static str) -> Self {
        let folder = format!("files-{}", uuid::Uuid::new_v4());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(folder);
        fs::create_dir_all(&folder).unwrap();
        Self { host, folder }
    }

    /// Starts the replica of a page that uploads there.
    async fn replica(&self) -> (Database, Replica) {
        let database = Database::fresh().await;
        let url = format!("http://{}:9001/files", self.host);
        let settings = Settings::default().with("FILES_URL", &url);
        let replica = Replica::start(&database, settings).await;
        (database, replica)
    }

    async fn start(&self, replica: &Replica) -> Child {
        let process = Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/files.py"))
            .current_dir(&self.folder)
            .env("BASE", &replica.base)
            .env("HOST", self.host)
            .kill_on_drop(true)
            .spawn()
            .expect("python3 is installed");
        let address: SocketAddr = format!("{}:9001", self.host).parse().unwrap();
        eventually("it listens", async || TcpStream::connect(address).ok()).await;
        process
    }

    /// A file of whoever writes.
    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The names of the files in an element.
fn names_in(selector: &str) -> String {
    format!(
        "[...document.querySelectorAll('{selector} .files li')].map((file) => file.querySelector('[dir], span').textContent)"
    )
}

async fn picks(person: &Person<'_>, file: &Path) {
    person.picks("#file-picker", file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_uploaded_sent_with_its_name_and_saved_by_whoever_gets_it() {
    let store = Store::make("127.0.0.91");
    let (_database, replica) = store.replica().await;
    let _process = store.start(&replica).await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.begins_with("john").await;
    // Of two files of one name each is by itself.
    picks(&jane, &store.file("plan.txt", "not to be sent")).await;
    picks(&jane, &store.file("plan.txt", "to be saved")).await;
    jane.presses("Remove plan.txt").await;
    // A draft outlives the page, with its files.
    jane.until("document.querySelectorAll('#attachments li').length === 1 && document.querySelector('#send').ariaDisabled === 'false'")
        .await;
    jane.reloads().await;
    jane.until("document.querySelector('#attachments')?.textContent === 'plan.txt'")
        .await;
    jane.until("document.querySelector('#send').ariaDisabled === 'false'")
        .await;
    jane.presses("Send").await;
    jane.until(
        "document.querySelector('.message:not(.pending) .files')?.textContent === 'plan.txt'",
    )
    .await;

    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.until("document.querySelector('#conversations').textContent.includes('File plan.txt')")
        .await;
    john.opens("jane").await;
    john.run(
        "const make = URL.createObjectURL;
         URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text; }); return make(blob); };
         HTMLAnchorElement.prototype.click = function () { window.savedAs = this.download; };",
    )
    .await;
    john.click("//button[@title='Save plan.txt']").await;
    john.until("window.saved === 'to be saved' && window.savedAs === 'plan.txt'")
        .await;
    // What others have sent has an id and no name.
    let nameless = json!({ "to": "john", "files": ["photo-1"] });
    replica.user("jane").post(nameless).await.expect(201);
    john.until(&format!(
        "{}.join() === 'plan.txt,photo-1'",
        names_in(".message")
    ))
    .await;
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_uploaded_says_so_and_can_be_tried_again() {
    let store = Store::make("127.0.0.92");
    let (_database, replica) = store.replica().await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.begins_with("john").await;
    picks(&jane, &store.file("plan.txt", "at last")).await;
    jane.until("document.querySelector('#composer-error').textContent.includes('“plan.txt” was not uploaded')")
        .await;
    jane.writes("with a plan").await;
    // It waits where it was written, also while another conversation is open.
    jane.begins_with("tom").await;
    jane.until("document.querySelector('#attachments').hidden")
        .await;
    jane.begins_with("john").await;
    jane.until("document.querySelector('#text').value === 'with a plan'")
        .await;
    jane.presses("Send").await;
    jane.until("document.querySelector('#composer-error').textContent.includes('the file service cannot be reached')")
        .await;

    let _process = store.start(&replica).await;
    jane.presses("Try plan.txt again").await;
    jane.until("document.querySelector('#send').ariaDisabled === 'false' && !document.querySelector('#composer-error').textContent")
        .await;
    jane.presses("Send").await;
    jane.sees_that("with a plan", "Sent").await;
    jane.until(&format!("{}.join() === 'plan.txt'", names_in(".message")))
        .await;
    let stored = fs::read_dir(store.folder.join("files")).unwrap();
    let contents = stored.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    assert_eq!(contents.collect::<Vec<_>>(), ["at last"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_comes_back_with_its_files() {
    let store = Store::make("127.0.0.94");
    let (_database, replica) = store.replica().await;
    let _process = store.start(&replica).await;
    let john = replica.user("john");
    john.blocks("jane", true).await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.begins_with("john").await;
    for number in 1..=21 {
        picks(&jane, &store.file(&format!("{number}.txt"), "a page")).await;
    }
    jane.until(
        "document.querySelector('#composer-error').textContent === 'A message has up to 20 files.'",
    )
    .await;
    jane.until("document.querySelector('#send').ariaDisabled === 'false'")
        .await;
    jane.presses("Send").await;
    jane.presses("Edit").await;
    let numbers: Vec<_> = (1..=20).map(|number| format!("{number}.txt")).collect();
    let shown = format!(
        "[...document.querySelectorAll('#attachments li')].map((row) => row.textContent).join() === '{}'",
        numbers.join(",")
    );
    jane.until(&shown).await;
    john.blocks("jane", false).await;
    jane.presses("Send").await;
    jane.until(&format!(
        "{}.join() === '{}'",
        names_in(".message:not(.pending)"),
        numbers.join(",")
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_users_store_files_and_the_page_may_call_no_other_service() {
    let store = Store::make("127.0.0.93");
    let (_database, replica) = store.replica().await;
    let _process = store.start(&replica).await;
    let page = replica.nobody().get("/").await;
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("connect-src 'self' http://127.0.0.93:9001;"),
        "{policy}"
    );
    // Whoever has the page with another policy gets all of it again.
    let (_other_database, other) = service().await;
    let other = other.nobody().get("/").await;
    assert_ne!(page.header("etag"), other.header("etag"));
    let settings = replica.nobody().get("/web/settings.json").await.expect(200);
    assert_eq!(
        settings,
        json!({ "filesUrl": "http://127.0.0.93:9001/files" })
    );

    let url = settings["filesUrl"].as_str().unwrap();
    let post = async |token: &str, field: &str| {
        let posting = reqwest::Client::new().post(url).bearer_auth(token);
        let posting = posting.header(header::CONTENT_TYPE, "multipart/form-data; boundary=edge");
        let form = format!(
            "--edge\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"a\"\r\n\r\ncontent\r\n--edge--\r\n"
        );
        posting.body(form).send().await.unwrap().status().as_u16()
    };
    let jane = token(1, "jane", Duration::from_secs(60));
    assert_eq!(post("nonsense", "file").await, 401);
    assert_eq!(post(&jane, "file").await, 201);
    assert_eq!(post(&jane, "other").await, 422);
    store.file("beside", "not for others");
    let get = async |name: &str, token: &str| {
        let getting = reqwest::Client::new().get(format!("{url}/{name}"));
        let answer = getting.bearer_auth(token).send().await.unwrap();
        answer.status().as_u16()
    };
    let stored = fs::read_dir(store.folder.join("files")).unwrap();
    let stored = stored.last().unwrap().unwrap().file_name();
    assert_eq!(get(stored.to_str().unwrap(), &jane).await, 200);
    assert_eq!(get(stored.to_str().unwrap(), "nonsense").await, 401);
    assert_eq!(get("..%2Fbeside", &jane).await, 404);
}
