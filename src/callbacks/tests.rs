//! Names that lead to what may not be called: they are refused when a URL is checked, and when it is called.
//!
//! They are resolved as everywhere, but for the server of names that is asked, which belongs to the test.

mod name_server;

use std::{
    net::{IpAddr, TcpListener},
    time::SystemTime,
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use name_server::NameServer;

/// Longer than anything takes here, however busy the machine is.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// What is posted.
const BODY: &[u8] = b"{}";

/// Addresses of this machine, of private networks and of the link, where clouds have their secrets, and the same of
/// IPv4 as IPv6 writes it.
const NOT_PUBLIC: [&str; 21] = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.8.8.8",
    "168.63.129.16",
    "169.254.1.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "::",
    "::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::10.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
];

/// Callbacks that ask this server for names, and may call these networks although they are not public.
fn callbacks_of(names: &NameServer, networks: &[&str]) -> Callbacks {
    // The client needs a provider even where it speaks no TLS; one is enough for all.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let networks = networks.iter().map(|network| network.parse().unwrap());
    let addresses = Addresses::new(networks.collect());
    let resolver = Resolver::asking(names.config(), addresses).unwrap();
    Callbacks::with_resolver(resolver, ANSWER_TIME_MAX, SystemTime::now).unwrap()
}

fn url_of(name: &str, port: u16) -> CallbackUrl {
    CallbackUrl::parse(&format!("http://{name}:{port}/hook")).unwrap()
}

fn request<'a>(url: &'a CallbackUrl, secrets: &'a [SigningSecret]) -> Request<'a> {
    Request {
        url,
        id: "1-1".to_owned(),
        body: BODY.to_vec(),
        secrets,
    }
}

async fn post(callbacks: &Callbacks, url: &CallbackUrl) -> Result<(), Failure> {
    let secrets = [SigningSecret::generate()];
    callbacks.post(request(url, &secrets)).await
}

/// The URL is refused, whatever is done with it.
async fn expect_refused(callbacks: &Callbacks, url: &CallbackUrl, why: &str) {
    let refused = || Failure::Unreachable(Unreachable::NotPublic);
    let checked = callbacks.check(url).await;
    assert_eq!(checked, Err(Unreachable::NotPublic), "{why}");
    assert_eq!(post(callbacks, url).await, Err(refused()), "{why}");
    let secrets = [SigningSecret::generate()];
    let asked = callbacks.ask(request(url, &secrets)).await;
    assert_eq!(asked, Err(refused()), "{why}");
}

/// Listens at an address of this machine, at any port if it is zero. Whoever connects is found by
/// [`was_called`].
fn listen(address: &str, port: u16) -> TcpListener {
    let listener = TcpListener::bind((address, port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

fn port_of(listener: &TcpListener) -> u16 {
    listener.local_addr().unwrap().port()
}

/// The system makes connections before anybody accepts them.
fn was_called(listener: &TcpListener) -> bool {
    match listener.accept() {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            false
        }
    }
}

/// Takes every request, each on a connection of its own.
fn serve(listener: TcpListener) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(BODY) {
                let count = connection.read_buf(&mut request).await.unwrap();
                assert_ne!(count, 0, "the client says all");
            }
            let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
            connection.write_all(answer).await.unwrap();
        }
    });
}

#[tokio::test]
async fn a_name_of_what_is_not_public_is_refused_when_it_is_checked_and_when_it_is_called() {
    let names = NameServer::start().await;
    let callbacks = callbacks_of(&names, &[]);
    for (number, address) in NOT_PUBLIC.into_iter().enumerate() {
        let name = format!("name-{number}.test");
        names.bind(&name, &[address]);
        expect_refused(&callbacks, &url_of(&name, 9), address).await;
    }
    names.bind("several.test", &NOT_PUBLIC);
    expect_refused(&callbacks, &url_of("several.test", 9), "all of them").await;
}

