//! What the command line does beside running the service.

use std::time::Duration;

use super::{Outcome, database::make_ready, now};
use crate::{
    auth::{self, Signer},
    config::{AdvanceConfig, CreateApplicationConfig, DatabaseConfig, TokenConfig},
    http, search,
    store::{self, Database, Purpose, in_time},
};

/// How long it may take to advance the timeline, with the wait for the lane's lock.
const ADVANCE_TIME_MAX: Duration = Duration::from_secs(30);

async fn ready(config: &DatabaseConfig) -> Result<Database, Box<dyn std::error::Error>> {
    let database = config.open()?;
    make_ready(&database).await?;
    Ok(database)
}

/// Brings the schema up to date.
pub async fn migrate(config: &DatabaseConfig) -> Outcome {
    ready(config).await?;
    println!("the schema is up to date");
    Ok(())
}

/// Creates an application, and prints its token, which is shown this once.
pub async fn create_application(config: &CreateApplicationConfig) -> Outcome {
    let database = ready(&config.database).await?;
    let (application, token) = auth::create_application(&database.reads(), &config.name).await?;
    println!("application {}\ntoken {}", application.id.0, token.token);
    Ok(())
}

/// Lifts the sequences above what was given out before a restore.
pub async fn advance_timeline(config: &AdvanceConfig) -> Outcome {
    let database = ready(&config.database).await?;
    let advancing = in_time(ADVANCE_TIME_MAX, async {
        let mut lane = database.session(Purpose::Writing).enter_lane().await?;
        let stood = store::timeline::advance(&mut lane, config.by).await?;
        lane.commit().await?;
        Ok(stood)
    });
    let (before, after) = advancing.await.map_err(|error| {
        format!(
            "{error}; whether the timeline has advanced is not known: advancing it once more is safe"
        )
    })?;
    println!("the timeline has advanced from {before} to {after}");
    Ok(())
}

/// Drops the index of search, which is built anew by the running service.
pub async fn rebuild_search(config: &DatabaseConfig) -> Outcome {
    let database = ready(config).await?;
    let messages = database
        .maintain(async |connection| search::rebuild(connection).await)
        .await?;
    println!("{messages} messages are being indexed anew");
    Ok(())
}

/// Prints a user's token, alone or in a link: in the fragment, which browsers never send.
pub fn print_token(config: &TokenConfig) -> Outcome {
    let signer = Signer::new(&config.secret.messages_secret)?;
    let token = signer.sign(config.application, &config.user, now() + config.expires_in);
    match &config.link {
        Some(base) => println!("{}/#token={token}", base.trim_end_matches('/')),
        None => println!("{token}"),
    }
    Ok(())
}

/// Prints the OpenAPI document.
pub fn print_openapi() -> Outcome {
    println!("{}", http::openapi_text());
    Ok(())
}
