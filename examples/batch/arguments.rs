//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use lexopt::{Arg, Parser};

use super::shard::Shard;

pub const HELP: &str = "\
Uploads media files, many at a time. Made for jobs that run unattended: one bad file does not stop the others, and with
a manifest a second run goes on where the first one ended.

usage: batch [OPTIONS] PATH...

A PATH is a file, or a folder: then it stands for the video, audio and image files directly in it. The API key is read
from TWELVELABS_API_KEY. Without a key and without a PATH, sample files go to a stand-in for the platform on this
machine.

what to upload:
  --list FILE        take further PATHs from this file, one a line; - is standard input
  -r, --recursive    look into the folders of a folder, too
  --shard K/N        of N runs that share the work, this is run K, counted from 0: each file is in exactly one of them

how:
  --manifest FILE    keep a journal of what is done, in this file (recommended): run the same again after a failure
                     or a kill, and it skips what is done, resumes what was interrupted, tries again what may succeed
  --workers N        how many files at a time (4)
  --threshold BYTES  send larger files in chunks (200000000)
  --no-wait          do not wait until the platform has processed what is there
  --retry-permanent  try again what failed for good in an earlier run with the manifest
  --stand-in         use the stand-in also if there is a key or a PATH: to try this tool without the platform

where to:
  --index ID|NAME    index each asset in this index, too, and wait until it is indexed; may be given several times
  --knowledge-store ID
                     add each asset to this knowledge store, too, and wait until it is processed; may be given several times

what to say:
  --json             write a JSON object a line for each file, and a last one for the whole
  -q, --quiet        say only what failed
  -h, --help         show this

Standard output has a line for each file as it is finished: what became of it, its asset id, its path, and the reason if
it failed. Everything else goes to standard error, with bars if that is a terminal. A reader of standard output that
goes away does not stop the uploads.

To stop it early, press Ctrl-C or send it a SIGTERM: the files on their way break off, all are accounted for, and the
summary says how to go on. A second signal ends it at once. With a manifest neither that nor a kill does any harm.

Shards are for the array jobs of a scheduler. Each has the same PATHs and options, and a K of its own. The same N as
before, as long as a manifest is kept: each shard has a manifest of its own, with the shard in its name, so that
--manifest uploads.jsonl --shard 0/8 writes uploads.0-of-8.jsonl. In an array job a file is its path below the PATH that
is a folder, in the shard and in the manifest alike, so that the folder may be mounted elsewhere next time. A file that is
named itself is the path as it is written, so that all machines have to name it alike.

exit codes:
  0    every file is uploaded, now or in an earlier run
  1    some were not, or a folder or a file could not be looked at
  2    nothing was started: wrong usage, no API key, a list or a manifest that cannot be read, or a manifest that another
       run uses, that is of another account, or of another number of shards
  3    stopped early by a quota of the account; the summary says when to come back
  130  stopped early on request, by Ctrl-C or a SIGTERM
";

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Arguments {
    pub paths: Vec<PathBuf>,
    pub lists: Vec<PathBuf>,
    pub recursive: bool,
    pub shard: Option<Shard>,
    pub manifest: Option<PathBuf>,
    pub workers: Option<usize>,
    pub threshold: Option<u64>,
    pub indexes: Vec<String>,
    pub knowledge_stores: Vec<String>,
    pub no_wait: bool,
    pub retry_permanent: bool,
    pub json: bool,
    pub quiet: bool,
    pub stand_in: bool,
    pub help: bool,
}

impl Arguments {
    /// Reads the arguments after the program's name. The error says what was wrong.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, lexopt::Error> {
        let mut parsed = Arguments::default();
        let mut parser = Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            let flag = match argument {
                Arg::Long("list") => {
                    parsed.lists.push(value(&mut parser, "--list FILE")?.into());
                    continue;
                }
                Arg::Long("manifest") => {
                    parsed.manifest = Some(value(&mut parser, "--manifest FILE")?.into());
                    continue;
                }
                Arg::Long("index") => {
                    parsed.indexes.push(text(&mut parser, "--index ID|NAME")?);
                    continue;
                }
                Arg::Long("knowledge-store") => {
                    parsed.knowledge_stores.push(text(&mut parser, "--knowledge-store ID")?);
                    continue;
                }
                Arg::Long("workers") => {
                    let workers = number(&mut parser, "--workers N")?;
                    if workers == 0 {
                        return Err("--workers has to be at least 1".into());
                    }
                    parsed.workers = Some(workers);
                    continue;
                }
                Arg::Long("threshold") => {
                    parsed.threshold = Some(number(&mut parser, "--threshold BYTES")?);
                    continue;
                }
                Arg::Long("shard") => {
                    let text = value(&mut parser, "--shard K/N")?;
                    parsed.shard = Some(text.to_string_lossy().parse()?);
                    continue;
                }
                Arg::Value(path) => {
                    match path.to_str() {
                        Some("-") => {
                            return Err("a PATH of - means nothing; --list - reads paths from standard input".into());
                        }
                        Some("") => return Err("a PATH is empty; an unset variable, perhaps".into()),
                        _ => parsed.paths.push(path.into()),
                    }
                    continue;
                }
                Arg::Short('r') | Arg::Long("recursive") => &mut parsed.recursive,
                Arg::Long("no-wait") => &mut parsed.no_wait,
                Arg::Long("retry-permanent") => &mut parsed.retry_permanent,
                Arg::Long("json") => &mut parsed.json,
                Arg::Short('q') | Arg::Long("quiet") => &mut parsed.quiet,
                Arg::Long("stand-in") => &mut parsed.stand_in,
                Arg::Short('h') | Arg::Long("help") => &mut parsed.help,
                _ => return Err(argument.unexpected()),
            };
            *flag = true;
        }
        Ok(parsed)
    }
}

/// The value of an option. The next option is none, and an empty text is an unset variable.
fn value(parser: &mut Parser, usage: &str) -> Result<OsString, lexopt::Error> {
    let value = parser.value().ok().filter(|value| !value.is_empty() && !value.to_string_lossy().starts_with("--"));
    value.ok_or_else(|| format!("{} needs a value: {usage}", usage.split(' ').next().unwrap_or_default()).into())
}

fn text(parser: &mut Parser, usage: &str) -> Result<String, lexopt::Error> {
    value(parser, usage)?.into_string().map_err(|text| format!("`{}` is no name", text.to_string_lossy()).into())
}

fn number<T: FromStr>(parser: &mut Parser, usage: &str) -> Result<T, lexopt::Error> {
    let text = value(parser, usage)?;
    let name = usage.split(' ').next().unwrap_or_default();
    let wrong = |_| format!("{name} has to be a whole number, not `{}`", text.to_string_lossy());
    Ok(text.to_string_lossy().parse().map_err(wrong)?)
}
