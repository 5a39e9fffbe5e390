//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use lexopt::{Arg, Parser};

use super::shard::Shard;

pub const HELP: &str = "\
Uploads media files, several at a time. It is made for unattended jobs: a bad file does not stop the others, and with a
manifest, a second run resumes where the first one ended.

usage: batch [OPTIONS] PATH...

A PATH is a file or a folder. A folder means the video, audio and image files directly in it. The API key is read from
TWELVELABS_API_KEY. Without a key and without a PATH, sample files are uploaded to a stand-in for the platform on this
machine.

input:
  --list FILE        read further PATHs from this file, one on each line; - is standard input
  -r, --recursive    include subfolders
  --shard K/N        upload only the share of run K, counted from 0, of N runs; each file is in exactly one share

upload:
  --manifest FILE    keep a journal in this file (recommended); after a failure or a crash, run the same command again:
                     it skips finished files, resumes interrupted ones, and retries temporary failures
  --workers N        upload this many files at a time (4)
  --threshold BYTES  send larger files in chunks (200000000)
  --no-wait          do not wait until the platform has processed the files
  --retry-permanent  retry files that failed permanently in an earlier run with the manifest
  --stand-in         use the stand-in even if there is a key or a PATH, to try this tool without the platform

destinations:
  --index ID|NAME    also add each asset to this index, and wait until it is indexed; can be repeated
  --knowledge-store ID
                     also add each asset to this knowledge store, and wait until it is processed; can be repeated

output:
  --json             write a JSON object for each file, and one for the summary, each on its own line
  -q, --quiet        report failures only
  -h, --help         show this help

Standard output gets a line for each finished file: the outcome, the asset id, the path, and the reason for a failure.
Everything else goes to standard error, with progress bars on a terminal. If the reader of standard output goes away,
the uploads continue.

To stop early, press Ctrl-C or send a SIGTERM. Uploads in progress are interrupted, every file is accounted for, and the
summary says how to resume. A second signal ends the program immediately. With a manifest, neither a signal nor a crash
loses any work.

Shards are for the array jobs of a scheduler. Give every shard the same PATHs and options, and its own K. Each shard has
its own manifest, with the shard in its name: --manifest uploads.jsonl --shard 0/8 writes uploads.0-of-8.jsonl. Do not
change N while the manifests exist. In an array job, a file in a PATH that is a folder is identified by its path below
that folder, so the folder may be mounted elsewhere next time. A file that is itself a PATH is identified by the path as
written, so write it the same way on all machines.

exit codes:
  0    every file is uploaded, in this run or an earlier one
  1    some files are not uploaded, or a file or folder could not be read
  2    nothing was started: wrong usage, no API key, an unreadable list or manifest, or a manifest that is in use,
       belongs to another account, or belongs to another number of shards
  3    stopped early by a quota of the account; the summary says when to retry
  130  stopped early by Ctrl-C or a SIGTERM
";

/// The parsed arguments.
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
    /// Parses the arguments after the program's name. The error says what is wrong with them.
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
                        return Err("--workers must be at least 1".into());
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
                            return Err("a PATH cannot be -; use --list - to read paths from standard input".into());
                        }
                        Some("") => return Err("a PATH is empty; is a variable unset?".into()),
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

/// Returns the value of an option. The next option is not taken as a value, and an empty value is an error, because it
/// usually comes from an unset variable.
fn value(parser: &mut Parser, usage: &str) -> Result<OsString, lexopt::Error> {
    let value = parser.value().ok().filter(|value| !value.is_empty() && !value.to_string_lossy().starts_with("--"));
    value.ok_or_else(|| format!("{} needs a value: {usage}", usage.split(' ').next().unwrap_or_default()).into())
}

fn text(parser: &mut Parser, usage: &str) -> Result<String, lexopt::Error> {
    value(parser, usage)?.into_string().map_err(|text| format!("`{}` is not a name", text.to_string_lossy()).into())
}

fn number<T: FromStr>(parser: &mut Parser, usage: &str) -> Result<T, lexopt::Error> {
    let text = value(parser, usage)?;
    let name = usage.split(' ').next().unwrap_or_default();
    let wrong = |_| format!("{name} must be a whole number, not `{}`", text.to_string_lossy());
    Ok(text.to_string_lossy().parse().map_err(wrong)?)
}
