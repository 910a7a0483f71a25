//! The web client's files as HTTP has them.

use std::collections::BTreeSet;

use reqwest::{Method, header};

use crate::support::{Reply, service};

const FILES: [(&str, &str); 5] = [
    ("/", "text/html; charset=utf-8"),
    ("/web/app.js", "text/javascript; charset=utf-8"),
    ("/client/messages.js", "text/javascript; charset=utf-8"),
    ("/web/base.css", "text/css; charset=utf-8"),
    ("/web/icon.svg", "image/svg+xml; charset=utf-8"),
];

#[tokio::test]
async fn files_come_with_their_type_a_strict_policy_and_a_tag() {
    let (_database, replica) = service().await;
    let nobody = replica.nobody();
    for (path, media_type) in FILES {
        let file = nobody.get(path).await;
        assert_eq!(
            (file.status, file.header("content-type")),
            (200, media_type),
            "{path}"
        );
        let policy = file.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        assert_eq!(file.header("referrer-policy"), "no-referrer");
        assert_eq!(
            file.header("cache-control"),
            "no-cache",
            "nothing in it is private"
        );
        assert_eq!(
            file.headers.get_all("vary").iter().collect::<Vec<_>>(),
            ["accept-encoding"]
        );

        let head = Reply::of(nobody.request(Method::HEAD, path)).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""));
        assert_eq!(head.header("etag"), file.header("etag"));
    }
}

#[tokio::test]
async fn a_file_is_sent_again_only_when_it_has_changed() {
    let (_database, replica) = service().await;
    for (path, _) in FILES {
        let ask = async |tag: &str| {
            let request = replica.nobody().request(Method::GET, path);
            Reply::of(request.header(header::IF_NONE_MATCH, tag)).await
        };
        let tag = replica.nobody().get(path).await.header("etag").to_owned();
        for matching in [
            &tag,
            tag.trim_start_matches("W/"),
            &format!("\"other\", {tag}"),
            "*",
        ] {
            let unchanged = ask(matching).await;
            assert_eq!(
                (unchanged.status, unchanged.text.as_str()),
                (304, ""),
                "{path} {matching}"
            );
            assert_eq!(unchanged.header("etag"), tag);
        }
        assert_eq!(ask("\"other\"").await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn what_is_no_file_or_no_method_of_one_is_a_problem() {
    let (_database, replica) = service().await;
    let nobody = replica.nobody();
    for path in [
        "/web/nothing.js",
        "/web/mod.rs",
        "/web/",
        "/web/..%2fmod.rs",
        "/client/nothing.js",
        "/client/",
        "/web/%ff",
    ] {
        nobody
            .get(path)
            .await
            .expect_problem(404, "no-such-resource");
    }
    for path in ["/", "/web/app.js", "/client/messages.js"] {
        let request = nobody.request(Method::POST, path);
        Reply::of(request)
            .await
            .expect_problem(405, "method-not-allowed");
    }
}

#[tokio::test]
async fn the_page_names_only_files_that_are_there() {
    let (_database, replica) = service().await;
    let page = replica.nobody().get("/").await.text;
    let names = page.split("\"/web/").skip(1);
    let names = names.map(|rest| format!("/web/{}", rest.split('"').next().unwrap()));
    let mut to_see: Vec<_> = names.collect();
    assert!(to_see.len() >= 4, "{to_see:?}");
    // And a module imports only what is there.
    let mut seen = BTreeSet::new();
    while let Some(path) = to_see.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let file = replica.nobody().get(&path).await;
        assert_eq!(file.status, 200, "{path}");
        let folder = path.rsplit_once('/').unwrap().0;
        let imports = file.text.split("from \"").skip(1);
        let imports = imports.map(|rest| rest.split('"').next().unwrap());
        // Types and words of comments are not imported.
        let files = imports.filter(|name| name.ends_with(".js"));
        to_see.extend(files.map(|name| match name.strip_prefix("./") {
            Some(name) => format!("{folder}/{name}"),
            None => name.to_owned(),
        }));
    }
    assert!(
        seen.contains("/web/rights.js") && seen.contains("/client/copy.js"),
        "{seen:?}"
    );
}