#[tokio::test]
async fn an_alias_is_judged_by_what_it_leads_to() {
    let names = NameServer::start().await;
    let callbacks = callbacks_of(&names, &[]);
    names.bind("inside.test", &["10.0.0.1"]);
    names.bind("outside.test", &["1.1.1.1"]);
    for (name, target) in [
        ("one.test", "inside.test"),
        ("two.test", "one.test"),
        ("three.test", "localhost"),
    ] {
        names.alias(name, target);
        expect_refused(&callbacks, &url_of(name, 9), name).await;
    }
    names.alias("four.test", "outside.test");
    let url = url_of("four.test", 9);
    let found = callbacks.resolver.addresses_of(&url).await;
    assert_eq!(found, Ok(vec![IpAddr::from([1, 1, 1, 1])]));
}

#[tokio::test]
async fn of_the_addresses_of_a_name_only_those_remain_that_may_be_called() {
    let names = NameServer::start().await;
    let public = ["1.1.1.1", "64:ff9b::1.0.0.1", "2606:4700::1111"];
    let all: Vec<_> = NOT_PUBLIC.into_iter().chain(public).collect();
    names.bind("many.test", &all);
    let callbacks = callbacks_of(&names, &[]);
    let url = url_of("many.test", 9);
    assert_eq!(callbacks.check(&url).await, Ok(()));
    let mut found = callbacks.resolver.addresses_of(&url).await.unwrap();
    found.sort();
    let public = public.map(|address| address.parse::<IpAddr>().unwrap());
    assert_eq!(found, public);

    // What may not be called is not connected to, although it answers and comes first.
    let forbidden = listen("127.0.0.1", 0);
    serve(listen("127.0.0.2", port_of(&forbidden)));
    names.bind("two.test", &["127.0.0.1", "127.0.0.2"]);
    let callbacks = callbacks_of(&names, &["127.0.0.2/32"]);
    let url = url_of("two.test", port_of(&forbidden));
    assert_eq!(callbacks.check(&url).await, Ok(()));
    assert_eq!(post(&callbacks, &url).await, Ok(()));
    assert!(!was_called(&forbidden));
}

#[tokio::test]
async fn a_name_that_is_bound_to_another_address_after_the_check_is_refused_at_the_call() {
    let names = NameServer::start().await;
    let callbacks = callbacks_of(&names, &[]);
    let inside = listen("127.0.0.1", 0);
    let url = url_of("rebound.test", port_of(&inside));
    // At first the name has no address, which may be a passing trouble.
    assert_eq!(callbacks.check(&url).await, Ok(()));
    let unresolved = Failure::Unreachable(Unreachable::Unresolved);
    assert_eq!(post(&callbacks, &url).await, Err(unresolved));
    names.bind("rebound.test", &["1.1.1.1"]);
    assert_eq!(callbacks.check(&url).await, Ok(()));
    let found = callbacks.resolver.addresses_of(&url).await;
    assert_eq!(found, Ok(vec![IpAddr::from([1, 1, 1, 1])]));

    names.bind("rebound.test", &["127.0.0.1"]);
    expect_refused(&callbacks, &url, "it was public").await;
    assert!(!was_called(&inside));
    // Whoever may call this machine gets there by this name.
    let callbacks = callbacks_of(&names, &["127.0.0.0/8"]);
    serve(inside);
    assert_eq!(callbacks.check(&url).await, Ok(()));
    assert_eq!(post(&callbacks, &url).await, Ok(()));
}

/// Otherwise the address that is connected to could be another one than that which was judged.
#[tokio::test]
async fn a_call_resolves_its_name_once() {
    let names = NameServer::start().await;
    let forbidden = listen("127.0.0.1", 0);
    serve(listen("127.0.0.2", port_of(&forbidden)));
    let callbacks = callbacks_of(&names, &["127.0.0.2/32"]);
    let url = url_of("turning.test", port_of(&forbidden));
    names.bind_in_turn("turning.test", &[&["127.0.0.2"], &["127.0.0.1"]]);
    assert_eq!(post(&callbacks, &url).await, Ok(()));
    expect_refused(&callbacks, &url, "it has turned").await;
    assert!(!was_called(&forbidden));
}
