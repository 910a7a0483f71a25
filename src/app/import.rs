//! Importing a file.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::sleep;

use super::{CommandResult, commands::ready};
use crate::{
    config::ImportConfig,
    http::{Digester, IMPORT_BYTES_MAX, IMPORT_LINES_MAX, Importer, LineResult, Problem},
    timeline::{Timeline, Writer},
};

/// How long a line may wait for a writer: longer than in the service, since nobody waits for an answer.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The most lines that wait for a writer.
const WAITING_MAX: usize = IMPORT_LINES_MAX;

/// How often some lines are tried if the service fails, and the pause between two attempts.
const ATTEMPTS_MAX: u32 = 20;
const PAUSE: Duration = Duration::from_secs(1);

/// Imports a file beside the running service, as another replica would, and tells what was refused.
pub async fn import(config: &ImportConfig) -> CommandResult {
    let database = ready(&config.database).await?;
    let (timeline, commands) = Timeline::new(WAITING_MAX, WAIT_MAX);
    let writers = Writer::all(&database, timeline.progress(), WAIT_MAX);
    let writing = join_all(writers.map(|writer| writer.run(commands.clone())));
    drop(commands);
    let digester = Digester::new(&config.secret.messages_secret);
    let reads = database.reads();
    let importing = async {
        // The writers end once nobody can submit anything any more.
        let timeline = timeline;
        let importer = Importer {
            timeline: &timeline,
            digester: &digester,
            reads: &reads,
            application: config.application,
            incomplete: BTreeSet::new(),
        };
        import_all(importer, &config.file).await
    };
    let (outcome, _) = tokio::join!(importing, writing);
    outcome
}

async fn import_all(mut importer: Importer<'_>, file: &Path) -> CommandResult {
    let mut file = BufReader::new(File::open(file)?);
    let (mut first, mut stored, mut refused) = (1, 0, 0);
    loop {
        let part = read_part(&mut file, first)?;
        if part.lines == 0 {
            break;
        }
        for result in import_part(&mut importer, first, &part).await? {
            match result.outcome {
                Ok(_) => stored += 1,
                Err(problem) => {
                    refused += 1;
                    eprintln!("line {}: {}", result.number, described(&problem));
                }
            }
        }
        first += part.lines;
    }
    println!("{stored} lines are stored");
    match refused {
        0 => Ok(()),
        _ => Err(format!("{refused} lines were refused").into()),
    }
}

/// Imports some lines; tries again if the service fails.
async fn import_part(
    importer: &mut Importer<'_>,
    first: usize,
    part: &Part,
) -> Result<Vec<LineResult>, Box<dyn std::error::Error>> {
    let incomplete = importer.incomplete.clone();
    let mut attempt = 1;
    loop {
        let imported = importer.import_text(first, &part.text).await;
        let failure = match &imported {
            Ok(results) => results.iter().find_map(LineResult::failure),
            Err(problem) => Some(problem),
        };
        let Some(problem) = failure else {
            return Ok(imported.expect("what has not failed"));
        };
        if !problem.status().is_server_error() || attempt == ATTEMPTS_MAX {
            let last = first + part.lines - 1;
            return Err(format!(
                "lines {first} to {last}: {}; they may be stored in part: repeat the run",
                described(problem)
            )
            .into());
        }
        eprintln!("{}: trying again", described(problem));
        sleep(PAUSE).await;
        // What was refused because of the failure may be stored now.
        importer.incomplete.clone_from(&incomplete);
        attempt += 1;
    }
}

/// A problem, with the fields that are not acceptable.
fn described(problem: &Problem) -> String {
    let fields = problem.errors().iter();
    let fields: String = fields
        .map(|error| format!("; {} {}", error.field, error.detail))
        .collect();
    format!("{problem}{fields}")
}

/// Some lines of a file.
#[derive(Default)]
struct Part {
    text: Vec<u8>,
    lines: usize,
}

/// Reads as many lines as a request may have; none at the end.
fn read_part(file: &mut impl BufRead, first: usize) -> std::io::Result<Part> {
    let mut part = Part::default();
    while part.lines < IMPORT_LINES_MAX {
        let buffered = file.fill_buf()?;
        let is_full = part.lines > 0 && part.text.len() + buffered.len() > IMPORT_BYTES_MAX;
        if buffered.is_empty() || is_full {
            break;
        }
        let before = part.text.len();
        let mut line = file.by_ref().take(IMPORT_BYTES_MAX as u64 + 1);
        line.read_until(b'\n', &mut part.text)?;
        if part.text.len() - before > IMPORT_BYTES_MAX {
            let number = first + part.lines;
            let too_long = format!("line {number} is longer than 1 MiB");
            return Err(std::io::Error::other(too_long));
        }
        part.lines += 1;
    }
    Ok(part)
}
