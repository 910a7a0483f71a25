//! The commands of the command line, apart from `serve`.

use std::time::Duration;

use super::{CommandResult, database::make_ready, now};
use crate::{
    auth::{self, Signer},
    config::{AdvanceConfig, CreateApplicationConfig, DatabaseConfig, TokenConfig},
    http, search,
    store::{self, Database, Purpose, in_time},
};

/// How long it may take to advance the timeline, including the wait for the lane's lock.
const ADVANCE_TIME_MAX: Duration = Duration::from_secs(30);

async fn ready(config: &DatabaseConfig) -> Result<Database, Box<dyn std::error::Error>> {
    let database = config.open()?;
    make_ready(&database).await?;
    Ok(database)
}

/// Brings the schema up to date.
pub async fn migrate(config: &DatabaseConfig) -> CommandResult {
    ready(config).await?;
    println!("the schema is up to date");
    Ok(())
}

/// Creates an application, and prints its token, which is shown only once.
pub async fn create_application(config: &CreateApplicationConfig) -> CommandResult {
    let database = ready(&config.database).await?;
    let (application, token) = auth::create_application(&database.reads(), &config.name).await?;
    println!(
        "application {}\ntoken {}",
        application.id.get(),
        token.token
    );
    Ok(())
}

/// Raises the sequences above every number that was used before a restore.
pub async fn advance_timeline(config: &AdvanceConfig) -> CommandResult {
    let database = ready(&config.database).await?;
    let advancing = in_time(ADVANCE_TIME_MAX, async {
        let mut lane = database.session(Purpose::Writing).enter_lane().await?;
        let ends = store::timeline::advance(&mut lane, config.by).await?;
        lane.commit().await?;
        Ok(ends)
    });
    let (before, after) = advancing.await.map_err(|error| {
        format!("{error}; the timeline may have advanced: advancing it once more is safe")
    })?;
    println!("the timeline has advanced from {before} to {after}");
    Ok(())
}

/// Drops the index of search; the running service builds it again.
pub async fn rebuild_search(config: &DatabaseConfig) -> CommandResult {
    let database = ready(config).await?;
    let messages = database
        .maintain(async |connection| search::rebuild(connection).await)
        .await?;
    println!("{messages} messages are being indexed anew");
    Ok(())
}

/// Prints a user's token, alone or in a link: in the fragment, which browsers never send.
pub fn print_token(config: &TokenConfig) -> CommandResult {
    let signer = Signer::new(&config.secret.messages_secret)?;
    let token = signer.sign(config.application, &config.user, now() + config.expires_in);
    match &config.link {
        Some(base) => println!("{}/#token={token}", base.trim_end_matches('/')),
        None => println!("{token}"),
    }
    Ok(())
}

/// Prints the OpenAPI document.
pub fn print_openapi() -> CommandResult {
    println!("{}", http::openapi_text());
    Ok(())
}
