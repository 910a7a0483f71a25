//! Importing a file.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    sync::Arc,
    time::Duration,
};

use futures_util::future::{join, join_all};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::sleep,
};

use super::{CommandResult, commands::ready, memory::Memory};
use crate::{
    config::ImportConfig,
    http::{
        Digester, IMPORT_BYTES_MAX, IMPORT_LINES_MAX, Importer, LineResult, Problem, SortedLines,
    },
    timeline::{Kept, Timeline, Writer},
};

/// How long a line may wait for a writer: longer than in the service, since nobody waits for an answer.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The most lines that wait for a writer, and that one transaction stores: four times as many as in the service save a
/// fifth of the time, and delay others by more.
const WAITING_MAX: usize = IMPORT_LINES_MAX;

/// How often some lines are tried if the service fails, and the pause between two attempts.
const ATTEMPTS_MAX: u32 = 20;
const PAUSE: Duration = Duration::from_secs(1);

/// Imports a file beside the running service, as another replica would, and tells what was refused.
pub async fn import(config: &ImportConfig) -> CommandResult {
    let database = ready(&config.database).await?;
    let (timeline, commands) = Timeline::new(WAITING_MAX, WAITING_MAX, WAIT_MAX);
    let kept = Arc::new(Kept::default());
    let writers = Writer::all(&database, &kept, timeline.progress(), WAIT_MAX);
    let writing = join_all(writers.map(|writer| writer.run(commands.clone())));
    drop(commands);
    let reads = database.reads();
    let memory = Memory::new(&reads, vec![kept]);
    let importing = async move {
        // The writers end once nobody can submit anything any more.
        let background = timeline.in_background();
        drop(timeline);
        let importer = Importer::new(&background, WAITING_MAX, &reads, config.application);
        let file = BufReader::new(File::open(&config.file)?);
        let digester = Digester::new(&config.secret.messages_secret);
        import_all(importer, Arc::new(digester), file).await
    };
    tokio::select! {
        (outcome, _) = join(importing, writing) => outcome,
        never = memory.run() => match never {},
    }
}

async fn import_all(
    mut importer: Importer<'_>,
    digester: Arc<Digester>,
    file: BufReader<File>,
) -> CommandResult {
    let (mut stored, mut refused) = (0, 0);
    let mut reading = read_next(file, 1, &digester);
    loop {
        let (file, part) = reading.await??;
        if part.lines == 0 {
            break;
        }
        // It goes on while these lines are stored.
        reading = read_next(file, part.first + part.lines, &digester);
        for result in import_part(&mut importer, part, &digester).await? {
            match result.outcome {
                Ok(_) => stored += 1,
                Err(problem) => {
                    refused += 1;
                    eprintln!("line {}: {}", result.number, described(&problem));
                }
            }
        }
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
    mut part: Part,
    digester: &Digester,
) -> Result<Vec<LineResult>, Box<dyn std::error::Error>> {
    let incomplete = importer.incomplete.clone();
    let mut attempt = 1;
    loop {
        let parsed = part.parsed.take();
        let parsed = parsed.unwrap_or_else(|| part.parse(digester));
        let imported = match parsed {
            Ok(lines) => importer.import(lines).await,
            Err(problem) => Err(problem),
        };
        let failure = match &imported {
            Ok(results) => results.iter().find_map(LineResult::failure),
            Err(problem) => Some(problem),
        };
        let Some(problem) = failure else {
            return Ok(imported.expect("what has not failed"));
        };
        if !problem.status().is_server_error() || attempt == ATTEMPTS_MAX {
            let (first, last) = (part.first, part.first + part.lines - 1);
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
struct Part {
    /// The number of the first one.
    first: usize,
    text: Vec<u8>,
    lines: usize,
    /// Until they are imported.
    parsed: Option<Result<SortedLines, Problem>>,
}

impl Part {
    fn parse(&self, digester: &Digester) -> Result<SortedLines, Problem> {
        SortedLines::parse(self.first, &self.text, digester)
    }
}

/// Reads and parses the next lines on a thread of its own.
fn read_next(
    mut file: BufReader<File>,
    first: usize,
    digester: &Arc<Digester>,
) -> JoinHandle<std::io::Result<(BufReader<File>, Part)>> {
    let digester = Arc::clone(digester);
    spawn_blocking(move || {
        let mut part = read_part(&mut file, first)?;
        part.parsed = Some(part.parse(&digester));
        Ok((file, part))
    })
}

/// Reads as many lines as a request may have; none at the end.
fn read_part(file: &mut impl BufRead, first: usize) -> std::io::Result<Part> {
    let mut part = Part {
        first,
        text: Vec::new(),
        lines: 0,
        parsed: None,
    };
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
