//! Stores embeddings of the clips of a folder's videos in SQLite, and finds clips by a text.
//!
//! ```text
//! cd examples/vectors
//! cargo run                                         # without a key: against a stand-in on this machine
//! TWELVELABS_API_KEY=tlk_… cargo run -- add holiday
//! TWELVELABS_API_KEY=tlk_… cargo run -- ask "a dog on a beach"
//! ```
//!
//! It is a separate package, because it compiles SQLite, which requires a C compiler. `ask` embeds the text; the rest
//! happens on this machine, where [`sqlite-vec`](https://docs.rs/sqlite-vec) compares it with every clip.
//!
//! Run `add` again at any time, also after a crash: it embeds only videos that are new or have changed. Interrupted
//! uploads are recorded in a manifest beside the database, and unfinished tasks in the database.
//!
//! The exit code is 0, or 1 if something failed. Videos that could not be embedded are listed on stderr.

mod add;
mod ask;
mod store;
#[path = "../../support/mod.rs"]
mod support;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::*;
use store::Store;
use support::{Demo, Result};
use twelvelabs::TwelveLabs;

const USAGE: &str = "\
usage: vectors [OPTIONS] add DIR     embed the videos in a folder that are new
       vectors [OPTIONS] ask TEXT    find the clips that are most similar to a text

  --db FILE      where the vectors are (vectors.db)
  --model NAME   the model for a new database (marengo3.0); an existing one keeps its model
  -n NUMBER      how many clips to show (5)";

fn main() -> ExitCode {
    support::finish(run())
}

fn run() -> Result {
    let arguments = Arguments::parse(std::env::args_os().skip(1))?;
    let Some(command) = &arguments.command else {
        if arguments.help {
            println!("{USAGE}");
            return Ok(());
        }
        if support::has_key() {
            return Err(USAGE.into());
        }
        return demo(&mut std::io::stdout());
    };
    run_command(&TwelveLabs::from_env()?, &arguments, command, &mut std::io::stdout())
}

#[derive(Debug, PartialEq)]
enum Command {
    Add(PathBuf),
    Ask(String),
}

#[derive(Debug, PartialEq)]
struct Arguments {
    command: Option<Command>,
    db: PathBuf,
    model: Option<String>,
    most: u32,
    help: bool,
}

impl Arguments {
    fn parse(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Self> {
        let mut parsed = Arguments { command: None, db: "vectors.db".into(), model: None, most: 5, help: false };
        let mut parser = lexopt::Parser::from_args(arguments);
        let mut values: Vec<OsString> = Vec::new();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("db") => parsed.db = parser.value()?.into(),
                Long("model") => parsed.model = Some(parser.value()?.string()?),
                Short('n') => {
                    parsed.most = parser.value()?.parse_with(|text| match text.parse() {
                        Ok(number @ 1..=store::MAX_NEIGHBORS) => Ok(number),
                        _ => Err(format!("not a number from 1 to {}", store::MAX_NEIGHBORS)),
                    })?
                }
                Short('h') | Long("help") => parsed.help = true,
                Value(value) => values.push(value),
                _ => return Err(argument.unexpected().into()),
            }
        }
        let mut values = values.into_iter();
        parsed.command = match (values.next(), values.next(), values.next()) {
            _ if parsed.help => None,
            (None, ..) => None,
            (Some(name), Some(folder), None) if name == "add" => Some(Command::Add(folder.into())),
            (Some(name), Some(text), None) if name == "ask" => Some(Command::Ask(text.string()?)),
            _ => return Err(USAGE.into()),
        };
        Ok(parsed)
    }
}

fn run_command(client: &TwelveLabs, arguments: &Arguments, command: &Command, out: &mut dyn Write) -> Result {
    let model = arguments.model.as_deref();
    match command {
        Command::Add(folder) => add::add(client, &mut Store::open(&arguments.db, model)?, folder),
        Command::Ask(_) if !arguments.db.exists() => {
            Err(format!("there is no {}; start with `vectors add DIR`", arguments.db.display()).into())
        }
        Command::Ask(text) => ask::ask(client, &Store::open(&arguments.db, model)?, text, arguments.most, out),
    }
}

/// Runs both commands. The stand-in takes the words of a video's name for what the video shows.
fn demo(out: &mut dyn Write) -> Result {
    let demo = Demo::start()?;
    let folder = std::env::temp_dir().join(format!("twelvelabs-vectors-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let outcome = try_out(&demo.client, &folder, out);
    fs::remove_dir_all(&folder)?;
    outcome
}

fn try_out(client: &TwelveLabs, folder: &Path, out: &mut dyn Write) -> Result {
    for name in ["a-dog-runs-on-the-beach.mp4", "a-city-at-night.mp4", "children-build-a-castle-of-sand.mp4"] {
        fs::write(folder.join(name), format!("not really a video: {name}"))?;
    }
    let db = folder.join("vectors.db");
    let command = |arguments: [&str; 2], out: &mut dyn Write| {
        let arguments = Arguments { db: db.clone(), ..Arguments::parse(arguments)? };
        let Some(command) = &arguments.command else { return Ok(()) };
        run_command(client, &arguments, command, out)
    };
    let path = folder.to_str().ok_or("the folder for temporary files has a name that is not Unicode")?;
    command(["add", path], out)?;
    eprintln!("Again:");
    command(["add", path], out)?;
    eprintln!("a dog on a beach:");
    command(["ask", "a dog on a beach"], out)
}
