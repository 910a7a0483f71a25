//! Citus: the tables of tenants are spread over several servers, each application on one of them.
//! <https://docs.citusdata.com/en/stable/develop/api_udf.html#create-distributed-table>
//!
//! Every statement of a request names one application, so it runs on one server. Locks, sequences
//! and notifications are those of the coordinator, to which the service is connected.

use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

use super::{Result, locks};

/// The tables of tenants, each with the column that is the application.
const TABLES: [(&str, &str); 21] = [
    ("applications", "id"),
    ("changes", "application_id"),
    ("conversations", "application_id"),
    ("chat_members", "application_id"),
    ("chat_bans", "application_id"),
    ("user_restrictions", "application_id"),
    ("erasures", "application_id"),
    ("messages", "application_id"),
    ("mentions", "application_id"),
    ("conversation_settings", "application_id"),
    ("updates", "application_id"),
    ("followers", "application_id"),
    ("search_entries", "application_id"),
    ("importing_members", "application_id"),
    ("presence", "application_id"),
    ("webhooks", "application_id"),
    ("hooks", "application_id"),
    ("pins", "application_id"),
    ("reaction_counts", "application_id"),
    ("reactions", "application_id"),
    ("reports", "application_id"),
];

/// Distributes the tables that are not distributed yet, if the extension is installed. Replicas may
/// start at the same time.
pub async fn distribute(connection: &mut PgConnection) -> Result<()> {
    let is_cluster = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')";
    if !asks(connection, is_cluster).await? {
        return Ok(());
    }
    let lock = locks::DISTRIBUTION;
    execute(connection, format!("SELECT pg_advisory_lock({lock})")).await?;
    for (table, column) in TABLES {
        let is_distributed = format!(
            "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrel = '{table}'::regclass)"
        );
        if !asks(connection, &is_distributed).await? {
            tracing::info!(table, "the table is being distributed");
            let first = TABLES[0].0;
            let with = if table == first { "default" } else { first };
            let distribute = format!(
                "SELECT create_distributed_table('{table}', '{column}', colocate_with => '{with}')"
            );
            execute(connection, distribute).await?;
        }
    }
    execute(connection, format!("SELECT pg_advisory_unlock({lock})")).await
}

async fn execute(connection: &mut PgConnection, statement: String) -> Result<()> {
    let statement = sqlx::raw_sql(AssertSqlSafe(statement));
    connection.execute(statement).await?;
    Ok(())
}

/// The answer to a statement of this file.
async fn asks(connection: &mut PgConnection, statement: &str) -> Result<bool> {
    let statement = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
    Ok(connection.fetch_one(statement).await?.try_get(0)?)
}
