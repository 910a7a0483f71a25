//! NOTIFY: the channels of the service, and PostgreSQL's queue of notifications.

use sqlx::PgConnection;

use super::Result;

/// Commits notify here. `notifications` defines the payload. A notification without payload
/// concerns everybody.
pub const UPDATES_CHANNEL: &str = "updates";

/// A change of webhooks notifies here, with the id of their application.
pub const WEBHOOKS_CHANNEL: &str = "webhooks";

/// Every replica notifies here, every few seconds, to prove that notifications still arrive.
pub const PULSE_CHANNEL: &str = "pulse";

/// Signals are sent here. `notifications` defines the payload.
pub const SIGNALS_CHANNEL: &str = "signals";

/// Above this share of PostgreSQL's queue of notifications, neither pulses nor signals are sent. The rest of the
/// queue still has room for millions of notifications.
const QUEUE_USAGE_MAX: f64 = 0.99;

/// Notifies with the commit of the transaction.
pub async fn send(connection: &mut PgConnection, channel: &str, payload: &str) -> Result<()> {
    let sending = sqlx::query!(
        r#"SELECT pg_notify($1, $2) AS "sent!: ()""#,
        channel,
        payload
    );
    sending.execute(connection).await?;
    Ok(())
}

/// Notifies in a transaction of its own that does not wait for the disk: it holds the lock on the queue of
/// notifications, which every commit of a change needs, for as short as possible. Returns `false`, and sends
/// nothing, if the queue is almost full. After a crash of the server the notification may be lost.
pub async fn send_lightly(
    connection: &mut PgConnection,
    channel: &str,
    payload: &str,
) -> Result<bool> {
    let sending = sqlx::query!(
        r#"
        SELECT set_config('synchronous_commit', 'off', TRUE) AS "set!",
               pg_notify($1, $2) AS "sent!: ()"
        WHERE pg_notification_queue_usage() < $3
        "#,
        channel,
        payload,
        QUEUE_USAGE_MAX,
    );
    Ok(sending.fetch_optional(connection).await?.is_some())
}

/// How full PostgreSQL's queue of notifications is, from 0 to 1. All databases of a server share
/// the queue, and a session that listens and stays in a transaction fills it.
///
/// This call also makes PostgreSQL free what all listeners have read. Without it a full queue would
/// stay full, since PostgreSQL frees it otherwise only when a notification is added.
pub async fn queue_usage(connection: &mut PgConnection) -> Result<f64> {
    let usage = sqlx::query_scalar!(r#"SELECT pg_notification_queue_usage() AS "usage!""#);
    Ok(usage.fetch_one(connection).await?)
}

/// Proves to every replica that notifications arrive. Sends nothing if the queue, at `usage`, is
/// almost full.
pub async fn send_pulse(connection: &mut PgConnection, usage: f64) -> Result<()> {
    if usage < QUEUE_USAGE_MAX {
        send(connection, PULSE_CHANNEL, "").await?;
    }
    Ok(())
}
