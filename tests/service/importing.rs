//! A conversation that is being imported is there for its application alone, wherever a user looks. Once it is done,
//! all of it is there.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    imports::{chat, message, service, stored},
    support::{Client, Database, Replica, Reply},
};

/// A conversation of jane and john: a chat, or their personal conversation.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Chat,
    Personal,
}

/// Where somebody sees something of the conversation: a path, a place in the answer, and what is there. An answer
/// without anything has an empty list under the first name of the place, or is 404.
type View = (String, &'static str, Value);

/// What was imported.
struct Imported {
    kind: Kind,
    /// The number of the chat, if it is one.
    chat: Value,
    /// The ids of its two messages: the first one is jane's, the second one is john's.
    ids: [Value; 2],
}

impl Kind {
    /// The lines that are imported, and the one by which it is done: then jane has read one of two messages.
    fn lines(self) -> ([Value; 3], Value) {
        let (begin, place, by_jane, by_john) = match self {
            Self::Chat => (
                chat("team", &["jane", "john"]),
                json!({ "chat": "team" }),
                json!({ "chat": "team", "from": "jane" }),
                json!({ "chat": "team", "from": "john" }),
            ),
            Self::Personal => (
                json!({ "key": "pair", "personal": ["jane", "john"] }),
                json!({ "personal": ["jane", "john"] }),
                json!({ "from": "jane", "to": "john" }),
                json!({ "from": "john", "to": "jane" }),
            ),
        };
        let mut first = message("m1", by_jane, 1);
        first["message"]["text"] = json!("a rare walrus");
        first["message"]["reactions"] = json!({ "x": ["john"] });
        let mut second = message("m2", by_john, 2);
        second["message"]["text"] = json!("the same walrus");
        second["message"]["replyTo"] = json!("m1");
        let end = json!({ "key": "end", "done": place, "read": { "jane": 1 } });
        ([begin, first, second], end)
    }
}

impl Imported {
    fn of(kind: Kind, results: &[Value]) -> Self {
        Self {
            kind,
            chat: results[0]["chat"].clone(),
            ids: [1, 2].map(|line| results[line]["id"].clone()),
        }
    }

    /// Its path for a user who has it with `other`, and what narrows a search to it.
    fn place(&self, other: &str) -> [String; 2] {
        let chat = &self.chat;
        match self.kind {
            Kind::Chat => [format!("/chats/{chat}"), format!("chat={chat}")],
            Kind::Personal => [format!("/users/{other}"), format!("with={other}")],
        }
    }

    /// Where whoever may read it sees it: each message by its id, and the conversation at its path.
    fn views(&self, path: &str) -> Vec<View> {
        let [first, second] = &self.ids;
        let about = format!("/messages/{first}");
        vec![
            (about.clone(), "/id", first.clone()),
            (
                format!("{about}/reactions"),
                "/reactions/0/user",
                json!("john"),
            ),
            (format!("{about}/replies"), "/messages/0/id", second.clone()),
            (
                format!("/messages?ids={first},{second}"),
                "/messages/1/id",
                second.clone(),
            ),
            (path.to_owned(), "/messages", json!(2)),
            (format!("{path}/messages"), "/messages/0/id", second.clone()),
            (format!("{path}/messages/1"), "/id", first.clone()),
        ]
    }

    /// Where a user sees it who has it with `other`.
    fn views_of_user(&self, other: &str, unread: i64) -> Vec<View> {
        let ([first, second], [path, narrowed]) = (&self.ids, self.place(other));
        let search = "/messages/search?q=walrus";
        let list = "/conversations";
        let mut views = self.views(&path);
        views.extend([
            (
                format!("/messages/{first}?include=reactions,replies"),
                "/reactions/x/count",
                json!(1),
            ),
            (search.to_owned(), "/hits/1/message/id", first.clone()),
            (
                format!("{search}&{narrowed}"),
                "/hits/0/message/id",
                second.clone(),
            ),
            (
                "/messages/search?from=john".to_owned(),
                "/hits/0/message/id",
                second.clone(),
            ),
            (
                list.to_owned(),
                "/conversations/0/message/id",
                second.clone(),
            ),
            (list.to_owned(), "/conversations/0/unread", json!(unread)),
            (
                "/messages?after=0&include=conversation".to_owned(),
                "/messages/0/conversation/messages",
                json!(2),
            ),
        ]);
        if self.kind == Kind::Chat {
            views.extend(self.views_of_member(&path));
        }
        views
    }

    /// Where a member sees it beside that, if it is a chat.
    fn views_of_member(&self, path: &str) -> [View; 3] {
        let search = format!("{path}/messages/search?q=walrus");
        [
            ("/chats".to_owned(), "/chats/0/number", self.chat.clone()),
            (format!("{path}/members"), "/members/1/user", json!("john")),
            (search, "/hits/1/message/id", self.ids[0].clone()),
        ]
    }

    /// Where the application itself sees it at any time: all of a chat, and on its feed the messages of every
    /// conversation.
    fn views_of_application(&self) -> Vec<View> {
        let feed = "/feed?after=0&kinds=message.imported&include=message";
        let mut views = vec![(
            feed.to_owned(),
            "/entries/1/message/id",
            self.ids[1].clone(),
        )];
        if self.kind == Kind::Chat {
            let [path, _] = self.place("");
            views.push(("/chats".to_owned(), "/chats/0/number", self.chat.clone()));
            views.extend(self.views(&path));
        }
        views
    }
}

/// Whether there is nothing in an answer: no such thing, or an empty list where a view has its place.
fn has_nothing(reply: &Reply, place: &str) -> bool {
    if reply.status == 404 {
        reply.expect_problem(404, "not-found");
        return true;
    }
    let list = place.split('/').nth(1).unwrap();
    reply.expect(200)[list] == json!([])
}

async fn sees_nothing(reader: &Client, views: &[View]) {
    for (path, place, _) in views {
        let reply = reader.get(path).await;
        assert!(has_nothing(&reply, place), "{path}: {}", reply.text);
    }
    let page = reader.get("/conversations").await.expect(200);
    let nothing = json!({ "messages": 0, "conversations": 0, "mentions": 0 });
    assert_eq!(page["unread"], nothing);
}

async fn sees_all(reader: &Client, views: &[View]) {
    for (path, place, shown) in views {
        let answer = reader.get(path).await.expect(200);
        assert_eq!(answer.pointer(place), Some(shown), "{path}: {answer}");
    }
}

/// Those who look for the conversation, each with the views of it.
struct Readers {
    /// Its users, and the application that acts for one of them.
    users: [(Client, Vec<View>); 3],
    stranger: (Client, Vec<View>),
    application: (Client, Vec<View>),
}

impl Readers {
    fn of(imported: &Imported, replica: &Replica, app: &Client) -> Self {
        let of_jane = imported.views_of_user("john", 1);
        let of_john = imported.views_of_user("jane", 0);
        Self {
            stranger: (replica.user("kim"), of_jane.clone()),
            users: [
                (app.acting_as("jane"), of_jane.clone()),
                (replica.user("jane"), of_jane),
                (replica.user("john"), of_john),
            ],
            application: (app.clone(), imported.views_of_application()),
        }
    }

    /// All of them look.
    async fn look(&self, is_done: bool) {
        for (user, views) in &self.users {
            match is_done {
                true => sees_all(user, views).await,
                false => sees_nothing(user, views).await,
            }
        }
        let (stranger, views) = &self.stranger;
        sees_nothing(stranger, views).await;
        let (app, views) = &self.application;
        sees_all(app, views).await;
        let badges = app.get("/unread?users=jane,john").await.expect(200);
        let unread = [0, 1].map(|place| badges["users"][place]["unread"]["messages"].clone());
        assert_eq!(json!(unread), json!([i64::from(is_done), 0]), "{badges}");
    }
}

/// Waits until both messages are in the index of search.
async fn until_indexed(database: &Database) {
    database.until_indexed().await;
    let entries = "SELECT count(*) FROM search_entries";
    assert_eq!(database.count(entries).await, 2);
}

/// A conversation whose messages are in the index of search before it is done, or not.
async fn is_there_once_it_is_done(kind: Kind, is_indexed_before: bool) {
    let (database, replica, app) = service().await;
    let (file, end) = kind.lines();
    let mut indexer = database.block_indexer().await;
    let imported = Imported::of(kind, &stored(&app, &file).await);
    let readers = Readers::of(&imported, &replica, &app);
    readers.look(false).await;
    if is_indexed_before {
        drop(indexer);
        until_indexed(&database).await;
        readers.look(false).await;
        indexer = database.block_indexer().await;
    }
    stored(&app, &[end]).await;
    readers.look(true).await;
    drop(indexer);
    until_indexed(&database).await;
    readers.look(true).await;
}

#[tokio::test]
async fn no_user_sees_anything_of_a_chat_before_its_import_is_done_and_then_all_of_it() {
    for is_indexed_before in [false, true] {
        is_there_once_it_is_done(Kind::Chat, is_indexed_before).await;
    }
}

#[tokio::test]
async fn no_user_sees_anything_of_a_personal_conversation_before_its_import_is_done_and_then_all() {
    for is_indexed_before in [false, true] {
        is_there_once_it_is_done(Kind::Personal, is_indexed_before).await;
    }
}

#[tokio::test]
async fn to_users_who_would_change_a_message_it_is_not_there_before_its_import_is_done() {
    let (_database, replica, app) = service().await;
    let (file, end) = Kind::Personal.lines();
    let results = stored(&app, &file).await;
    let feed = "/feed?after=0&kinds=message.imported&include=message";
    let feed = app.get(feed).await.expect(200);
    let [first, second] = [0, 1].map(|place| feed["entries"][place]["message"].clone());
    assert_eq!(second["id"], results[2]["id"]);
    let jane = replica.user("jane");
    let (id, timestamp) = (&first["id"], &first["timestamp"]);
    let about = format!("/messages/{}", second["id"]);
    let report = json!({ "reason": "spam" });
    for reply in [
        jane.patch(id, timestamp, json!({ "text": "x" })).await,
        jane.delete(id, timestamp).await,
        jane.marks(&second["id"], true).await,
        jane.ask(Method::PUT, &format!("{about}/reactions/y"), None)
            .await,
        jane.call(Method::POST, &format!("{about}/reports"), report)
            .await,
    ] {
        reply.expect_problem(404, "not-found");
    }
    stored(&app, &[end]).await;
    jane.marks(&second["id"], true).await.expect(200);
    let edited = jane.patch(id, timestamp, json!({ "text": "x" })).await;
    assert_eq!(edited.expect(200)["text"], "x");
}

/// The ids of the hits on a page, and whether another one follows.
async fn hits(reader: &Client, query: &str) -> (Vec<Value>, Value) {
    let page = reader.get(&format!("/messages/search?{query}")).await;
    let page = page.expect(200);
    let hits = page["hits"].as_array().unwrap().iter();
    let ids = hits.map(|hit| hit["message"]["id"].clone()).collect();
    (ids, page["next"].clone())
}

/// The index finds candidates, and those that a page has no room for are read later, in another way.
#[tokio::test]
async fn a_search_finds_nothing_of_what_is_being_imported_however_many_messages_match() {
    let (database, replica, app) = service().await;
    let jane = replica.user("jane");
    let place = json!({ "from": "john", "to": "jane" });
    let mut file = vec![json!({ "key": "pair", "personal": ["jane", "john"] })];
    for number in 0..40 {
        let mut line = message(&format!("m{number}"), place.clone(), number);
        line["message"]["text"] = json!("a walrus");
        file.push(line);
    }
    let mut indexer = Some(database.block_indexer().await);
    stored(&app, &file).await;
    for is_indexed in [false, true] {
        if is_indexed {
            drop(indexer.take());
            database.until_indexed().await;
        }
        for narrowed in ["", "&with=john"] {
            for limit in [1, 10, 20, 100] {
                let query = format!("q=walrus&limit={limit}{narrowed}");
                let found = hits(&jane, &query).await;
                assert_eq!(found, (vec![], Value::Null), "{query}, {is_indexed}");
            }
        }
    }
    let end = json!({ "key": "end", "done": { "personal": ["jane", "john"] } });
    stored(&app, &[end]).await;
    let (all, _) = hits(&jane, "q=walrus&limit=100").await;
    assert_eq!(all.len(), 40);
}

#[tokio::test]
async fn a_search_shows_each_message_once_though_others_are_being_imported() {
    let (database, replica, app) = service().await;
    let jane = replica.user("jane");
    // All of them have the words of the phrase that is searched for, so the index finds all. One has the phrase.
    let mut expected = Value::Null;
    for number in 0..19 {
        let is_match = number == 6;
        let text = if is_match { "alpha beta" } else { "beta alpha" };
        let sent = jane.send("john", text).await;
        if is_match {
            expected = sent["id"].clone();
        }
    }
    let place = json!({ "from": "kim", "to": "jane" });
    let mut file = vec![json!({ "key": "pair", "personal": ["jane", "kim"] })];
    for number in 0..6 {
        let mut line = message(&format!("m{number}"), place.clone(), number);
        line["message"]["text"] = json!("beta alpha");
        file.push(line);
    }
    stored(&app, &file).await;
    database.until_indexed().await;
    for limit in 1..=20 {
        let query = format!("q=%22alpha%20beta%22&limit={limit}");
        let found = hits(&jane, &query).await;
        assert_eq!(found, (vec![expected.clone()], Value::Null), "{query}");
    }
}
