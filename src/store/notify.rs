//! NOTIFY: the channels of the service, and PostgreSQL's queue of notifications.

use sqlx::PgConnection;

use super::Result;

/// Commits notify here. The payload is a matter of `notifications`; one without a payload concerns
/// everybody.
pub const UPDATES_CHANNEL: &str = "updates";

/// Commits that add events notify here.
pub const EVENTS_CHANNEL: &str = "outbox";

/// Every replica shows here, every few seconds, that notifications still arrive.
pub const PULSE_CHANNEL: &str = "pulse";

/// The share of PostgreSQL's queue of notifications up to which pulses are sent: what is left is room for
/// millions of them.
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

/// How full PostgreSQL's queue of notifications is, from 0 to 1. All databases of a server share the queue,
/// and whoever listens and stays in a transaction fills it.
///
/// Asking is what makes PostgreSQL free the room of what everybody has read: without it a queue that is
/// full stays so, since nothing can be put into it any more.
pub async fn queue_usage(connection: &mut PgConnection) -> Result<f64> {
    let usage = sqlx::query_scalar!(r#"SELECT pg_notification_queue_usage() AS "usage!""#);
    Ok(usage.fetch_one(connection).await?)
}

/// Shows every replica that notifications arrive, unless the queue, which is at `usage`, is all but full.
pub async fn send_pulse(connection: &mut PgConnection, usage: f64) -> Result<()> {
    if usage < QUEUE_USAGE_MAX {
        send(connection, PULSE_CHANNEL, "").await?;
    }
    Ok(())
}
