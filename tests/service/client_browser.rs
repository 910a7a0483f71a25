//! The client package in a browser, by itself and under the messenger.

use std::{fs, path::Path, time::Duration};

use reqwest::Method;
use serde_json::json;
use tokio::{net::TcpListener, process::Command};

use crate::support::{Browser, Database, Person, Replica, Settings, eventually, service, token};

#[tokio::test(flavor = "multi_thread")]
async fn events_are_read_from_pieces_of_any_size() {
    let (_database, replica) = service().await;
    let browser = Browser::open(&replica.base).await;
    let read = "const { eventReader } = await import('/client/messages.js');
        const text = [':', '', 'id: 41', '', 'retry: 2500', '', 'event: update', 'id: 42',
                      'data: {\"text\":', 'data:  \"a: b\"}', '', 'event: current', 'data: {}', '', 'id: 43'];
        const read = [];
        for (const end of ['\\n', '\\r\\n', '\\r']) for (let size = 1; size < 40; size += 1) {
            const all = text.join(end) + end;
            const events = eventReader();
            const found = [];
            for (let at = 0; at < all.length; at += size) found.push(...events(all.slice(at, at + size)));
            read.push(JSON.stringify(found));
        }
        return [...new Set(read)].map((found) => JSON.parse(found));";
    let script = format!("return (async () => {{ {read} }})()");
    let read = browser.run(&script).await;
    let expected = json!([[
        { "id": "41" },
        { "retry": "2500" },
        { "event": "update", "id": "42", "data": "{\"text\":\n \"a: b\"}" },
        { "event": "current", "data": "{}" },
    ]]);
    assert_eq!(
        read, expected,
        "the same in all pieces, and nothing of what is not complete"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_falls_silent_is_taken_for_lost_and_found_again() {
    let (_database, replica) = service().await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    jane.begins_with("john").await;
    replica.freeze();
    // The connections stay open and nothing comes: only time tells. Meanwhile the page sends, again
    // and again, what the service finds all at once when it wakes.
    jane.writes("written into the silence").await;
    jane.reads_state("Offline").await;
    replica.thaw();
    jane.reads_state("Up to date").await;
    jane.sees_that("written into the silence", "Sent").await;
    jane.sees_all(&["written into the silence"]).await;
    let history = replica
        .user("john")
        .get("/users/jane/messages")
        .await
        .expect(200);
    assert_eq!(
        history["messages"].as_array().unwrap().len(),
        1,
        "sent once"
    );
}

/// How many streams are open.
async fn streams(replica: &Replica) -> f64 {
    replica
        .metric("messages_live_connections", "kind=\"stream\"")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tabs_of_a_user_share_one_copy_and_one_stream() {
    let (_database, replica) = service().await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let again = Person::sign_in(&browser, &replica.base, "jane").await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    assert_eq!(streams(&replica).await, 2.0, "one of each user");
    // The tab that does not follow writes, and both show it.
    again.begins_with("john").await;
    again.writes("from the second tab").await;
    again.sees_that("from the second tab", "Sent").await;
    jane.opens("john").await;
    jane.sees_all(&["from the second tab"]).await;
    john.opens("jane").await;
    john.writes("to both").await;
    for tab in [&jane, &again] {
        tab.sees_all(&["from the second tab", "to both"]).await;
    }
    // The tab that follows is closed, and the other one goes on.
    jane.closes().await;
    again.writes("still there").await;
    again.sees_that("still there", "Sent").await;
    john.writes("as am I").await;
    let texts = ["from the second tab", "to both", "still there", "as am I"];
    again.sees_all(&texts).await;
    eventually("one stream of each user is open", async || {
        (streams(&replica).await == 2.0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_reach_all_tabs_of_a_user() {
    let (_database, replica) = service().await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let again = Person::sign_in(&browser, &replica.base, "jane").await;
    assert_eq!(streams(&replica).await, 1.0);
    for tab in [&jane, &again] {
        tab.begins_with("john").await;
    }
    let john = replica.user("john");
    let typing = json!({ "kind": "typing", "ttl": 30 });
    let posted = john.call(Method::POST, "/users/jane/signals", typing).await;
    assert_eq!(posted.status, 202);
    let typing = "document.querySelector('#typing').textContent";
    for tab in [&jane, &again] {
        tab.until(&format!("{typing} === 'john is typing…'")).await;
    }
    john.send("jane", "here I am").await;
    for tab in [&jane, &again] {
        tab.until(&format!("{typing} === ''")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_that_signs_out_signs_out_the_others() {
    let (_database, replica) = service().await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let again = Person::sign_in(&browser, &replica.base, "jane").await;
    again.presses("Sign out").await;
    again.click("//dialog//button[.='Sign out']").await;
    for tab in [&again, &jane] {
        tab.until("document.body.dataset.page === 'sign-in'").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_title_and_the_icon_say_that_something_is_unread() {
    let (_database, replica) = service().await;
    let browser = Browser::open(&replica.base).await;
    let jane = Person::sign_in(&browser, &replica.base, "jane").await;
    let icon = |name: &str| format!("document.querySelector('#icon').href.endsWith('/{name}.svg')");
    jane.until(&icon("icon")).await;
    replica.user("john").send("jane", "hello").await;
    jane.until("document.title.startsWith('(1) ')").await;
    jane.until(&icon("icon-unread")).await;
    jane.opens("john").await;
    jane.until("document.title.startsWith('Messages')").await;
    jane.until(&icon("icon")).await;
    assert_eq!(browser.errors().await, [""; 0]);
}

/// What the example page takes from React, as modules of one build.
const REACT: [(&str, &str); 2] = [
    (
        "react.js",
        "import React from 'react';
         export const { createElement, useCallback, useEffect, useMemo, useReducer, useState, useSyncExternalStore } = React;",
    ),
    (
        "react-dom.js",
        "import { createRoot } from 'react-dom/client'; export { createRoot };",
    ),
];

/// Builds React for a browser into a folder. Returns whether it is there to be built: `npm ci` brings it, as
/// `.ci/run` does where there is a registry.
async fn build_react(folder: &Path) -> bool {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("client/node_modules");
    if !modules.join("react-dom").exists() {
        return false;
    }
    let mut build = Command::new(modules.join(".bin/esbuild"));
    for (name, text) in REACT {
        let path = folder.join("from").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        build.arg(path);
    }
    let outdir = format!("--outdir={}", folder.display());
    build.args([
        "--bundle",
        "--splitting",
        "--format=esm",
        "--log-level=error",
        &outdir,
    ]);
    build.arg("--define:process.env.NODE_ENV=\"development\"");
    build.env("NODE_PATH", modules);
    assert!(build.status().await.unwrap().success());
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_with_hooks_of_react_shows_and_sends() {
    let folder = format!("react-{}", uuid::Uuid::new_v4());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    if !build_react(&folder).await {
        eprintln!("skipped: React is not installed");
        return;
    }
    // React comes from here, and all else of the page is as it is.
    let page = include_str!("../../examples/react.html")
        .replace("https://esm.sh/react@19", "./react.js")
        .replace("https://esm.sh/react-dom@19/client", "./react-dom.js");
    fs::write(folder.join("react.html"), page).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let served = folder.clone();
    let find = async move |axum::extract::Path(name): axum::extract::Path<String>| {
        let is_script = name.ends_with(".js");
        let media_type = if is_script {
            "text/javascript"
        } else {
            "text/html"
        };
        let content = fs::read(served.join(name)).unwrap_or_default();
        ([("content-type", media_type)], content)
    };
    let files = axum::Router::new().route("/{name}", axum::routing::get(find));
    tokio::spawn(async move { axum::serve(listener, files).await });

    let database = Database::fresh().await;
    let replica =
        Replica::start(&database, Settings::default().with("CORS_ORIGINS", &origin)).await;
    let john = replica.user("john");
    john.send("jane", "hello").await;
    let token = token(1, "jane", Duration::from_secs(3600));
    let browser = Browser::open(&format!("{origin}/react.html#{}|{token}", replica.base)).await;
    browser
        .until("document.body.textContent.includes('current')")
        .await;
    browser
        .click("//button[starts-with(., 'users/john (1) hello')]")
        .await;
    browser
        .until("document.querySelector('section li')?.textContent === 'john: hello'")
        .await;
    // What is shown is read.
    browser
        .click("//button[starts-with(., 'users/john (0) hello')]")
        .await;
    browser
        .type_into("//input[@aria-label='Message']", "hello yourself\n")
        .await;
    browser
        .until("[...document.querySelectorAll('section li')].map((row) => row.textContent).join() === 'john: hello,jane: hello yourself'")
        .await;
    john.send("jane", "and more").await;
    browser
        .until("document.querySelectorAll('section li').length === 3")
        .await;
    assert_eq!(browser.errors().await, [""; 0]);
    let _ = fs::remove_dir_all(&folder);
}
