//! The parsers of settings, one for each kind of value. An error reads as the rest of a sentence
//! that begins with the name of the setting.

use std::{net::SocketAddr, num::NonZeroU32, ops::RangeInclusive, time::Duration};

use ipnet::IpNet;
use lapin::uri::AMQPUri;
use secrecy::SecretString;

use crate::{
    auth::SECRET_BYTES_MIN,
    domain::{ApplicationId, SENDS_PER_MINUTE_MAX, Timestamp, Title, UserId},
};

/// A secret that is long enough to sign with, or to be an administrator's token.
pub fn secret(value: &str) -> Result<SecretString, String> {
    if value.len() < SECRET_BYTES_MIN {
        return Err(format!("must be at least {SECRET_BYTES_MIN} bytes"));
    }
    Ok(value.into())
}

/// A URL that the broker's client can parse. The error does not quote it, because it contains a
/// password.
pub fn broker_url(value: &str) -> Result<SecretString, String> {
    let refusal = |_| "must be amqp://USER:PASSWORD@HOST:PORT/VHOST or amqps://…".to_owned();
    value
        .parse()
        .map(|_: AMQPUri| value.into())
        .map_err(refusal)
}

pub fn address(value: &str) -> Result<SocketAddr, String> {
    value
        .parse()
        .map_err(|_| "must be an address and a port, as 127.0.0.1:8080".to_owned())
}

pub fn network(value: &str) -> Result<IpNet, String> {
    value
        .parse()
        .map_err(|_| "must be a network, as 10.1.0.0/16 or fd00::/8".to_owned())
}

pub fn application(value: &str) -> Result<ApplicationId, String> {
    match value.parse() {
        Ok(id) if id > 0 => Ok(ApplicationId::new(id)),
        _ => Err("must be the id of an application, 1 or more".to_owned()),
    }
}

pub fn timestamp(value: &str) -> Result<Timestamp, String> {
    Timestamp::parse(value).ok_or_else(|| "must be a timestamp".to_owned())
}

/// The longest queue that can be set: at a few kilobytes a command, a longer one takes too much
/// memory.
const QUEUE_LENGTH_MAX: usize = 100_000;

pub fn queue_length(value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(length) if (1..=QUEUE_LENGTH_MAX).contains(&length) => Ok(length),
        _ => Err(format!("must be 1 to {QUEUE_LENGTH_MAX}")),
    }
}

/// The most live connections that can be set: the other connections are for plain requests.
const LIVE_CONNECTIONS_MAX: usize = 9_000;

pub fn live_connections(value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(count) if (1..=LIVE_CONNECTIONS_MAX).contains(&count) => Ok(count),
        _ => Err(format!("must be 1 to {LIVE_CONNECTIONS_MAX}")),
    }
}

/// The most requests of one user that can be set: the service has no more connections.
const REQUESTS_PER_USER_MAX: u32 = 10_000;

pub fn requests_per_user(value: &str) -> Result<u32, String> {
    match value.parse() {
        Ok(count) if (1..=REQUESTS_PER_USER_MAX).contains(&count) => Ok(count),
        _ => Err(format!("must be 1 to {REQUESTS_PER_USER_MAX}")),
    }
}

/// A period in seconds: a second to a day.
pub fn period(value: &str) -> Result<u64, String> {
    let seconds = value.parse().ok();
    seconds
        .filter(|seconds| (1..=24 * 60 * 60).contains(seconds))
        .ok_or_else(|| "must be 1 to 86400 seconds".to_owned())
}

pub fn sends_per_minute(value: &str) -> Result<NonZeroU32, String> {
    match value.parse::<NonZeroU32>() {
        Ok(sends) if sends.get() <= SENDS_PER_MINUTE_MAX => Ok(sends),
        _ => Err(format!("must be 1 to {SENDS_PER_MINUTE_MAX}")),
    }
}

/// The least and the most memory for pending answers, in MiB: a few pages, and one page a
/// connection.
const PENDING_ANSWERS_MIB: RangeInclusive<usize> = 4..=16_384;

pub fn pending_answers(value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(mib) if PENDING_ANSWERS_MIB.contains(&mib) => Ok(mib),
        _ => {
            let (least, most) = (PENDING_ANSWERS_MIB.start(), PENDING_ANSWERS_MIB.end());
            Err(format!("must be {least} to {most}"))
        }
    }
}

pub fn title(value: &str) -> Result<Title, String> {
    Title::parse(value).map_err(|invalid| invalid.to_string())
}

pub fn user_id(value: &str) -> Result<UserId, String> {
    UserId::parse(value).map_err(|invalid| invalid.to_string())
}

/// The longest lifetime of a token that the command line prints: a year.
const TOKEN_SECONDS_MAX: u64 = 366 * 86_400;

pub fn seconds(value: &str) -> Result<Duration, String> {
    match value.parse() {
        Ok(seconds) if (1..=TOKEN_SECONDS_MAX).contains(&seconds) => {
            Ok(Duration::from_secs(seconds))
        }
        _ => Err(format!("must be 1 to {TOKEN_SECONDS_MAX}")),
    }
}
