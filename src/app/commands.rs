//! The commands of the command line, apart from `serve`.

use std::{io::Write, time::Duration};

use super::{CommandResult, database::make_ready, now};
use crate::{
    auth::{self, Signer},
    config::{AdvanceConfig, CreateApplicationConfig, DatabaseConfig, FeedConfig, TokenConfig},
    domain::{Cursor, Timestamp},
    http, search,
    store::{
        self, Database, Purpose, Session,
        feed::{FeedInclude, FeedRequest, Kinds},
        in_time,
        pages::PageSize,
    },
};

/// How long it may take to raise the sequences, or to advance one application's timeline, including
/// the wait for its lane.
const ADVANCE_TIME_MAX: Duration = Duration::from_secs(30);

pub(super) async fn ready(config: &DatabaseConfig) -> Result<Database, Box<dyn std::error::Error>> {
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

/// Raises the sequences above every number that was used before a restore, and ends the timeline of
/// each application there.
pub async fn advance_timeline(config: &AdvanceConfig) -> CommandResult {
    let database = ready(&config.database).await?;
    let mut session = database.session(Purpose::Writing);
    let (before, after) = advance(&mut session, config.by).await.map_err(|error| {
        format!("{error}; some timelines may have advanced: advancing them once more is safe")
    })?;
    println!("the timeline has advanced from {before} to {after}");
    Ok(())
}

async fn advance(session: &mut Session, by: i64) -> store::Result<(Timestamp, Timestamp)> {
    let (raised, applications) = in_time(ADVANCE_TIME_MAX, async {
        let connection = session.connection().await?;
        let raised = store::changes::raise_sequences(connection, by).await?;
        Ok((raised, store::applications::ids(connection).await?))
    })
    .await?;
    for application in applications {
        in_time(ADVANCE_TIME_MAX, async {
            let mut transaction = session.enter_lane(application).await?;
            store::changes::raise(&mut transaction.lane(application), by).await?;
            // Nothing that is cached anywhere is valid.
            session.give_back(transaction.commit(&[String::new()]).await?);
            Ok(())
        })
        .await?;
    }
    Ok(raised)
}

/// Entries of the feed that are read at a time.
const FEED_PAGE: PageSize = PageSize {
    entries: 1000,
    bytes: 1024 * 1024,
};

/// How long a page of the feed may take.
const FEED_PAGE_TIME_MAX: Duration = Duration::from_secs(30);

/// Prints the feed to its end, an entry a line.
pub async fn print_feed(config: &FeedConfig) -> CommandResult {
    let database = ready(&config.database).await?;
    let mut session = database.session(Purpose::Reading);
    let application = config.application;
    let exists = in_time(FEED_PAGE_TIME_MAX, async {
        store::applications::exists(session.connection().await?, application).await
    });
    if !exists.await? {
        return Err(format!("there is no application {}", application.get()).into());
    }
    let mut request = FeedRequest {
        application,
        cursor: Cursor::After(config.after),
        kinds: Kinds::all(),
        size: FEED_PAGE,
        include: FeedInclude {
            messages: true,
            recipients: false,
        },
    };
    let mut output = std::io::stdout().lock();
    loop {
        let page = in_time(FEED_PAGE_TIME_MAX, async {
            let connection = session.connection().await?;
            let (requests, render) = ([&request], http::render_message);
            let read = store::feed::read(connection, application, &requests, render);
            Ok(read.await?.pop().expect("a page for the request"))
        })
        .await?;
        if config.after > page.timeline_end {
            return Err(format!(
                "the timeline ends at {}: was a backup restored?",
                page.timeline_end
            )
            .into());
        }
        if request.cursor.or(page.timeline_end) < page.trimmed {
            return Err(format!(
                "changes up to {} are not kept any more: begin with --after {}",
                page.trimmed, page.trimmed
            )
            .into());
        }
        for entry in &page.entries {
            let mut line = http::render_entry(entry);
            line.push(b'\n');
            output.write_all(&line)?;
        }
        if page.reached >= page.timeline_end {
            return Ok(output.flush()?);
        }
        request.cursor = Cursor::After(page.reached);
    }
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
    let token = signer.sign(
        config.application,
        &config.user,
        now(),
        now() + config.expires_in,
    );
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
